package import Telemetry

/// Watches one stream: a model and a detector per scored tag, fed with the stream's batches in log order.
///
/// Bad and Uncertain values, values that are no finite number and batches that do not fit the descriptor are skipped and counted. A tag
/// that a batch leaves out holds its value (its deadband suppressed the change), and so do whole suppressed polls.
package struct StreamScorer: Sendable {
    package let descriptor: StreamDescriptor
    /// Samples that were Bad, Uncertain or no finite number, scored tags only.
    package private(set) var unusableSamples: UInt64 = 0
    /// Batches whose slots, quality or presence do not fit the descriptor.
    package private(set) var malformedBatches: UInt64 = 0
    /// Batches not later than the one before: skipped, unless the clock was set back.
    package private(set) var outOfOrderBatches: UInt64 = 0
    /// Interruptions of more than `gapIntervals` polls.
    package private(set) var gaps: UInt64 = 0
    /// Whether the last batch had a usable value for any scored tag.
    package private(set) var hasData = false

    private let configuration: ScoringConfiguration
    private let reader: SlotReader
    private(set) var models: TagModels
    private var time: Timestamp?
    /// Seconds between polls, as seen.
    private var interval = 0.0

    /// How many usual intervals without a poll are a gap.
    package static let gapIntervals = 10.0
    /// The longest usual interval to begin with, in seconds: the first two batches may have an outage between them.
    package static let firstIntervalMax = 60.0
    /// Times further back than this, in seconds, are a clock that was set, not a batch that came late.
    package static let lateMax = 60.0
    /// Most steps that stand for suppressed polls.
    private static let heldStepsMax = 8

    /// - Parameter scored: which tags to look at, one flag per tag; missing flags mean no. `bool` and `string` tags are never scored.
    package init(descriptor: StreamDescriptor, scored: [Bool], configuration: ScoringConfiguration = ScoringConfiguration()) {
        self.descriptor = descriptor
        self.configuration = configuration
        let flags = descriptor.tags.enumerated().map { $0.offset < scored.count && scored[$0.offset] && $0.element.dataType.isNumeric }
        reader = SlotReader(descriptor: descriptor, scored: flags)
        models = TagModels(descriptor: descriptor, scored: flags, configuration: configuration)
    }

    /// Looks at one batch of the stream. Constant time per tag, no allocation.
    package mutating func consume(_ batch: SampleBatch) {
        let count = models.count
        guard batch.values.count == descriptor.valueBytes, batch.presence.isEmpty || batch.presence.count == (count + 63) / 64,
            batch.quality.allSatisfy({ $0.count >= 0 }), batch.quality.reduce(0, { $0 &+ $1.count }) == count
        else {
            malformedBatches += 1
            return
        }
        let suppressed = Double(batch.suppressedPolls)
        var elapsed = 0.0
        if let time {
            elapsed = batch.time.since(time).inSeconds
            if elapsed <= 0 {
                outOfOrderBatches += 1
                guard elapsed < -StreamScorer.lateMax else { return }
                elapsed = interval * (suppressed + 1)
            }
            var poll = elapsed / (suppressed + 1)
            if interval == 0 { interval = min(poll, StreamScorer.firstIntervalMax) }
            if poll > StreamScorer.gapIntervals * interval {
                gaps += 1
                // Slower polling for good becomes the usual interval after some batches.
                interval *= 1.5
                poll = interval
                elapsed = poll * (suppressed + 1)
            } else {
                interval += 0.1 * (min(poll, 2 * interval) - interval)
            }
        }
        let previous = time
        time = batch.time

        if suppressed > 0, previous != nil {
            let steps = min(Int(batch.suppressedPolls), StreamScorer.heldStepsMax)
            let seconds = elapsed * suppressed / (suppressed + 1) / Double(steps)
            let held = TagModels.Step(seconds: seconds, time: batch.time, maturing: maturing)
            for _ in 0..<steps { _ = models.advance(held) }
        }
        models.withLatest { latest in
            reader.read(batch, into: latest)
            var first = 0
            for run in batch.quality {
                if !run.status.isGood { for tag in first..<min(first + run.count, count) { latest[tag] = .nan } }
                first += run.count
            }
        }
        let step = TagModels.Step(seconds: elapsed / (suppressed + 1), time: batch.time, maturing: maturing)
        let unusable = models.advance(step)
        unusableSamples += UInt64(unusable)
        hasData = unusable < models.scoredCount
    }

    /// Forgets what was learned, for a machine that was repaired or changed.
    package mutating func relearn() { models.relearn() }

    /// Seconds of age at which σ is taken twice as wide, at the stream's polling interval.
    var maturing: Double { max(configuration.maturingDuration, Double(configuration.maturingPolls) * interval) }
}
