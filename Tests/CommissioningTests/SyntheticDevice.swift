import Telemetry
import TestKit

@testable import Commissioning

/// A device whose registers are known: fields as meters, drives and controllers have them, and what they show at several readings.
struct SyntheticDevice {
    struct Field {
        var kind: FieldKind
        var index: Int
        var count: Int
        /// Whether every reading is 0, or the text is too short to tell from numbers.
        var isBlank: Bool
    }
    let order: ByteOrder
    private(set) var fields: [Field] = []
    private(set) var rows: [[UInt16]]

    /// `runs` runs of one to eight neighbours of a kind, `readings` readings.
    init(order: ByteOrder, runs: Int, readings: Int, using generator: inout SeededGenerator) {
        self.order = order
        rows = Array(repeating: [], count: readings)
        let kinds: [FieldKind] = [.float32, .float32, .float32, .uint16, .uint16, .int16, .uint32, .int32, .uint64, .float64, .string]
        for _ in 0..<runs {
            let kind = kinds[Int.random(in: 0..<kinds.count, using: &generator)]
            if kind == .string {
                addText(using: &generator)
                continue
            }
            for _ in 0..<Int.random(in: 1...8, using: &generator) { add(kind, using: &generator) }
        }
    }

    var readings: RegisterReadings? { RegisterReadings(start: 100, rows: rows) }

    private mutating func addText(using generator: inout SeededGenerator) {
        let names = ["PM5560", "ACME Drive 7000", "EM24-DIN", "v2.14.3", "SN 00381-A7", "Inverter-10kW", "CTRL 4", "Flowmeter"]
        var bytes = Array(names[Int.random(in: 0..<names.count, using: &generator)].utf8)
        let count = max(4, bytes.count / 2 + Int.random(in: 1...4, using: &generator))
        while bytes.count < 2 * count { bytes.append(0) }
        fields.append(Field(kind: .string, index: rows[0].count, count: count, isBlank: false))
        for row in rows.indices {
            for place in 0..<count { append(UInt64(bytes[2 * place]) << 8 | UInt64(bytes[2 * place + 1]), count: 1, row: row) }
        }
    }

    private mutating func add(_ kind: FieldKind, using generator: inout SeededGenerator) {
        let values = course(of: kind, using: &generator)
        fields.append(
            Field(kind: kind, index: rows[0].count, count: kind.registerCount, isBlank: values.allSatisfy { $0 == 0 }))
        for (row, value) in values.enumerated() { append(value, count: kind.registerCount, row: row) }
    }

    private mutating func append(_ bits: UInt64, count: Int, row: Int) {
        let swap = order.registerSwap(of: count)
        let words = (0..<count).map { UInt16(truncatingIfNeeded: bits >> UInt64(16 * (count - 1 - $0))) }
        for place in 0..<count {
            let word = words[place ^ swap]
            rows[row].append(order.bytesSwapped ? word.byteSwapped : word)
        }
    }

    /// The bits of a value at every reading: constant, counting, or moving about a level.
    private func course(of kind: FieldKind, using generator: inout SeededGenerator) -> [UInt64] {
        let choice = Int.random(in: 0..<10, using: &generator)
        let level = Self.level(of: kind, using: &generator)
        let spread = choice < 6 ? level.magnitude * Double.random(in: 0.0005...0.03, using: &generator) : 0
        let slope = (choice == 6 || choice == 7) ? Double(Int.random(in: 1...40, using: &generator)) : 0
        let isFloat = kind == .float32 || kind == .float64
        // A set point is a round number.
        let isRound = isFloat && choice == 9
        var count = 0.0
        return rows.indices.map { _ in
            count += slope * Double(Int.random(in: 0...2, using: &generator))
            var value = level + count + Double.random(in: -1...1, using: &generator) * spread
            if isRound { value = (level * 10).rounded() / 10 }
            switch kind {
            case .uint16: return UInt64(min(max(value.rounded(), 0), 65_535))
            case .int16: return UInt64(UInt16(bitPattern: Int16(min(max(value.rounded(), -32_768), 32_767))))
            case .uint32: return UInt64(min(max(value.rounded(), 0), 4e9))
            case .int32: return UInt64(UInt32(bitPattern: Int32(min(max(value.rounded(), -2e9), 2e9))))
            case .uint64, .int64: return UInt64(max(value.rounded(), 0))
            case .float32: return UInt64(Float(value).bitPattern)
            case .float64: return value.bitPattern
            case .string: return 0
            }
        }
    }

    /// Sizes as registers have them: spread over decades, some of them 0.
    private static func level(of kind: FieldKind, using generator: inout SeededGenerator) -> Double {
        if Int.random(in: 0..<12, using: &generator) == 0 { return 0 }
        func decades(_ low: Double, _ high: Double) -> Double {
            var value = 1.0
            let power = Double.random(in: low...high, using: &generator)
            for _ in 0..<Int(power.magnitude) { value *= power < 0 ? 0.1 : 10 }
            return value * Double.random(in: 1...10, using: &generator)
        }
        let sign: Double = Int.random(in: 0..<4, using: &generator) == 0 ? -1 : 1
        switch kind {
        case .uint16: return min(decades(0, 4), 60_000)
        case .int16: return sign * min(decades(0, 4), 30_000)
        case .uint32: return decades(4, 8)
        case .int32: return sign * decades(4, 8)
        case .uint64, .int64: return decades(6, 11)
        case .float32, .float64: return sign * decades(-2, 5)
        case .string: return 0
        }
    }
}
