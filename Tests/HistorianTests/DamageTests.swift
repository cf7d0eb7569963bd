import GatewayCore
import Telemetry
import Testing

@testable import Historian

/// The table of damages in `docs/format/journal.md`, row by row: what survives, and that the ledger balances after it.
struct DamageTests {
    /// A closed store with one segment of some batches, of which "route/a" has read none.
    private func store(_ batches: Int) async throws -> (TemporaryFolder, segment: String, bytes: [UInt8]) {
        let folder = TemporaryFolder()
        let log = try openLog(folder)
        let stream = try log.register(pump)
        _ = try log.cursor(named: "route/a", from: .oldest)
        for number in 0..<batches { log.append(pumpBatch(stream, number)) }
        try await log.close()
        let path = try #require(folder.segments.first)
        #expect(folder.segments.count == 1)
        return (folder, path, try readBytes(path))
    }

    private struct Outcome {
        var batches: [UInt64] = []
        var gap: UInt64 = 0
        var report = RecoveryReport()
    }

    /// Opens the store, reads all of it, writes something new, opens it again: balanced throughout.
    private func outcome(_ folder: TemporaryFolder, withoutDatabase: Bool = false) async throws -> Outcome {
        if withoutDatabase { for suffix in ["", "-wal", "-shm"] { try Files.remove(folder.log + "/state.sqlite" + suffix) } }
        var log = try openLog(folder)
        var outcome = Outcome(report: log.recovery)
        #expect(try await log.ledger().isBalanced)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        var last = LogPosition.start
        for entry in try await drain(cursor) {
            #expect(entry.position > last)
            last = entry.position
            if let batch = entry.batch {
                #expect(batch.raw(of: 0, in: pump) == .int(Int64(batch.sequence)))
                outcome.batches.append(batch.sequence)
            }
            outcome.gap += entry.gap ?? 0
        }
        #expect(cursor.pendingSamples == 0)
        log.append(pumpBatch(try log.register(pump), 500))
        #expect(try await log.ledger().isBalanced)
        try await log.close()
        log = try openLog(folder)
        #expect(try await log.ledger().isBalanced)
        let pending = try log.cursor(named: "route/a", from: .oldest)
        #expect(try await pending.read(atMost: 10).compactMap(\.batch).count == 1)
        try await log.close()
        return outcome
    }

    @Test func aTailTornAtAnyByteCostsTheTornRecordOnly() async throws {
        let (folder, path, bytes) = try await store(3)
        let start = try #require(recordOffsets(bytes).last)
        let database = try readBytes(folder.log + "/state.sqlite")
        for count in start..<bytes.count {
            for name in try Files.names(in: folder.journal) { try Files.remove(folder.journal + "/" + name) }
            for suffix in ["-wal", "-shm"] { try Files.remove(folder.log + "/state.sqlite" + suffix) }
            try writeBytes(Array(bytes[..<count]), to: path)
            try writeBytes(database, to: folder.log + "/state.sqlite")
            let known = try await outcome(folder)
            #expect(known.batches == [0, 1])
            #expect(known.gap == 3)
            #expect(known.report.tornBytes == count - start)
        }
    }

    @Test(arguments: [1, 7, 20, 40]) func withoutDatabaseATornRecordIsJustCut(behind count: Int) async throws {
        let (folder, path, bytes) = try await store(3)
        let start = try #require(recordOffsets(bytes).last)
        try writeBytes(Array(bytes[..<(start + count)]), to: path)
        let rebuilt = try await outcome(folder, withoutDatabase: true)
        #expect(rebuilt.batches == [0, 1])
        #expect(rebuilt.gap == 0)
        #expect(rebuilt.report.tornBytes == count)
        #expect(rebuilt.report.tornRecords == 1)
        #expect(rebuilt.report.catalogueRebuilt)
    }

    @Test(arguments: [true, false]) func aZeroedPageCostsWhatWasInIt(withoutDatabase: Bool) async throws {
        let (folder, path, bytes) = try await store(400)
        var damaged = bytes
        for index in 8192..<12288 { damaged[index] = 0 }
        try writeBytes(damaged, to: path)
        let result = try await outcome(folder, withoutDatabase: withoutDatabase)
        let lost = 400 - result.batches.count
        #expect(lost > 10 && lost <= 4096 / 60 + 2)
        #expect(result.gap == (withoutDatabase ? 0 : UInt64(lost) * 3))
        #expect(withoutDatabase ? result.report.damagedBytes >= 4096 : true)
        #expect(result.batches.last == 399)
    }

    /// A record's length, kind, checksum, position, stream and values.
    @Test(arguments: [0, 3, 4, 8, 12, 36, 70], [true, false]) func aFlippedBitCostsOneRecord(at place: Int, withoutDatabase: Bool)
        async throws
    {
        let (folder, path, bytes) = try await store(10)
        var damaged = bytes
        let offsets = recordOffsets(bytes)
        damaged[offsets[5] + place] ^= 0x10
        try writeBytes(damaged, to: path)
        let result = try await outcome(folder, withoutDatabase: withoutDatabase)
        #expect(result.batches == [0, 1, 2, 3, 5, 6, 7, 8, 9])
        #expect(result.gap == (withoutDatabase ? 0 : 3))
    }

    @Test func aDamagedDescriptorCostsNothingWhileTheCatalogueIsThere() async throws {
        let (folder, path, bytes) = try await store(10)
        var damaged = bytes
        damaged[JournalFormat.segmentHeaderBytes + 20] ^= 1
        try writeBytes(damaged, to: path)
        #expect(try await outcome(folder).batches == Array(0..<10))
    }

    @Test(arguments: ["empty", "short", "foreign", "flipped"], [true, false])
    func aSegmentWithoutAHeaderIsSetAside(damage: String, withoutDatabase: Bool) async throws {
        let (folder, path, bytes) = try await store(10)
        switch damage {
        case "empty": try writeBytes([], to: path)
        case "short": try writeBytes(Array(bytes[..<20]), to: path)
        case "foreign": try writeBytes(Array("#!/bin/sh\necho a file that is no segment of this log at all\n".utf8), to: path)
        default: try writeBytes(bytes.enumerated().map { $0.offset == 17 ? $0.element ^ 4 : $0.element }, to: path)
        }
        let result = try await outcome(folder, withoutDatabase: withoutDatabase)
        #expect(result.batches == [])
        #expect(result.gap == (withoutDatabase ? 0 : 30))
        #expect(result.report.setAside.count == 1)
        #expect(try Files.names(in: folder.journal).contains { $0.hasSuffix(".segment.damaged") })
    }

    @Test(arguments: [0, 47]) func aNewestFileWithoutAHeaderIsTakenAway(bytes: Int) async throws {
        let (folder, path, whole) = try await store(10)
        let newest = folder.journal + "/000000000002.segment"
        try writeBytes(Array(whole[..<bytes]), to: newest)
        let result = try await outcome(folder)
        #expect(result.batches.count == 10 && result.gap == 0)
        #expect(result.report.unfinished == ["000000000002.segment"] && result.report.setAside.isEmpty && !result.report.isClean)
        #expect(!Files.exists(newest + ".damaged") && Files.exists(path))
    }

    @Test func aMissingSegmentIsAGap() async throws {
        let (folder, path, _) = try await store(10)
        try Files.remove(path)
        let result = try await outcome(folder)
        #expect(result.batches == [])
        #expect(result.gap == 30)
        #expect(result.report.missingSegments == ["000000000001.segment"])
    }

    @Test func aNewerVersionIsRefusedAndNothingTouched() async throws {
        let (folder, path, bytes) = try await store(3)
        var newer = bytes
        newer[8] = UInt8(JournalFormat.version) + 1
        let checksum = newer[..<44].withUnsafeBytes { CRC32C.checksum($0) }
        for index in 0..<4 { newer[44 + index] = UInt8(truncatingIfNeeded: checksum >> (8 * UInt32(index))) }
        newer.append(0xAA)
        try writeBytes(newer, to: path)
        let error = #expect(throws: GatewayError.self) { try openLog(folder) }
        #expect(error?.code == .unsupported)
        #expect(error?.message.contains("version \(JournalFormat.version + 1)") == true)
        #expect(try readBytes(path) == newer)
        #expect(try Files.names(in: folder.journal).count == 1)
    }

    @Test func aDamagedDatabaseIsSetAsideAndMadeAgainFromTheJournal() async throws {
        let (folder, _, _) = try await store(10)
        try writeBytes([UInt8](repeating: 0x5A, count: 8192), to: folder.log + "/state.sqlite")
        let result = try await outcome(folder)
        #expect(result.batches == Array(0..<10))
        #expect(result.report.catalogueRebuilt)
        #expect(result.report.setAside.keys.contains("state.sqlite"))
        #expect(try Files.names(in: folder.log).contains { $0.hasSuffix(".damaged") })
        let log = try openLog(folder)
        // The lost database may have known epochs that no segment shows.
        #expect(log.epoch > 1000)
        try await log.close()
    }

    @Test func bytesOfOtherKindsOfFilesInTheJournalFolderAreLeftAlone() async throws {
        let (folder, _, _) = try await store(3)
        try writeBytes([1, 2, 3], to: folder.journal + "/notes.txt")
        #expect(try await outcome(folder).batches == [0, 1, 2])
        #expect(try readBytes(folder.journal + "/notes.txt") == [1, 2, 3])
    }
}
