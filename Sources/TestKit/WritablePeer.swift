/// The foreign Modbus server that is written to (`Tests/Peers/writable_server.py`, pymodbus).
package final class WritablePeer: Sendable {
    private let process: ForeignProcess
    package let port: UInt16

    package init() async throws {
        process = try ForeignProcess(Checkout.python, [Checkout.peer("writable_server.py")])
        while true {
            let words = try await process.line().split(separator: " ")
            if words.first == "READY", words.count == 2, let port = UInt16(words[1]) {
                self.port = port
                return
            }
        }
    }

    /// Gives a command (see the script) and what the server says to it.
    @discardableResult
    package func command(_ line: String) async throws -> String {
        try process.send(line)
        let answer = try await process.line { $0.hasPrefix("OK") || $0.hasPrefix("ERROR") }
        if answer.hasPrefix("ERROR") { throw ForeignProcess.Failure(description: "\(line): \(answer)") }
        return answer.dropFirst(2).split(separator: " ").joined(separator: " ")
    }

    package func stop() async { await process.stop() }
}
