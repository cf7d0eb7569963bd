internal import GRDB

/// The layouts of the database, each made out of the one before. Outages and runs have a file of their own.
extension StateStore {
    /// Layout 1.
    static func create(_ database: Database) throws {
        try database.execute(
            sql: """
                CREATE TABLE store(epoch INTEGER NOT NULL, position INTEGER NOT NULL, removedThrough INTEGER NOT NULL);
                INSERT INTO store VALUES(0, 0, 0);
                CREATE TABLE stream(id INTEGER PRIMARY KEY, descriptor BLOB NOT NULL, counts BLOB NOT NULL, lost BLOB NOT NULL,
                    gone BLOB NOT NULL, suppressedSinceBatch INTEGER NOT NULL);
                CREATE TABLE cursor(name TEXT PRIMARY KEY, position INTEGER NOT NULL, gap INTEGER NOT NULL) WITHOUT ROWID;
                CREATE TABLE cursorStream(cursor TEXT NOT NULL, stream INTEGER NOT NULL, skipped BLOB NOT NULL,
                    acknowledged BLOB NOT NULL, evicted BLOB NOT NULL, PRIMARY KEY(cursor, stream)) WITHOUT ROWID;
                CREATE TABLE segment(number INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, base INTEGER NOT NULL, "end" INTEGER NOT NULL,
                    bytes INTEGER NOT NULL, tallies BLOB NOT NULL, oldest INTEGER, newest INTEGER, missing INTEGER NOT NULL);
                """)
    }

    /// Segments that were sealed into blocks: which form the file has, and the oldest segment in it.
    static func addBlocks(_ database: Database) throws {
        try database.execute(
            sql: """
                ALTER TABLE segment ADD COLUMN form INTEGER NOT NULL DEFAULT 0;
                ALTER TABLE segment ADD COLUMN first INTEGER NOT NULL DEFAULT 0;
                ALTER TABLE store ADD COLUMN written INTEGER NOT NULL DEFAULT 0;
                """)
    }

    /// Layout 5: the counts of a stream, which change every second, apart from its descriptor, which never does.
    static func separateCounts(_ database: Database) throws {
        try database.execute(
            sql: """
                CREATE TABLE streamCount(id INTEGER PRIMARY KEY, counts BLOB NOT NULL, lost BLOB NOT NULL, gone BLOB NOT NULL,
                    thinned BLOB NOT NULL, suppressedSinceBatch INTEGER NOT NULL);
                INSERT INTO streamCount SELECT id, counts, lost, gone, thinned, suppressedSinceBatch FROM stream;
                ALTER TABLE stream DROP COLUMN counts;
                ALTER TABLE stream DROP COLUMN lost;
                ALTER TABLE stream DROP COLUMN gone;
                ALTER TABLE stream DROP COLUMN thinned;
                ALTER TABLE stream DROP COLUMN suppressedSinceBatch;
                """)
    }

    /// What is known of the clock.
    static func addClock(_ database: Database) throws {
        try database.execute(
            sql: """
                CREATE TABLE clock(epoch INTEGER NOT NULL, first INTEGER NOT NULL, bootHigh INTEGER NOT NULL, bootLow INTEGER NOT NULL,
                    stamped INTEGER NOT NULL, certain INTEGER NOT NULL, offset INTEGER NOT NULL, settled INTEGER NOT NULL,
                    PRIMARY KEY(epoch, first)) WITHOUT ROWID;
                """)
    }

    /// Layout 6: the layout once more, and a digest of all rows.
    static func addDigest(_ database: Database) throws {
        try database.execute(
            sql: """
                ALTER TABLE store ADD COLUMN layout INTEGER NOT NULL DEFAULT 0;
                ALTER TABLE store ADD COLUMN digest INTEGER NOT NULL DEFAULT 0;
                """)
    }
}
