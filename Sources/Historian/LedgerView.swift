internal import DequeModule
internal import Telemetry

/// Everything a ledger is made of, at one moment.
struct LedgerView {
    struct Cursor {
        var name: String
        var settled: PositionSet
        var account: CursorAccount
        /// Of the account: what is on disk.
        var settledOnDisk: StreamTallies
        var releasedAt: Timestamp?
    }
    struct Stream {
        var id: StreamID
        var descriptor: StreamDescriptor
        var counts: StreamCounts
        /// Of `counts`: on disk, as a batch or as a loss.
        var durable: Tally
        var lost: Tally
        var durableLost: Tally
        var gone: Tally
        var thinned: Tally
    }
    var streams: [Stream]
    var cursors: [Cursor]
    var segments: [Segment]
    var runs: [ProcessRun]
    /// Entries that are in no segment yet.
    var uncommitted: [(last: UInt64, tallies: StreamTallies, isLoss: Bool)]

    init(_ state: LogCore.State) {
        streams = state.streams.enumerated().compactMap { number, stream in
            stream.map {
                Stream(
                    id: StreamID(rawValue: UInt32(number)), descriptor: $0.descriptor, counts: $0.counts, durable: $0.durableCounts.stored,
                    lost: $0.lost, durableLost: $0.durableLost, gone: $0.gone, thinned: $0.thinned)
            }
        }
        cursors = state.cursors.map {
            var cursor = $0
            cursor.fold(durable: state.durable, tagCount: state.tagCount)
            return Cursor(
                name: cursor.name, settled: cursor.settled, account: cursor.currentAccount(tagCount: state.tagCount),
                settledOnDisk: cursor.account.settled, releasedAt: cursor.releasedAt)
        }
        segments = state.segments
        runs = state.runs
        uncommitted = []
        for index in state.tail.index(after: state.durable)..<state.tail.entries.count {
            let entry = state.tail.entries[index]
            switch entry.content {
            case .batch(let batch):
                var tally = Tally()
                tally.add(presence: batch.presence, tagCount: state.tagCount(batch.stream))
                uncommitted.append((entry.last, [batch.stream: tally], false))
            case .loss(let loss): uncommitted.append((entry.last, loss.tallies, true))
            }
        }
    }

    init(_ stored: StoredState) {
        streams = stored.streams.sorted { $0.key < $1.key }.map { id, stream in
            var counts = stream.counts
            counts.polls &+= UInt64(stream.suppressedSinceBatch)
            counts.suppressedPolls &+= UInt64(stream.suppressedSinceBatch)
            return Stream(
                id: id, descriptor: stream.descriptor, counts: counts, durable: counts.stored, lost: stream.lost, durableLost: stream.lost,
                gone: stream.gone, thinned: stream.thinned)
        }
        cursors = stored.cursors.map {
            let account = CursorAccount(tallies: $0.value.tallies, outages: $0.value.outages, settledAhead: $0.value.settledAhead)
            return Cursor(
                name: $0.key, settled: PositionSet(through: $0.value.position, ranges: $0.value.ahead), account: account,
                settledOnDisk: account.settled, releasedAt: $0.value.releasedAt)
        }
        segments = stored.segments
        runs = stored.runs
        uncommitted = []
    }

    func ledger(journal: String) throws(GatewayError) -> Ledger {
        let cursors = cursors.sorted { $0.name < $1.name }
        var pending: [StreamTallies] = []
        for cursor in cursors { pending.append(try self.pending(of: cursor, journal: journal)) }
        let downtimes = downtimes()
        return Ledger(
            tags: tagRows(cursors, pending), outages: cursors.compactMap { outages(of: $0, downtimes) }, downtimes: downtimes,
            released: cursors.compactMap { cursor in cursor.releasedAt.map { Ledger.Released(cursor: cursor.name, since: $0) } })
    }

    /// What a cursor has before it, counted by walking through the entries.
    private func pending(of cursor: Cursor, journal: String) throws(GatewayError) -> StreamTallies {
        let descriptors = Dictionary(streams.map { ($0.id, $0.descriptor) }, uniquingKeysWith: { $1 })
        let stored = Dictionary(streams.map { ($0.id, $0.durable) }, uniquingKeysWith: { $1 })
        let count = PendingCount(stored: stored, done: cursor.settledOnDisk, taken: cursor.settled, segments: segments)
        var pending = try count.total { segment throws(GatewayError) in
            try SegmentWalk.contents(of: segment, journal: journal) { descriptors[$0] }
        }
        for entry in uncommitted where !cursor.settled.contains(entry.last) { pending += entry.tallies }
        return pending
    }

    private func tagRows(_ cursors: [Cursor], _ pending: [StreamTallies]) -> [Ledger.TagRow] {
        var recorded = StreamTallies()
        var recordedLost = StreamTallies()
        for segment in segments {
            segment.addTallies(to: &recorded)
            recordedLost += segment.lost ?? [:]
        }
        var waiting = StreamTallies()
        for entry in uncommitted where !entry.isLoss { waiting += entry.tallies }
        return streams.flatMap { stream in
            let onDisk = (recorded[stream.id] ?? Tally()).subtracting(recordedLost[stream.id] ?? Tally())
            let removed = stream.gone.subtracting(stream.durableLost.subtracting(recordedLost[stream.id] ?? Tally()))
            return stream.descriptor.tags.enumerated().map { index, tag in
                let counts = stream.counts
                let stored = counts.stored[index]
                // A partial batch that does not have the tag: its deadband suppressed it.
                let absent = counts.stored.partial &- (index < counts.stored.present.count ? counts.stored.present[index] : 0)
                return Ledger.TagRow(
                    device: stream.descriptor.device, group: stream.descriptor.group, tag: tag.name, sampled: counts.polls,
                    suppressed: counts.suppressedPolls &+ absent, stored: stored, onDisk: onDisk[index],
                    uncommitted: waiting[stream.id]?[index] ?? 0, thinned: stream.thinned[index], removed: removed[index],
                    notOnDisk: stream.lost[index],
                    cursors: zip(cursors, pending).map { cursor, pending in
                        let tally = cursor.account.tallies[stream.id] ?? CursorTally()
                        return Ledger.CursorRow(
                            cursor: cursor.name, stored: stored &- tally.skipped[index], acknowledged: tally.acknowledged[index],
                            pending: pending[stream.id]?[index] ?? 0, evicted: tally.evicted[index], refused: tally.refused[index])
                    })
            }
        }
    }

    // MARK: - Outages

    private func outages(of cursor: Cursor, _ downtimes: [Ledger.Downtime]) -> Ledger.CursorOutages? {
        let book = cursor.account.outages
        guard !book.outages.isEmpty || book.earlier.outages > 0 else { return nil }
        // In the order of the log, but for those that were settled ahead of their turn.
        let ahead = cursor.account.settledAhead
        let stored = streams.reduce(UInt64(0)) { $0 &+ $1.counts.stored.samples(of: $1.descriptor.tags.count) } &- ahead
        let tagCounts = Dictionary(streams.map { ($0.id, $0.descriptor.tags.count) }, uniquingKeysWith: { $1 })
        // From the ledger's tallies, not from the book: so that the two can disagree.
        let settled = cursor.account.tallies.reduce(UInt64(0)) { $0 &+ $1.value.settled.samples(of: tagCounts[$1.key] ?? 0) } &- ahead
        var before: UInt64 = 0
        let rows = book.outages.map { outage in
            let samples = outage.samples(stored: stored)
            let end = outage.first &+ samples
            let carried = min(end, before)
            before = max(before, end)
            return Ledger.OutageRow(
                number: outage.number, start: outage.start, end: outage.end, losses: outage.losses, samples: samples,
                carriedOver: carried > outage.first ? carried - outage.first : 0, delivered: outage.delivered, lost: outage.lost,
                refused: outage.refused, pending: end > settled ? end - max(settled, outage.first) : 0,
                gatewayOff: downtimes.filter { downtime in
                    downtime.epochBefore >= outage.startEpoch && downtime.epochAfter <= outage.endEpoch ?? .max
                }.map(\.span))
        }
        return Ledger.CursorOutages(cursor: cursor.name, outages: rows, earlier: book.earlier)
    }

    /// Between the runs that have samples.
    private func downtimes() -> [Ledger.Downtime] {
        var times: [UInt32: ClosedRange<Timestamp>] = [:]
        for run in runs { times[run.epoch] = run.removedTimes }
        for segment in segments {
            if let range = segment.times { times[segment.epoch] = times[segment.epoch].map { $0.union(range) } ?? range }
        }
        let known = Dictionary(runs.map { ($0.epoch, $0) }, uniquingKeysWith: { $1 })
        let sampled = times.sorted { $0.key < $1.key }
        return zip(sampled, sampled.dropFirst()).map { before, after in
            Ledger.Downtime(
                span: Ledger.TimeSpan(start: before.value.upperBound, end: after.value.lowerBound), epochBefore: before.key,
                epochAfter: after.key, stopped: known[before.key]?.closed, started: known[after.key]?.opened)
        }
    }
}
