/// A conversion from raw to engineering values by straight lines between given points, as for a thermistor or a level in an odd tank.
package struct ConversionTable: Sendable, Hashable {
    package struct Point: Sendable, Hashable {
        package var raw: Double
        package var value: Double

        package init(raw: Double, value: Double) {
            self.raw = raw
            self.value = value
        }
    }
    /// Ascending by raw value.
    package let points: [Point]

    /// The most points a table may have.
    package static let pointsMax = 1000

    /// `nil` unless there are two or more finite points whose raw values strictly ascend or strictly descend.
    package init?(_ points: [Point]) {
        guard (2...ConversionTable.pointsMax).contains(points.count), points.allSatisfy({ $0.raw.isFinite && $0.value.isFinite }) else {
            return nil
        }
        let ordered = points[0].raw <= points[1].raw ? points : points.reversed()
        guard zip(ordered, ordered.dropFirst()).allSatisfy({ $0.raw < $1.raw }) else { return nil }
        self.points = ordered
    }

    /// The raw values the table knows.
    package var rawRange: ClosedRange<Double> { points[0].raw...points[points.count - 1].raw }

    /// Whether every engineering value of the table has one raw value, so that it can be written.
    package var isInvertible: Bool {
        let pairs = zip(points, points.dropFirst())
        return pairs.allSatisfy { $0.value < $1.value } || pairs.allSatisfy { $0.value > $1.value }
    }

    /// The engineering value; `nil` outside of the table, where nothing is known.
    package func value(at raw: Double) -> Double? {
        guard rawRange.contains(raw) else { return nil }
        var low = 0
        var high = points.count - 1
        while high - low > 1 {
            let middle = (low + high) / 2
            if points[middle].raw <= raw { low = middle } else { high = middle }
        }
        return ConversionTable.between(points[low].raw, points[low].value, points[high].raw, points[high].value, at: raw)
    }

    /// The raw value of an engineering value; `nil` outside of the table, or where the table is not invertible.
    package func raw(of value: Double) -> Double? {
        guard isInvertible else { return nil }
        for (left, right) in zip(points, points.dropFirst()) where min(left.value, right.value)...max(left.value, right.value) ~= value {
            return ConversionTable.between(left.value, left.raw, right.value, right.raw, at: value)
        }
        return nil
    }

    /// Exact at both ends.
    private static func between(_ x0: Double, _ y0: Double, _ x1: Double, _ y1: Double, at x: Double) -> Double {
        if x == x0 { return y0 }
        if x == x1 { return y1 }
        return y0 + (y1 - y0) * ((x - x0) / (x1 - x0))
    }
}
