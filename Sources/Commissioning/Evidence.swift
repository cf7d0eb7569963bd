internal import Telemetry

/// Says why registers are taken for what they are proposed as.
struct Evidence {
    private let readings: RegisterReadings
    private let order: ByteOrder

    init(_ readings: RegisterReadings, order: ByteOrder) {
        self.readings = readings
        self.order = order
    }

    func field(index: Int, count: Int, kind: FieldKind) -> ProposedField {
        var field = ProposedField(
            address: readings.start + index, registerCount: count, kind: kind, certainty: .guess, evidence: "", isBlank: false)
        if kind == .string {
            field.certainty = count >= 4 ? .clear : .likely
            field.evidence = "text \"\(text(index, count))\""
            return field
        }
        let own = ValueSeries(kind, order, readings, at: index)
        field.kind = signedness(of: own.numbers, kind)
        field.isBlank = own.numbers.allSatisfy { $0 == 0 }
        var sentences = ["\(describe(own.numbers)) over \(readings.rows.count) readings, \(course(of: own.numbers, kind))"]
        let margin = margin(of: own, at: index, count: count)
        field.certainty = field.isBlank ? .guess : margin > 10 ? .clear : margin > 4 ? .likely : .guess
        if count > 1, !field.isBlank {
            let others = ByteOrder.common.filter { $0 != order }.map { other in
                "as \(other.rawValue) \(describe(ValueSeries(kind, other, readings, at: index).numbers))"
            }
            sentences.append(others.joined(separator: ", "))
        }
        field.evidence = sentences.joined(separator: "; ")
        return field
    }

    /// Of 16 bits that never were negative nor above 32767, both types read the same: what moves up and down may fall below 0 some day,
    /// states and counts do not.
    private func signedness(of numbers: [Double], _ kind: FieldKind) -> FieldKind {
        guard kind.registerCount == 1, let low = numbers.min(), let high = numbers.max(), low >= 0, high < 32_768 else { return kind }
        let steps = zip(numbers, numbers.dropFirst()).map { $1 - $0 }
        let isMeasured = steps.contains { $0 > 0 } && steps.contains { $0 < 0 } && high < 16_384 && high > 15
        return isMeasured ? .int16 : .uint16
    }

    /// By how many bits the story is shorter than the best other one for the same registers.
    private func margin(of own: ValueSeries, at index: Int, count: Int) -> Double {
        guard let cost = own.cost else { return 0 }
        var others: [Double] = []
        for kind in FieldKind.allCases where kind != .string && kind.registerCount <= count && kind != own.kind {
            var total = 0.0
            for part in stride(from: index, to: index + count, by: kind.registerCount) {
                total += ValueSeries(kind, order, readings, at: part).cost ?? .infinity
            }
            others.append(total)
        }
        if count > 1 {
            for other in ByteOrder.common where other != order {
                if let total = ValueSeries(own.kind, other, readings, at: index).cost { others.append(total) }
            }
        }
        return (others.min() ?? cost) - cost
    }

    private func describe(_ numbers: [Double]) -> String {
        guard numbers.allSatisfy(\.isFinite) else { return "not a number" }
        guard let low = numbers.min(), let high = numbers.max() else { return "" }
        return low == high ? Evidence.text(low) : "\(Evidence.text(low))…\(Evidence.text(high))"
    }

    private func course(of numbers: [Double], _ kind: FieldKind) -> String {
        guard let low = numbers.min(), let high = numbers.max() else { return "" }
        if low == high { return low == 0 ? "always 0, perhaps unused" : "constant" }
        let steps = zip(numbers, numbers.dropFirst()).map { $1 - $0 }
        if steps.allSatisfy({ $0 >= 0 }), steps.contains(where: { $0 > 0 }), numbers.count >= 4 {
            let isCounter = steps.filter { $0 > 0 }.count > 1 && kind != .float32 && kind != .float64
            return isCounter ? "only grows: a counter" : "only grows"
        }
        let largest = steps.map(\.magnitude).max() ?? 0
        let size = max(low.magnitude, high.magnitude)
        if low >= 0, high <= 1, kind.registerCount == 1 { return "0 and 1: a state" }
        return largest <= size * 0.1 ? "changes slowly" : "changes"
    }

    private func text(_ index: Int, _ count: Int) -> String {
        var characters = ""
        for place in index..<index + count {
            let bits = ValueSeries.bits(readings.rows[0], at: place, count: 1, order: order)
            for byte in [UInt8(truncatingIfNeeded: bits >> 8), UInt8(truncatingIfNeeded: bits)] where (32...126).contains(byte) {
                characters.unicodeScalars.append(Unicode.Scalar(byte))
            }
        }
        return characters
    }

    /// At most seven significant digits, as people read numbers.
    static func text(_ number: Double) -> String {
        if let whole = Int64(exactly: number), whole.magnitude < 1_000_000_000_000_000 { return String(whole) }
        let size = number.magnitude
        guard size >= 1e-3, size < 1e9 else {
            let short = "\(Float(number))"
            return Float(number).isFinite && Float(number) != 0 ? short : "\(number)"
        }
        let factor: Double = size >= 1000 ? 1e2 : size >= 1 ? 1e4 : 1e6
        return "\((number * factor).rounded() / factor)"
    }
}
