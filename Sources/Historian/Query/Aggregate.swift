package import Telemetry

/// What can be asked of the samples of a bucket.
package enum Aggregate: String, Sendable, Hashable, CaseIterable {
    /// Values that are not Bad.
    case count
    case min, max, mean
    /// Mean weighted by how long each value held.
    case timeWeightedMean = "twmean"
    case first, last
    /// Standard deviation of the sample.
    case standardDeviation = "stddev"
    /// Samples by severity of their status.
    case good, uncertain, bad
    /// Seconds for which a Good value held.
    case durationGood = "duration"
    /// When the extremes were.
    case minTime = "mintime"
    case maxTime = "maxtime"

    /// Whether it needs to be known how long values held.
    package var weighsTime: Bool { self == .timeWeightedMean || self == .durationGood }

    /// Whether it is a value in the unit of the tag.
    package var hasUnit: Bool {
        switch self {
        case .min, .max, .mean, .timeWeightedMean, .first, .last, .standardDeviation: true
        case .count, .good, .uncertain, .bad, .durationGood, .minTime, .maxTime: false
        }
    }
}

/// The statistics of one tag in one bucket, in engineering units.
package struct BucketStatistics: Sendable {
    /// The bucket's times in nanoseconds since 1970, half-open.
    package var start: Int64
    package var end: Int64
    package var count: Int
    package var good: Int
    package var uncertain: Int
    package var bad: Int
    package var minimum: Cell?
    package var maximum: Cell?
    package var minimumTime: Timestamp?
    package var maximumTime: Timestamp?
    package var first: Cell?
    package var last: Cell?
    package var mean: Double?
    package var timeWeightedMean: Double?
    package var standardDeviation: Double?
    package var durationGood: Duration?
    /// Part of the history was thinned over times that reach beyond the bucket: counts and extremes may belong to a neighbour.
    package var isBlurred: Bool

    /// One statistic; `nil` where it is not known.
    package func cell(_ aggregate: Aggregate) -> Cell? {
        switch aggregate {
        case .count: .integer(Int64(count))
        case .good: .integer(Int64(good))
        case .uncertain: .integer(Int64(uncertain))
        case .bad: .integer(Int64(bad))
        case .min: minimum
        case .max: maximum
        case .first: first
        case .last: last
        case .mean: mean.map { .real($0) }
        case .timeWeightedMean: timeWeightedMean.map { .real($0) }
        case .standardDeviation: standardDeviation.map { .real($0) }
        case .durationGood: durationGood.map { .real($0.inSeconds) }
        case .minTime: minimumTime.map { .time($0) }
        case .maxTime: maximumTime.map { .time($0) }
        }
    }
}
