package import Telemetry

/// One start of the process, from the opening of the log to its end.
package struct ProcessRun: Sendable, Hashable {
    package var epoch: UInt32
    /// When the log was opened; `nil` for a run of which only the samples are known.
    package var opened: Timestamp?
    /// When the log was closed in order; `nil` while it is open, and for ever after a crash or a power cut.
    package var closed: Timestamp?
    /// Oldest and newest time of its samples that are in the list of segments no more.
    package var removedTimes: ClosedRange<Timestamp>?

    package init(epoch: UInt32, opened: Timestamp? = nil, closed: Timestamp? = nil, removedTimes: ClosedRange<Timestamp>? = nil) {
        self.epoch = epoch
        self.opened = opened
        self.closed = closed
        self.removedTimes = removedTimes
    }

    /// How many runs the store remembers.
    package static let runsMax = 256
}

extension [ProcessRun] {
    /// The runs with one more, the oldest left out where there would be too many.
    func appending(_ run: ProcessRun) -> [ProcessRun] { Array(suffix(ProcessRun.runsMax - 1)) + [run] }

    /// Keeps the times of a segment that leaves the list of segments.
    mutating func keepTimes(of segment: Segment) {
        guard let times = segment.times else { return }
        let index = firstIndex { $0.epoch >= segment.epoch } ?? endIndex
        if index == endIndex || self[index].epoch != segment.epoch { insert(ProcessRun(epoch: segment.epoch), at: index) }
        self[index].removedTimes = self[index].removedTimes.map { $0.union(times) } ?? times
        if count > ProcessRun.runsMax { removeFirst() }
    }
}

extension ClosedRange<Timestamp> {
    /// The smallest range that has both.
    func union(_ other: ClosedRange<Timestamp>) -> ClosedRange<Timestamp> {
        Swift.min(lowerBound, other.lowerBound)...Swift.max(upperBound, other.upperBound)
    }
}
