#if canImport(Glibc)
    internal import Glibc
#endif

/// The foreign Modbus gateway of the tests (`Tests/Peers/modbus_line.py`, pymodbus): many units behind one port, any of which may be silent.
package final class ModbusLinePeer: Sendable {
    private let process: ForeignProcess
    package let port: UInt16

    /// `port` 0 takes a free one.
    package init(port: UInt16 = 0, units: Int) async throws {
        process = try ForeignProcess(
            Checkout.python, [Checkout.peer("modbus_line.py"), "--port", String(port), "--units", String(units)])
        let ready = try await process.line { $0.hasPrefix("READY ") }
        guard let port = UInt16(ready.dropFirst(6)) else { throw ForeignProcess.Failure(description: ready) }
        self.port = port
    }

    /// Gives a command (see the script) and returns the numbers of its answer.
    @discardableResult
    package func command(_ line: String) async throws -> [Int] {
        try process.send(line)
        let answer = try await process.line { $0.hasPrefix("OK") || $0.hasPrefix("ERROR") }
        if answer.hasPrefix("ERROR") { throw ForeignProcess.Failure(description: "\(line): \(answer)") }
        return answer.split(separator: " ").compactMap { Int($0) }
    }

    /// Stops the program in its tracks: its connections stay, and nothing answers; `thaw` lets it go on.
    package func freeze() { process.signal(SIGSTOP) }
    package func thaw() { process.signal(SIGCONT) }

    /// Ends it at once, as a power cut does.
    package func stop() async { await process.stop() }
}
