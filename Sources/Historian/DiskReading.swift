internal import GatewayCore
internal import Synchronization
internal import Telemetry

/// Reads segments for the cursors that are behind the memory of the log, on a thread of its own.
actor DiskReading {
    private let thread: DedicatedThread
    private let core: LogCore
    private struct Reader: Hashable {
        var cursor: Int
        var lane: LogLane
    }
    private var walks: [Reader: SegmentWalk] = [:]

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(core: LogCore) {
        self.core = core
        thread = DedicatedThread(name: "log-read")
    }

    /// Bytes of values after which one read ends, whatever its limit.
    private static let bytesMax = 4 << 20

    /// Entries of the first segment that has any of these positions, handed over to a cursor's reader; none where its place has moved
    /// meanwhile, or they hold nothing.
    func entries(for cursor: Int, _ lane: LogLane, _ positions: PositionRange, segments: [Segment], atMost limit: Int) throws(GatewayError)
        -> [LogEntry]
    {
        guard let read = try items(for: Reader(cursor: cursor, lane: lane), positions, segments: segments, atMost: limit) else { return [] }
        return core.state.withLock { $0.deliver(read, to: cursor, lane, after: positions.after) }
    }

    /// With how far the reader has come: it may have come further than the last entry, over positions that hold nothing. `nil` where the segments
    /// have changed meanwhile.
    private func items(for reader: Reader, _ positions: PositionRange, segments: [Segment], atMost limit: Int) throws(GatewayError) -> Read?
    {
        guard let segment = segments.first(where: { $0.end > positions.after }) else {
            // The catalogue or the whole journal was lost: nothing is left to read before the memory begins.
            let end = core.state.withLock { $0.tail.entries.first.map { $0.first - 1 } ?? $0.last }
            return Read(items: [], through: min(end, positions.through))
        }
        let walk: SegmentWalk
        // The same file: what was sealed meanwhile is read on from its block.
        if let open = walks[reader], open.segment.fileName == segment.fileName, open.place <= positions.after,
            open.segment.isMissing == segment.isMissing
        {
            open.extend(to: segment)
            walk = open
        } else {
            walk = try SegmentWalk(segment, journal: core.journal, catalogue: core.descriptor)
            walks[reader] = walk
        }
        var read = Read(items: [], through: positions.after)
        var bytes = 0
        // From there on it is read from memory, whatever became of the file.
        let end = core.state.withLock { $0.tail.entries.first.map { min(positions.through, $0.first - 1) } ?? positions.through }
        while read.items.count < limit, bytes < DiskReading.bytesMax, read.through < end {
            guard var entry = try walk.next(after: read.through) else {
                read.through = min(max(read.through, segment.end), end)
                if segment.number != segments.last?.number { walks[reader] = nil }
                break
            }
            if entry.last > end {
                // Damage may reach beyond the lane's end, or the begin of memory; whole entries never do.
                read.through = end
                guard entry.first <= end else { break }
                entry.last = end
            }
            read.through = entry.last
            switch entry.content {
            case .batch(let batch):
                bytes += batch.values.count
                read.items.append((entry.last, .batch(batch)))
            case .loss(let loss): read.items.append((entry.last, .gap(loss.tallies)))
            case .hole:
                guard let missing = try missing(in: segment, beyond: entry, to: reader.cursor, after: read.items) else { return nil }
                if !missing.isEmpty { read.items.append((entry.last, .gap(missing))) }
            }
        }
        return read
    }

    struct Read: Sendable {
        enum Content: Sendable {
            case batch(SampleBatch)
            case gap(StreamTallies)
        }
        var items: [(position: UInt64, content: Content)]
        var through: UInt64
    }

    /// What a hole stands for: all that is due to the cursor in this segment and cannot be read any more, by either lane. Told of at the first hole
    /// that the cursor comes by; later holes stand for nothing more. `nil`: another segment that had to be looked into was sealed, removed or lost meanwhile.
    private func missing(
        in segment: Segment, beyond hole: SegmentEntry, to cursor: Int, after items: [(position: UInt64, content: Read.Content)]
    ) throws(GatewayError) -> StreamTallies? {
        let (pending, tagCounts) = core.state.withLock { state in
            (state.pendingCount(of: state.cursors[cursor], isGivenTaken: true), state.tagCounts)
        }
        var gone: Segment?
        func contents(_ segment: Segment) throws(GatewayError) -> [SegmentWalk.Content] {
            do throws(GatewayError) {
                return try SegmentWalk.contents(of: segment, journal: core.journal, catalogue: core.descriptor)
            } catch {
                if error.code == .notFound { gone = segment }
                throw error
            }
        }
        var met = StreamTallies()
        for item in items {
            switch item.content {
            case .batch(let batch):
                met[batch.stream, default: Tally()].add(presence: batch.presence, tagCount: tagCounts[Int(batch.stream.rawValue)])
            case .gap(let tallies): met += tallies
            }
        }
        do throws(GatewayError) {
            let here = try contents(segment)
            for entry in here where entry.last > hole.last && !pending.taken.contains(entry.last) { met += entry.tallies }
            met += pending.remembered(in: segment, here, beyond: hole.last)
            return try pending.due(in: segment, contents).subtracting(met)
        } catch {
            guard let gone else { throw error }
            // The log takes a file from its list before it takes it from the disk: one that is listed was taken by somebody else.
            core.state.withLock { state in
                for index in state.segments.indices where state.segments[index].fileName == gone.fileName {
                    state.segments[index].isMissing = true
                }
            }
            return nil
        }
    }

    func close(_ cursor: Int) { for lane in LogLane.allCases { walks[Reader(cursor: cursor, lane: lane)] = nil } }

    /// The ledger of the log as it stands: what is pending is counted by walking through the entries.
    func ledger() throws(GatewayError) -> Ledger {
        var failure: GatewayError?
        // Retention may take a segment away between the look at the list and the look into the file.
        for _ in 0..<3 {
            let view = core.state.withLock { LedgerView($0) }
            do throws(GatewayError) {
                return try view.ledger(journal: core.journal)
            } catch {
                failure = error
                // Retention takes a segment off the list before it takes the file: one that is listed was taken by somebody else.
                let removed = view.segments.filter { !Files.exists(core.journal + "/" + $0.fileName) }.map(\.number)
                core.state.withLock { state in
                    for index in state.segments.indices where removed.contains(state.segments[index].number) {
                        state.segments[index].isMissing = true
                    }
                }
            }
        }
        throw failure ?? core.stopped("ledger")
    }
}
