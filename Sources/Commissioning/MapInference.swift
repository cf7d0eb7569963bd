package import Telemetry

/// One value a device seems to have, and why it is taken for that.
package struct ProposedField: Sendable, Hashable {
    package enum Certainty: String, Sendable, Hashable {
        case clear, likely, guess
    }
    package var address: Int
    package var registerCount: Int
    package var kind: FieldKind
    package var certainty: Certainty
    /// For people: the values seen, how they behave, and what they would be in other orders.
    package var evidence: String
    /// Always 0: probably unused.
    package var isBlank: Bool
}

/// What a device's registers seem to be.
package struct ProposedMap: Sendable, Hashable {
    package var byteOrder: ByteOrder
    /// Ascending by address; they cover every register that was read.
    package var fields: [ProposedField]
    /// How many bits the registers take to tell in each order; fewer is more plausible.
    package var bitsByOrder: [ByteOrder: Double]

    /// How many bits the best order is ahead of the next one: below 10 the order is not known.
    package var orderMarginBits: Double {
        let others = bitsByOrder.filter { $0.key != byteOrder }.values
        guard let best = bitsByOrder[byteOrder], let next = others.min() else { return 0 }
        return next - best
    }
}

/// Proposes types, places and the byte order of a device's registers by what makes the shortest story of several readings.
///
/// A device is taken to use one byte order throughout. For each of the four, dynamic programming cuts the registers into the fields that need
/// the fewest bits in all: ordinary sizes, few decimal digits, small steps and neighbours of one kind are cheap, leaps and strange magnitudes
/// are dear. Half registers, BCD, half floats and the two rare orders of 64 bits are not proposed.
package struct MapInference: Sendable {
    /// The most registers that are judged at once.
    package static let registersMax = 65_536
    /// Below this many bits of difference nothing is known.
    package static let orderMarginMin = 10.0

    private let ranges: [RegisterReadings]

    package init(_ ranges: [RegisterReadings]) { self.ranges = ranges }

    /// The proposal.
    package func map() -> ProposedMap {
        var best: (order: ByteOrder, cuts: [[Cut]], bits: Double)?
        var bitsByOrder: [ByteOrder: Double] = [:]
        for order in ByteOrder.common {
            let segmented = ranges.map { MapInference.segment($0, order) }
            let bits = segmented.reduce(0) { $0 + $1.bits }
            bitsByOrder[order] = bits
            // Equal stories are told in the standard's order, which comes first.
            if best.map({ bits < $0.bits - 0.001 }) ?? true { best = (order, segmented.map(\.cuts), bits) }
        }
        guard let best else { return ProposedMap(byteOrder: .abcd, fields: [], bitsByOrder: [:]) }
        let fields = zip(ranges, best.cuts).flatMap { readings, cuts in
            cuts.map { Evidence(readings, order: best.order).field(index: $0.index, count: $0.count, kind: $0.kind) }
        }
        return ProposedMap(byteOrder: best.order, fields: fields, bitsByOrder: bitsByOrder)
    }

    struct Cut: Hashable {
        var index: Int
        var count: Int
        var kind: FieldKind
    }

    /// What it takes to say that the next value is of the same kind as the one before, or of another.
    private static let sameKindBits = 0.5
    private static let otherKindBits = 5.0
    /// Registers that nothing uses stand anywhere.
    private static let unusedBits = 1.5

    /// The cheapest way to cut one range, and its bits.
    private static func segment(_ readings: RegisterReadings, _ order: ByteOrder) -> (cuts: [Cut], bits: Double) {
        let kinds = FieldKind.allCases
        let count = readings.count
        let unreachable = Double.infinity
        /// By number of registers told, then by the kind of the last field.
        var bits = [[Double]](repeating: [Double](repeating: unreachable, count: kinds.count), count: count + 1)
        var previous = [[Int]](repeating: [Int](repeating: -1, count: kinds.count), count: count + 1)
        for end in 1...count {
            for (number, kind) in kinds.enumerated() {
                let start = end - kind.registerCount
                guard start >= 0, let cost = cost(of: kind, readings, at: start, order) else { continue }
                // Zeros pad a text; they are none by themselves.
                let isUnused = kind == .uint16 && readings.rows[0][start] == 0 && readings.isConstant(start)
                let isPadding = kind == .string && readings.rows[0][start] == 0
                if start == 0 {
                    if isPadding { continue }
                    bits[end][number] = cost + otherKindBits
                    continue
                }
                for (before, soFar) in bits[start].enumerated() where soFar < unreachable && (!isPadding || before == number) {
                    let otherKind = isUnused ? unusedBits : otherKindBits + (kind == .string ? 3 : 0)
                    let total = soFar + cost + (before == number ? sameKindBits : otherKind)
                    if total < bits[end][number] {
                        bits[end][number] = total
                        previous[end][number] = before
                    }
                }
            }
        }
        guard var kind = kinds.indices.min(by: { bits[count][$0] < bits[count][$1] }), bits[count][kind] < unreachable else {
            return ([], 0)
        }
        let total = bits[count][kind]
        var cuts: [Cut] = []
        var end = count
        while end > 0 {
            let width = kinds[kind].registerCount
            let before = previous[end][kind]
            cuts.append(Cut(index: end - width, count: width, kind: kinds[kind]))
            end -= width
            kind = before
        }
        return (joined(cuts.reversed()), total)
    }

    /// Neighbouring registers of text are one string; a text of one register is a number after all.
    private static func joined(_ cuts: some Sequence<Cut>) -> [Cut] {
        var result: [Cut] = []
        for cut in cuts {
            if cut.kind == .string, let last = result.last, last.kind == .string, last.index + last.count == cut.index {
                result[result.count - 1].count += 1
            } else {
                result.append(cut)
            }
        }
        return result.map { $0.kind == .string && $0.count < 2 ? Cut(index: $0.index, count: 1, kind: .uint16) : $0 }
    }

    private static func cost(of kind: FieldKind, _ readings: RegisterReadings, at index: Int, _ order: ByteOrder) -> Double? {
        if kind == .string { return textCost(readings, at: index, order) }
        return ValueSeries(kind, order, readings, at: index).cost
    }

    /// One register of a text: two characters, or the zeros behind one. Names do not change.
    private static func textCost(_ readings: RegisterReadings, at index: Int, _ order: ByteOrder) -> Double? {
        guard readings.isConstant(index) else { return nil }
        let bits = ValueSeries.bits(readings.rows[0], at: index, count: 1, order: order)
        let steps = CodeLength.step(0) * Double(readings.rows.count - 1)
        let high = UInt8(truncatingIfNeeded: bits >> 8)
        let low = UInt8(truncatingIfNeeded: bits)
        if bits == 0 { return 0.7 }
        guard let first = CodeLength.character(high) else { return nil }
        if low == 0 { return first + 2 + steps }
        return CodeLength.character(low).map { first + $0 + steps }
    }
}
