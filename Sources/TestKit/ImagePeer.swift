/// The foreign Modbus server of the tests that shows whatever registers it is given (`Tests/Peers/image_server.py`, pymodbus).
package final class ImagePeer: Sendable {
    private let process: ForeignProcess
    package let port: UInt16

    /// - Parameters:
    ///   - units: How many units there are, numbered from 1.
    ///   - refusesUnknown: Whether addresses that were never set are refused with exception 2; else they are 0.
    package init(units: Int = 1, refusesUnknown: Bool = false) async throws {
        let numbers = (1...units).map(String.init).joined(separator: ",")
        process = try ForeignProcess(
            Checkout.python, [Checkout.peer("image_server.py"), "--units", numbers] + (refusesUnknown ? ["--refuse"] : []))
        while true {
            let words = try await process.line().split(separator: " ")
            if words.first == "READY", words.count == 2, let port = UInt16(words[1]) {
                self.port = port
                return
            }
        }
    }

    /// Puts registers into a table (`holding` or `input`) and waits until they are there.
    package func set(unit: Int = 1, table: String = "holding", _ address: Int, _ registers: [UInt16]) async throws {
        for first in stride(from: 0, to: registers.count, by: ImagePeer.registersPerCommand) {
            let part = registers[first..<min(first + ImagePeer.registersPerCommand, registers.count)]
            let words = part.map { String($0, radix: 16) }.joined(separator: " ")
            try process.send("set \(unit) \(table) \(address + first) \(words)")
            let answer = try await process.line { $0 == "OK" || $0.hasPrefix("ERROR") }
            if answer != "OK" { throw ForeignProcess.Failure(description: answer) }
        }
    }

    package func stop() async { await process.stop() }

    private static let registersPerCommand = 1000
}
