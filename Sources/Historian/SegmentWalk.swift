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
    private let source: (any RecordSource)?
    private var seen: UInt64
    private var waiting: SegmentEntry?

    /// A walk through a segment that is known to be missing finds one hole. Throws `.notFound` when the file is gone without
    /// that being known: retention may just have taken it.
    init(_ segment: Segment, journal: String, catalogue: @escaping Catalogue) throws(GatewayError) {
        self.segment = segment
        seen = segment.base - 1
        let path = journal + "/" + segment.fileName
        if segment.isMissing {
            source = nil
        } else if segment.isSealed {
            do throws(GatewayError) {
                source = BlockRecords(try BlockReader(path: path, catalogue: catalogue))
            } catch  where error.code == .storageCorrupt {
                source = nil
            }
        } else {
            source = try SegmentReader(path: path, epoch: segment.epoch, end: segment.bytes, catalogue: catalogue)
        }
    }

    /// How far the walk has come.
    var place: UInt64 { seen }

    /// Takes note that the segment has grown.
    func extend(to segment: Segment) {
        self.segment = segment
        (source as? SegmentReader)?.end = segment.bytes
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
        guard let source, let record = try source.next(after: seen) else { return nil }
        switch record {
        case .batch(let position, let batch):
            guard position <= segment.end else { return nil }
            return SegmentEntry(first: position, last: position, content: .batch(batch))
        case .loss(let loss):
            guard loss.last <= segment.end else { return nil }
            return SegmentEntry(first: loss.first, last: loss.last, content: .loss(loss))
        case .descriptor, .clock: return nil
        }
    }
}

extension SegmentWalk {
    /// An entry's place and samples, without its values; a hole has none.
    struct Content {
        var first: UInt64
        var last: UInt64
        var isHole: Bool
        var tallies: StreamTallies
    }

    /// All entries of a segment.
    static func contents(of segment: Segment, journal: String, catalogue: @escaping Catalogue) throws(GatewayError) -> [Content] {
        let walk = try SegmentWalk(segment, journal: journal, catalogue: catalogue)
        var entries: [Content] = []
        while let entry = try walk.next(after: 0) {
            var tallies = StreamTallies()
            switch entry.content {
            case .batch(let batch):
                let tagCount = catalogue(batch.stream)?.tags.count ?? 0
                tallies[batch.stream, default: Tally()].add(presence: batch.presence, tagCount: tagCount)
            case .loss(let loss): tallies = loss.tallies
            case .hole:
                entries.append(Content(first: entry.first, last: entry.last, isHole: true, tallies: [:]))
                continue
            }
            entries.append(Content(first: entry.first, last: entry.last, isHole: false, tallies: tallies))
        }
        return entries
    }
}
