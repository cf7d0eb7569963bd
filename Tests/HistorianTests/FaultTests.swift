import DequeModule
import GatewayCore
import Logging
import Synchronization
import Telemetry
import TestKit
import Testing

@testable import Historian

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Counts what is logged as an error.
private final class ErrorCounter: Sendable {
    private let count = Mutex(0)
    var value: Int { count.withLock { $0 } }
    func increment() { count.withLock { $0 += 1 } }
}

private struct CountingLogHandler: LogHandler {
    let errors: ErrorCounter
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .trace
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }
    func log(event: LogEvent) { if event.level >= .error { errors.increment() } }
}

/// Disks that refuse, fill up or are read-only, and data that has to go.
struct FaultTests {
    private let wide = wideDescriptor(1000)

    private func append(_ count: Int, to log: Historian, _ stream: StreamID) {
        for number in 0..<count {
            log.append(SampleBatch(stream: stream, descriptor: wide, time: Timestamp(milliseconds: Int64(number)), status: .good))
        }
    }

    /// Appends with a commit now and then, so that a small memory suffices.
    private func store(_ count: Int, in log: Historian, _ stream: StreamID) async throws {
        for _ in 0..<(count / 20) {
            append(20, to: log, stream)
            try await log.flush()
        }
    }

    @Test(arguments: [ENOSPC, EIO, EROFS]) func whileTheDiskRefusesLiveDataFlowsAndTheLossIsCounted(refusal: Int32) async throws {
        let folder = TemporaryFolder()
        let disk = FaultyDisk()
        let errors = ErrorCounter()
        let configuration = HistorianConfiguration(folder: folder.log, diskLimit: 64 << 20, memoryTailBytes: 256 << 10, disk: disk)
        var log = try Historian(
            configuration: configuration, time: SystemTime(), logger: Logger(label: "test") { _ in CountingLogHandler(errors: errors) })
        let stream = try log.register(wide)
        let live = try log.cursor(named: "route/live", from: .oldest)
        let slow = try log.cursor(named: "route/slow", from: .oldest)
        append(10, to: log, stream)
        try await log.flush()

        disk.faults.withLock { $0.write = Int(refusal) }
        var received = 0
        for _ in 0..<30 {
            append(10, to: log, stream)
            await #expect(throws: GatewayError.self) { try await log.flush() }
            let entries = try await live.read(atMost: 1000)
            received += entries.compactMap(\.batch).count
            if let last = entries.last { live.acknowledge(through: last.position) }
        }
        #expect(received == 310)
        #expect(live.pendingSamples == 0)
        #expect(errors.value == 1)
        #expect(log.statistics.isFailing)
        #expect(log.statistics.failures == 30)
        var ledger = try await log.ledger()
        #expect(ledger.isBalanced)
        #expect(ledger.total.notOnDisk > 100_000)

        disk.faults.withLock { $0.write = 0 }
        try await log.flush()
        #expect(!log.statistics.isFailing)
        let entries = try await drain(slow)
        let gap = entries.compactMap(\.gap).reduce(0, +)
        #expect(gap == ledger.total.notOnDisk)
        #expect(UInt64(entries.compactMap(\.batch).count) * 1000 + gap == 310_000)
        let sequences = entries.compactMap(\.batch).map(\.sequence)
        #expect(sequences == sequences.sorted() && Set(sequences).count == sequences.count)
        ledger = try await log.ledger()
        #expect(ledger.isBalanced)
        try await log.close()

        log = try openLog(folder)
        #expect(log.recovery.isClean)
        #expect(try await log.ledger() == ledger)
        let fresh = try log.cursor(named: "route/new", from: .oldest)
        #expect(try await drain(fresh).compactMap(\.gap).reduce(0, +) == gap)
        #expect(try await log.ledger().isBalanced)
        try await log.close()
    }

    @Test func afterARefusedSynchronizationTheSegmentIsNotTrustedAndNothingComesTwice() async throws {
        let folder = TemporaryFolder()
        let disk = FaultyDisk()
        let log = try openLog(folder, disk: disk)
        let stream = try log.register(wide)
        append(5, to: log, stream)
        try await log.flush()
        disk.faults.withLock { $0.synchronize = Int(EIO) }
        append(5, to: log, stream)
        await #expect(throws: GatewayError.self) { try await log.flush() }
        disk.faults.withLock { $0.synchronize = 0 }
        append(5, to: log, stream)
        try await log.flush()
        #expect(folder.segments.count == 2)
        try await log.close()
        let again = try openLog(folder)
        let entries = try await drain(try again.cursor(named: "route/a", from: .oldest))
        #expect(entries.compactMap(\.batch).map(\.sequence) == Array(0..<15))
        try await again.close()
    }

    @Test func whatARefusedSynchronizationLeftBehindTheNextSegmentIsIgnored() async throws {
        let folder = TemporaryFolder()
        let disk = FaultyDisk()
        let log = try openLog(folder, disk: disk)
        let stream = try log.register(wide)
        append(5, to: log, stream)
        try await log.flush()
        // As if cutting the file had been refused as well: the bytes of the failed commit come back behind the confirmed ones.
        append(5, to: log, stream)
        let path = try #require(folder.segments.first)
        let confirmed = try readBytes(path)
        disk.faults.withLock { $0.synchronize = Int(EIO) }
        await #expect(throws: GatewayError.self) { try await log.flush() }
        disk.faults.withLock { $0.synchronize = 0 }
        try await log.flush()
        let second = try readBytes(try #require(folder.segments.last))
        let repeated = try #require(recordBytes(second))
        try writeBytes(confirmed + repeated, to: path)
        try await log.close()
        let again = try openLog(folder)
        let entries = try await drain(try again.cursor(named: "route/a", from: .oldest))
        #expect(entries.compactMap(\.batch).map(\.sequence) == Array(0..<10))
        #expect(try await again.ledger().isBalanced)
        try await again.close()
    }

    /// The batches of a segment, without its header.
    private func recordBytes(_ segment: [UInt8]) -> [UInt8]? {
        segment.count > JournalFormat.segmentHeaderBytes ? Array(segment[JournalFormat.segmentHeaderBytes...]) : nil
    }

    @Test func aDiskThatFillsInTheMiddleOfAWriteLeavesNoHalfRecord() async throws {
        let folder = TemporaryFolder()
        let disk = FaultyDisk()
        let log = try openLog(folder, disk: disk)
        let stream = try log.register(wide)
        append(2, to: log, stream)
        try await log.flush()
        disk.faults.withLock { $0.bytesLeft = 5000 }
        append(20, to: log, stream)
        let error = await #expect(throws: GatewayError.self) { try await log.flush() }
        #expect(error?.code == .storageFull)
        disk.faults.withLock { $0.bytesLeft = .max }
        try await log.flush()
        try await log.close()
        let again = try openLog(folder)
        #expect(again.recovery.isClean)
        let entries = try await drain(try again.cursor(named: "route/a", from: .oldest))
        #expect(entries.compactMap(\.batch).map(\.sequence) == Array(0..<22))
        try await again.close()
    }

    /// A file system of its own, in memory; `nil` where mounting is not permitted.
    private func mounted(_ folder: TemporaryFolder, _ options: String) -> Bool {
        mkdir(folder.path + "/disk", 0o700) == 0
            && TemporaryFolder.run("mount", "-t", "tmpfs", "-o", options, "tmpfs", folder.path + "/disk") == 0
    }

    @Test func aRealFullDiskIsSurvived() async throws {
        let folder = TemporaryFolder()
        guard mounted(folder, "size=3m") else {
            print("aRealFullDiskIsSurvived: skipped, mounting is not permitted")
            return
        }
        defer { _ = TemporaryFolder.run("umount", "-l", folder.path + "/disk") }
        let configuration = HistorianConfiguration(folder: folder.path + "/disk/log", diskLimit: 64 << 20, memoryTailBytes: 256 << 10)
        let log = try Historian(configuration: configuration, time: SystemTime(), logger: quiet)
        let stream = try log.register(wide)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        try writeBytes([UInt8](repeating: 1, count: 2 << 20), to: folder.path + "/disk/ballast")
        var refused = 0
        for _ in 0..<40 {
            append(20, to: log, stream)
            do { try await log.flush() } catch { refused += 1 }
        }
        #expect(refused > 0)
        try Files.remove(folder.path + "/disk/ballast")
        try await log.flush()
        let entries = try await drain(cursor)
        #expect(entries.compactMap(\.gap).reduce(0, +) + UInt64(entries.compactMap(\.batch).count) * 1000 == 800_000)
        #expect(try await log.ledger().isBalanced)
        try await log.close()
    }

    enum Store: CaseIterable { case new, closed, killed }

    /// Fills the file system of a folder to the last block.
    private func fill(_ path: String) throws {
        let file = try OpenFile(path, O_WRONLY | O_CREAT)
        let block = [UInt8](repeating: 1, count: 4096)
        var size = 0
        while block.withUnsafeBytes({ pwrite(file.descriptor, $0.baseAddress, $0.count, off_t(size)) }) > 0 { size += block.count }
    }

    @Test(arguments: Store.allCases) func aDiskThatIsFullAtTheStartCostsOnlyWhatMemoryCannotHold(store: Store) async throws {
        let folder = TemporaryFolder()
        guard mounted(folder, "size=4m") else {
            print("aDiskThatIsFullAtTheStart: skipped, mounting is not permitted")
            return
        }
        let disk = folder.path + "/disk"
        defer { _ = TemporaryFolder.run("umount", "-l", disk) }
        var before = 0
        var epoch: UInt32 = 0
        if store != .new {
            before = 7
            let log = try openLog(folder)
            epoch = log.epoch
            let stream = try log.register(wide)
            let cursor = try log.cursor(named: "route/a", from: .oldest)
            append(before, to: log, stream)
            try await log.flush()
            let entries = try await cursor.read(atMost: 3)
            if let last = entries.last { cursor.acknowledge(through: last.position) }
            try await log.flush()
            if store == .closed { try await log.close() }
            // Copied while it is open, the store is as a killed process leaves it.
            #expect(TemporaryFolder.run("cp", "-r", folder.log, disk + "/log") == 0)
            #expect(Files.exists(disk + "/log/state.sqlite-wal") == (store == .killed))
            _ = TemporaryFolder.run("rm", "-f", disk + "/log/state.sqlite-shm")
        }
        try fill(disk + "/ballast")

        let errors = ErrorCounter()
        let configuration = HistorianConfiguration(folder: disk + "/log", diskLimit: 64 << 20, memoryTailBytes: 256 << 10)
        let logger = Logger(label: "test") { _ in CountingLogHandler(errors: errors) }
        let log = try Historian(configuration: configuration, time: SystemTime(), logger: logger)
        #expect(log.epoch > epoch)
        #expect(errors.value == 1)
        let stream = try log.register(wide)
        let other = try log.register(pump)
        #expect(stream != other)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        let already = store == .new ? 0 : 3
        #expect(cursor.pendingSamples == UInt64(before - already) * 1000)
        // More than memory can hold, and live readers get all of it.
        var received = 0
        for _ in 0..<20 {
            append(20, to: log, stream)
            let error = await #expect(throws: GatewayError.self) { try await log.flush() }
            #expect(error?.code == .storageFull || error?.code == .storageFailed)
            let entries = try await cursor.read(atMost: 100)
            received += entries.compactMap(\.batch).count
            if let last = entries.last { cursor.acknowledge(through: last.position) }
        }
        #expect(received + Int(cursor.pendingSamples) / 1000 == 400 + before - already)
        // Said once for the opening, once for the journal and, where the database fitted in after all, once for its snapshots.
        #expect(errors.value <= 3)
        var ledger = try await log.ledger()
        #expect(ledger.isBalanced)
        #expect(ledger.total.notOnDisk > 0)

        try Files.remove(disk + "/ballast")
        log.append(pumpBatch(other, 1))
        try await log.flush()
        ledger = try await log.ledger()
        #expect(ledger.isBalanced)
        try await log.close()

        let again = try Historian(configuration: configuration, time: SystemTime(), logger: quiet)
        #expect(again.recovery.isClean)
        #expect(again.epoch > log.epoch)
        #expect(try again.register(wide) == stream && again.register(pump) == other)
        #expect(try await again.ledger() == ledger)
        let rest = try await drain(try again.cursor(named: "route/b", from: .oldest))
        let kept = rest.compactMap(\.batch).count { $0.stream == stream }
        #expect(UInt64(kept) * 1000 + rest.compactMap(\.gap).reduce(0, +) == UInt64(400 + before) * 1000)
        #expect(rest.compactMap(\.batch).count { $0.stream == other } == 1)
        try await again.close()
    }

    @Test func aReadOnlyFolderIsRefusedWithAdvice() async throws {
        let folder = TemporaryFolder()
        guard mounted(folder, "size=1m,ro") else {
            print("aReadOnlyFolderIsRefusedWithAdvice: skipped, mounting is not permitted")
            return
        }
        defer { _ = TemporaryFolder.run("umount", "-l", folder.path + "/disk") }
        let configuration = HistorianConfiguration(folder: folder.path + "/disk/log", diskLimit: 64 << 20)
        let error = #expect(throws: GatewayError.self) { try Historian(configuration: configuration, time: SystemTime(), logger: quiet) }
        #expect(error?.code == .storageFailed)
        #expect(error?.message.contains("make the folder writable") == true)
    }

    @Test func anotherProcessIsKeptAway() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder)
        #expect(TemporaryFolder.run("flock", "-n", folder.log + "/lock", "true") == 1)
        try await log.close()
        #expect(TemporaryFolder.run("flock", "-n", folder.log + "/lock", "true") == 0)
    }

    @Test(arguments: [0, 100, 900]) func retentionCountsWhatASlowCursorDidNotGet(read: Int) async throws {
        let folder = TemporaryFolder()
        var log = try openLog(folder, diskLimit: 4 << 20, tail: 64 << 10)
        let stream = try log.register(wide)
        let slow = try log.cursor(named: "route/slow", from: .oldest)
        try await store(1000, in: log, stream)
        var acknowledged = 0
        while acknowledged < read {
            let entries = try await slow.read(atMost: min(50, read - acknowledged))
            acknowledged += entries.count
            if let last = entries.last { slow.acknowledge(through: last.position) }
        }
        for _ in 0..<10 {
            try await store(400, in: log, stream)
            let names = try Files.names(in: folder.log).filter { $0 != "journal" }.map { folder.log + "/" + $0 } + folder.segments
            #expect(names.reduce(0) { $0 + Files.size($1) } <= 4 << 20)
        }
        #expect(log.statistics.removedSegments > 5)
        let ledger = try await log.ledger()
        #expect(ledger.isBalanced)
        let evicted = try #require(ledger.total.cursors.first).evicted
        #expect(evicted > 0)
        try await log.close()

        log = try openLog(folder, diskLimit: 4 << 20, tail: 64 << 10)
        #expect(log.recovery.isClean)
        #expect(try await log.ledger() == ledger)
        let again = try log.cursor(named: "route/slow", from: .oldest)
        let first = try #require(try await again.read(atMost: 1).first)
        #expect(first.gap == evicted)
        again.rewind()
        #expect(try await again.read(atMost: 1).first?.gap == evicted)
        again.acknowledge(through: first.position)
        let rest = try await drain(again)
        #expect(rest.compactMap(\.gap) == [])
        #expect(UInt64(read) * 1000 + evicted + UInt64(rest.count) * 1000 == 5_000_000)
        #expect(try await log.ledger().isBalanced)
        try await log.close()
    }

    @Test func keepForRemovesOnlyWhatEverybodyHas() async throws {
        let folder = TemporaryFolder()
        let time = ManualTime()
        let log = try openLog(folder, diskLimit: 4 << 20, tail: 64 << 10, keepFor: .seconds(3600), time: time)
        let stream = try log.register(wide)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        func turn() async throws {
            let service = Task { try await log.run() }
            await time.untilAsleep(1)
            time.advance(by: .seconds(2))
            await time.untilAsleep(1)
            service.cancel()
            await #expect(throws: CancellationError.self) { try await service.value }
        }
        try await store(1000, in: log, stream)
        time.advance(by: .seconds(7200))
        try await turn()
        #expect(log.statistics.removedSegments == 0)
        _ = try await drain(cursor)
        try await turn()
        #expect(log.statistics.removedSegments == 3)
        #expect(try await log.ledger().isBalanced)
        try await log.close()
    }

    @Test(arguments: [
        HistorianConfiguration(folder: "", diskLimit: 64 << 20), HistorianConfiguration(folder: "/tmp/x", diskLimit: 100),
        HistorianConfiguration(folder: "/tmp/x", diskLimit: 64 << 20, commitInterval: .zero),
        HistorianConfiguration(folder: "/tmp/x", diskLimit: 64 << 20, keepFor: .seconds(-1)),
        HistorianConfiguration(folder: "/tmp/x", diskLimit: 64 << 20, memoryTailBytes: 10),
    ]) func absurdConfigurationsAreRefused(configuration: HistorianConfiguration) {
        let error = #expect(throws: GatewayError.self) { try Historian(configuration: configuration, time: SystemTime(), logger: quiet) }
        #expect(error?.code == .configurationInvalid)
    }

    @Test func lossesOfALongOutageAreMergedButNotWhereAReaderStands() {
        var tail = MemoryTail(limit: 64 << 10)
        let stream = StreamID(rawValue: 1)
        for position in 1...10_000 {
            tail.append(pumpBatch(stream, position), at: UInt64(position))
            _ = tail.trim(durable: 0, inFlight: 0) { _ in 3 }
            if tail.hasManyLosses { tail.merge(inFlight: 0, reading: [(acknowledged: 100, read: 110)]) }
        }
        tail.merge(inFlight: 0, reading: [(acknowledged: 100, read: 110)])
        #expect(tail.entries.count < 1000)
        var next: UInt64 = 1
        var samples: UInt64 = 0
        for entry in tail.entries {
            #expect(entry.first == next)
            next = entry.last + 1
            #expect(!(entry.first <= 100 && entry.last > 100))
            if entry.first > 100, entry.first <= 110 { #expect(entry.first == entry.last) }
            if case .loss(let loss) = entry.content {
                samples += loss.tallies.values.reduce(0) { $0 + $1.samples(of: 3) }
                #expect(samples == entry.last * 3)
            }
        }
        #expect(next == 10_001)
    }
}
