internal import Telemetry

/// Sums up one series, whatever the type of its values.
///
/// Exactly one of the aggregators is there. Each is called as the concrete type it is: behind an existential the compiler would not specialize
/// the work per value.
struct SeriesAggregator {
    private var signed: ColumnAggregator<Int64>?
    private var unsigned: ColumnAggregator<UInt64>?
    private var real: ColumnAggregator<Double>?
    private var text: ColumnAggregator<String>?

    /// For the raw values of a tag.
    init(_ layout: BucketLayout, tag: Tag) {
        switch tag.dataType {
        case .string: text = ColumnAggregator(layout, tag: tag)
        case .float32, .float64: real = ColumnAggregator(layout, tag: tag)
        case .uint64: unsigned = ColumnAggregator(layout, tag: tag)
        case .bool, .int8, .uint8, .int16, .uint16, .int32, .uint32, .int64: signed = ColumnAggregator(layout, tag: tag)
        }
    }

    /// Counts all values of a column of the slice.
    mutating func add(_ column: TagColumn, of slice: StreamSlice) throws(GatewayError) {
        try signed?.add(column, of: slice)
        try unsigned?.add(column, of: slice)
        try real?.add(column, of: slice)
        try text?.add(column, of: slice)
    }

    /// Counts what is left of one tag's thinned samples.
    mutating func add(_ summary: TagSummary, of slice: SummarySlice) throws(GatewayError) {
        try signed?.add(summary, of: slice)
        try unsigned?.add(summary, of: slice)
        try real?.add(summary, of: slice)
        try text?.add(summary, of: slice)
    }

    /// Counts the sample from which a value is held into the window.
    mutating func seed(_ sample: LatestSample) throws(GatewayError) {
        try signed?.seed(sample)
        try unsigned?.seed(sample)
        try real?.seed(sample)
        try text?.seed(sample)
    }

    mutating func interrupt(at time: Timestamp) throws(GatewayError) {
        try signed?.interrupt(at: time)
        try unsigned?.interrupt(at: time)
        try real?.interrupt(at: time)
        try text?.interrupt(at: time)
    }

    mutating func take(before time: Timestamp) throws(GatewayError) -> [BucketStatistics] {
        if let taken = try signed?.take(before: time) { return taken }
        if let taken = try unsigned?.take(before: time) { return taken }
        if let taken = try real?.take(before: time) { return taken }
        return try text?.take(before: time) ?? []
    }

    mutating func finish(at time: Timestamp) throws(GatewayError) -> [BucketStatistics] {
        if let taken = try signed?.finish(at: time) { return taken }
        if let taken = try unsigned?.finish(at: time) { return taken }
        if let taken = try real?.finish(at: time) { return taken }
        return try text?.finish(at: time) ?? []
    }
}

/// Feeds the columns of one series to a `BucketAggregator` of their type, and gives engineering values back.
struct ColumnAggregator<Value: ColumnValue> {
    private var aggregator: BucketAggregator<Value>
    private let formatter: CellFormatter

    init(_ layout: BucketLayout, tag: Tag) {
        aggregator = BucketAggregator(layout)
        formatter = CellFormatter(tag)
    }

    mutating func add(_ column: TagColumn, of slice: StreamSlice) throws(GatewayError) {
        var index = 0
        for run in column.quality {
            let end = index + run.count
            try add(column, index..<end, status: run.status, of: slice)
            index = end
        }
    }

    // It is called through a protocol: without these each value would be handled by what is known of its type at run time.
    @specialized(where Value == Int64)
    @specialized(where Value == UInt64)
    @specialized(where Value == Double)
    private mutating func add(
        _ column: TagColumn, _ range: Range<Int>, status: StatusCode, of slice: StreamSlice
    ) throws(GatewayError) {
        guard let values = Value.values(of: column.values), range.upperBound <= values.count else { return }
        if let rows = column.rows {
            for index in range {
                try aggregator.add(Value(stored: values[index]), status: status, at: slice.times[Int(rows[index])])
            }
        } else {
            for index in range { try aggregator.add(Value(stored: values[index]), status: status, at: slice.times[index]) }
        }
    }

    mutating func add(_ summary: TagSummary, of slice: SummarySlice) throws(GatewayError) {
        var held: Value?
        var next = 0
        for (bucket, start) in slice.times.enumerated() {
            let good = Int(summary.good[bucket])
            var least: Value?
            var most: Value?
            var last: Value?
            var mean: Double?
            if summary.isOfChanges {
                let before = held
                var hasChanged = false
                // Of values that are not Bad: one that a Bad one follows is still the last of them.
                var newest = good > 0 ? before : nil
                while next < summary.changes.count, summary.changes[next].bucket <= bucket {
                    held = summary.changes[next].status.isBad ? nil : Value(slot: summary.changes[next].slot, type: summary.tag.dataType)
                    if let held {
                        least = least.map { min($0, held) } ?? held
                        most = most.map { max($0, held) } ?? held
                        hasChanged = hasChanged || held != before
                        newest = held
                    }
                    next += 1
                }
                last = newest
                if let before, good > 0 {
                    least = least.map { min($0, before) } ?? before
                    most = most.map { max($0, before) } ?? before
                    // A value that did not change is its own mean.
                    if !hasChanged, summary.bad[bucket] == 0, Value.isNumeric { mean = before.asNumber }
                }
            } else if good > 0 {
                least = Value(lane: summary.minimum[bucket], type: summary.tag.dataType)
                most = Value(lane: summary.maximum[bucket], type: summary.tag.dataType)
                last = Value(lane: summary.last[bucket], type: summary.tag.dataType)
                let sum = summary.sum[bucket]
                mean = sum.isNaN ? nil : sum / Double(good)
            }
            try aggregator.add(
                BucketSummary(
                    times: start..<max(start + 1, slice.ends[bucket] &+ 1), good: good, bad: Int(summary.bad[bucket]), count: good,
                    minimum: least, maximum: most,
                    last: last, mean: mean))
        }
    }

    mutating func seed(_ sample: LatestSample) throws(GatewayError) {
        guard sample.isContinuous, let raw = sample.raw, let value = Value(raw) else { return }
        try aggregator.add(value, status: sample.status, at: sample.time.nanoseconds)
    }

    mutating func interrupt(at time: Timestamp) throws(GatewayError) { try aggregator.interrupt(at: time.nanoseconds) }

    mutating func take(before time: Timestamp) throws(GatewayError) -> [BucketStatistics] {
        try aggregator.take(before: time.nanoseconds).map(statistics)
    }

    mutating func finish(at time: Timestamp) throws(GatewayError) -> [BucketStatistics] {
        try aggregator.finish(at: time.nanoseconds).map(statistics)
    }

    private func statistics(_ bucket: Bucket<Value>) -> BucketStatistics {
        let scaling = formatter.scaling
        var lowest = bucket.minimum
        var highest = bucket.maximum
        // A negative scale turns the order round.
        if scaling.scale < 0, Value.isNumeric { (lowest, highest) = (highest, lowest) }
        func cell(_ value: Value?) -> Cell? { value.map { formatter.cell(ofBucket: $0) } }
        return BucketStatistics(
            start: bucket.start, end: bucket.end, count: bucket.count, good: bucket.good, uncertain: bucket.uncertain, bad: bucket.bad,
            minimum: cell(lowest?.value), maximum: cell(highest?.value), minimumTime: lowest?.time.map { Timestamp(nanoseconds: $0) },
            maximumTime: highest?.time.map { Timestamp(nanoseconds: $0) }, first: cell(bucket.first), last: cell(bucket.last),
            mean: bucket.mean.map(scaling.engineering), timeWeightedMean: bucket.timeWeightedMean.map(scaling.engineering),
            standardDeviation: bucket.standardDeviation.map { abs(scaling.difference($0)) }, durationGood: bucket.durationGood,
            isBlurred: bucket.isBlurred)
    }
}

/// A bucket's value as it stands in columns.
protocol ColumnValue: BucketValue {
    associatedtype Stored
    static func values(of values: TagColumn.Values) -> [Stored]?
    init(stored: Stored)
    init?(_ raw: Variant)
    /// A number as summaries keep it; `nil` for a text.
    init?(lane: Int64, type: DataType)
}

extension ColumnValue {
    /// The value in a slot.
    fileprivate init?(slot: [UInt8], type: DataType) {
        guard type != .string else {
            let count = slot.count >= 2 ? Int(slot[0]) | Int(slot[1]) << 8 : 0
            self.init(.string(String(decoding: slot.dropFirst(2).prefix(count), as: UTF8.self)))
            return
        }
        self.init(lane: slot.withUnsafeBytes { TagSummary.lane($0, type) }, type: type)
    }
}

extension Int64: ColumnValue {
    static func values(of values: TagColumn.Values) -> [Int64]? { if case .integers(let values) = values { values } else { nil } }
    init(stored: Int64) { self = stored }
    init?(lane: Int64, type: DataType) { self = lane }
    init?(_ raw: Variant) {
        switch raw {
        case .bool(let value): self = value ? 1 : 0
        case .int(let value): self = value
        case .uint(let value): self = Int64(bitPattern: value)
        case .float, .double, .string: return nil
        }
    }
}

extension UInt64: ColumnValue {
    static func values(of values: TagColumn.Values) -> [Int64]? { Int64.values(of: values) }
    init(stored: Int64) { self.init(bitPattern: stored) }
    init?(lane: Int64, type: DataType) { self.init(bitPattern: lane) }
    init?(_ raw: Variant) { if case .uint(let value) = raw { self = value } else { return nil } }
}

extension Double: ColumnValue {
    static func values(of values: TagColumn.Values) -> [Double]? { if case .reals(let values) = values { values } else { nil } }
    init(stored: Double) { self = stored }
    init?(lane: Int64, type: DataType) { self = TagSummary.number(lane, type) }
    init?(_ raw: Variant) {
        switch raw {
        case .float(let value): self = Double(value)
        case .double(let value): self = value
        case .bool, .int, .uint, .string: return nil
        }
    }
}

extension String: ColumnValue {
    static func values(of values: TagColumn.Values) -> [String]? { if case .texts(let values) = values { values } else { nil } }
    init(stored: String) { self = stored }
    init?(lane: Int64, type: DataType) { nil }
    init?(_ raw: Variant) { if case .string(let value) = raw { self = value } else { return nil } }
}
