/// A foreign Modbus server on one transport (`Tests/Peers/modbus_transports.py`, pymodbus).
package final class ModbusTransportPeer: Sendable {
    package enum Transport: String, Sendable, CaseIterable {
        case tcp, tls, udp
        case rtuOverTCP = "rtu-over-tcp"
        case asciiOverTCP = "ascii-over-tcp"
        case rtu, ascii

        package var isSerialPort: Bool { self == .rtu || self == .ascii }
    }

    private let process: ForeignProcess
    /// 0 for serial ports.
    package let port: UInt16
    /// Empty for sockets.
    package let path: String

    /// For TLS, `arguments` name the files of the server.
    package init(_ transport: Transport, units: String = "1,17", arguments: [String] = []) async throws {
        process = try ForeignProcess(
            Checkout.python, [Checkout.peer("modbus_transports.py"), transport.rawValue, "--units", units] + arguments)
        let ready = try await process.line { $0.hasPrefix("READY ") }
        let address = String(ready.dropFirst("READY ".count))
        port = UInt16(address) ?? 0
        path = port == 0 ? address : ""
    }

    /// Gives a command (see the scripts) and waits until it is in force.
    package func command(_ line: String) async throws {
        try process.send(line)
        let answer = try await process.line { $0.hasPrefix("OK") || $0.hasPrefix("ERROR") }
        if answer.hasPrefix("ERROR") { throw ForeignProcess.Failure(description: "\(line): \(answer)") }
    }

    /// Ends it in order, so that what it has started ends too.
    package func stop() async throws {
        try process.send("stop")
        _ = try await process.waitForExit()
    }
}
