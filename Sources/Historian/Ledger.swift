internal import Telemetry

/// What became of every sample, tag by tag and reader by reader, counted independently so that the sums can fail.
///
/// For every tag `sampled = suppressed + stored`, and for every reader of it
/// `stored = acknowledged + pending + evicted`, where `stored` counts from where the reader began.
package struct Ledger: Sendable, Codable, Hashable {
    /// One tag's part in one reader's account.
    package struct CursorRow: Sendable, Codable, Hashable {
        package var cursor: String
        /// Samples stored since the cursor began.
        package var stored: UInt64
        package var acknowledged: UInt64
        package var pending: UInt64
        package var evicted: UInt64

        package var isBalanced: Bool { stored == acknowledged &+ pending &+ evicted }
    }

    /// One tag's account.
    package struct TagRow: Sendable, Codable, Hashable {
        package var device: String
        package var group: String
        package var tag: String
        package var sampled: UInt64
        package var suppressed: UInt64
        package var stored: UInt64
        /// Of those stored: accepted, and given up before they reached the disk.
        package var notOnDisk: UInt64
        package var cursors: [CursorRow]

        package var isBalanced: Bool { sampled == suppressed &+ stored && cursors.allSatisfy(\.isBalanced) }
    }

    /// In the order of streams and tags.
    package var tags: [TagRow]

    package init(tags: [TagRow]) { self.tags = tags }

    package var isBalanced: Bool { tags.allSatisfy(\.isBalanced) }
    /// The tags whose sums fail.
    package var unbalanced: [TagRow] { tags.filter { !$0.isBalanced } }

    /// All tags added up.
    package var total: TagRow {
        var sum = TagRow(device: "", group: "", tag: "", sampled: 0, suppressed: 0, stored: 0, notOnDisk: 0, cursors: [])
        for row in tags {
            sum.sampled &+= row.sampled
            sum.suppressed &+= row.suppressed
            sum.stored &+= row.stored
            sum.notOnDisk &+= row.notOnDisk
            for cursor in row.cursors {
                if let index = sum.cursors.firstIndex(where: { $0.cursor == cursor.cursor }) {
                    sum.cursors[index].stored &+= cursor.stored
                    sum.cursors[index].acknowledged &+= cursor.acknowledged
                    sum.cursors[index].pending &+= cursor.pending
                    sum.cursors[index].evicted &+= cursor.evicted
                } else {
                    sum.cursors.append(cursor)
                }
            }
        }
        return sum
    }
}

/// Everything a ledger is made of, at one moment.
struct LedgerView {
    struct Cursor {
        var name: String
        var position: UInt64
        var tallies: [StreamID: CursorTally]
    }
    struct Stream {
        var id: StreamID
        var descriptor: StreamDescriptor
        var counts: StreamCounts
        var lost: Tally
        var gone: Tally
    }
    var streams: [Stream]
    var cursors: [Cursor]
    var segments: [Segment]
    /// Entries that are in no segment yet.
    var uncommitted: [(last: UInt64, tallies: StreamTallies)]

    init(_ state: LogCore.State) {
        streams = state.streams.enumerated().compactMap { number, stream in
            stream.map {
                Stream(
                    id: StreamID(rawValue: UInt32(number)), descriptor: $0.descriptor, counts: $0.counts, lost: $0.lost, gone: $0.gone)
            }
        }
        cursors = state.cursors.map {
            Cursor(name: $0.name, position: $0.acknowledged, tallies: $0.currentTallies(tagCount: state.tagCount))
        }
        segments = state.segments
        uncommitted = []
        for index in state.tail.index(after: state.durable)..<state.tail.entries.count {
            let entry = state.tail.entries[index]
            switch entry.content {
            case .batch(let batch):
                var tally = Tally()
                tally.add(presence: batch.presence, tagCount: state.tagCount(batch.stream))
                uncommitted.append((entry.last, [batch.stream: tally]))
            case .loss(let loss): uncommitted.append((entry.last, loss.tallies))
            }
        }
    }

    init(_ stored: StoredState) {
        streams = stored.streams.sorted { $0.key < $1.key }.map { id, stream in
            var counts = stream.counts
            counts.polls &+= UInt64(stream.suppressedSinceBatch)
            counts.suppressedPolls &+= UInt64(stream.suppressedSinceBatch)
            return Stream(id: id, descriptor: stream.descriptor, counts: counts, lost: stream.lost, gone: stream.gone)
        }
        cursors = stored.cursors.map { Cursor(name: $0.key, position: $0.value.position, tallies: $0.value.tallies) }
        segments = stored.segments
        uncommitted = []
    }

    func ledger(journal: String) throws(GatewayError) -> Ledger {
        let descriptors = Dictionary(streams.map { ($0.id, $0.descriptor) }, uniquingKeysWith: { $1 })
        let gone = Dictionary(streams.map { ($0.id, $0.gone) }, uniquingKeysWith: { $1 })
        var accounts: [(cursor: Cursor, pending: StreamTallies)] = []
        for cursor in cursors.sorted(by: { $0.name < $1.name }) {
            var pending = StreamTallies()
            let settled = cursor.tallies.mapValues(\.settled)
            for segment in segments {
                let isWithin = cursor.position >= segment.base && cursor.position < segment.end
                let before = isWithin ? SegmentWalk.tallies(before: segment, among: segments, settled: settled, gone: gone) : [:]
                pending += try SegmentWalk.tallies(of: segment, after: cursor.position, before: before, journal: journal) {
                    descriptors[$0]
                }
            }
            for entry in uncommitted where entry.last > cursor.position { pending += entry.tallies }
            accounts.append((cursor, pending))
        }
        var rows: [Ledger.TagRow] = []
        for stream in streams {
            for (index, tag) in stream.descriptor.tags.enumerated() {
                let counts = stream.counts
                let stored = counts.stored[index]
                // A partial batch that does not have the tag: its deadband suppressed it.
                let absent = counts.stored.partial &- (index < counts.stored.present.count ? counts.stored.present[index] : 0)
                rows.append(
                    Ledger.TagRow(
                        device: stream.descriptor.device, group: stream.descriptor.group, tag: tag.name, sampled: counts.polls,
                        suppressed: counts.suppressedPolls &+ absent, stored: stored, notOnDisk: stream.lost[index],
                        cursors: accounts.map { account in
                            let tally = account.cursor.tallies[stream.id] ?? CursorTally()
                            return Ledger.CursorRow(
                                cursor: account.cursor.name, stored: stored &- tally.skipped[index],
                                acknowledged: tally.acknowledged[index], pending: account.pending[stream.id]?[index] ?? 0,
                                evicted: tally.evicted[index])
                        }))
            }
        }
        return Ledger(tags: rows)
    }
}
