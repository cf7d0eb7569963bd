internal import Telemetry

/// The models and detectors of all tags of a stream, side by side: a column per quantity, a row per tag.
///
/// Per tag: a robust EWMA of location and mean absolute deviation (S. W. Roberts, Technometrics 1 (1959); updates clipped as by
/// P. J. Huber, Ann. Math. Statist. 35 (1964)), the band the smoothed samples have kept to in normal operation, and a two-sided CUSUM of
/// what lies beyond the band (E. S. Page, Biometrika 41 (1954)). The formulae are in docs/scoring.md.
struct TagModels: Sendable {
    enum Condition: UInt8, Sendable {
        case unscored, learning, normal
        /// There is some evidence against the tag.
        case suspect
        case alarm
    }

    /// The constants of one step: the same for all tags of a batch.
    struct Step {
        /// Seconds the values of the step stand for.
        var seconds: Double
        /// When they were taken.
        var time: Timestamp
        /// Seconds of age at which σ is taken twice as wide.
        var maturing: Double
    }

    let count: Int
    /// How many of the tags are scored.
    let scoredCount: Int
    private let configuration: ScoringConfiguration
    private let isFloat: [Bool]
    private(set) var condition: [Condition]
    /// When the present evidence began to pile up: the CUSUM's estimate of the time of the change.
    private var since: [Timestamp]
    /// `Column.count` columns of `count` numbers each.
    private var columns: [Double]

    private enum Column {
        static let latest = 0, location = 1, deviation = 2, smoothed = 3, upper = 4, lower = 5, age = 6, floor = 7
        static let evidenceAbove = 8, evidenceBelow = 9, samples = 10
        static let count = 11
    }

    /// σ of a normal distribution is √(π/2) times its mean absolute deviation.
    private static let sigmaPerDeviation = 1.253_314_137_315_500_3
    /// Numbers beyond are taken as no number: their squares and sums might not be finite.
    static let magnitudeMax = 1e100
    /// σ is never less than this many steps of the raw value: dithering between neighbouring values says nothing about the machine.
    private static let resolutionSteps = 2.0
    /// σ of a floating-point tag is never less than this part of its location: finer than transmitters are accurate.
    private static let relativeFloor = 1e-4
    private static let absoluteFloor = 1e-9
    /// How many σ the smoothed value moves at most for one sample, before the gain: what keeps a single outlier from an alarm.
    private static let innovationMax = 6.0

    init(descriptor: StreamDescriptor, scored: [Bool], configuration: ScoringConfiguration) {
        count = descriptor.tags.count
        self.configuration = configuration
        let scoredTags = zip(descriptor.tags, scored).map { $1 && $0.dataType.isNumeric }
        scoredCount = scoredTags.reduce(0) { $0 + ($1 ? 1 : 0) }
        condition = scoredTags.map { $0 ? .learning : .unscored }
        isFloat = descriptor.tags.map(\.dataType.isFloatingPoint)
        since = [Timestamp](repeating: Timestamp(nanoseconds: 0), count: count)
        columns = [Double](repeating: 0, count: Column.count * count)
        for (index, tag) in descriptor.tags.enumerated() {
            columns[Column.latest * count + index] = .nan
            let resolution = tag.dataType.isFloatingPoint ? 0 : TagModels.resolutionSteps * tag.scaling.scale.magnitude
            columns[Column.floor * count + index] = max(resolution, TagModels.absoluteFloor)
        }
    }

    /// Gives the place of the latest values, one per tag; a value that is not a number is skipped by the next step.
    mutating func withLatest(_ body: (UnsafeMutablePointer<Double>) -> Void) {
        columns.withUnsafeMutableBufferPointer { buffer in
            if let base = buffer.baseAddress { body(base) }
        }
    }

    /// Forgets everything about every tag and learns anew.
    mutating func relearn() {
        for index in 0..<count where condition[index] != .unscored {
            condition[index] = .learning
            for column in [Column.age, Column.evidenceAbove, Column.evidenceBelow, Column.samples] { columns[column * count + index] = 0 }
            columns[Column.latest * count + index] = .nan
        }
    }

    /// Judges and learns the latest values. Returns how many scored tags had no usable value.
    mutating func advance(_ step: Step) -> Int {
        columns.withUnsafeMutableBufferPointer { columns in
            condition.withUnsafeMutableBufferPointer { condition in
                since.withUnsafeMutableBufferPointer { since in
                    guard let columns = columns.baseAddress, let condition = condition.baseAddress, let since = since.baseAddress else {
                        return 0
                    }
                    return TagModels.advance(
                        Rows(columns: columns, condition: condition, since: since, count: count), isFloat, step, configuration)
                }
            }
        }
    }

    /// Where the rows of all tags are while a step runs.
    private struct Rows {
        let latest, location, deviation, smoothed, upper, lower, age, floor: UnsafeMutablePointer<Double>
        let evidenceAbove, evidenceBelow, samples: UnsafeMutablePointer<Double>
        let condition: UnsafeMutablePointer<Condition>
        let since: UnsafeMutablePointer<Timestamp>
        let count: Int

        init(
            columns: UnsafeMutablePointer<Double>, condition: UnsafeMutablePointer<Condition>, since: UnsafeMutablePointer<Timestamp>,
            count: Int
        ) {
            latest = columns + Column.latest * count
            location = columns + Column.location * count
            deviation = columns + Column.deviation * count
            smoothed = columns + Column.smoothed * count
            upper = columns + Column.upper * count
            lower = columns + Column.lower * count
            age = columns + Column.age * count
            floor = columns + Column.floor * count
            evidenceAbove = columns + Column.evidenceAbove * count
            evidenceBelow = columns + Column.evidenceBelow * count
            samples = columns + Column.samples * count
            self.condition = condition
            self.since = since
            self.count = count
        }
    }

    private static func advance(_ rows: Rows, _ isFloat: [Bool], _ step: Step, _ configuration: ScoringConfiguration) -> Int {
        var unusable = 0
        let memoryRate = 1 / configuration.memory
        let forgetting = min(step.seconds * memoryRate, 1)
        let clipping = configuration.clipping
        let allowance = configuration.allowance
        let tolerance = configuration.tolerance
        let gain = step.seconds / (configuration.smoothing + step.seconds)
        for tag in 0..<rows.count {
            let condition = rows.condition[tag]
            if condition == .unscored { continue }
            let value = rows.latest[tag]
            // False for a value that is not a number as well.
            guard value.magnitude <= magnitudeMax else {
                unusable &+= 1
                continue
            }
            if condition == .learning {
                learn(value, tag, rows, isFloat[tag], gain, step, configuration)
                continue
            }
            let age = rows.age[tag]
            let perAge = 1 / age
            let modelSigma = max(sigmaPerDeviation * rows.deviation[tag], rows.floor[tag])
            let sigma = modelSigma + modelSigma * step.maturing * perAge
            let smoothed = rows.smoothed[tag]
            let level = smoothed + gain * clipped(value - smoothed, innovationMax * sigma)
            rows.smoothed[tag] = level
            let location = rows.location[tag]
            let upper = rows.upper[tag]
            let lower = rows.lower[tag]
            let above = level - max(upper, location + tolerance * modelSigma)
            let below = min(lower, location - tolerance * modelSigma) - level
            var learned = step.seconds
            if condition != .normal || max(above, below) > allowance * sigma {
                learned *= weigh(above / sigma, below / sigma, tag, rows, step, configuration)
                if learned == 0 { continue }
            }
            rows.age[tag] = age + learned
            let rate = min(learned * max(perAge, memoryRate), 1)
            let residual = clipped(value - location, clipping * modelSigma)
            rows.location[tag] = location + rate * residual
            rows.deviation[tag] += rate * (residual.magnitude - rows.deviation[tag])
            if level > upper || level < lower {
                rows.upper[tag] = upper + rate * min(max(level - upper, 0), clipping * sigma)
                rows.lower[tag] = lower - rate * min(max(lower - level, 0), clipping * sigma)
            } else {
                rows.upper[tag] = upper - forgetting * (upper - level)
                rows.lower[tag] = lower + forgetting * (level - lower)
            }
        }
        return unusable
    }

    @inline(__always)
    private static func clipped(_ value: Double, _ limit: Double) -> Double { min(max(value, -limit), limit) }

    /// One sample of a tag that is not judged yet: running means instead of forgetting ones, and the band as wide as what was seen.
    @inline(never)
    private static func learn(
        _ value: Double, _ tag: Int, _ rows: Rows, _ isFloat: Bool, _ gain: Double, _ step: Step, _ configuration: ScoringConfiguration
    ) {
        rows.samples[tag] += 1
        let samples = rows.samples[tag]
        if samples > 1 { rows.age[tag] += step.seconds }
        if samples <= 3 {
            // Starts from the median of three: the very first sample may be an outlier. The first two wait in columns of no use yet.
            if samples == 1 { rows.upper[tag] = value }
            if samples == 2 { rows.lower[tag] = value }
            let (first, second) = (rows.upper[tag], samples == 1 ? value : rows.lower[tag])
            let median = max(min(first, second), min(max(first, second), value))
            rows.location[tag] = median
            rows.smoothed[tag] = median
            rows.deviation[tag] = min((first - median).magnitude + (second - median).magnitude, (value - median).magnitude)
            return
        }
        if isFloat { rows.floor[tag] = max(relativeFloor * rows.location[tag].magnitude, absoluteFloor) }
        // Clipped as well, but with more room: the scale has to grow from nothing to the signal's within the learning time.
        let sigma = max(sigmaPerDeviation * rows.deviation[tag], rows.floor[tag])
        let residual = clipped(value - rows.location[tag], innovationMax * sigma)
        rows.location[tag] += residual / samples
        rows.deviation[tag] += (residual.magnitude - rows.deviation[tag]) / samples
        rows.smoothed[tag] += gain * clipped(value - rows.smoothed[tag], innovationMax * sigma)
        // The first samples do not shape the band: one of them may have been an outlier.
        let isEarly = samples <= Double(configuration.learningSamples / 5)
        rows.upper[tag] = isEarly ? rows.smoothed[tag] : max(rows.upper[tag], rows.smoothed[tag])
        rows.lower[tag] = isEarly ? rows.smoothed[tag] : min(rows.lower[tag], rows.smoothed[tag])
        let isEnough = samples >= Double(configuration.learningSamples) && rows.age[tag] >= configuration.learningDuration
        if isEnough, rows.age[tag] > 0 { rows.condition[tag] = .normal }
    }

    /// Adds up the evidence for an excess above or below the band, in σ. Returns how much the model may learn from the sample: 1 while
    /// nothing speaks against the tag, 0 from half an alarm on.
    @inline(never)
    private static func weigh(
        _ above: Double, _ below: Double, _ tag: Int, _ rows: Rows, _ step: Step, _ configuration: ScoringConfiguration
    ) -> Double {
        let threshold = configuration.decisionInterval
        let weight = min(step.seconds / configuration.smoothing, 1)
        // Held at twice the threshold, so that a long alarm ends soon after its cause does.
        func sum(_ evidence: Double, _ excess: Double) -> Double {
            min(max(evidence + weight * (excess - configuration.allowance), 0), 2 * threshold)
        }
        rows.evidenceAbove[tag] = sum(rows.evidenceAbove[tag], above)
        rows.evidenceBelow[tag] = sum(rows.evidenceBelow[tag], below)
        let most = max(rows.evidenceAbove[tag], rows.evidenceBelow[tag])
        if most == 0 {
            rows.condition[tag] = .normal
            return 1
        }
        if rows.condition[tag] == .normal {
            rows.since[tag] = step.time
            rows.condition[tag] = .suspect
        }
        if most > threshold { rows.condition[tag] = .alarm }
        return rows.condition[tag] == .alarm ? 0 : max(1 - 2 * most / threshold, 0)
    }
}

extension TagModels {
    /// What is to be said about one tag that has evidence against it.
    struct Finding: Sendable {
        /// Signed distance of the smoothed value from the location, in σ.
        var sigmas: Double
        /// 0 for none to 1 for grave.
        var severity: Double
        var since: Timestamp
    }

    /// The finding about a tag; `nil` while there is not enough evidence to speak of.
    func finding(of tag: Int, maturing: Double) -> Finding? {
        guard condition[tag] == .suspect || condition[tag] == .alarm else { return nil }
        func number(_ column: Int) -> Double { columns[column * count + tag] }
        let most = max(number(Column.evidenceAbove), number(Column.evidenceBelow))
        let certainty = min(max(2 * most / configuration.decisionInterval - 1, 0), 1)
        let modelSigma = max(TagModels.sigmaPerDeviation * number(Column.deviation), number(Column.floor))
        let sigma = modelSigma * (1 + maturing / number(Column.age))
        let smoothed = number(Column.smoothed)
        let location = number(Column.location)
        let upper = max(number(Column.upper), location + configuration.tolerance * modelSigma)
        let lower = min(number(Column.lower), location - configuration.tolerance * modelSigma)
        let excess = max(smoothed - upper, lower - smoothed, 0) / sigma
        guard certainty > 0, excess > 0 else { return nil }
        return Finding(
            sigmas: (smoothed - location) / sigma,
            severity: certainty * excess / (excess + configuration.halfHealthExcess), since: since[tag])
    }
}
