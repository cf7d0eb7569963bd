internal import GatewayCore
internal import Telemetry

/// Judges, entry by entry, whether a reader is given everything in order: bit-exact, no place twice, none skipped without a gap.
struct Continuity {
    let samples: TortureSamples
    /// A segment with several damages tells of all of them in its first gap.
    var hasDamage = false
    private(set) var last: LogEntry?
    private var lastBatch: (position: UInt64, epoch: UInt32)?
    private var isGapBefore = true

    init(samples: TortureSamples, hasDamage: Bool = false) {
        self.samples = samples
        self.hasDamage = hasDamage
    }

    /// What comes next may have come before.
    mutating func didRewind() {
        last = nil
        lastBatch = nil
        isGapBefore = true
    }

    /// What is wrong with the next entry; `nil` if nothing is.
    mutating func complaint(about entry: LogEntry, descriptor: (StreamID) -> StreamDescriptor?) -> String? {
        defer { last = entry }
        if let last, entry.position <= last.position, !isGap(entry) {
            return "position \(entry.position.rawValue) comes after \(last.position.rawValue)"
        }
        guard case .batch(let batch) = entry.content else {
            isGapBefore = true
            return nil
        }
        defer {
            lastBatch = (entry.position.rawValue, batch.epoch)
            isGapBefore = false
        }
        if let lastBatch, !isGapBefore, !hasDamage, lastBatch.epoch == batch.epoch, entry.position.rawValue != lastBatch.position + 1 {
            return "position \(entry.position.rawValue) follows \(lastBatch.position) in epoch \(batch.epoch), and there was no gap"
        }
        return complaint(about: batch, descriptor: descriptor)
    }

    private func isGap(_ entry: LogEntry) -> Bool { if case .gap = entry.content { true } else { false } }

    private func complaint(about batch: SampleBatch, descriptor: (StreamID) -> StreamDescriptor?) -> String? {
        guard let described = descriptor(batch.stream), let kind = TortureSamples.descriptors.firstIndex(of: described) else {
            return "stream \(batch.stream.rawValue) was never registered"
        }
        var expected = samples.batch(batch.sequence, of: kind, epoch: batch.epoch, as: batch.stream)
        // The first batch of a start also tells of the polls that the start before could not tell of.
        if batch.sequence == 0, batch.suppressedPolls > expected.suppressedPolls { expected.suppressedPolls = batch.suppressedPolls }
        if expected == batch { return nil }
        return
            "batch \(batch.sequence) of \(described.device) in epoch \(batch.epoch) is not what was appended: \(difference(batch, expected))"
    }

    private func difference(_ batch: SampleBatch, _ expected: SampleBatch) -> String {
        var parts: [String] = []
        if batch.time != expected.time { parts.append("time \(batch.time), appended \(expected.time)") }
        if batch.quality != expected.quality { parts.append("quality \(batch.quality), appended \(expected.quality)") }
        if batch.presence != expected.presence { parts.append("presence \(batch.presence), appended \(expected.presence)") }
        if batch.suppressedPolls != expected.suppressedPolls {
            parts.append("\(batch.suppressedPolls) suppressed polls, counted \(expected.suppressedPolls)")
        }
        if batch.values != expected.values {
            let place = zip(batch.values, expected.values).enumerated().first { $0.element.0 != $0.element.1 }?.offset
            parts.append("values differ from byte \(place ?? min(batch.values.count, expected.values.count)) on")
        }
        return parts.joined(separator: "; ")
    }
}
