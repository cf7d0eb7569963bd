import GRDB
import GatewayCore
import Synchronization
import Telemetry
import TestKit
import Testing

@testable import Historian

/// Databases of older layouts.
struct StateStoreTests {
    /// Takes a database back to layout 1, as the program wrote it then.
    private func makeLayoutOne(_ path: String) throws {
        let queue = try DatabaseQueue(path: path)
        try queue.write { database in
            try database.execute(
                sql: """
                    CREATE TABLE old(id INTEGER PRIMARY KEY, descriptor BLOB NOT NULL, counts BLOB NOT NULL, lost BLOB NOT NULL,
                        gone BLOB NOT NULL, suppressedSinceBatch INTEGER NOT NULL);
                    INSERT INTO old SELECT id, descriptor, counts, lost, gone, suppressedSinceBatch FROM stream JOIN streamCount USING(id);
                    DROP TABLE stream;
                    DROP TABLE streamCount;
                    ALTER TABLE old RENAME TO stream;
                    ALTER TABLE cursorStream DROP COLUMN refused;
                    ALTER TABLE segment DROP COLUMN lost;
                    ALTER TABLE segment DROP COLUMN form;
                    ALTER TABLE segment DROP COLUMN first;
                    ALTER TABLE store DROP COLUMN written;
                    ALTER TABLE store DROP COLUMN layout;
                    ALTER TABLE store DROP COLUMN digest;
                    ALTER TABLE cursor DROP COLUMN settledAhead;
                    ALTER TABLE cursor DROP COLUMN releasedAt;
                    DROP TABLE cursorAhead;
                    DROP TABLE clock;
                    DROP TABLE outage;
                    DROP TABLE outageSum;
                    DROP TABLE run;
                    PRAGMA user_version = 1;
                    """)
        }
        try queue.close()
    }

    /// The write-ahead log counts as part of the store: were it to grow without bounds, samples would have to make room for it.
    @Test func theWriteAheadLogStaysShortWhileSomebodyKeepsReading() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/state.sqlite"
        let store = try StateStore(path: path)
        var saved = StoredState()
        /// The first complaint, or `nil`.
        func save(_ count: Int) -> GatewayError? {
            var complaint: GatewayError?
            for _ in 0..<count {
                var next = saved
                next.epoch = 1
                next.position += 1
                for id in 1...50 as ClosedRange<UInt32> {
                    next.streams[StreamID(rawValue: id), default: StoredState.Stream(descriptor: pump)].counts.polls = next.position
                }
                do throws(GatewayError) {
                    try store.save(next, over: saved)
                    _ = store.takeBytesWritten()
                    saved = next
                } catch {
                    complaint = complaint ?? error
                }
            }
            return complaint
        }
        #expect(save(20) == nil)
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        let reader = try DatabaseQueue(path: path, configuration: configuration)
        try reader.inDatabase { database in
            try database.beginTransaction(.deferred)
            _ = try Int.fetchOne(database, sql: "SELECT count(*) FROM stream")
        }
        let complaint = save(400)
        #expect(complaint?.code == .storageFailed && complaint?.message.contains("does a program keep it open") == true)
        #expect(Files.size(path + "-wal") < 2 * HistorianConfiguration.databaseReserve)
        try reader.inDatabase { try $0.rollback() }
        #expect(save(20) == nil)
        #expect(Files.size(path + "-wal") < HistorianConfiguration.databaseReserve)
        try store.close()
        #expect(try StateStore(path: path).load() == saved)
    }

    @Test(arguments: [false, true]) func aStoreOfLayoutOneOpensAndItsLedgerBalances(hasLosses: Bool) async throws {
        let folder = TemporaryFolder()
        let disk = FaultyDisk()
        var log = try openLog(folder, tail: 64 << 10, disk: disk)
        let stream = try log.register(pump)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        for number in 0..<50 { log.append(pumpBatch(stream, number)) }
        let entries = try await cursor.read(atMost: 10)
        cursor.acknowledge(through: entries[9].position)
        if hasLosses {
            disk.faults.withLock { $0.write = 28 }
            for number in 50..<1000 { log.append(pumpBatch(stream, number)) }
            await #expect(throws: GatewayError.self) { try await log.flush() }
            disk.faults.withLock { $0.write = 0 }
        }
        try await log.flush()
        let before = try await log.ledger()
        try await log.close()
        try makeLayoutOne(folder.log + "/state.sqlite")

        // Looked at without changing it first.
        let looked = try Historian.openReadOnly(folder: folder.log).ledger()
        #expect(looked.imbalances == [])
        #expect(looked.tags == before.tags)
        #expect((looked.total.notOnDisk > 0) == hasLosses)
        for _ in 0..<2 {
            log = try openLog(folder)
            #expect(try await log.ledger().imbalances == [])
            #expect(try await log.ledger().tags == before.tags)
            try await log.close()
        }
        let version = try await DatabaseQueue(path: folder.log + "/state.sqlite").read { try Int.fetchOne($0, sql: "PRAGMA user_version") }
        #expect(version == StateStore.layout)
    }

    @Test func aNewerLayoutIsRefusedAndNothingTouched() async throws {
        let folder = TemporaryFolder()
        try await openLog(folder).close()
        let path = folder.log + "/state.sqlite"
        let queue = try DatabaseQueue(path: path)
        try await queue.write { try $0.execute(sql: "PRAGMA user_version = 99; UPDATE store SET layout = 99") }
        try queue.close()
        let bytes = try readBytes(path)
        let error = #expect(throws: GatewayError.self) { try openLog(folder) }
        #expect(error?.code == .unsupported && error?.message.contains("layout 99") == true)
        #expect(try readBytes(path) == bytes)
    }

    /// A store with two streams, a reader and an outage, closed in order.
    private func makeStore(_ folder: TemporaryFolder) async throws {
        let log = try openLog(folder)
        let stream = try log.register(pump)
        _ = try log.register(wideDescriptor(70))
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        for number in 0..<40 { log.append(pumpBatch(stream, number, presence: number % 3 == 0 ? [5] : [])) }
        cursor.connectionLost(at: Timestamp(milliseconds: 1_700_000_000_000))
        let entries = try await cursor.read(atMost: 30)
        cursor.acknowledge(through: entries[19].position)
        cursor.connectionRestored(at: Timestamp(milliseconds: 1_700_000_009_000))
        try await log.close()
    }

    @Test func aChangedBitAnywhereInTheDatabaseIsNoticedOrChangesNothing() async throws {
        var random = SeededGenerator()
        let whole = TemporaryFolder()
        try await makeStore(whole)
        let bytes = try readBytes(whole.log + "/state.sqlite")
        let expected = try StateStore(path: whole.log + "/state.sqlite", readOnly: true).load()
        var noticed = 0
        for _ in 0..<400 {
            let folder = TemporaryFolder()
            try Files.createFolder(folder.log, on: SystemDisk())
            let path = folder.log + "/state.sqlite"
            var changed = bytes
            changed[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            try writeBytes(changed, to: path)
            do throws(GatewayError) {
                let state = try StateStore(path: path).load()
                #expect(state == expected)
            } catch {
                #expect(error.code == .storageCorrupt, "\(error)")
                noticed += 1
            }
        }
        // Most of a small database is free space in pages.
        #expect(noticed > 20)
    }

    @Test(arguments: [
        "UPDATE streamCount SET suppressedSinceBatch = suppressedSinceBatch + 1 WHERE id = 1", "UPDATE cursor SET position = position - 1",
        "DELETE FROM cursorStream", "UPDATE segment SET \"end\" = \"end\" + 1", "DELETE FROM outage", "UPDATE run SET opened = opened + 1",
        "UPDATE store SET position = position + 1", "INSERT INTO cursor VALUES('route/b', 0, 0, 0, NULL)",
        "DELETE FROM stream WHERE id = 2",
        "UPDATE stream SET id = 3 WHERE id = 2; UPDATE streamCount SET id = 3 WHERE id = 2", "UPDATE store SET digest = digest + 1",
        "UPDATE store SET layout = 5", "PRAGMA user_version = 3", "PRAGMA user_version = 0", "PRAGMA user_version = 22",
        "ALTER TABLE segment RENAME COLUMN bytes TO octets", "DROP TABLE clock", "DELETE FROM store", "UPDATE cursor SET position = 'x'",
    ])
    func whatIsNotWhatWasWrittenIsADamagedDatabase(change: String) async throws {
        let folder = TemporaryFolder()
        try await makeStore(folder)
        let path = folder.log + "/state.sqlite"
        let queue = try DatabaseQueue(path: path)
        try await queue.write { try $0.execute(sql: change) }
        try queue.close()
        for readOnly in [true, false] {
            let error = #expect(throws: GatewayError.self) { try StateStore(path: path, readOnly: readOnly).load() }
            #expect(error?.code == .storageCorrupt, "\(error.map { "\($0)" } ?? "")")
        }
        // The gateway makes a new one out of the journal.
        let log = try openLog(folder)
        #expect(log.recovery.catalogueRebuilt && log.recovery.setAside["state.sqlite"] != nil)
        #expect(try await log.ledger().imbalances == [])
        let entries = try await drain(try log.cursor(named: "route/a", from: .oldest))
        #expect(entries.compactMap(\.batch).map(\.sequence) == Array(0..<40))
        try await log.close()
        try await openLog(folder).close()
    }

    @Test func theDigestIsThatOfAllRowsAfterEverySave() async throws {
        let folder = TemporaryFolder()
        var log = try openLog(folder)
        let path = folder.log + "/state.sqlite"
        let stream = try log.register(pump)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        for round in 0..<12 {
            for number in 0..<10 { log.append(pumpBatch(stream, round * 10 + number)) }
            if round == 4 { _ = try log.register(wideDescriptor(3)) }
            if round % 3 == 0 { cursor.connectionLost(at: Timestamp(milliseconds: Int64(round))) }
            if let last = try await cursor.read(atMost: 7).last { cursor.acknowledge(through: last.position) }
            if round % 3 == 1 { cursor.connectionRestored(at: Timestamp(milliseconds: Int64(round))) }
            try await log.flush()
            if round == 6 { try await log.seal() }
            _ = try StateStore(path: path, readOnly: true).load()
        }
        try await log.close()
        log = try openLog(folder)
        #expect(log.recovery.isClean)
        try await log.close()
    }
}
