internal import GatewayCore
internal import Logging
internal import Synchronization
internal import Telemetry

/// Brings to disk, on a thread of its own, what was appended, and keeps the store within its limits.
actor Committer {
    private let thread: DedicatedThread
    private let core: LogCore
    private let store: StateStore
    /// Held by whoever writes, for as long as it may write.
    private var lock: StoreLock?
    private let configuration: HistorianConfiguration
    private let time: any TimeSource
    private let logger: Logger
    private let statistics: Mutex<CommitStatistics>

    private var writer: SegmentWriter?
    private var nextNumber: UInt64
    private var buffer: [UInt8] = []
    private var saved: StoredState
    private var snapshotDue: MonotonicInstant
    private var isFailing = false
    private var isClosed = false
    private var isSnapshotFailing = false
    /// Removed from the log, and not yet from the disk.
    private var leaving: [Segment] = []

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// How often cursors and ledger are saved.
    private static let snapshotInterval = Duration.seconds(1)
    /// Bytes encoded before they are written.
    private static let bufferBytes = 1 << 20

    init(
        core: LogCore, store: StateStore, lock: StoreLock, saved: StoredState, configuration: HistorianConfiguration,
        time: any TimeSource, logger: Logger
    ) {
        self.core = core
        self.store = store
        self.lock = lock
        self.saved = saved
        self.configuration = configuration
        self.time = time
        self.logger = logger
        statistics = Mutex(CommitStatistics())
        nextNumber = max(saved.segments.last?.number ?? 0, saved.removedThrough) + 1
        snapshotDue = time.now.advanced(by: Committer.snapshotInterval)
        thread = DedicatedThread(name: "log-commit")
    }

    nonisolated var currentStatistics: CommitStatistics { statistics.withLock { $0 } }

    /// One turn of the loop: commits, and saves the state when that is due.
    func turn() {
        if isClosed { return }
        commit()
        if time.now >= snapshotDue {
            snapshotDue = time.now.advanced(by: Committer.snapshotInterval)
            removeExpired()
            snapshot()
        }
    }

    /// Commits and saves now. Throws what stands in the way.
    func flush() throws(GatewayError) {
        if isClosed { throw core.stopped("commit") }
        if let error = commit() { throw error }
        if let error = snapshot() { throw error }
    }

    // MARK: - Commit

    /// Writes and synchronizes everything that was appended. The error is logged here, once per outage.
    @discardableResult
    private func commit() -> GatewayError? {
        let start = time.now
        var bytes = 0
        do throws(GatewayError) {
            while let entries = nextEntries() { bytes += try write(entries) }
            if bytes > 0 { try publish() }
        } catch {
            refused(error)
            return error
        }
        guard bytes > 0 else { return nil }
        statistics.withLock { $0.didCommit(bytes: bytes, in: start.duration(to: time.now)) }
        if isFailing {
            isFailing = false
            logger.notice("log is written to disk again", metadata: ["folder": "\(configuration.folder)"])
        }
        return nil
    }

    /// The oldest entries that are not being written, a buffer full.
    private func nextEntries() -> [MemoryTail.Entry]? {
        core.state.withLock { state in
            var entries: [MemoryTail.Entry] = []
            var bytes = 0
            var index = state.tail.index(after: state.inFlight)
            while index < state.tail.entries.count, bytes < Committer.bufferBytes {
                let entry = state.tail.entries[index]
                entries.append(entry)
                bytes += entry.cost
                index += 1
            }
            guard let last = entries.last else { return nil }
            state.inFlight = last.last
            state.bytesSinceCommit = 0
            return entries
        }
    }

    private func write(_ entries: [MemoryTail.Entry]) throws(GatewayError) -> Int {
        if let full = writer, full.bytes >= configuration.segmentBytes {
            try publish()
            writer = nil
        }
        let writer: SegmentWriter
        if let open = self.writer { writer = open } else { writer = try open(from: entries[0].first) }
        buffer.removeAll(keepingCapacity: true)
        let tagCounts = core.state.withLock { $0.tagCounts }
        for entry in entries {
            writer.encode(
                entry, into: &buffer, descriptor: { core.descriptor(of: $0) }, tagCount: { tagCounts[Int($0.rawValue)] })
        }
        try makeRoom(for: buffer.count)
        try writer.write(buffer)
        let count = buffer.count
        if buffer.capacity > 4 * Committer.bufferBytes { buffer = [] }
        return count
    }

    private func open(from base: UInt64) throws(GatewayError) -> SegmentWriter {
        try makeRoom(for: JournalFormat.segmentHeaderBytes)
        let opened = try SegmentWriter(
            number: nextNumber, epoch: core.epoch, base: base, created: time.utc, journal: configuration.journal, disk: configuration.disk)
        nextNumber += 1
        writer = opened
        return opened
    }

    /// Has the disk confirm what is written, and tells the log.
    private func publish() throws(GatewayError) {
        guard let writer else { return }
        try writer.synchronize()
        let segment = writer.segment
        core.state.withLock { state in
            if let last = state.segments.last, last.number == segment.number {
                state.segments[state.segments.count - 1] = segment
            } else if segment.end >= segment.base {
                state.segments.append(segment)
            }
            state.confirm(through: segment.end)
            state.keepTailWithinLimit()
        }
    }

    private func refused(_ error: GatewayError) {
        writer?.abandon()
        writer = nil
        core.state.withLock { state in
            state.inFlight = state.durable
            state.keepTailWithinLimit()
        }
        statistics.withLock { $0.didFail() }
        guard !isFailing else { return }
        isFailing = true
        logger.error(
            "log cannot be written to disk; live data flows on, and is lost when memory runs out",
            metadata: ["folder": "\(configuration.folder)", "error_chain": .chain(of: error)])
    }

    // MARK: - Retention

    /// Removes the oldest segments until `count` more bytes fit the limit.
    private func makeRoom(for count: Int) throws(GatewayError) {
        while storeBytes() + count + HistorianConfiguration.databaseReserve > configuration.diskLimit {
            try removeLeaving()
            guard storeBytes() + count + HistorianConfiguration.databaseReserve > configuration.diskLimit else { return }
            let oldest = core.state.withLock { state in state.segments.first }
            guard let oldest, oldest.number != writer?.segment.number else {
                throw GatewayError(
                    .storageFull, resource: "log \(configuration.folder)", operation: "make room",
                    "the store has \(storeBytes()) bytes and nothing to remove, but \(count) more must fit the limit of "
                        + "\(configuration.diskLimit): raise the limit")
            }
            try remove(oldest)
        }
    }

    /// Removes what is older than it must be and acknowledged by everybody.
    private func removeExpired() {
        guard let keepFor = configuration.keepFor else { return }
        let limit = time.utc.advanced(by: .zero - keepFor)
        while true {
            let expired = core.state.withLock { state -> Segment? in
                guard let oldest = state.segments.first, oldest.number != writer?.segment.number,
                    oldest.times.map({ $0.upperBound < limit }) ?? true,
                    state.cursors.allSatisfy({ $0.folded >= oldest.end })
                else { return nil }
                return oldest
            }
            guard let expired else { return }
            do throws(GatewayError) {
                try remove(expired)
            } catch {
                logger.warning("segment is past its time and cannot be removed", metadata: ["error_chain": .chain(of: error)])
                return
            }
        }
    }

    private func remove(_ segment: Segment) throws(GatewayError) {
        var contents: SegmentWalk.Contents?
        let isReadWithin = core.state.withLock { state in
            state.cursors.contains { $0.acknowledged >= segment.base && $0.acknowledged < segment.end }
        }
        if isReadWithin {
            do throws(GatewayError) {
                contents = try SegmentWalk.contents(of: segment, journal: configuration.journal, catalogue: core.descriptor)
            } catch  where error.code == .notFound {
                contents = SegmentWalk.Contents(
                    entries: [SegmentWalk.Content(last: segment.end, isHole: true, tallies: [:])], missing: segment.tallies)
            }
        }
        let entries = contents
        let isRemoved = core.state.withLock { state in
            // A cursor may have come into the segment since; then its contents have to be read first.
            let isReadWithin = state.cursors.contains { $0.acknowledged >= segment.base && $0.acknowledged < segment.end }
            guard entries != nil || !isReadWithin else { return false }
            state.removeOldestSegment(entries: entries)
            return true
        }
        guard isRemoved else { return try remove(segment) }
        statistics.withLock { $0.removedSegments += 1 }
        leaving.append(segment)
        try removeLeaving()
    }

    /// Takes the files away, after the database knows what that means for every cursor.
    private func removeLeaving() throws(GatewayError) {
        guard !leaving.isEmpty else { return }
        if let error = snapshot() { throw error }
        while let segment = leaving.first {
            try Files.remove(configuration.journal + "/" + segment.fileName, on: configuration.disk)
            leaving.removeFirst()
        }
    }

    private func storeBytes() -> Int {
        var bytes = core.state.withLock { state in state.segments.reduce(0) { $0 + $1.bytes } }
        if let writer { bytes += writer.bytes - writer.segment.bytes }
        for segment in leaving { bytes += segment.bytes }
        for suffix in ["", "-wal", "-shm"] { bytes += Files.size(configuration.database + suffix) }
        bytes += Files.size(configuration.folder + "/lock")
        let total = bytes
        statistics.withLock { $0.storeBytes = total }
        return bytes
    }

    // MARK: - State

    /// Saves cursors, ledger and segments as they are on disk.
    @discardableResult
    private func snapshot() -> GatewayError? {
        let state = core.snapshot()
        guard state != saved else { return nil }
        do throws(GatewayError) {
            try store.save(state, over: saved)
        } catch {
            if !isSnapshotFailing {
                logger.error("cursors and ledger cannot be saved", metadata: ["error_chain": .chain(of: error)])
            }
            isSnapshotFailing = true
            return error
        }
        saved = state
        isSnapshotFailing = false
        return nil
    }

    /// Commits and saves for the last time, and lets the database go.
    func close() throws(GatewayError) {
        if isClosed { return }
        var failure: GatewayError?
        do throws(GatewayError) { try flush() } catch { failure = error }
        writer = nil
        isClosed = true
        defer { lock = nil }
        try store.close()
        if let failure { throw failure }
    }
}

extension LogCore {
    func descriptor(of stream: StreamID) -> StreamDescriptor? {
        state.withLock { state in
            let number = Int(stream.rawValue)
            return number < state.streams.count ? state.streams[number]?.descriptor : nil
        }
    }
}

extension LogCore.State {
    /// Counts everything through `position` as being on disk.
    mutating func confirm(through position: UInt64) {
        var index = tail.index(after: durable)
        while index < tail.entries.count, tail.entries[index].last <= position {
            switch tail.entries[index].content {
            case .batch(let batch):
                let number = Int(batch.stream.rawValue)
                streams[number]?.durableCounts.add(batch, tagCount: tagCounts[number])
            case .loss(let loss):
                for (stream, counts) in loss.counts {
                    streams[Int(stream.rawValue)]?.durableCounts += counts
                    streams[Int(stream.rawValue)]?.durableLost += counts.stored
                }
            }
            index += 1
        }
        durable = max(durable, position)
        // While the disk refuses, nobody need ask for more than the try at each interval.
        isCommitRequested = false
    }
}
