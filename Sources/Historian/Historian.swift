package import GatewayCore
package import Logging
internal import Synchronization
package import Telemetry

/// The gateway's durable log: a journal of checksummed segments, with cursors, catalogue and ledger in SQLite.
///
/// `append` never waits for the disk; `run` commits what was appended at every interval. After a crash at most that interval is
/// missing, no position, epoch or stream number is ever used twice, and the ledger balances with what the journal holds.
package final class Historian: TelemetryLog {
    package let epoch: UInt32
    /// What was found wrong, and put right, at opening.
    package let recovery: RecoveryReport
    private let core: LogCore
    private let committer: Committer
    private let disk: DiskReading
    private let store: StateStore
    /// Held while a stream gets its number, so that two equal ones get one.
    private let registration = Mutex(())
    private let configuration: HistorianConfiguration
    private let time: any TimeSource
    private let logger: Logger

    /// Opens the store, makes it if it is missing, and repairs what the last process left unfinished.
    ///
    /// Throws `.storageLocked` when another process has it, `.unsupported` when a newer version wrote it (nothing is changed then),
    /// `.configurationInvalid`, `.storageFull` or `.storageFailed` otherwise.
    package init(configuration: HistorianConfiguration, time: any TimeSource, logger: Logger) throws(GatewayError) {
        try configuration.validate()
        try Files.createFolder(configuration.journal, on: configuration.disk)
        let lock = try StoreLock(folder: configuration.folder)
        var report = RecoveryReport()
        let existed = Files.exists(configuration.database)
        let (store, stored) = try Historian.openState(configuration, time: time, report: &report)
        let recovery = try Recovery(stored: stored, journal: configuration.journal)
        try recovery.repair(on: configuration.disk)
        report.merge(recovery.report)
        var state = recovery.state
        // A lost database may have known epochs of which the journal holds nothing.
        if stored == nil { state.epoch = max(state.epoch, lock.newestEpoch) }
        state.epoch += stored == nil && (state.epoch > 0 || existed) ? Historian.epochsSkippedAfterLoss : 1
        try store.save(state, over: stored ?? StoredState())
        lock.note(epoch: state.epoch)
        epoch = state.epoch
        core = LogCore(recovered: state, next: recovery.nextPosition, epoch: state.epoch, configuration: configuration)
        committer = Committer(
            core: core, store: store, lock: lock, saved: state, configuration: configuration, time: time, logger: logger)
        disk = DiskReading(core: core)
        self.store = store
        self.configuration = configuration
        self.time = time
        self.logger = logger
        self.recovery = report
        Historian.log(report, configuration: configuration, logger: logger)
    }

    /// Epochs passed over when the database was lost.
    private static let epochsSkippedAfterLoss: UInt32 = 1000

    /// The database and what it holds; `nil` for a new or a lost one. A damaged one is set aside.
    private static func openState(
        _ configuration: HistorianConfiguration, time: any TimeSource, report: inout RecoveryReport, looksAgain: Bool = true
    ) throws(GatewayError) -> (StateStore, StoredState?) {
        let path = configuration.database
        let existed = Files.exists(path)
        do throws(GatewayError) {
            for file in [path, path + "-wal", path + "-shm"] where Files.exists(file) && !Files.isFile(file) {
                throw GatewayError(.storageCorrupt, resource: "log \(file)", operation: "open", "it is no file")
            }
            let store = try StateStore(path: path)
            let state = try store.load()
            if state.epoch > 0 { return (store, state) }
            if !existed { report.catalogueRebuilt = try hasSegments(configuration) }
            return (store, nil)
        } catch  where error.code == .storageCorrupt {
            // One refused read looks like damage, and must not cost every reader its place.
            if looksAgain { return try openState(configuration, time: time, report: &report, looksAgain: false) }
            let suffix = ".\(time.utc.milliseconds).damaged"
            for extra in ["", "-wal", "-shm"] where Files.exists(path + extra) {
                try Files.rename(path + extra, to: path + extra + suffix, on: configuration.disk)
            }
            // Else a power failure could bring it back, and epochs given from now on would be given again.
            try Files.synchronizeFolder(configuration.folder, on: configuration.disk)
            report.setAside["state.sqlite"] = error.message
            report.catalogueRebuilt = true
            return (try StateStore(path: path), nil)
        }
    }

    private static func hasSegments(_ configuration: HistorianConfiguration) throws(GatewayError) -> Bool {
        try Files.names(in: configuration.journal).contains { Segment.number(fileName: $0) != nil }
    }

    private static func log(_ report: RecoveryReport, configuration: HistorianConfiguration, logger: Logger) {
        guard !report.isClean else { return }
        logger.warning(
            "log was repaired",
            metadata: [
                "folder": "\(configuration.folder)", "torn_bytes": "\(report.tornBytes)", "torn_records": "\(report.tornRecords)",
                "damaged_bytes": "\(report.damagedBytes)", "missing_segments": .array(report.missingSegments.map { .string($0) }),
                "set_aside": .dictionary(report.setAside.mapValues { .string($0) }), "catalogue_rebuilt": "\(report.catalogueRebuilt)",
            ])
    }

    // MARK: - Service

    /// Commits at every interval until the task is cancelled; then commits a last time and throws `CancellationError`.
    package func run() async throws {
        var deadline = time.now
        do {
            while true {
                deadline = max(deadline.advanced(by: configuration.commitInterval), time.now)
                try await time.sleep(until: deadline)
                await committer.turn()
            }
        } catch {
            // What stands in the way was logged when it came up.
            try? await committer.flush()
            throw error
        }
    }

    /// Commits what was appended and saves cursors and ledger, now.
    package func flush() async throws { try await committer.flush() }

    /// Commits and saves for the last time, and gives the store free. Whoever reads from now on gets `.stopped`.
    package func close() async throws {
        core.close()
        try await committer.close()
    }

    /// How the commits do.
    package var statistics: CommitStatistics { committer.currentStatistics }

    /// The account of every sample up to now, balanced against a walk through the entries.
    package func ledger() async throws -> Ledger { try await disk.ledger() }

    // MARK: - TelemetryLog

    package func register(_ descriptor: StreamDescriptor) throws -> StreamID {
        try registration.withLock { _ throws(GatewayError) in
            if let known = core.state.withLock({ $0.numbers[descriptor] }) { return known }
            let id = StreamID(rawValue: UInt32(core.state.withLock { $0.streams.count }))
            func refuse(_ message: String) -> GatewayError {
                GatewayError(
                    .limitExceeded, resource: "stream \(descriptor.device)/\(descriptor.group)", operation: "register", message)
            }
            if id.rawValue > JournalFormat.streamsMax {
                throw refuse("the store has \(JournalFormat.streamsMax) streams, the most it may have")
            }
            if descriptor.valueBytes > JournalFormat.valueBytesMax {
                throw refuse("a batch has \(descriptor.valueBytes) bytes, at most \(JournalFormat.valueBytesMax)")
            }
            var record: [UInt8] = []
            JournalRecord.descriptor(id, descriptor).encode(into: &record)
            if record.count > JournalFormat.payloadBytesMax {
                throw refuse("its description has \(record.count) bytes, at most \(JournalFormat.payloadBytesMax)")
            }
            try store.add(descriptor, as: id)
            core.state.withLock { $0.add(LogCore.Stream(descriptor: descriptor), as: id) }
            return id
        }
    }

    package func descriptor(of stream: StreamID) -> StreamDescriptor? { core.descriptor(of: stream) }

    package func append(_ batch: SampleBatch) {
        if core.append(batch) { Task { [committer] in await committer.turn() } }
    }

    package func countSuppressedPoll(of stream: StreamID) { core.countSuppressedPoll(of: stream) }

    package func cursor(named name: String, from start: CursorStart) throws -> any LogCursor {
        let index = try core.openCursor(named: name, from: start)
        return HistorianCursor(name: name, index: index, core: core, disk: disk)
    }
}

extension RecoveryReport {
    /// Takes over what another look found.
    fileprivate mutating func merge(_ other: RecoveryReport) {
        tornBytes += other.tornBytes
        tornRecords += other.tornRecords
        damagedBytes += other.damagedBytes
        setAside.merge(other.setAside) { $1 }
        missingSegments += other.missingSegments
        replayedRecords += other.replayedRecords
    }
}

extension LogCore {
    fileprivate func countSuppressedPoll(of stream: StreamID) {
        state.withLock { state in
            let number = Int(stream.rawValue)
            precondition(number < state.streams.count && state.streams[number] != nil, "stream \(number) was never registered")
            state.streams[number]?.countSuppressedPoll()
        }
    }

    /// The place of a cursor in the list; a new one is entered.
    fileprivate func openCursor(named name: String, from start: CursorStart) throws(GatewayError) -> Int {
        try state.withLock { state throws(GatewayError) in
            if state.isClosed { throw stopped("open cursor") }
            if let index = state.cursors.firstIndex(where: { $0.name == name }) {
                if state.cursors[index].isOpen {
                    throw GatewayError(
                        .refused, resource: "cursor \(name)", operation: "open", "the cursor is open already, and one reader may have it")
                }
                state.cursors[index].isOpen = true
                return index
            }
            var cursor = state.newCursor(named: name, from: start)
            cursor.isOpen = true
            state.cursors.append(cursor)
            return state.cursors.count - 1
        }
    }
}

extension LogCore.Stream {
    fileprivate mutating func countSuppressedPoll() {
        counts.polls &+= 1
        counts.suppressedPolls &+= 1
        if suppressedSinceBatch < .max { suppressedSinceBatch += 1 }
    }
}

extension LogCore.State {
    /// A cursor that begins now: what is gone, or for the newest everything there is, is not its concern.
    fileprivate func newCursor(named name: String, from start: CursorStart) -> CursorState {
        var tallies: [StreamID: CursorTally] = [:]
        var settled: UInt64 = 0
        for (number, stream) in streams.enumerated() {
            guard let stream else { continue }
            var tally = CursorTally()
            tally.skipped = start == .oldest ? stream.gone : stream.counts.stored
            settled &+= tally.skipped.samples(of: tagCounts[number])
            if !tally.skipped.isEmpty { tallies[StreamID(rawValue: UInt32(number))] = tally }
        }
        let oldest = segments.first?.base ?? tail.entries.first?.first ?? last + 1
        let position = start == .oldest ? oldest - 1 : last
        return CursorState(name: name, at: position, tallies: tallies, settledSamples: settled, since: start == .oldest ? 0 : last)
    }
}
