internal import GatewayCore
internal import Historian
internal import Logging
internal import Telemetry

/// What a round found that must not be.
struct TortureFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A batch's key.
struct BatchKey: Hashable {
    var epoch: UInt32
    /// Which of the descriptors.
    var kind: Int
    var sequence: UInt64
}

/// What the writers of a round have told, added up.
struct Testimony {
    /// By epoch: batches per stream that a commit has confirmed, and that were appended at most.
    var confirmed: [UInt32: [UInt64]] = [:]
    var appended: [UInt32: [UInt64]] = [:]
    /// Where cursors were when their place was saved.
    var saved: [String: UInt64] = [:]
    /// What they had acknowledged ahead of it then.
    var savedAhead: [String: [ClosedRange<UInt64>]] = [:]
    var newestEpoch: UInt32 = 0
    /// Batches that were gone when the counts were lost: nothing tells of them any more.
    var forgotten: Set<BatchKey> = []

    mutating func add(_ lines: [ProgressLine]) throws(TortureFailure) {
        for line in lines {
            switch line {
            case .opened(let epoch): try didOpen(epoch)
            case .appending(let epoch, let counts): appended[epoch] = counts
            case .confirmed(let epoch, let counts): confirmed[epoch] = counts
            case .saved(let cursor, let position): saved[cursor] = max(saved[cursor] ?? 0, position)
            case .savedAhead(let cursor, let positions): didSaveAhead(positions, cursor)
            case .failure(let text): throw TortureFailure("the writer found: \(text)")
            case .refused(let text): throw TortureFailure("the writer gave up: \(text)")
            case .starting, .closed: break
            }
        }
    }

    /// One that has grown takes its own place.
    private mutating func didSaveAhead(_ positions: ClosedRange<UInt64>, _ cursor: String) {
        var ranges = savedAhead[cursor] ?? []
        ranges.removeAll { $0.lowerBound == positions.lowerBound && $0.upperBound <= positions.upperBound }
        ranges.append(positions)
        savedAhead[cursor] = ranges
    }

    mutating func didOpen(_ epoch: UInt32) throws(TortureFailure) {
        if epoch <= newestEpoch { throw TortureFailure("epoch \(epoch) comes after epoch \(newestEpoch)") }
        newestEpoch = epoch
    }
}

/// What may be wrong with a store and is no fault of the log's.
struct Allowance {
    /// The disk limit makes the oldest go.
    var evictions = false
    /// Batches are given up when the memory for uncommitted ones runs out, or somebody has damaged files: anything may be gone, if counted.
    var countedLosses = false
    /// Counts and cursors are gone: what is missing is not counted.
    var databaseLost = false
    /// What no commit confirmed may have come to the disk in any order: the tail of a file has holes, or the file no head. What a start
    /// before adopted, and a disk that was full could not confirm, is a gap then.
    var tornTails = false
    /// What was adopted from a process that had ended could not be synchronized, for want of room, before the power went.
    var adoptionsLost = false
    /// Somebody took files away while they were written. What went into them since the state was saved last is gone uncounted, though later batches
    /// tell that it was there.
    var filesTaken = false
    /// A file that was begun and could not be taken back may be left, without a head.
    var unfinishedFiles = false
    /// The report of the recovery may tell of anything.
    var repairs = false
}

/// Opens a store by the ordinary code and judges what is in it.
struct TortureOracle {
    let folder: String
    let samples: TortureSamples
    let diskLimit: Int
    /// The second of the round in which it opens the store.
    let clock: Int64
    var isThinning = false

    /// What a store holds, as the reader that never acknowledges is given it.
    struct Contents {
        var positions: [BatchKey: UInt64] = [:]
        /// Samples of all gaps.
        var gap: UInt64 = 0
        /// Whether a gap came after the first entry.
        var hasInnerGap = false
        /// How many batches were expected and are not there.
        var missing = 0
        /// Samples that summaries took the place of.
        var thinned: UInt64 = 0

        /// Notes where a batch is.
        mutating func take(_ entry: LogEntry, _ descriptor: (StreamID) -> StreamDescriptor?) throws(TortureFailure) {
            guard case .batch(let batch) = entry.content else { return }
            let described = descriptor(batch.stream)
            guard let kind = TortureSamples.descriptors.firstIndex(where: { $0 == described }) else { return }
            let key = BatchKey(epoch: batch.epoch, kind: kind, sequence: batch.sequence)
            if let before = positions.updateValue(entry.position.rawValue, forKey: key) {
                throw TortureFailure("\(key) is there twice, at \(before) and \(entry.position.rawValue)")
            }
        }
    }

    private static let logger = Logger(label: "torture") { _ in SwiftLogNoOpLogHandler() }

    func open() throws(GatewayError) -> Historian {
        try Historian(
            configuration: HistorianConfiguration(
                folder: folder, diskLimit: diskLimit, policy: isThinning ? .thin : .dropOldest, boot: BootID(high: 0, low: 0)),
            time: SteppingTime(second: clock),
            logger: TortureOracle.logger)
    }

    /// Opens, judges, closes.
    func judge(_ testimony: inout Testimony, _ allowance: Allowance) async throws -> Contents {
        let end: UInt64
        let log: Historian
        do {
            log = try open()
            end = try Historian.openReadOnly(folder: folder).end().rawValue
        } catch {
            throw TortureFailure("the store does not open: \(error)")
        }
        try testimony.didOpen(log.epoch)
        if !allowance.repairs {
            var report = log.recovery
            if allowance.unfinishedFiles { report.setAside = [:] }
            if allowance.tornTails { report.damagedBytes = 0 }
            if allowance.adoptionsLost { report.missingSegments = [] }
            if report.damagedBytes > 0 || !report.setAside.isEmpty || !report.missingSegments.isEmpty || report.catalogueRebuilt {
                throw TortureFailure("the store was damaged: \(report)")
            }
        }
        var contents = isThinning ? try readOut(log) : try await witnessed(log, through: end, allowance)
        try check(&contents, testimony, allowance)
        try await checkReaders(log, through: end, testimony, allowance)
        let ledger = try await log.ledger()
        if let row = ledger.unbalanced.first { throw TortureFailure("the ledger does not balance: \(row)") }
        if !allowance.databaseLost { try check(ledger, contents, testimony, allowance) }
        try await log.close()
        contents.thinned = ledger.total.thinned
        if isThinning { try checkThinned(contents, &testimony, allowance, ledger) }
        if !allowance.repairs { try checkSize() }
        let afterwards = try Historian.openReadOnly(folder: folder).ledger()
        if let row = afterwards.unbalanced.first { throw TortureFailure("the closed store's ledger does not balance: \(row)") }
        if afterwards.total.stored != ledger.total.stored {
            throw TortureFailure("the closed store's ledger has \(afterwards.total.stored) samples, the open one's \(ledger.total.stored)")
        }
        if allowance.databaseLost {
            for key in expected(testimony.appended) where contents.positions[key] == nil { testimony.forgotten.insert(key) }
            testimony.saved = [:]
            testimony.savedAhead = [:]
        }
        return contents
    }

    // MARK: - Reading

    /// Everything there is for a reader, up to `end`; whether more was expected than came.
    private func entries(of cursor: any LogCursor, through end: UInt64) async throws -> [LogEntry] {
        var entries: [LogEntry] = []
        while (entries.last?.position.rawValue ?? 0) < end, cursor.pendingSamples > 0 || entries.isEmpty {
            let more = try await withThrowingTaskGroup(of: [LogEntry].self) { group in
                group.addTask { try await cursor.read(atMost: 1000) }
                group.addTask {
                    // Positions without samples at the end of a log hold nothing to wait for.
                    try await Task.sleep(for: .seconds(3))
                    return []
                }
                let first = try await group.next() ?? []
                group.cancelAll()
                return first
            }
            if more.isEmpty { break }
            entries += more
        }
        return entries
    }

    private func witnessed(_ log: Historian, through end: UInt64, _ allowance: Allowance) async throws -> Contents {
        var contents = Contents()
        let cursor = try log.cursor(named: TortureWriter.witness, from: .oldest)
        guard end > 0 else { return contents }
        var continuity = Continuity(samples: samples, hasDamage: allowance.repairs || allowance.tornTails)
        for (index, entry) in try await entries(of: cursor, through: end).enumerated() {
            if let complaint = continuity.complaint(about: entry, descriptor: log.descriptor) { throw TortureFailure(complaint) }
            switch entry.content {
            case .gap(let samples):
                contents.gap += samples
                if index > 0 { contents.hasInnerGap = true }
            case .batch: try contents.take(entry, log.descriptor)
            }
        }
        return contents
    }

    /// Whole batches without a reader of the log's own, for which nothing could be thinned.
    private func readOut(_ log: Historian) throws -> Contents {
        var contents = Contents()
        var continuity = Continuity(samples: samples, hasDamage: true)
        for entry in try Historian.openReadOnly(folder: folder).entries(after: LogPosition(rawValue: 0), atMost: .max) {
            if let complaint = continuity.complaint(about: entry, descriptor: log.descriptor) { throw TortureFailure(complaint) }
            try contents.take(entry, log.descriptor)
        }
        return contents
    }

    // MARK: - Judging

    private func expected(_ counts: [UInt32: [UInt64]]) -> [BatchKey] {
        counts.flatMap { epoch, counts in
            counts.enumerated().flatMap { kind, count in (0..<count).map { BatchKey(epoch: epoch, kind: kind, sequence: $0) } }
        }
    }

    private func sampleCount(_ key: BatchKey) -> UInt64 {
        let batch = samples.batch(key.sequence, of: key.kind, epoch: key.epoch, as: StreamID(rawValue: 1))
        return UInt64(batch.sampleCount(of: TortureSamples.descriptors[key.kind].tags.count))
    }

    /// What must have been stored, and what may have been: a batch of which a commit was confirmed or that has a later one of its stream
    /// behind it, and one that was appended.
    private func bounds(_ contents: Contents, _ testimony: Testimony, _ allowance: Allowance) -> (certain: [BatchKey], possible: [BatchKey])
    {
        var seen = testimony.confirmed
        if allowance.tornTails || allowance.filesTaken { return (expected(seen), expected(testimony.appended)) }
        for key in contents.positions.keys {
            var counts = seen[key.epoch] ?? TortureSamples.descriptors.map { _ in 0 }
            counts[key.kind] = max(counts[key.kind], key.sequence + 1)
            seen[key.epoch] = counts
        }
        return (expected(seen), expected(testimony.appended))
    }

    private func check(_ contents: inout Contents, _ testimony: Testimony, _ allowance: Allowance) throws(TortureFailure) {
        for key in contents.positions.keys where key.sequence >= testimony.appended[key.epoch]?[key.kind] ?? 0 {
            throw TortureFailure("\(key) was never appended")
        }
        let (certain, possible) = bounds(contents, testimony, allowance)
        let missing = certain.filter { contents.positions[$0] == nil && !testimony.forgotten.contains($0) }
        contents.missing = missing.count
        // There are no gaps to compare: `checkThinned` does.
        if isThinning { return }
        if !allowance.evictions, !allowance.countedLosses, !missing.isEmpty || (contents.gap > 0 && !allowance.tornTails) {
            let names = missing.prefix(5).map { "\($0)" }.joined(separator: ", ")
            throw TortureFailure("\(missing.count) batches are missing, \(contents.gap) samples are told as a gap: \(names)")
        }
        if !allowance.countedLosses, !allowance.tornTails, contents.hasInnerGap {
            throw TortureFailure("there is a gap after the oldest entry")
        }
        let least = missing.reduce(0) { $0 + sampleCount($1) }
        if contents.gap == least { return }
        // What was given up has a record in the journal, which tells of it again after the database was lost; and a database that was struck
        // where it was empty still tells of everything. What nothing need tell of any more may still be told of, but no more than is missing.
        let most = possible.reduce(0) { $0 + (contents.positions[$1] == nil ? sampleCount($1) : 0) }
        if contents.gap < (allowance.databaseLost ? 0 : least) || contents.gap > most {
            throw TortureFailure("\(contents.gap) samples are told as a gap, but \(least) to \(most) are missing")
        }
    }

    private func check(_ ledger: Ledger, _ contents: Contents, _ testimony: Testimony, _ allowance: Allowance) throws(TortureFailure) {
        let (certain, possible) = bounds(contents, testimony, allowance)
        for (kind, descriptor) in TortureSamples.descriptors.enumerated() {
            let stored = ledger.tags.filter { $0.device == descriptor.device && $0.group == descriptor.group }.reduce(0) { $0 + $1.stored }
            func sum(_ keys: [BatchKey]) -> UInt64 { keys.reduce(0) { $1.kind == kind ? $0 + sampleCount($1) : $0 } }
            let least = sum(certain.filter { !testimony.forgotten.contains($0) })
            if stored == least { continue }
            let most = sum(possible)
            if stored < least || stored > most {
                throw TortureFailure("the ledger has \(stored) samples of \(descriptor.device), but \(least) to \(most) were stored")
            }
        }
        guard let witness = ledger.total.cursors.first(where: { $0.cursor == TortureWriter.witness }) else { return }
        if witness.acknowledged != 0 { throw TortureFailure("nothing was acknowledged, but the ledger says \(witness.acknowledged)") }
    }

    private func checkReaders(_ log: Historian, through end: UInt64, _ testimony: Testimony, _ allowance: Allowance) async throws {
        guard end > 0 else { return }
        for name in TortureWriter.readers + [TortureWriter.lanes] {
            let cursor = try log.cursor(named: name, from: .oldest)
            let pending = cursor.pendingSamples
            if pending == 0 { continue }
            // What was acknowledged ahead is passed over without a gap.
            let isPatchy = name == TortureWriter.lanes || allowance.repairs || allowance.tornTails
            let ahead = allowance.databaseLost ? [] : testimony.savedAhead[name] ?? []
            var continuity = Continuity(samples: samples, hasDamage: isPatchy)
            var delivered: UInt64 = 0
            var front: UInt64 = 0
            for (index, entry) in try await entries(of: cursor, through: end).enumerated() {
                if let complaint = continuity.complaint(about: entry, descriptor: log.descriptor) {
                    throw TortureFailure("\(name): \(complaint)")
                }
                let saved = allowance.databaseLost ? 0 : testimony.saved[name] ?? 0
                switch entry.content {
                case .batch(let batch):
                    if entry.position.rawValue <= saved {
                        throw TortureFailure("\(name) is given position \(entry.position.rawValue), but had saved \(saved)")
                    }
                    if let range = ahead.first(where: { $0.contains(entry.position.rawValue) }) {
                        throw TortureFailure("\(name) is given position \(entry.position.rawValue), but had saved \(range) ahead")
                    }
                    delivered += UInt64(batch.sampleCount(of: log.descriptor(of: batch.stream)?.tags.count ?? 0))
                case .gap(let samples):
                    if entry.position.rawValue < saved {
                        throw TortureFailure("\(name) is given a gap at \(entry.position.rawValue), but had saved \(saved)")
                    }
                    if index == 0 { front = samples }
                    delivered += samples
                }
            }
            // What was evicted right before the reader's place is told first and is not pending any more.
            if delivered != pending, delivered - front != pending {
                throw TortureFailure(
                    "\(name) has \(pending) samples before it, but was given \(delivered), \(front) of them as a first gap")
            }
        }
    }

    private func checkThinned(
        _ contents: Contents, _ testimony: inout Testimony, _ allowance: Allowance, _ ledger: Ledger
    ) throws {
        let isExact = !allowance.countedLosses && !allowance.tornTails && !allowance.databaseLost
        let (certain, possible) = bounds(contents, testimony, allowance)
        let judge = ThinnedJudge(folder: folder, samples: samples)
        for (kind, descriptor) in TortureSamples.descriptors.enumerated() {
            let ofKind = certain.filter { $0.kind == kind }
            let stored = ledger.tags.filter { $0.device == descriptor.device && $0.group == descriptor.group }.reduce(0) { $0 + $1.stored }
            // Of a run of which no commit was confirmed nothing is known that was thinned or removed before the end.
            let isExact = isExact && stored == ofKind.reduce(0) { $0 + sampleCount($1) }
            let batches = (isExact ? ofKind : possible.filter { $0.kind == kind })
                .sorted { ($0.epoch, $0.sequence) < ($1.epoch, $1.sequence) }
            try judge.check(kind: kind, stored: batches, kept: Set(contents.positions.keys), isExact: isExact, ledger: ledger)
        }
        guard isExact else { return }
        // What was found once is there for good; it will not be seen as batches any more when it is thinned.
        for key in certain {
            var counts = testimony.confirmed[key.epoch] ?? TortureSamples.descriptors.map { _ in 0 }
            counts[key.kind] = max(counts[key.kind], key.sequence + 1)
            testimony.confirmed[key.epoch] = counts
        }
    }

    private func checkSize() throws {
        let bytes = StoreFiles(folder).all.reduce(0) { $0 + StoreFiles.size($1) }
        if bytes > diskLimit { throw TortureFailure("the store has \(bytes) bytes, but its limit is \(diskLimit)") }
    }
}
