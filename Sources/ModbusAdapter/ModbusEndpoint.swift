/// What stands at the other end of a line, and how to reach it.
package enum ModbusEndpoint: Sendable, Hashable {
    /// Modbus/TCP (Messaging on TCP/IP V1.0b).
    case tcp(host: String, port: UInt16)
    /// Modbus/TCP Security (V3.6): `identity` tells lines apart that show different certificates.
    case tls(host: String, port: UInt16, identity: String)
    /// The frames of Modbus/TCP as datagrams. No specification, but many devices.
    case udp(host: String, port: UInt16)
    /// Serial frames through a serial server that passes bytes on as they are.
    case rtuOverTCP(host: String, port: UInt16, pause: Duration = .zero)
    case asciiOverTCP(host: String, port: UInt16, pause: Duration = .zero)
    /// A serial line of this machine (Serial Line V1.02).
    case serial(SerialLineSettings)

    /// RTU on a serial line with nothing special about it.
    package static func rtu(path: String, baudRate: Int, parity: Parity, dataBits: Int, stopBits: Int) -> ModbusEndpoint {
        .serial(SerialLineSettings(path: path, baudRate: baudRate, parity: parity, dataBits: dataBits, stopBits: stopBits))
    }

    package enum Parity: String, Sendable, Hashable {
        case none, even, odd
    }
}

/// Everything about a serial line that both sides must agree on, and the timing that its devices and its adapter need.
package struct SerialLineSettings: Sendable, Hashable {
    /// Who switches the transmitter of an RS-485 line.
    package enum Direction: Sendable, Hashable {
        /// Nobody: RS-232, RS-422, and adapters that do it by themselves.
        case automatic
        /// The driver in the kernel (`TIOCSRS485`).
        case kernel
        /// The RTS line, set by this program around each request; `delay` before and after.
        case requestToSend(isHighToSend: Bool, delay: Duration)
    }

    package var path: String
    package var isASCII: Bool
    package var baudRate: Int
    package var parity: ModbusEndpoint.Parity
    package var dataBits: Int
    package var stopBits: Int
    package var direction: Direction
    /// The least pause between an answer and the next request, where the 3.5 characters of the standard are not enough for a device.
    package var pause: Duration
    /// A frame in which the bytes pause for longer is broken off; `nil`: only the response timeout ends it.
    package var characterTimeout: Duration?

    package init(
        path: String, isASCII: Bool = false, baudRate: Int, parity: ModbusEndpoint.Parity, dataBits: Int, stopBits: Int,
        direction: Direction = .automatic, pause: Duration = .zero, characterTimeout: Duration? = nil
    ) {
        self.path = path
        self.isASCII = isASCII
        self.baudRate = baudRate
        self.parity = parity
        self.dataBits = dataBits
        self.stopBits = stopBits
        self.direction = direction
        self.pause = pause
        self.characterTimeout = characterTimeout
    }

    /// The time one character takes on the wire: start bit, data, parity, stop bits.
    var characterTime: Duration {
        .nanoseconds(1_000_000_000 * Int64(1 + dataBits + (parity == .none ? 0 : 1) + stopBits) / Int64(max(1, baudRate)))
    }

    /// The silence that ends a frame: 3.5 characters, and 1.75 ms from 19,200 Bd upward (Serial Line V1.02, 2.5.1.1).
    var frameSilence: Duration { baudRate > 19_200 ? .microseconds(1750) : characterTime * 7 / 2 }
}

extension ModbusEndpoint: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tcp(let host, let port): ModbusEndpoint.address(host, port)
        case .tls(let host, let port, _): "\(ModbusEndpoint.address(host, port)) (TLS)"
        case .udp(let host, let port): "\(ModbusEndpoint.address(host, port)) (UDP)"
        case .rtuOverTCP(let host, let port, _): "\(ModbusEndpoint.address(host, port)) (RTU)"
        case .asciiOverTCP(let host, let port, _): "\(ModbusEndpoint.address(host, port)) (ASCII)"
        case .serial(let settings): "\(settings.path) @ \(settings.baudRate) Bd\(settings.isASCII ? " (ASCII)" : "")"
        }
    }

    private static func address(_ host: String, _ port: UInt16) -> String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
