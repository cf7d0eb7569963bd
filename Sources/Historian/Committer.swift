internal import DequeModule
internal import GatewayCore
internal import Logging
internal import Synchronization
internal import Telemetry

/// Brings to disk, on a thread of its own, what was appended, and keeps the store within its limits.
actor Committer {
    private let thread: DedicatedThread
    private let core: LogCore
    private let access: StoreAccess
    private let configuration: HistorianConfiguration
    private let time: any TimeSource
    private let logger: Logger
    private let statistics: Mutex<CommitStatistics>

    private var writer: SegmentWriter?
    private var nextNumber: UInt64
    private var buffer: [UInt8] = []
    /// Encoded once: each segment begins with those of all its streams, which took 15 to 20 ms of a commit for 100,000 tags. One of each stream.
    private var descriptions: [StreamID: [UInt8]] = [:]
    private var saved: StoredState
    private var snapshotDue: MonotonicInstant
    private var isFailing = false
    private var isClosed = false
    /// Said already, for a store that could not be opened.
    private var isSnapshotFailing: Bool
    /// Removed from the log, and not yet from the disk.
    private var leaving: [Segment] = []
    /// Being sealed or thinned; the room for what comes of it is kept free.
    private var beingSealed: [Segment] = []
    /// By the runs before.
    private let earlierBytesWritten: UInt64
    private var budget: WriteBudget?
    private var isOverBudget = false
    /// Segments and blocks that stay as they are, because they are damaged or would not become smaller, by number.
    private var unsealable: Set<UInt64> = []

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// How often cursors and ledger are saved.
    private static let snapshotInterval = Duration.seconds(1)
    /// Where saving takes long, so many times as long passes until it is done again, but not more than that: a crash makes a route send again
    /// what it sent since.
    private static let snapshotPauses = 100
    private static let snapshotIntervalMax = Duration.seconds(4)
    /// What a file system writes at least.
    private static let pageBytes = 4096
    /// Bytes encoded before they are written.
    private static let bufferBytes = 1 << 20

    init(
        core: LogCore, access: StoreAccess, saved: StoredState, segments: [Segment], configuration: HistorianConfiguration,
        time: any TimeSource, logger: Logger
    ) {
        self.core = core
        self.access = access
        isSnapshotFailing = !access.isOpen
        earlierBytesWritten = saved.bytesWritten
        budget = configuration.writeBudget.map { WriteBudget(bytesPerDay: $0, shortest: configuration.commitInterval, now: time.now) }
        self.saved = saved
        self.configuration = configuration
        self.time = time
        self.logger = logger
        statistics = Mutex(CommitStatistics())
        nextNumber = max(segments.last?.number ?? 0, saved.removedThrough) + 1
        snapshotDue = time.now.advanced(by: Committer.snapshotInterval)
        thread = DedicatedThread(name: "log-commit")
    }

    nonisolated var currentStatistics: CommitStatistics { statistics.withLock { $0 } }

    /// One turn of the loop: commits, and saves the state when that is due. Returns how long to wait until the next.
    @discardableResult
    func turn() -> Duration {
        let interval = budget?.interval ?? configuration.commitInterval
        if isClosed { return interval }
        commit()
        let start = time.now
        if start >= snapshotDue {
            snapshotDue = start.advanced(by: max(Committer.snapshotInterval, interval))
            guard access.isOpen else { return interval }
            try? removeLeaving()
            removeExpired()
            removeThinnest()
            snapshot()
            // A state with thousands of rows is saved less often: what is not saved yet is told by the journal.
            let pause = min(start.duration(to: time.now) * Committer.snapshotPauses, Committer.snapshotIntervalMax)
            snapshotDue = max(snapshotDue, start.advanced(by: pause))
        }
        account(0)
        return budget?.interval ?? interval
    }

    /// Counts bytes that went to disk, and keeps within the budget.
    private func account(_ bytes: Int, samples: Int = 0) {
        budget?.didWrite(bytes, at: time.now)
        let (interval, isOver) = (budget?.interval ?? configuration.commitInterval, budget?.isExceeded ?? false)
        statistics.withLock { statistics in
            statistics.bytesWritten += UInt64(bytes)
            statistics.samples += UInt64(samples)
            statistics.commitInterval = interval
            statistics.isOverBudget = isOver
        }
        if isOver, !isOverBudget {
            logger.warning(
                "log writes more than its budget even with the rarest commits: raise writeBudget, poll less often, or widen deadbands",
                metadata: ["folder": "\(configuration.folder)", "write_budget": "\(configuration.writeBudget ?? 0)"])
        }
        isOverBudget = isOver
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
            try openAccess()
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

    /// Opens the store that a full disk kept closed; what is in it must come before what is written to the journal.
    private func openAccess() throws(GatewayError) {
        guard !access.isOpen, core.state.withLock({ $0.last > $0.durable }) else { return }
        try access.reopen()
        if let error = snapshot() { throw error }
        logger.notice("disk has room; the log is kept in its folder", metadata: ["folder": "\(configuration.folder)"])
    }

    /// The oldest entries that are not being written, a buffer full.
    private func nextEntries() -> [MemoryTail.Entry]? {
        core.state.withLock { state in
            var entries: [MemoryTail.Entry] = []
            var bytes = 0
            var index = state.tail.index(after: state.inFlight)
            while index < state.tail.entries.count, bytes < Committer.bufferBytes {
                entries.append(state.tail.entries[index])
                bytes += max(entries[entries.count - 1].cost, entries[entries.count - 1].recordBytes)
                index += 1
            }
            guard !entries.isEmpty else { return nil }
            state.inFlight = entries[entries.count - 1].last
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
        let (tagCounts, statements) = core.state.withLock { state in
            let last = entries.last?.last ?? entries[0].last
            return (state.tagCounts, state.clock.statements(of: core.epoch, from: entries[0].first, through: last))
        }
        for entry in entries {
            writer.encode(statements, through: entry.last, into: &buffer)
            writer.encode(
                entry, into: &buffer, description: { description(of: $0) }, tagCount: { tagCounts[Int($0.rawValue)] })
        }
        try makeRoom(for: buffer.count)
        let firstPage = writer.bytes / Committer.pageBytes
        try writer.write(buffer)
        let samples = entries.reduce(0) { sum, entry in
            if case .batch(let batch) = entry.content { sum + batch.sampleCount(of: tagCounts[Int(batch.stream.rawValue)]) } else { sum }
        }
        account(((writer.bytes - 1) / Committer.pageBytes - firstPage + 1) * Committer.pageBytes, samples: samples)
        let count = buffer.count
        if buffer.capacity > 4 * Committer.bufferBytes { buffer = [] }
        return count
    }

    /// The record that says what a stream is; what a stream is never changes.
    private func description(of stream: StreamID) -> [UInt8]? {
        if let known = descriptions[stream] { return known }
        guard let descriptor = core.descriptor(of: stream) else { return nil }
        var record: [UInt8] = []
        JournalRecord.descriptor(stream, descriptor).encode(into: &record)
        descriptions[stream] = record
        return record
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

    /// Bytes that the limit leaves free, or takes away if below zero, beside what the growth of the database and one block need.
    private func room() -> Int {
        configuration.diskLimit - storeBytes() - HistorianConfiguration.databaseReserve - blockReserve
    }

    /// Whether a block is being made or not: sealing must not be what removes data.
    private var blockReserve: Int { max(configuration.segmentBytes, beingSealed.reduce(0) { $0 + $1.bytes }) }

    /// Removes the oldest segments until `count` more bytes fit the limit.
    private func makeRoom(for count: Int) throws(GatewayError) {
        while room() < count {
            try removeLeaving()
            guard room() < count else { return }
            let oldest = core.state.withLock { state in state.segments.first }
            guard configuration.policy != .stop, let oldest, oldest.number != writer?.segment.number else {
                // What was given up for want of a disk may come as one large commit.
                if beingSealed.isEmpty, configuration.policy != .stop, room() + blockReserve >= count { return }
                let reason = configuration.policy == .stop ? "its policy is to stop" : "nothing to remove"
                throw GatewayError(
                    .storageFull, resource: "log \(configuration.folder)", operation: "make room",
                    "the store has \(storeBytes()) bytes and \(reason), but \(count) more must fit the limit of "
                        + "\(configuration.diskLimit): raise the limit")
            }
            try remove(oldest)
        }
    }

    /// Removes what is older than it must be and acknowledged by everybody.
    private func removeExpired() {
        guard let keepFor = configuration.keepFor else { return }
        // A clock that may be wrong would take years away.
        let stamp = time.stamp
        guard !stamp.isUncertain else { return }
        let limit = stamp.time.advanced(by: .zero - keepFor)
        while true {
            let expired = core.state.withLock { state -> Segment? in
                guard let oldest = state.segments.first, oldest.number != writer?.segment.number,
                    state.clock.times(of: oldest).map({ $0.upperBound < limit }) ?? true,
                    state.cursors.allSatisfy({ $0.isDone(with: oldest) })
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

    /// Removes the oldest of what was thinned twice when it takes more than its part of the limit.
    private func removeThinnest() {
        guard configuration.policy == .thin else { return }
        while let oldest = core.state.withLock({ state in configuration.isThinnestTooLarge(state.segments) ? state.segments.first : nil }) {
            do throws(GatewayError) {
                try remove(oldest)
            } catch {
                logger.warning("block cannot be removed", metadata: ["error_chain": .chain(of: error)])
                return
            }
        }
    }

    private func remove(_ segment: Segment) throws(GatewayError) {
        try lookInto(segment) { state, contents in
            let due = state.looksDue(before: contents, toLose: segment, by: state.cursors)
            if due.isEmpty { state.removeOldestSegment(contents: contents) }
            return due
        }
        statistics.withLock { $0.removedSegments += 1 }
        leaving.append(segment)
        try removeLeaving()
    }

    /// Carries out a change for which the log may have to look into segments: the change returns those, or none when it is made.
    private func lookInto(
        _ segment: Segment, _ change: (inout LogCore.State, [UInt64: [SegmentWalk.Content]]) -> [Segment]
    ) throws(GatewayError) {
        var contents: [UInt64: [SegmentWalk.Content]] = [:]
        while true {
            // A cursor may have come into the segment since the last look.
            let due = core.wake(nil) { change(&$0, contents) }
            if due.isEmpty { return }
            for segment in due {
                do throws(GatewayError) {
                    contents[segment.number] = try SegmentWalk.contents(
                        of: segment, journal: configuration.journal, catalogue: core.descriptor)
                } catch  where error.code == .notFound {
                    contents[segment.number] = [SegmentWalk.Content(first: segment.base, last: segment.end, isHole: true, tallies: [:])]
                }
            }
        }
    }

    /// Takes blocks that are to be thinned from cursors that were released; `false` where they cannot be, or one is wanted again.
    private func releaseBlocks(_ blocks: [Segment]) -> Bool {
        guard let end = blocks.last?.end else { return false }
        for segment in core.state.withLock({ state in state.segments.filter { $0.end <= end } }) {
            do throws(GatewayError) {
                try lookInto(segment) { state, contents in
                    let released = state.cursors.indices.filter { state.cursors[$0].releasedAt != nil }
                    let due = state.looksDue(before: contents, toLose: segment, by: released.map { state.cursors[$0] })
                    if due.isEmpty { state.evict(segment, from: released, contents: contents) }
                    return due
                }
            } catch {
                logger.debug("a block cannot be thinned", metadata: ["error_chain": .chain(of: error)])
                return false
            }
        }
        return core.state.withLock { state in state.cursors.allSatisfy { $0.folded >= end } }
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
        bytes += Files.size(configuration.folder + "/lock") + Files.size(CatalogueFile.path(in: configuration.folder))
        let total = bytes
        statistics.withLock { $0.storeBytes = total }
        return bytes
    }

    // MARK: - Thinning

    /// Old blocks to thin, when the store comes near its limit.
    func nextThinning() -> ThinningJob? {
        guard !isClosed, access.isOpen, beingSealed.isEmpty else { return nil }
        let room = room()
        let (configuration, kept) = (configuration, unsealable)
        let job = core.state.withLock { state in
            configuration.nextThinning(of: state.segments, room: room) { block in
                kept.contains(block.number)
            } isFree: { block in
                state.cursors.allSatisfy { $0.isDone(with: block) }
            }
        }
        guard let job, releaseBlocks(job.blocks) else { return nil }
        beingSealed = job.blocks
        return job
    }

    /// Returns what is to be removed now, as `didSeal` does.
    func didThin(_ job: ThinningJob, to block: Segment, thinned: StreamTallies) -> [Segment] {
        replace(job.blocks, by: block, thinned: thinned)
    }

    func didNotThin(_ job: ThinningJob, because error: GatewayError) {
        beingSealed = []
        if error.code == .storageCorrupt { for block in job.blocks { unsealable.insert(block.number) } }
        if error.code == .notFound { noteMissing(job.blocks) }
    }

    /// Notes which files somebody has removed: else the same work would be tried for ever.
    private func noteMissing(_ segments: [Segment]) {
        let gone = Set(segments.map(\.fileName).filter { !Files.exists(configuration.journal + "/" + $0) })
        core.state.withLock { state in
            for index in state.segments.indices where gone.contains(state.segments[index].fileName) {
                state.segments[index].isMissing = true
            }
        }
    }

    // MARK: - Sealing

    /// Closed segments, oldest first, that are due to become one block; they stay as they are until `didSeal`.
    ///
    /// Small ones, as short runs leave them, wait until they are enough for a block.
    func nextSealing(isSmallIncluded: Bool) -> [Segment]? {
        guard !isClosed, access.isOpen, beingSealed.isEmpty else { return nil }
        let open = writer?.segment.number
        var job: [Segment] = []
        var bytes = 0
        for segment in core.state.withLock({ $0.segments }) {
            if segment.isSealed || segment.isMissing || segment.number == open || unsealable.contains(segment.number) {
                // A block is made of neighbours.
                if bytes >= configuration.segmentBytes / 2 { break }
                if !isSmallIncluded || job.isEmpty {
                    job = []
                    bytes = 0
                    continue
                }
                break
            }
            if bytes + segment.bytes > configuration.segmentBytes + JournalFormat.segmentHeaderBytes, !job.isEmpty { break }
            job.append(segment)
            bytes += segment.bytes
        }
        guard !job.isEmpty, isSmallIncluded || bytes >= configuration.segmentBytes / 2 else { return nil }
        beingSealed = job
        return job
    }

    /// Puts the block in the place of its segments. Returns the files to remove: large ones take their time, for which no commit should wait.
    func didSeal(_ segments: [Segment], as block: Segment) -> [Segment] { replace(segments, by: block, thinned: [:]) }

    /// Files that were removed for it, now or by a commit that needed the room meanwhile.
    func didRemove(_ segments: [Segment]) {
        let names = Set(segments.map(\.fileName))
        leaving.removeAll { names.contains($0.fileName) }
    }

    func didNotSeal(_ segments: [Segment], because error: GatewayError) {
        beingSealed = []
        if error.code == .limitExceeded || error.code == .storageCorrupt { for segment in segments { unsealable.insert(segment.number) } }
        if error.code == .notFound { noteMissing(segments) }
    }

    private func replace(_ old: [Segment], by block: Segment, thinned: StreamTallies) -> [Segment] {
        beingSealed = []
        let isReplaced = core.state.withLock { $0.replace(old, by: block, thinned: thinned) }
        guard isReplaced, !isClosed else {
            // Retention took one of them meanwhile.
            try? Files.remove(configuration.journal + "/" + block.fileName, on: configuration.disk)
            return []
        }
        statistics.withLock { $0.bytesSealed += UInt64(block.bytes) }
        account(block.bytes)
        leaving += old
        // Not before the database knows the block.
        guard let error = snapshot() else { return leaving }
        logger.debug("sealed segments are removed later", metadata: ["error_chain": .chain(of: error)])
        return []
    }

    // MARK: - State

    /// Saves cursors, ledger and segments as they are on disk.
    @discardableResult
    private func snapshot() -> GatewayError? {
        var state = core.snapshot()
        state.bytesWritten = saved.bytesWritten
        guard state != saved else { return nil }
        // To write down only that something was written would never come to an end.
        state.bytesWritten = earlierBytesWritten &+ statistics.withLock { $0.bytesWritten }
        do throws(GatewayError) {
            account(try access.save(state, over: saved))
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
        let now = time.utc
        core.state.withLock { state in
            if !state.runs.isEmpty { state.runs[state.runs.count - 1].closed = now }
        }
        do throws(GatewayError) { try flush() } catch { failure = error }
        writer = nil
        isClosed = true
        try access.close()
        if let failure { throw failure }
    }
}
