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
                    DROP TABLE clock;
                    DROP TABLE outage;
                    DROP TABLE outageSum;
                    DROP TABLE run;
                    PRAGMA user_version = 1;
                    """)
        }
        try queue.close()
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
        try await queue.write { try $0.execute(sql: "PRAGMA user_version = 99") }
        try queue.close()
        let bytes = try readBytes(path)
        let error = #expect(throws: GatewayError.self) { try openLog(folder) }
        #expect(error?.code == .unsupported && error?.message.contains("layout 99") == true)
        #expect(try readBytes(path) == bytes)
    }
}
