/// The foreign Modbus server of the tests (`Tests/Peers/modbus_server.py`, pymodbus), with known values and faults on demand.
package final class ModbusPeer: Sendable {
    private let process: ForeignProcess
    package let port: UInt16
    /// The serial line to open, with `rtu`.
    package let serialPath: String?

    package init(port: UInt16 = 0, units: String = "1", rtu: Bool = false) async throws {
        process = try ForeignProcess(
            Checkout.python, [Checkout.peer("modbus_server.py"), "--port", String(port), "--units", units] + (rtu ? ["--rtu"] : []))
        var path: String?
        while true {
            let words = try await process.line().split(separator: " ")
            if words.first == "RTU", words.count == 2 { path = String(words[1]) }
            if words.first == "READY", words.count == 2, let port = UInt16(words[1]) {
                self.port = port
                serialPath = path
                return
            }
        }
    }

    /// Gives a command (see the script) and waits until it is in force.
    package func command(_ line: String) async throws {
        try process.send(line)
        let answer = try await process.line { $0.hasPrefix("OK") || $0.hasPrefix("ERROR") }
        if answer.hasPrefix("ERROR") { throw ForeignProcess.Failure(description: "\(line): \(answer)") }
    }

    package func stop() async { await process.stop() }
}
