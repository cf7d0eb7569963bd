import Foundation
import TestKit

/// The broker of the tests that misbehaves as it is told (`Tests/Peers/mqtt_broker.py`).
final class ScriptedBroker: Sendable {
    let process: ForeignProcess
    let port: UInt16

    /// - Parameter scripts: what one connection after the other meets, as JSON; the last one holds for all that follow.
    init(_ scripts: String...) async throws {
        process = try ForeignProcess(Checkout.python, [Checkout.peer("mqtt_broker.py")] + scripts)
        let line = try await process.line { $0.contains("\"listening\"") }
        let values = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        guard let port = values?["port"] as? Int else { throw ForeignProcess.Failure(description: "no port in \(line)") }
        self.port = UInt16(port)
    }

    /// The next event of that name, with its values.
    func next(_ event: String) async throws -> [String: Any] {
        let line = try await process.line { $0.contains("\"event\": \"\(event)\"") }
        return try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] ?? [:]
    }

    /// All events of that name so far. What the broker tells comes by another way than what it sends: `count` of them are waited for a while.
    func all(_ event: String, atLeast count: Int) async throws -> [[String: Any]] {
        for _ in 0..<1000 where all(event).count < count { try await Task.sleep(for: .milliseconds(10)) }
        return all(event)
    }

    /// All events of that name so far.
    func all(_ event: String) -> [[String: Any]] {
        process.allLines.filter { $0.contains("\"event\": \"\(event)\"") }.compactMap {
            (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: Any]
        }
    }
}
