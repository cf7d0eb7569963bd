package import Telemetry

/// How samples are gathered into buckets.
package struct BucketLayout: Sendable, Hashable {
    /// Samples of other times do not count; a value from before is held into it. Nanoseconds since 1970, half-open.
    package var window: Range<Int64>
    /// Nanoseconds; at least 1.
    package let width: Int64
    /// Buckets begin at this time and at whole widths from it, in nanoseconds since 1970.
    package let origin: Int64
    /// Whether time-weighted means and durations are wanted: they cost a bucket for every width in which a value is held.
    package var weighsTime: Bool
    /// A value is not taken to hold for longer, in nanoseconds.
    package var holdMax: Int64
    /// Most buckets of one tag that are open at a time.
    package var bucketsMax: Int

    /// What one tag may have open where nothing else is said: some 50 MB.
    package static let openBucketsMax = 200_000

    /// Precondition: `width` is at least 1.
    package init(
        window: Range<Int64>, width: Int64, origin: Int64 = 0, weighsTime: Bool = true, holdMax: Int64 = .max,
        bucketsMax: Int = BucketLayout.openBucketsMax
    ) {
        precondition(width > 0, "the width of a bucket is \(width) ns, but must be at least 1")
        self.window = window
        self.width = width
        let rest = origin % width
        self.origin = rest < 0 ? rest + width : rest
        self.weighsTime = weighsTime
        self.holdMax = holdMax
        self.bucketsMax = bucketsMax
    }

    /// The bucket that a time is in. At the ends of the calendar (1678 and 2262) buckets are cut short.
    package func bucket(of time: Int64) -> Range<Int64> {
        // Both remainders are from 0 to the width: nothing overflows.
        let rest = time % width
        var distance = (rest < 0 ? rest + width : rest) - origin
        if distance < 0 { distance += width }
        let (start, isBeforeAll) = time.subtractingReportingOverflow(distance)
        let (end, isAfterAll) = time.addingReportingOverflow(width - distance)
        return (isBeforeAll ? .min : start)..<(isAfterAll ? .max : end)
    }
}

/// Sums up the samples of one tag by time as they come: a constant amount of work per sample, and of memory per open bucket.
///
/// Samples come in log order. Where the clock was set back their times fall, and an earlier bucket goes on: it is still open unless it was
/// taken out. A value holds until the next sample of the tag (step interpolation), and neither beyond a Bad one, nor beyond an interruption
/// of the log, nor longer than the layout allows.
package struct BucketAggregator<Value: BucketValue>: Sendable {
    private struct Held {
        var number: Double
        var isGood: Bool
        /// Through when its holding is counted already.
        var from: Int64
        var until: Int64
    }

    package let layout: BucketLayout
    /// By start.
    private var buckets: [Bucket<Value>] = []
    private var current = 0
    private var held: Held?

    package init(_ layout: BucketLayout) { self.layout = layout }

    /// How many buckets are open.
    package var openCount: Int { buckets.count }

    /// Counts a sample; `value` does not count when the status is Bad. Throws `.limitExceeded` for too many open buckets.
    @inline(__always)
    package mutating func add(_ value: Value, status: StatusCode, at time: Int64) throws(GatewayError) {
        if layout.weighsTime {
            try countHolding(until: time)
            let number = value.asNumber
            if status.isBad || (Value.isNumeric && number.isNaN) {
                held = nil
            } else {
                let (until, overflow) = time.addingReportingOverflow(layout.holdMax)
                held = Held(number: number, isGood: status.isGood, from: time, until: overflow ? .max : until)
            }
        }
        guard time >= layout.window.lowerBound, time < layout.window.upperBound else { return }
        try findBucket(of: time)
        if status.isBad { buckets[current].addBad() } else { buckets[current].add(value, isGood: status.isGood, at: time) }
    }

    /// Counts what is left of thinned samples, in the bucket of their first time.
    package mutating func add(_ summary: BucketSummary<Value>) throws(GatewayError) {
        try countHolding(until: summary.times.lowerBound)
        held = nil
        let times = summary.times.clamped(to: layout.window)
        guard !times.isEmpty else { return }
        try findBucket(of: times.lowerBound)
        buckets[current].add(summary)
        if times != summary.times { buckets[current].blur() }
        var next = buckets[current].end
        if next < times.upperBound { buckets[current].blur() }
        while next < times.upperBound {
            try findBucket(of: next)
            buckets[current].blur()
            next = buckets[current].end
        }
    }

    /// The log is not continuous from here on: what is held is not known to have held beyond `time`.
    package mutating func interrupt(at time: Int64) throws(GatewayError) {
        try countHolding(until: time)
        held = nil
    }

    /// Takes out the buckets that lie before `time`, in their order: no sample that comes is older.
    package mutating func take(before time: Int64) throws(GatewayError) -> [Bucket<Value>] {
        try countHolding(until: time)
        let count = buckets.firstIndex { $0.end > time } ?? buckets.count
        guard count > 0 else { return [] }
        let taken = Array(buckets[..<count])
        buckets.removeFirst(count)
        current = max(0, current - count)
        return taken
    }

    /// Takes out all buckets. What is held counts through `time`, which is where the log ends or the question does.
    package mutating func finish(at time: Int64) throws(GatewayError) -> [Bucket<Value>] {
        try countHolding(until: time)
        held = nil
        defer {
            buckets = []
            current = 0
        }
        return buckets
    }

    /// Counts the holding of the last value through `time`.
    @inline(__always)
    private mutating func countHolding(until time: Int64) throws(GatewayError) {
        guard let last = held, time > last.from else { return }
        try countHolding(last, until: time)
    }

    private mutating func countHolding(_ last: Held, until time: Int64) throws(GatewayError) {
        held?.from = time
        var from = max(last.from, layout.window.lowerBound)
        let until = min(time, last.until, layout.window.upperBound)
        while from < until {
            try findBucket(of: from)
            let end = min(until, buckets[current].end)
            // The window may be wider than 64 bits can say in nanoseconds.
            let (length, overflow) = end.subtractingReportingOverflow(from)
            buckets[current].hold(last.number, nanoseconds: overflow ? .max : length, isGood: last.isGood)
            from = end
        }
    }

    /// Makes the bucket of a time the current one.
    @inline(__always)
    private mutating func findBucket(of time: Int64) throws(GatewayError) {
        if current < buckets.count, buckets[current].start <= time, time < buckets[current].end { return }
        try changeBucket(to: time)
    }

    private mutating func changeBucket(to time: Int64) throws(GatewayError) {
        let range = layout.bucket(of: time)
        if let last = buckets.last, range.lowerBound <= last.start {
            current = buckets.partitioningIndex { $0.start >= range.lowerBound }
            if current < buckets.count, buckets[current].start == range.lowerBound { return }
        } else {
            current = buckets.count
        }
        guard buckets.count < layout.bucketsMax else {
            throw GatewayError(
                .limitExceeded, resource: "log", operation: "aggregate",
                "more than \(layout.bucketsMax) buckets of one tag are open at a time: ask for wider buckets, fewer tags or a shorter range"
            )
        }
        buckets.insert(Bucket(start: range.lowerBound, end: range.upperBound), at: current)
    }
}
