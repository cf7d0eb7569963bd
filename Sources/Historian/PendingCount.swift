internal import Telemetry

/// What a reader has before it on disk, counted segment by segment.
///
/// Whole segments are counted as the list of segments does, parts of them by looking into the file; where damage stands in the way of
/// that, what was stored less what the reader is done with tells the rest.
struct PendingCount: Sendable {
    /// Everything that is on disk, and what of it the reader is done with.
    var stored: StreamTallies
    var done: StreamTallies
    /// Where that is.
    var taken: PositionSet
    var segments: [Segment]
    /// Entries that are on disk, not taken, and in memory still: they can be read whatever became of their files.
    var inMemory: [SegmentWalk.Content] = []

    /// Looks into a segment.
    typealias Contents<Failure: Error> = (Segment) throws(Failure) -> [SegmentWalk.Content]

    /// What is before the reader in all segments.
    func total<Failure: Error>(_ contents: Contents<Failure>) throws(Failure) -> StreamTallies {
        var sum = StreamTallies()
        var isDamaged = false
        for segment in segments {
            let found = try readable(in: segment, contents)
            sum += found.tallies
            if found.isDamaged { isDamaged = true }
        }
        return isDamaged ? sum.adding(stored.subtracting(done).subtracting(sum)) : sum
    }

    /// What should be before the reader in one segment, whatever can be read of it: everything less what can be read elsewhere.
    ///
    /// Where several segments that the reader has partly taken are damaged, the first that is asked for stands for all of them.
    func due<Failure: Error>(in segment: Segment, _ contents: Contents<Failure>) throws(Failure) -> StreamTallies {
        var due = stored.subtracting(done)
        for other in segments where other.number != segment.number { due = due.subtracting(try readable(in: other, contents).tallies) }
        return due
    }

    /// The segments that have to be looked into, besides `segment` itself.
    func looks(beside segment: Segment) -> [Segment] {
        segments.filter { $0.number != segment.number && taken.coverage(of: $0) == .part }
    }

    private func readable<Failure: Error>(in segment: Segment, _ contents: Contents<Failure>) throws(Failure) -> (
        tallies: StreamTallies, isDamaged: Bool
    ) {
        switch taken.coverage(of: segment) {
        case .none: return (segment.tallies, false)
        case .all: return ([:], false)
        case .part:
            let contents = try contents(segment)
            var found = SegmentWalk.tallies(of: contents, beyond: taken)
            if found.isDamaged { found.tallies += remembered(in: segment, contents, beyond: 0) }
            return found
        }
    }

    /// What is before the reader in a segment beyond a position, and can be read from memory only.
    func remembered(in segment: Segment, _ contents: [SegmentWalk.Content], beyond position: UInt64) -> StreamTallies {
        var tallies = StreamTallies()
        for entry in inMemory where entry.first >= segment.base && entry.last <= segment.end && entry.last > position {
            if contents.contains(where: { $0.isHole && $0.first <= entry.first && entry.last <= $0.last }) { tallies += entry.tallies }
        }
        return tallies
    }
}

extension SegmentWalk {
    /// What can be read of positions that are not in a set, and whether any of these cannot.
    static func tallies(of contents: [Content], beyond taken: PositionSet) -> (tallies: StreamTallies, isDamaged: Bool) {
        var readable = StreamTallies()
        var isDamaged = false
        for entry in contents where !taken.contains(entry.isHole ? entry.first : entry.last, through: entry.last) {
            readable += entry.tallies
            if entry.isHole { isDamaged = true }
        }
        return (readable, isDamaged)
    }
}
