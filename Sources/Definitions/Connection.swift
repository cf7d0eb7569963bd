/// How a device is reached.
package enum Connection: Sendable, Equatable {
    case modbusTCP(ModbusTCPConnection)
    case modbusTLS(ModbusTLSConnection)
    case modbusUDP(ModbusTCPConnection)
    case modbusRTU(ModbusRTUConnection)
    case modbusASCII(ModbusRTUConnection)
    case modbusRTUoverTCP(ModbusTCPConnection)
    case modbusASCIIoverTCP(ModbusTCPConnection)
}

package struct ModbusTCPConnection: Sendable, Equatable {
    package var host: String
    package var port: Int
    /// The unit identifier, 0…255; behind a serial server a server address, 1…247.
    package var unit: Int
    /// The least pause between an answer and the next request; for serial servers only.
    package var turnaroundDelay: Duration

    package init(host: String, port: Int, unit: Int, turnaroundDelay: Duration = .zero) {
        self.host = host
        self.port = port
        self.unit = unit
        self.turnaroundDelay = turnaroundDelay
    }
}

/// Modbus/TCP Security: the same over TLS with certificates on both sides.
package struct ModbusTLSConnection: Sendable, Equatable {
    package var host: String
    package var port: Int
    package var unit: Int
    package var tls: TLSSettings
    /// What the client certificate must carry as its role; `nil`: whatever it carries, or nothing.
    package var role: String?

    package init(host: String, port: Int, unit: Int, tls: TLSSettings, role: String? = nil) {
        self.host = host
        self.port = port
        self.unit = unit
        self.tls = tls
        self.role = role
    }
}

/// A serial line, for RTU as for ASCII.
package struct ModbusRTUConnection: Sendable, Equatable {
    package enum Parity: String, Sendable, CaseIterable {
        case none
        case even
        case odd
    }

    /// Who switches the transmitter of an RS-485 line.
    package enum Direction: String, Sendable, CaseIterable {
        /// The adapter by itself; also RS-232.
        case automatic
        case kernel
        case rtsHigh
        case rtsLow
    }

    /// The serial device, for example `/dev/ttyS0`.
    package var port: String
    package var baudRate: Int
    package var parity: Parity
    package var dataBits: Int
    package var stopBits: Int
    /// The server address, 1…247.
    package var unit: Int
    package var rs485: Direction
    /// With `rtsHigh` and `rtsLow`: how long RTS is set before and after a request.
    package var rtsDelay: Duration
    /// The least pause between an answer and the next request.
    package var turnaroundDelay: Duration
    /// A frame in which bytes pause for longer is broken off; `nil`: the response timeout alone ends it.
    package var interCharacterTime: Duration?

    package init(
        port: String, baudRate: Int, parity: Parity, dataBits: Int, stopBits: Int, unit: Int, rs485: Direction = .automatic,
        rtsDelay: Duration = .zero, turnaroundDelay: Duration = .zero, interCharacterTime: Duration? = nil
    ) {
        self.port = port
        self.baudRate = baudRate
        self.parity = parity
        self.dataBits = dataBits
        self.stopBits = stopBits
        self.unit = unit
        self.rs485 = rs485
        self.rtsDelay = rtsDelay
        self.turnaroundDelay = turnaroundDelay
        self.interCharacterTime = interCharacterTime
    }
}

extension Connection {
    /// The unit, or server address.
    package var unit: Int {
        switch self {
        case .modbusTCP(let tcp), .modbusUDP(let tcp), .modbusRTUoverTCP(let tcp), .modbusASCIIoverTCP(let tcp): tcp.unit
        case .modbusTLS(let tls): tls.unit
        case .modbusRTU(let serial), .modbusASCII(let serial): serial.unit
        }
    }

    /// The same line with another unit on it: what devices that share a line must agree in.
    package func withUnit(_ unit: Int) -> Connection {
        switch self {
        case .modbusTCP(var tcp):
            tcp.unit = unit
            return .modbusTCP(tcp)
        case .modbusUDP(var tcp):
            tcp.unit = unit
            return .modbusUDP(tcp)
        case .modbusRTUoverTCP(var tcp):
            tcp.unit = unit
            return .modbusRTUoverTCP(tcp)
        case .modbusASCIIoverTCP(var tcp):
            tcp.unit = unit
            return .modbusASCIIoverTCP(tcp)
        case .modbusTLS(var tls):
            tls.unit = unit
            return .modbusTLS(tls)
        case .modbusRTU(var serial):
            serial.unit = unit
            return .modbusRTU(serial)
        case .modbusASCII(var serial):
            serial.unit = unit
            return .modbusASCII(serial)
        }
    }

    /// Whether it is a serial port of this machine.
    var isSerial: Bool {
        switch self {
        case .modbusRTU, .modbusASCII: true
        default: false
        }
    }

    /// What only one line can be at: a serial port, or a port of a host. Datagrams have ports of their own.
    var place: String {
        switch self {
        case .modbusTCP(let tcp), .modbusRTUoverTCP(let tcp), .modbusASCIIoverTCP(let tcp): "\(tcp.host):\(tcp.port)"
        case .modbusTLS(let tls): "\(tls.host):\(tls.port)"
        case .modbusUDP(let tcp): "\(tcp.host):\(tcp.port) (UDP)"
        case .modbusRTU(let serial), .modbusASCII(let serial): serial.port
        }
    }
}
