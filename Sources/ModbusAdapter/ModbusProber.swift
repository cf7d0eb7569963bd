internal import GatewayCore
package import ModbusProtocol

/// Asks a device that nothing is known of. It only reads.
package actor ModbusProber {
    /// What came of one request.
    package enum Answer: Sendable, Hashable {
        case registers([UInt16])
        case bits([Bool])
        /// The device answered with this exception (7 MODBUS Exception Responses).
        case exception(UInt8)
        /// Nothing came in time, or nothing that can be an answer.
        case nothing(String)
    }
    private let line: ModbusLine
    private let unit: UInt8

    package nonisolated var unownedExecutor: UnownedSerialExecutor { line.executor }

    private static let user = "probe"

    package init(line: ModbusLine, unit: UInt8) {
        self.line = line
        self.unit = unit
    }

    /// Throws a `GatewayError` when the device cannot be reached.
    package func connect() throws { try line.open(for: ModbusProber.user) }

    package func disconnect() { line.close() }

    /// Reads `count` registers, coils or inputs of an area from `start` on, with functions 01 to 04.
    ///
    /// A lost connection is made anew, and the request counts as not answered: some devices close it when they dislike an address. Throws a
    /// `GatewayError` when that fails.
    package func read(_ area: ModbusArea, start: Int, count: Int) throws -> Answer {
        let failure: RequestFailure
        do throws(RequestFailure) {
            if area.isBits {
                var bits = [UInt8](repeating: 0, count: count)
                try bits.withUnsafeMutableBufferPointer { buffer throws(RequestFailure) in
                    try line.readBits(area.rawValue, unit: unit, start: start, into: buffer)
                }
                return .bits(bits.map { $0 != 0 })
            }
            var registers = [UInt16](repeating: 0, count: count)
            try registers.withUnsafeMutableBufferPointer { buffer throws(RequestFailure) in
                try line.readRegisters(area.rawValue, unit: unit, start: start, into: buffer)
            }
            return .registers(registers)
        } catch {
            failure = error
        }
        switch failure {
        case .exception(let code): return .exception(code)
        case .timeout: return .nothing("no answer in time")
        case .invalidReply(let text): return .nothing("invalid reply: \(text)")
        case .disconnected(let text):
            line.close()
            try line.open(for: ModbusProber.user)
            return .nothing(text)
        }
    }

    /// What the device says of itself (function 43/14, 6.21): the objects' texts by number; empty where it does not know the function.
    package func identification() -> [(object: UInt8, text: String)] {
        var objects: [(object: UInt8, text: String)] = []
        var next: UInt8? = 0
        for _ in 0..<ModbusProber.identificationRequestsMax {
            guard let object = next, let answer = try? line.perform(.readDeviceIdentification(code: 1, object: object), unit: unit),
                case .identification(let part) = answer
            else { break }
            objects += part.objects.map { ($0.id, String(decoding: $0.value, as: UTF8.self)) }
            next = part.nextObject
        }
        return objects
    }

    /// A device may spread its few objects over several answers, but not go round for ever.
    private static let identificationRequestsMax = 8
}
