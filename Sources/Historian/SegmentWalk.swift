internal import Telemetry

/// One thing a walk through a segment comes by.
struct SegmentEntry {
    enum Content {
        case batch(SampleBatch)
        case loss(Loss)
        /// Damage: positions that were on disk and cannot be read.
        case hole
    }
    var first: UInt64
    var last: UInt64
    var content: Content
}

/// Walks a segment in the order of positions and notices what is missing.
final class SegmentWalk {
    private(set) var segment: Segment
    private let reader: SegmentReader?
    private var seen: UInt64
    private var waiting: SegmentEntry?

    /// A walk through a segment that is known to be missing finds one hole. Throws `.notFound` when the file is gone without
    /// that being known: retention may just have taken it.
    init(_ segment: Segment, journal: String, catalogue: @escaping Catalogue) throws(GatewayError) {
        self.segment = segment
        seen = segment.base - 1
        let path = journal + "/" + segment.fileName
        reader =
            segment.isMissing
            ? nil : try SegmentReader(path: path, epoch: segment.epoch, end: segment.bytes, catalogue: catalogue)
    }

    /// How far the walk has come.
    var place: UInt64 { seen }

    /// Takes note that the segment has grown.
    func extend(to segment: Segment) {
        self.segment = segment
        reader?.end = segment.bytes
    }

    /// The next entry beyond `position`; `nil` at the end of the segment.
    func next(after position: UInt64) throws(GatewayError) -> SegmentEntry? {
        seen = max(seen, min(position, segment.end))
        while true {
            if let entry = waiting {
                waiting = nil
                if entry.last > position { return entry }
                continue
            }
            guard seen < segment.end else { return nil }
            guard let found = try entry() else {
                let hole = SegmentEntry(first: seen + 1, last: segment.end, content: .hole)
                seen = segment.end
                if hole.last > position { return hole }
                return nil
            }
            guard found.last > seen else { continue }
            if found.first > seen + 1 {
                let hole = SegmentEntry(first: seen + 1, last: found.first - 1, content: .hole)
                seen = found.last
                waiting = found
                if hole.last > position { return hole }
                continue
            }
            seen = found.last
            if found.last > position { return found }
        }
    }

    private func entry() throws(GatewayError) -> SegmentEntry? {
        guard let reader, let record = try reader.next(after: seen) else { return nil }
        switch record {
        case .batch(let position, let batch):
            guard position <= segment.end else { return nil }
            return SegmentEntry(first: position, last: position, content: .batch(batch))
        case .loss(let loss):
            guard loss.last <= segment.end else { return nil }
            return SegmentEntry(first: loss.first, last: loss.last, content: .loss(loss))
        case .descriptor: return nil
        }
    }
}

extension SegmentWalk {
    /// The samples of a segment beyond a position, counted by reading them.
    ///
    /// `before` are its samples through the position, by the count of the reader that stands there: nobody else knows how much of
    /// what is damaged the reader had already got.
    static func tallies(
        of segment: Segment, after position: UInt64, before: StreamTallies, journal: String, catalogue: @escaping Catalogue
    ) throws(GatewayError) -> StreamTallies {
        if position < segment.base { return segment.tallies }
        if position >= segment.end { return [:] }
        return tallies(of: try contents(of: segment, journal: journal, catalogue: catalogue), in: segment, after: position, before: before)
    }

    /// The same for a segment whose contents are at hand.
    static func tallies(of contents: Contents, in segment: Segment, after position: UInt64, before: StreamTallies) -> StreamTallies {
        if !contents.missing.isEmpty, contents.entries.contains(where: { $0.isHole && $0.last > position }) {
            return segment.tallies.subtracting(before)
        }
        return contents.readable(after: position)
    }

    /// The samples of a segment through the place of a reader that is done with `settled`, when `gone` are gone for good.
    static func tallies(before segment: Segment, among segments: [Segment], settled: StreamTallies, gone: StreamTallies) -> StreamTallies {
        var before = settled.subtracting(gone)
        for earlier in segments where earlier.number < segment.number { before = before.subtracting(earlier.tallies) }
        return before
    }

    /// An entry's place and samples, without its values.
    struct Content {
        var last: UInt64
        var isHole: Bool
        var tallies: StreamTallies
    }

    /// All entries of a segment, and the samples that are in none of them.
    struct Contents {
        var entries: [Content]
        var missing: StreamTallies

        func readable(after position: UInt64) -> StreamTallies {
            var sum = StreamTallies()
            for entry in entries where !entry.isHole && entry.last > position { sum += entry.tallies }
            return sum
        }
    }

    static func contents(of segment: Segment, journal: String, catalogue: @escaping Catalogue) throws(GatewayError) -> Contents {
        let walk = try SegmentWalk(segment, journal: journal, catalogue: catalogue)
        var entries: [Content] = []
        var readable = StreamTallies()
        while let entry = try walk.next(after: 0) {
            var tallies = StreamTallies()
            switch entry.content {
            case .batch(let batch):
                let tagCount = catalogue(batch.stream)?.tags.count ?? 0
                tallies[batch.stream, default: Tally()].add(presence: batch.presence, tagCount: tagCount)
            case .loss(let loss): tallies = loss.tallies
            case .hole:
                entries.append(Content(last: entry.last, isHole: true, tallies: [:]))
                continue
            }
            readable += tallies
            entries.append(Content(last: entry.last, isHole: false, tallies: tallies))
        }
        return Contents(entries: entries, missing: segment.tallies.subtracting(readable))
    }
}
