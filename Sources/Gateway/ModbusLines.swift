internal import Definitions
internal import GatewayCore
internal import Identity
internal import ModbusAdapter

/// From the connections of a site document to lines of the Modbus adapter.
extension SiteBuilder {
    /// The line to a device, not yet open.
    static func line(to device: Device) -> ModbusLine {
        ModbusLine(
            endpoint(of: device.connection), responseTimeout: device.responseTimeout, connectTimeout: device.connectTimeout,
            security: security(of: device.connection))
    }

    static func endpoint(of connection: Connection) -> ModbusEndpoint {
        switch connection {
        case .modbusTCP(let tcp): .tcp(host: tcp.host, port: UInt16(tcp.port))
        case .modbusTLS(let tls):
            .tls(host: tls.host, port: UInt16(tls.port), identity: "\(tls.tls.certificate) \(tls.role ?? "")")
        case .modbusUDP(let udp): .udp(host: udp.host, port: UInt16(udp.port))
        case .modbusRTUoverTCP(let tcp): .rtuOverTCP(host: tcp.host, port: UInt16(tcp.port), pause: tcp.turnaroundDelay)
        case .modbusASCIIoverTCP(let tcp): .asciiOverTCP(host: tcp.host, port: UInt16(tcp.port), pause: tcp.turnaroundDelay)
        case .modbusRTU(let line): .serial(settings(of: line, isASCII: false))
        case .modbusASCII(let line): .serial(settings(of: line, isASCII: true))
        }
    }

    static func unit(of connection: Connection) -> UInt8 { UInt8(connection.unit) }

    /// What shows the gateway's certificate to the device, where the connection is encrypted.
    static func security(of connection: Connection) -> TLSClient? {
        guard case .modbusTLS(let connection) = connection else { return nil }
        let tls = connection.tls
        return TLSClient(
            ca: tls.certificateAuthority, certificate: tls.certificate, key: tls.key,
            oldestVersion: tls.minimumVersion == .tls12 ? .tls12 : .tls13, modbusRole: connection.role)
    }

    private static func settings(of line: ModbusRTUConnection, isASCII: Bool) -> SerialLineSettings {
        let parity: ModbusEndpoint.Parity =
            switch line.parity {
            case .none: .none
            case .even: .even
            case .odd: .odd
            }
        let direction: SerialLineSettings.Direction =
            switch line.rs485 {
            case .automatic: .automatic
            case .kernel: .kernel
            case .rtsHigh: .requestToSend(isHighToSend: true, delay: line.rtsDelay)
            case .rtsLow: .requestToSend(isHighToSend: false, delay: line.rtsDelay)
            }
        return SerialLineSettings(
            path: line.port, isASCII: isASCII, baudRate: line.baudRate, parity: parity, dataBits: line.dataBits, stopBits: line.stopBits,
            direction: direction, pause: line.turnaroundDelay, characterTimeout: line.interCharacterTime)
    }
}
