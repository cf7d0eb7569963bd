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
        /// As `long` and `quad`, refused when they are no numbers.
        case float(ByteOrder)
        case double(ByteOrder)
        case bit(Int)
        /// `count` coils or discrete inputs.
        case bits(count: Int)
        case text(RegisterText)
        /// The value of one of `decoders`.
        case special(Int)
    }
    private struct Step: Sendable {
        var move: Move
        /// Index into the answer.
        var source: Int
        /// Offset into the batch's values.
        var target: Int
        /// The tag, for the moves that can find a value unusable.
        var tag: Int
    }
    private var steps: [Step] = []
    private var decoders: [FieldDecoder] = []

    /// Fields must be sorted by address, as in a `ReadPlan`.
    init(request: ReadRequest, fields: some Sequence<ReadField>, descriptor: StreamDescriptor) {
        for field in fields {
            let source = field.start - request.start
            let target = descriptor.offsets[field.tag]
            let tag = descriptor.tags[field.tag]
            let move = RegisterDecoder.move(of: field, tag: tag, next: decoders.count)
            if case .special = move { decoders.append(FieldDecoder(field, tag: tag)) }
            if let last = steps.last, let merged = RegisterDecoder.merge(last, move, source, target) {
                steps[steps.count - 1] = merged
            } else {
                steps.append(Step(move: move, source: source, target: target, tag: field.tag))
            }
        }
    }

    /// How a field's value comes to its slot; `next` is the number of the decoder that a special one gets.
    private static func move(of field: ReadField, tag: Tag, next: Int) -> Move {
        let swapped = field.byteOrder.bytesSwapped
        if field.dataType == .string { return .text(RegisterText(field, capacity: tag.stringCapacity)) }
        if field.dataType == .bool { return field.bit.map { .bit(swapped ? $0 ^ 8 : $0) } ?? .bits(count: 1) }
        guard field.encoding == .plain, field.rules == nil else { return .special(next) }
        switch field.dataType {
        case .int16, .uint16: return .words(count: 1, swapped: swapped)
        case .int32, .uint32: return .long(field.byteOrder)
        case .int64, .uint64: return .quad(field.byteOrder)
        case .float32: return .float(field.byteOrder)
        case .float64: return .double(field.byteOrder)
        case .bool, .int8, .uint8, .string: preconditionFailure("8-bit values are bit fields")
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

    /// Writes the slots; reports each value that is not to be believed. One that is Bad leaves its slot as it was.
    func decode(
        registers: UnsafeBufferPointer<UInt16>, into values: UnsafeMutableRawBufferPointer, unusable: (ValueFlaw) -> Void
    ) {
        for step in steps {
            switch step.move {
            case .words(let count, let swapped):
                for index in 0..<count {
                    let word = registers[step.source + index]
                    values.storeLittleEndian(swapped ? word.byteSwapped : word, at: step.target + 2 * index)
                }
            case .long(let order): values.storeLittleEndian(long(registers, step.source, order), at: step.target)
            case .quad(let order):
                values.storeLittleEndian(RegisterBits.bits(of: registers, at: step.source, count: 4, order: order), at: step.target)
            case .float(let order):
                let bits = long(registers, step.source, order)
                if bits & 0x7F80_0000 == 0x7F80_0000 {
                    unusable(ValueFlaw(tag: step.tag, kind: .notFinite(Double(Float(bitPattern: bits)))))
                } else {
                    values.storeLittleEndian(bits, at: step.target)
                }
            case .double(let order):
                let bits = RegisterBits.bits(of: registers, at: step.source, count: 4, order: order)
                if bits & 0x7FF0_0000_0000_0000 == 0x7FF0_0000_0000_0000 {
                    unusable(ValueFlaw(tag: step.tag, kind: .notFinite(Double(bitPattern: bits))))
                } else {
                    values.storeLittleEndian(bits, at: step.target)
                }
            case .bit(let bit):
                values[step.target] = UInt8(registers[step.source] >> UInt16(bit) & 1)
            case .text(let text):
                if let kind = text.decode(registers, at: step.source, into: values, at: step.target) {
                    unusable(ValueFlaw(tag: step.tag, kind: kind))
                }
            case .special(let index):
                if let kind = decoders[index].decode(registers, at: step.source, into: values, at: step.target) {
                    unusable(ValueFlaw(tag: step.tag, kind: kind))
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

    private func long(_ registers: UnsafeBufferPointer<UInt16>, _ source: Int, _ order: ByteOrder) -> UInt32 {
        let first = word(registers, source, order)
        let second = word(registers, source + 1, order)
        return order.leastSignificantRegisterFirst ? UInt32(second) << 16 | UInt32(first) : UInt32(first) << 16 | UInt32(second)
    }

    private func word(_ registers: UnsafeBufferPointer<UInt16>, _ index: Int, _ order: ByteOrder) -> UInt16 {
        order.bytesSwapped ? registers[index].byteSwapped : registers[index]
    }
}
