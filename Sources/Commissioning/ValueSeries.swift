internal import Telemetry

/// The values that registers gave at several readings, if they are of one kind and order, and how many bits it takes to tell of them so.
struct ValueSeries {
    let kind: FieldKind
    /// As numbers, for people.
    private(set) var numbers: [Double] = []
    /// `nil`: the registers cannot be of this kind.
    private(set) var cost: Double?

    /// The registers of `readings` from `index` on.
    ///
    /// Precondition: as many are there as the kind has, and it is not a string.
    init(_ kind: FieldKind, _ order: ByteOrder, _ readings: RegisterReadings, at index: Int) {
        self.kind = kind
        let patterns = readings.rows.map { ValueSeries.bits($0, at: index, count: kind.registerCount, order: order) }
        numbers = patterns.map { ValueSeries.number($0, kind) }
        var total = kind.priorBits + firstCost(patterns[0])
        var last = ValueSeries.ordinal(patterns[0], kind)
        var steps = 0.0
        var rises = 0
        var falls = 0
        for pattern in patterns.dropFirst() {
            let next = ValueSeries.ordinal(pattern, kind)
            if next != last { if next > last { rises += 1 } else { falls += 1 } }
            steps += CodeLength.step(next > last ? next - last : last - next)
            last = next
        }
        // Registers that nothing uses are common and say nothing, however often they are read.
        let isUnused = rises + falls == 0 && kind.registerCount == 1 && patterns[0] == 0
        total += isUnused ? 1.5 : steps
        // One that only grows needs no signs.
        total += min(rises, falls) == 0 ? 1 : Double(rises + falls)
        // What only grows is a count, and a count is not negative: such a number is the low half of a larger one that carries.
        if kind.isSigned, falls == 0, rises >= 4, numbers[0] < 0 { total += 10 }
        total += strangeness(isMoving: rises + falls > 0, isCounting: falls == 0)
        guard numbers.allSatisfy(\.isFinite) else { return }
        cost = total
    }

    /// What makes a wide integer hard to believe: a high half that never is used, or a measurement finer than any sensor.
    private func strangeness(isMoving: Bool, isCounting: Bool) -> Double {
        guard let low = numbers.min(), let high = numbers.max(), low >= 0 else { return 0 }
        switch kind {
        case .uint64, .int64: return high < 4_294_967_296 ? 8 : 0
        case .uint32, .int32:
            if !isMoving { return high < 65_536 ? 3 : 0 }
            return !isCounting && high >= 65_536 && high - low < high * 1e-4 ? 6 : 0
        default: return 0
        }
    }

    private func firstCost(_ bits: UInt64) -> Double {
        switch kind {
        case .uint16: return CodeLength.integer(bits, width: 16)
        case .uint32: return CodeLength.integer(bits, width: 32)
        case .uint64: return CodeLength.integer(bits, width: 64)
        case .int16: return CodeLength.integer(UInt64(numbers[0].magnitude), width: 16) + (numbers[0] < 0 ? 0 : 1)
        case .int32: return CodeLength.integer(UInt64(numbers[0].magnitude), width: 32) + (numbers[0] < 0 ? 0 : 1)
        case .int64:
            return CodeLength.integer(Int64(bitPattern: bits).magnitude, width: 64) + (numbers[0] < 0 ? 0 : 1)
        case .float32:
            let value = Float(bitPattern: UInt32(truncatingIfNeeded: bits))
            return CodeLength.float(Double(value), digits: significantDigits("\(value)"), mantissaBits: 24)
        case .float64: return CodeLength.float(numbers[0], digits: significantDigits("\(numbers[0])"), mantissaBits: 53)
        case .string: return .infinity
        }
    }

    static func bits(_ row: [UInt16], at index: Int, count: Int, order: ByteOrder) -> UInt64 {
        let swap = order.registerSwap(of: count)
        var bits: UInt64 = 0
        for place in 0..<count {
            let register = row[index + (place ^ swap)]
            bits = bits << 16 | UInt64(order.bytesSwapped ? register.byteSwapped : register)
        }
        return bits
    }

    static func number(_ bits: UInt64, _ kind: FieldKind) -> Double {
        switch kind {
        case .uint16, .uint32, .uint64, .string: Double(bits)
        case .int16: Double(Int16(truncatingIfNeeded: bits))
        case .int32: Double(Int32(truncatingIfNeeded: bits))
        case .int64: Double(Int64(bitPattern: bits))
        case .float32: Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits)))
        case .float64: Double(bitPattern: bits)
        }
    }

    /// A number that grows with the value, one for each value the kind can have.
    private static func ordinal(_ bits: UInt64, _ kind: FieldKind) -> UInt64 {
        let width = UInt64(16 * kind.registerCount)
        let sign: UInt64 = 1 << (width - 1)
        switch kind {
        case .uint16, .uint32, .uint64, .string: return bits
        case .int16, .int32, .int64: return bits ^ sign
        case .float32, .float64:
            let all = UInt64.max >> (64 - width)
            return bits & sign == 0 ? bits | sign : ~bits & all
        }
    }
}
