internal import GRDB

/// What cursors have acknowledged ahead of their backlog.
extension StateStore {
    /// Layout 7: lanes of cursors.
    static func addLanes(_ database: Database) throws {
        try database.execute(
            sql: """
                ALTER TABLE cursor ADD COLUMN settledAhead INTEGER NOT NULL DEFAULT 0;
                CREATE TABLE cursorAhead(cursor TEXT NOT NULL, after INTEGER NOT NULL, through INTEGER NOT NULL,
                    PRIMARY KEY(cursor, after)) WITHOUT ROWID;
                """)
    }

    /// Layout 8: cursors that nobody reads with any more.
    static func addReleases(_ database: Database) throws {
        try database.execute(sql: "ALTER TABLE cursor ADD COLUMN releasedAt INTEGER")
    }

    /// Throws `SQLITE_CORRUPT` for ranges that are not in order and apart from each other.
    static func loadLanes(into state: inout StoredState, from database: Database) throws {
        // Read-only, an older layout is read as it is.
        guard try database.tableExists("cursorAhead") else { return }
        for row in try Row.fetchAll(database, sql: "SELECT * FROM cursorAhead ORDER BY cursor, after") {
            let name: String = row["cursor"]
            let range = PositionRange(after: UInt64(bitPattern: row["after"]), through: UInt64(bitPattern: row["through"]))
            guard let cursor = state.cursors[name] else { continue }
            let end = cursor.ahead.last?.through ?? cursor.position
            guard range.after > end, range.through > range.after, cursor.ahead.count < CursorState.aheadMax else {
                throw DatabaseError(
                    resultCode: .SQLITE_CORRUPT,
                    message: "cursor \(name) has acknowledged \(range.after) to \(range.through) ahead, after \(end)")
            }
            state.cursors[name]?.ahead.append(range)
        }
    }

    static func save(_ new: [PositionRange], of cursor: String, over old: [PositionRange], with writer: inout StateWriter) throws {
        let kept = Set(new.map(\.after))
        for range in old where !kept.contains(range.after) { try writer.remove(.cursorAhead, cursor, Int64(bitPattern: range.after)) }
        for range in new where !old.contains(range) {
            try writer.put(.cursorAhead, [cursor, Int64(bitPattern: range.after), Int64(bitPattern: range.through)])
        }
    }
}
