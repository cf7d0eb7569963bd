import Foundation
import GatewayCore
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

/// Files that go while readers stand in them, and disks that lie: what each reader is told, and that its account balances.
struct LossUnderReadersTests {
    /// A closed store of 100 batches in one segment, of which "route/a" has acknowledged 40.
    private func store() async throws -> (TemporaryFolder, segment: String) {
        let folder = TemporaryFolder()
        let log = try openLog(folder)
        let stream = try log.register(pump)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        for number in 0..<100 { log.append(pumpBatch(stream, number)) }
        let last = try #require(try await cursor.read(atMost: 40).last)
        cursor.acknowledge(through: last.position)
        try await log.close()
        return (folder, try #require(folder.segments.first))
    }

    @Test(arguments: ["removed", "zeroed", "two holes", "before its place"])
    func aReaderWithinADamagedSegmentIsToldOfWhatItHadNotGot(damage: String) async throws {
        let (folder, path) = try await store()
        var bytes = try readBytes(path)
        // A record of the pump has about 72 bytes.
        let record = (bytes.count - JournalFormat.segmentHeaderBytes) / 100
        func spoil(_ number: Int) { for index in 0..<8 { bytes[JournalFormat.segmentHeaderBytes + number * record + index] ^= 0x55 } }
        var missing: UInt64 = 0
        switch damage {
        case "removed":
            try Files.remove(path)
            missing = 60
        case "zeroed":
            for index in JournalFormat.segmentHeaderBytes..<bytes.count { bytes[index] = 0 }
            missing = 60
        case "two holes":
            spoil(20)
            spoil(70)
        default: spoil(10)
        }
        if damage != "removed" { try writeBytes(bytes, to: path) }
        let log = try openLog(folder)
        #expect(try await log.ledger().unbalanced.first == nil)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        #expect(cursor.pendingSamples == 180)
        let entries = try await drain(cursor)
        let gap = entries.compactMap(\.gap).reduce(0, +)
        #expect(UInt64(entries.compactMap(\.batch).count) * 3 + gap == 180)
        if missing > 0 { #expect(gap == missing * 3) }
        if damage == "two holes" { #expect(gap > 0 && gap <= 6) }
        if damage == "before its place" { #expect(gap == 0) }
        #expect(cursor.pendingSamples == 0)
        let ledger = try await log.ledger()
        #expect(ledger.unbalanced.first == nil)
        #expect(ledger.total.cursors.first?.evicted == gap)
        try await log.close()
    }

    @Test func whenTheJournalIsRemovedUnderARunningLogWhatComesLaterIsKept() async throws {
        let folder = TemporaryFolder()
        var log = try openLog(folder, tail: 64 << 10)
        let stream = try log.register(pump)
        let slow = try log.cursor(named: "route/slow", from: .oldest)
        for number in 0..<1000 { log.append(pumpBatch(stream, number)) }
        try await log.flush()
        let last = try #require(try await slow.read(atMost: 100).last)
        slow.acknowledge(through: last.position)
        try FileManager.default.removeItem(atPath: folder.journal)
        for number in 1000..<1100 { log.append(pumpBatch(stream, number)) }
        // The first try notices, the second one writes into a folder made anew.
        try? await log.flush()
        try await log.flush()
        #expect(try await log.ledger().unbalanced.first == nil)
        try await log.close()

        log = try openLog(folder)
        #expect(try await log.ledger().unbalanced.first == nil)
        let entries = try await drain(try log.cursor(named: "route/slow", from: .oldest))
        #expect(entries.compactMap(\.batch).map(\.sequence) == Array(1000..<1100))
        #expect(entries.compactMap(\.gap).reduce(0, +) == 900 * 3)
        try await log.close()
    }

    @Test func whatRecoveryAdoptedAfterARefusedSynchronizationSurvivesThePower() async throws {
        let folder = TemporaryFolder()
        let faulty = FaultyDisk()
        let disk = PowerLossDisk(faulty, attic: folder.path + "/attic", seed: 1)
        var log: Historian? = try openLog(folder, disk: disk)
        let stream = try #require(try log?.register(pump))
        log?.append(pumpBatch(stream, 0))
        try await log?.flush()
        // The disk refuses to synchronize and to cut; then the process is gone.
        faulty.faults.withLock {
            $0.synchronize = Int(EIO)
            $0.truncate = Int(EIO)
            $0.names = Int(EIO)
        }
        log?.append(pumpBatch(stream, 1))
        await #expect(throws: (any Error).self) { try await log?.flush() }
        log = nil
        faulty.faults.withLock { $0 = FaultyDisk.Faults() }
        let again = try await opened(folder, disk)
        #expect(try await again.ledger().total.stored == 6)
        disk.cut()
        try await again.close()
        let entries = try Historian.openReadOnly(folder: folder.log).entries(after: .start, atMost: .max)
        #expect(entries.compactMap(\.batch).map(\.sequence) == [0, 1])
    }

    /// Opens as soon as the object before has let go.
    private func opened(_ folder: TemporaryFolder, _ disk: any StoreDisk) async throws -> Historian {
        while true {
            do { return try openLog(folder, disk: disk) } catch  where (error as? GatewayError)?.code == .storageLocked {
                await Task.yield()
            }
        }
    }

    @Test(arguments: ["journal/000000000001.segment", "state.sqlite"]) func aFolderInThePlaceOfAFileKeepsNoLogClosed(name: String)
        async throws
    {
        let (folder, _) = try await store()
        let path = folder.log + "/" + name
        try Files.remove(path)
        #expect(mkdir(path, 0o700) == 0)
        let log = try openLog(folder)
        #expect(log.recovery.setAside.count == 1)
        #expect(try await log.ledger().unbalanced.first == nil)
        try await log.close()
    }

    @Test func anEpochThatALostDatabaseMayHaveKnownIsNotGivenAgain() async throws {
        let folder = TemporaryFolder()
        var epoch: UInt32 = 0
        for bytes in [[], [UInt8](repeating: 0x5A, count: 8192), nil, [], nil] as [[UInt8]?] {
            let log = try openLog(folder)
            #expect(log.epoch > epoch)
            epoch = log.epoch
            try await log.close()
            #expect(try Files.names(in: folder.journal) == [])
            try Files.remove(folder.log + "/state.sqlite")
            if let bytes { try writeBytes(bytes, to: folder.log + "/state.sqlite") }
        }
    }
}
