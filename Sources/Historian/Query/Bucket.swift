/// A raw value that buckets can sum up: `Int64`, `UInt64`, `Double`, `String`.
package protocol BucketValue: Comparable, Hashable, Sendable {
    /// Whether values of this type have a mean.
    static var isNumeric: Bool { get }
    /// The nearest floating-point number; NaN for what is not numeric.
    var asNumber: Double { get }
}

extension Int64: BucketValue {
    package static var isNumeric: Bool { true }
    package var asNumber: Double { Double(self) }
}

extension UInt64: BucketValue {
    package static var isNumeric: Bool { true }
    package var asNumber: Double { Double(self) }
}

extension Double: BucketValue {
    package static var isNumeric: Bool { true }
    package var asNumber: Double { self }
}

extension String: BucketValue {
    package static var isNumeric: Bool { false }
    package var asNumber: Double { .nan }
}

/// What is left of a stretch of samples that was thinned out.
package struct BucketSummary<Value: BucketValue>: Sendable, Hashable {
    /// The times that it sums up in nanoseconds since 1970, half-open.
    package var times: Range<Int64>
    /// Samples by the severity of their status.
    package var good: Int
    package var uncertain: Int
    package var bad: Int
    /// How many values the extremes and the mean are of.
    package var count: Int
    package var minimum: Value?
    package var maximum: Value?
    /// `nil` where it was not kept.
    package var first: Value?
    package var last: Value?
    /// Arithmetic mean of the values; `nil` where it was not kept.
    package var mean: Double?

    package init(
        times: Range<Int64>, good: Int, uncertain: Int = 0, bad: Int = 0, count: Int, minimum: Value?, maximum: Value?, first: Value? = nil,
        last: Value?, mean: Double? = nil
    ) {
        self.times = times
        self.good = good
        self.uncertain = uncertain
        self.bad = bad
        self.count = count
        self.minimum = minimum
        self.maximum = maximum
        self.first = first
        self.last = last
        self.mean = mean
    }
}

/// A value and when it was: nanoseconds since 1970; `nil` where the time is not known exactly.
package struct TimedValue<Value: BucketValue>: Sendable, Hashable {
    package var value: Value
    package var time: Int64?
}

/// Statistics of the raw values of one tag with times in one bucket.
package struct Bucket<Value: BucketValue>: Sendable {
    /// First nanosecond of the bucket, since 1970.
    package let start: Int64
    /// The nanosecond after the last.
    package let end: Int64
    /// Samples by the severity of their status.
    package private(set) var good = 0
    package private(set) var uncertain = 0
    package private(set) var bad = 0
    /// Samples that are not Bad and not a number (NaN): in none of the statistics.
    package private(set) var notNumbers = 0
    /// Values that the statistics are of: of Good and Uncertain samples.
    package private(set) var count = 0
    /// Of equal values the first in the log.
    package private(set) var minimum: TimedValue<Value>?
    package private(set) var maximum: TimedValue<Value>?
    /// The value with the earliest and the latest time; among equal times the first and the last in the log.
    package private(set) var first: Value?
    package private(set) var last: Value?
    /// Some of its samples are known by a summary only.
    package private(set) var hasSummaries = false
    /// Some of the summaries reach beyond the bucket: counts and extremes may belong to a neighbour.
    package private(set) var isBlurred = false

    private var firstTime = Int64.max
    private var lastTime = Int64.min
    private var runningMean = 0.0
    private var squares = 0.0
    private var isMeanKnown = true
    private var heldMean = 0.0
    private var heldSeconds = 0.0
    private var goodNanoseconds: Int64 = 0

    init(start: Int64, end: Int64) {
        self.start = start
        self.end = end
    }

    /// Arithmetic mean of the raw values; `nil` where there are none, or where it is not a finite number.
    package var mean: Double? { Value.isNumeric && count > 0 && isMeanKnown && runningMean.isFinite ? runningMean : nil }

    /// Standard deviation of the sample (divisor n - 1) of the raw values; `nil` for less than two, and where samples are known by summaries only.
    package var standardDeviation: Double? {
        guard Value.isNumeric, count > 1, !hasSummaries else { return nil }
        let variance = squares / Double(count - 1)
        return variance.isFinite && variance >= 0 ? variance.squareRoot() : nil
    }

    /// Mean of the raw values, each weighted by how long it held within the bucket; `nil` where nothing was held, and where samples are known
    /// by summaries only.
    package var timeWeightedMean: Double? {
        Value.isNumeric && heldSeconds > 0 && !hasSummaries && heldMean.isFinite ? heldMean : nil
    }

    /// For how long a Good value was held within the bucket. More than the bucket's width where the clock was set back within it.
    package var durationGood: Duration? { hasSummaries ? nil : .nanoseconds(goodNanoseconds) }

    mutating func addBad() { bad += 1 }

    /// Counts a sample that is not Bad.
    @inline(__always)
    mutating func add(_ value: Value, isGood: Bool, at time: Int64) {
        if isGood { good += 1 } else { uncertain += 1 }
        let number = value.asNumber
        if Value.isNumeric, number.isNaN {
            notNumbers += 1
            return
        }
        count += 1
        if let least = minimum?.value, least <= value {} else { minimum = TimedValue(value: value, time: time) }
        if let most = maximum?.value, most >= value {} else { maximum = TimedValue(value: value, time: time) }
        if time < firstTime {
            first = value
            firstTime = time
        }
        if time >= lastTime {
            last = value
            lastTime = time
        }
        guard Value.isNumeric else { return }
        // B. P. Welford, "Note on a method for calculating corrected sums of squares and products", Technometrics 4 (1962).
        let difference = number - runningMean
        runningMean += difference / Double(count)
        squares += difference * (number - runningMean)
    }

    /// Counts a value that held for some time within the bucket.
    mutating func hold(_ number: Double, nanoseconds: Int64, isGood: Bool) {
        // The weighted form of the same recurrence: D. H. D. West, "Updating mean and variance estimates", CACM 22 (1979).
        let seconds = Double(nanoseconds) / 1e9
        heldSeconds += seconds
        heldMean += (number - heldMean) * (seconds / heldSeconds)
        if isGood { goodNanoseconds = goodNanoseconds.addingReportingOverflow(nanoseconds).overflow ? .max : goodNanoseconds + nanoseconds }
    }

    /// Takes note that a summary which is counted elsewhere reaches into this bucket.
    mutating func blur() {
        hasSummaries = true
        isBlurred = true
    }

    mutating func add(_ summary: BucketSummary<Value>) {
        hasSummaries = true
        good += summary.good
        uncertain += summary.uncertain
        bad += summary.bad
        guard summary.count > 0 else { return }
        count += summary.count
        if let mean = summary.mean {
            runningMean += (mean - runningMean) * (Double(summary.count) / Double(count))
        } else {
            isMeanKnown = false
        }
        if let least = summary.minimum, minimum.map({ least < $0.value }) ?? true { minimum = TimedValue(value: least, time: nil) }
        if let most = summary.maximum, maximum.map({ most > $0.value }) ?? true { maximum = TimedValue(value: most, time: nil) }
        if summary.times.lowerBound < firstTime {
            first = summary.first
            firstTime = summary.times.lowerBound
        }
        if summary.times.upperBound > lastTime {
            last = summary.last
            lastTime = summary.times.upperBound - 1
        }
    }
}
