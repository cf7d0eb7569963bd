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
    let core: LogCore
    private let committer: Committer
    private let sealer: Sealer
    private let disk: DiskReading
    private let access: StoreAccess
    /// Held while a stream gets its number, so that two equal ones get one.
    private let registration = Mutex(())
    private let configuration: HistorianConfiguration
    private let time: any TimeSource
    private let logger: Logger

    /// Opens the store, makes it if it is missing, and repairs what the last process left unfinished.
    ///
    /// Throws `.storageLocked` when another process has it, `.unsupported` when a newer version wrote it (nothing is changed then),
    /// `.configurationInvalid` or `.storageFailed` otherwise. On a full disk the log opens and keeps what it can in memory, until there is room.
    package init(configuration: HistorianConfiguration, time: any TimeSource, logger: Logger) throws(GatewayError) {
        try configuration.validate()
        var opening = try StoreAccess.open(configuration, time: time)
        let stored = opening.stored ?? StoredState()
        var state = opening.recovery.state
        let runs = state.runs
        if opening.refusal == nil {
            state.epoch = try Historian.nextEpoch(opening, at: time.utc, configuration)
            state.runs = runs.appending(ProcessRun(epoch: state.epoch, opened: time.utc))
            do throws(GatewayError) {
                try opening.access.save(state, over: stored)
            } catch  where error.code == .storageFull {
                opening.refusal = error
            }
        }
        if opening.refusal != nil {
            state.epoch = try Historian.nextEpoch(opening, at: time.utc, configuration)
            state.runs = runs.appending(ProcessRun(epoch: state.epoch, opened: time.utc))
        }
        opening.access.note(epoch: state.epoch)
        epoch = state.epoch
        core = LogCore(recovered: state, next: opening.recovery.nextPosition, epoch: state.epoch, configuration: configuration)
        committer = Committer(
            core: core, access: opening.access, saved: opening.refusal == nil ? state : stored, segments: state.segments,
            configuration: configuration, time: time, logger: logger)
        sealer = Sealer(core: core, committer: committer, configuration: configuration, time: time, logger: logger)
        disk = DiskReading(core: core)
        access = opening.access
        self.configuration = configuration
        self.time = time
        self.logger = logger
        recovery = opening.report
        Historian.log(opening, configuration: configuration, logger: logger)
    }

    /// Epochs passed over when the database was lost: it may have known some of which the journal holds nothing.
    private static let epochsSkippedAfterLoss: UInt32 = 1000
    /// How far the first epoch of a new store may be beyond the clock.
    private static let epochSpread: UInt32 = 4096
    /// A clock that is wrong by a century must not use up the numbers: in the year 2054 they begin to count on by one.
    private static let epochByClockMax: UInt32 = 1 << 30

    /// The number of this start: seconds since 2020, and more than any start before that the store knows of.
    ///
    /// The clock is in it for what the store does not know: that a disk was replaced, or an old image restored, under the gateway's name. Whoever
    /// receives would take the new samples for duplicates of those that had the same numbers.
    private static func nextEpoch(
        _ opening: StoreAccess.Opening, at utc: Timestamp, _ configuration: HistorianConfiguration
    ) throws(GatewayError) -> UInt32 {
        let last = max(opening.recovery.state.epoch, opening.notedEpoch)
        guard last < .max - epochsSkippedAfterLoss else {
            throw GatewayError(
                .storageCorrupt, resource: "log \(configuration.folder)", operation: "open",
                "it says of itself that it is start number \(last), which no log reaches, and there is no higher number: put the folder aside"
            )
        }
        let isNew = opening.stored == nil && last == 0 && !opening.hadStore
        // Boxes out of one image begin with the same time while nobody has set their clocks; no two boots have the same number.
        let bootNumber = UInt32(truncatingIfNeeded: configuration.boot.low)
        var clock: UInt32 = 0
        if utc >= ClockDiscipline.plausibleFrom {
            clock = seconds(at: utc) + (isNew ? bootNumber % epochSpread : 0)
        } else if isNew || opening.refusal != nil {
            clock = epochByClockMax + bootNumber % (epochByClockMax / 2)
        }
        // On a full disk it cannot be written down, and the next start, which may come within the second, has at least the next number.
        if opening.refusal != nil { return max(last + 1, clock) }
        return max(last + (opening.stored != nil || isNew ? 1 : epochsSkippedAfterLoss), clock + 1)
    }

    /// Seconds since 2020.
    private static func seconds(at utc: Timestamp) -> UInt32 {
        min(epochByClockMax, UInt32(clamping: utc.nanoseconds / 1_000_000_000 - 1_577_836_800))
    }

    private static func log(_ opening: StoreAccess.Opening, configuration: HistorianConfiguration, logger: Logger) {
        if let refusal = opening.refusal {
            logger.error(
                "disk is full; the log runs in memory, and its samples are lost for history when memory runs out: free space on this file system",
                metadata: ["folder": "\(configuration.folder)", "error_chain": .chain(of: refusal)])
        }
        let report = opening.report
        guard !report.isClean else { return }
        logger.warning(
            "log was repaired",
            metadata: [
                "folder": "\(configuration.folder)", "torn_bytes": "\(report.tornBytes)", "torn_records": "\(report.tornRecords)",
                "damaged_bytes": "\(report.damagedBytes)", "missing_segments": .array(report.missingSegments.map { .string($0) }),
                "set_aside": .dictionary(report.setAside.mapValues { .string($0) }),
                "unfinished": .array(report.unfinished.map { .string($0) }),
                "catalogue_rebuilt": "\(report.catalogueRebuilt)",
            ])
    }

    // MARK: - Service

    /// Commits at every interval until the task is cancelled; then commits a last time and throws `CancellationError`.
    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await self.commit() }
            tasks.addTask { try await self.sealer.run() }
            defer { tasks.cancelAll() }
            try await tasks.next()
        }
    }

    private func commit() async throws {
        var deadline = time.now
        var interval = configuration.commitInterval
        do {
            while true {
                deadline = max(deadline.advanced(by: interval), time.now)
                try await time.sleep(until: deadline)
                interval = await turn()
            }
        } catch {
            // What stands in the way was logged when it came up.
            try? await committer.flush()
            throw error
        }
    }

    /// One turn of the commit loop, for whoever drives the time; returns how long to wait until the next.
    func turn() async -> Duration { await committer.turn() }

    /// Commits what was appended and saves cursors and ledger, now.
    package func flush() async throws { try await committer.flush() }

    /// Seals every closed segment, small ones too, and thins what is due, now.
    package func seal() async throws { while try await sealer.turn(isSmallIncluded: true) {} }

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
            try add([(descriptor, id)])
            return id
        }
    }

    /// One transaction, and so one wait for the disk, for all of them.
    package func register(all descriptors: [StreamDescriptor]) throws {
        try registration.withLock { _ throws(GatewayError) in
            var next = UInt32(core.state.withLock { $0.streams.count })
            var isTaken: Set<StreamDescriptor> = []
            var new: [(StreamDescriptor, StreamID)] = []
            for descriptor in descriptors
            where isTaken.insert(descriptor).inserted && core.state.withLock({ $0.numbers[descriptor] == nil }) {
                new.append((descriptor, StreamID(rawValue: next)))
                next += 1
            }
            try add(new)
        }
    }

    /// Called with the registration locked.
    private func add(_ streams: [(StreamDescriptor, StreamID)]) throws(GatewayError) {
        for (descriptor, id) in streams { try check(descriptor, id) }
        guard !streams.isEmpty else { return }
        try access.add(streams)
        core.state.withLock { state in
            for (descriptor, id) in streams { state.add(LogCore.Stream(descriptor: descriptor), as: id) }
        }
    }

    private func check(_ descriptor: StreamDescriptor, _ id: StreamID) throws(GatewayError) {
        func refuse(_ message: String) -> GatewayError {
            GatewayError(.limitExceeded, resource: "stream \(descriptor.device)/\(descriptor.group)", operation: "register", message)
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
    }

    package func descriptor(of stream: StreamID) -> StreamDescriptor? { core.descriptor(of: stream) }

    package func append(_ batch: SampleBatch) {
        if core.append(batch) { Task { [committer] in await committer.turn() } }
    }

    package func adopt(_ mapping: ClockMapping) {
        core.state.withLock { state in
            state.clock.adopt(mapping, epoch: epoch, boot: configuration.boot, first: state.last + 1)
        }
    }

    package func countSuppressedPoll(of stream: StreamID) { core.countSuppressedPoll(of: stream) }

    package func cursor(named name: String, from start: CursorStart) throws -> any LogCursor {
        let index = try core.openCursor(named: name, from: start)
        return HistorianCursor(name: name, index: index, core: core, disk: disk)
    }
}

extension Historian {
    package func releaseCursors(at time: Timestamp, where isUnwanted: (_ name: String) -> Bool) {
        core.state.withLock { state in
            for index in state.cursors.indices where !state.cursors[index].isOpen {
                state.cursors[index].releasedAt = isUnwanted(state.cursors[index].name) ? state.cursors[index].releasedAt ?? time : nil
            }
        }
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
                state.cursors[index].releasedAt = nil
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
        // Thinned blocks have no batches any more, or not all of them.
        let whole = segments.drop { $0.level > 0 }
        var skippedKept = StreamTallies()
        for segment in segments.prefix(while: { $0.level > 0 }) { segment.addTallies(to: &skippedKept) }
        for (number, stream) in streams.enumerated() {
            guard let stream else { continue }
            let id = StreamID(rawValue: UInt32(number))
            var tally = CursorTally()
            if start == .newest {
                tally.skipped = stream.counts.stored
            } else {
                tally.skipped = stream.gone
                tally.skipped += stream.thinned
                if let kept = skippedKept[id] { tally.skipped += kept }
            }
            settled &+= tally.skipped.samples(of: tagCounts[number])
            if !tally.skipped.isEmpty { tallies[id] = tally }
        }
        let oldest = whole.first?.base ?? tail.entries.first?.first ?? last + 1
        let position = start == .oldest ? oldest - 1 : last
        return CursorState(name: name, at: position, tallies: tallies, settledSamples: settled, since: start == .oldest ? 0 : last)
    }
}
