/// A foreign Modbus server that has only some holding registers (`Tests/Peers/modbus_map.py`, pymodbus) and counts what it is asked.
package final class ModbusMapPeer: Sendable {
    private let process: ForeignProcess
    package let port: UInt16

    /// `registers` are the ones there are; register N holds N.
    package init(registers: some Sequence<Int>) async throws {
        var ranges: [ClosedRange<Int>] = []
        for register in registers.sorted() {
            if let last = ranges.last, last.upperBound + 1 == register {
                ranges[ranges.count - 1] = last.lowerBound...register
            } else {
                ranges.append(register...register)
            }
        }
        let text = ranges.map { "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
        process = try ForeignProcess(Checkout.python, [Checkout.peer("modbus_map.py"), text])
        let words = try await process.line { $0.hasPrefix("READY") }.split(separator: " ")
        guard words.count == 2, let port = UInt16(words[1]) else { throw ForeignProcess.Failure(description: "no port in \(words)") }
        self.port = port
    }

    /// How many reads were answered with data and with an exception since the last time.
    package func count() async throws -> (read: Int, refused: Int) {
        try process.send("count")
        let words = try await process.line { $0.hasPrefix("OK") }.split(separator: " ")
        guard words.count == 3, let read = Int(words[1]), let refused = Int(words[2]) else {
            throw ForeignProcess.Failure(description: "no counts in \(words)")
        }
        return (read, refused)
    }
}
