internal import GatewayCore
internal import Telemetry

/// Turns the registers (or bits) that answer one request into the slots of a batch: a list of moves, worked out once.
///
/// Neighbouring 16-bit values and bits become one move, so that a block of plain registers is copied, not decoded.
/// Registers arrive in the host's byte order, as libmodbus gives them.
struct RegisterDecoder: Sendable {
    private enum Move: Sendable, Equatable {
        /// `count` 16-bit values; `swapped`: low byte first on the wire.
        case words(count: Int, swapped: Bool)
        case long(ByteOrder)
        case quad(ByteOrder)
        case bit(Int)
        /// `count` coils or discrete inputs.
        case bits(count: Int)
        case string(bytes: Int, swapped: Bool)
    }
    private struct Step: Sendable {
        var move: Move
        /// Index into the answer.
        var source: Int
        /// Offset into the batch's values.
        var target: Int
        /// The tag, for the one move that can find a value unusable.
        var tag: Int
    }
    private var steps: [Step] = []

    /// Fields must be sorted by address, as in a `ReadPlan`.
    init(request: ReadRequest, fields: some Sequence<ReadField>, descriptor: StreamDescriptor) {
        for field in fields {
            let source = field.start - request.start
            let target = descriptor.offsets[field.tag]
            let swapped = field.byteOrder.bytesSwapped
            let move: Move =
                switch field.dataType {
                case .bool: field.bit.map { .bit(swapped ? $0 ^ 8 : $0) } ?? .bits(count: 1)
                case .int16, .uint16: .words(count: 1, swapped: swapped)
                case .int32, .uint32, .float32: .long(field.byteOrder)
                case .int64, .uint64, .float64: .quad(field.byteOrder)
                case .string: .string(bytes: min(descriptor.tags[field.tag].stringCapacity, field.count * 2), swapped: swapped)
                case .int8, .uint8: preconditionFailure("Modbus has no 8-bit values")
                }
            if let last = steps.last, let merged = RegisterDecoder.merge(last, move, source, target) {
                steps[steps.count - 1] = merged
            } else {
                steps.append(Step(move: move, source: source, target: target, tag: field.tag))
            }
        }
    }

    private static func merge(_ last: Step, _ move: Move, _ source: Int, _ target: Int) -> Step? {
        var merged = last
        switch (last.move, move) {
        case (.words(let count, let swapped), .words(_, let next))
        where swapped == next && last.source + count == source && last.target + 2 * count == target:
            merged.move = .words(count: count + 1, swapped: swapped)
        case (.bits(let count), .bits) where last.source + count == source && last.target + count == target:
            merged.move = .bits(count: count + 1)
        default: return nil
        }
        return merged
    }

    /// Writes the slots; reports each tag whose bytes are not a value of its type (strings that are not UTF-8).
    func decode(
        registers: UnsafeBufferPointer<UInt16>, into values: UnsafeMutableRawBufferPointer, unusable: (_ tag: Int) -> Void
    ) {
        for step in steps {
            switch step.move {
            case .words(let count, let swapped):
                for index in 0..<count {
                    let word = registers[step.source + index]
                    values.storeLittleEndian(swapped ? word.byteSwapped : word, at: step.target + 2 * index)
                }
            case .long(let order):
                let first = word(registers, step.source, order)
                let second = word(registers, step.source + 1, order)
                let value =
                    order.leastSignificantRegisterFirst
                    ? UInt32(second) << 16 | UInt32(first) : UInt32(first) << 16 | UInt32(second)
                values.storeLittleEndian(value, at: step.target)
            case .quad(let order):
                var value: UInt64 = 0
                for index in 0..<4 {
                    let place = order.leastSignificantRegisterFirst ? 3 - index : index
                    value = value << 16 | UInt64(word(registers, step.source + place, order))
                }
                values.storeLittleEndian(value, at: step.target)
            case .bit(let bit):
                values[step.target] = UInt8(registers[step.source] >> UInt16(bit) & 1)
            case .string(let capacity, let swapped):
                if !string(registers, at: step.source, capacity: capacity, swapped: swapped, into: values, at: step.target) {
                    unusable(step.tag)
                }
            case .bits: preconditionFailure("registers do not answer a request for bits")
            }
        }
    }

    /// The same for coils and discrete inputs, one byte 0/1 each.
    func decode(bits: UnsafeBufferPointer<UInt8>, into values: UnsafeMutableRawBufferPointer) {
        for step in steps {
            guard case .bits(let count) = step.move else { preconditionFailure("bits do not answer a request for registers") }
            for index in 0..<count { values[step.target + index] = bits[step.source + index] == 0 ? 0 : 1 }
        }
    }

    private func word(_ registers: UnsafeBufferPointer<UInt16>, _ index: Int, _ order: ByteOrder) -> UInt16 {
        order.bytesSwapped ? registers[index].byteSwapped : registers[index]
    }

    /// Text up to the first NUL, without trailing spaces. Returns false when it is not UTF-8 (nothing is written then).
    private func string(
        _ registers: UnsafeBufferPointer<UInt16>, at source: Int, capacity: Int, swapped: Bool,
        into values: UnsafeMutableRawBufferPointer, at target: Int
    ) -> Bool {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(capacity)
        for index in 0..<capacity {
            let register = registers[source + index / 2]
            let byte = UInt8(truncatingIfNeeded: (index % 2 == 0) != swapped ? register >> 8 : register)
            if byte == 0 { break }
            bytes.append(byte)
        }
        while bytes.last == UInt8(ascii: " ") { bytes.removeLast() }
        guard String(validating: bytes, as: UTF8.self) != nil else { return false }
        values.storeLittleEndian(UInt16(bytes.count), at: target)
        for (index, byte) in bytes.enumerated() { values[target + 2 + index] = byte }
        return true
    }
}
