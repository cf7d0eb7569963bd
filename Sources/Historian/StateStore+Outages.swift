internal import GRDB
internal import Telemetry

/// The tables of outages and runs.
extension StateStore {
    /// Layout 2: outages, runs, and the terms of the ledger that layout 1 did not have.
    ///
    /// What layout 1 never counted begins with nothing. Of its segments it is not known what in them was never brought to disk
    /// (`lost` is NULL); recovery counts that.
    static func addOutages(_ database: Database) throws {
        let emptyTally = "X'" + String(repeating: "0", count: 40) + "'"
        try database.execute(
            sql: """
                ALTER TABLE stream ADD COLUMN thinned BLOB NOT NULL DEFAULT \(emptyTally);
                ALTER TABLE cursorStream ADD COLUMN refused BLOB NOT NULL DEFAULT \(emptyTally);
                ALTER TABLE segment ADD COLUMN lost BLOB;
                CREATE TABLE outage(cursor TEXT NOT NULL, number INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER,
                    startEpoch INTEGER NOT NULL, endEpoch INTEGER, losses INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER,
                    delivered INTEGER NOT NULL, lost INTEGER NOT NULL, refused INTEGER NOT NULL, PRIMARY KEY(cursor, number)) WITHOUT ROWID;
                CREATE TABLE outageSum(cursor TEXT PRIMARY KEY, outages INTEGER NOT NULL, samples INTEGER NOT NULL,
                    delivered INTEGER NOT NULL, lost INTEGER NOT NULL, refused INTEGER NOT NULL, "from" INTEGER, through INTEGER)
                    WITHOUT ROWID;
                CREATE TABLE run(epoch INTEGER PRIMARY KEY, opened INTEGER, closed INTEGER, oldest INTEGER, newest INTEGER);
                """)
    }

    static func loadOutages(into state: inout StoredState, from database: Database) throws {
        guard try database.tableExists("outage") else { return }
        var outages: [String: [Outage]] = [:]
        for row in try Row.fetchAll(database, sql: "SELECT * FROM outage ORDER BY cursor, number") {
            outages[row["cursor"], default: []].append(try outage(row))
        }
        var sums: [String: OutageSum] = [:]
        for row in try Row.fetchAll(database, sql: "SELECT * FROM outageSum") { sums[row["cursor"]] = sum(row) }
        for name in state.cursors.keys {
            state.cursors[name]?.outages = OutageBook(outages: outages[name] ?? [], earlier: sums[name] ?? OutageSum(), settled: 0)
        }
        for row in try Row.fetchAll(database, sql: "SELECT * FROM run ORDER BY epoch") {
            var run = ProcessRun(
                epoch: UInt32(truncatingIfNeeded: row["epoch"] as Int64), opened: time(row["opened"]), closed: time(row["closed"]))
            if let oldest = time(row["oldest"]), let newest = time(row["newest"]), oldest <= newest { run.removedTimes = oldest...newest }
            state.runs.append(run)
        }
    }

    private static func outage(_ row: Row) throws -> Outage {
        let outage = Outage(
            number: UInt64(bitPattern: row["number"]), start: Timestamp(nanoseconds: row["start"]), end: time(row["end"]),
            startEpoch: UInt32(truncatingIfNeeded: row["startEpoch"] as Int64),
            endEpoch: (row["endEpoch"] as Int64?).map { UInt32(truncatingIfNeeded: $0) }, losses: UInt64(bitPattern: row["losses"]),
            first: UInt64(bitPattern: row["first"]), last: (row["last"] as Int64?).map { UInt64(bitPattern: $0) },
            delivered: UInt64(bitPattern: row["delivered"]), lost: UInt64(bitPattern: row["lost"]),
            refused: UInt64(bitPattern: row["refused"]))
        guard outage.last.map({ $0 >= outage.first }) ?? true else {
            throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "outage \(outage.number) ends before it begins")
        }
        return outage
    }

    private static func sum(_ row: Row) -> OutageSum {
        var sum = OutageSum()
        sum.outages = UInt64(bitPattern: row["outages"])
        sum.samples = UInt64(bitPattern: row["samples"])
        sum.delivered = UInt64(bitPattern: row["delivered"])
        sum.lost = UInt64(bitPattern: row["lost"])
        sum.refused = UInt64(bitPattern: row["refused"])
        sum.from = time(row["from"])
        sum.through = time(row["through"])
        return sum
    }

    private static func time(_ nanoseconds: Int64?) -> Timestamp? { nanoseconds.map { Timestamp(nanoseconds: $0) } }

    static func save(_ new: OutageBook, of cursor: String, over old: OutageBook?, with writer: inout StateWriter) throws {
        let known = Dictionary((old?.outages ?? []).map { ($0.number, $0) }, uniquingKeysWith: { $1 })
        let kept = Set(new.outages.map(\.number))
        for number in known.keys where !kept.contains(number) { try writer.remove(.outage, cursor, Int64(bitPattern: number)) }
        for outage in new.outages where known[outage.number] != outage {
            try writer.put(
                .outage,
                [
                    cursor, Int64(bitPattern: outage.number), outage.start.nanoseconds, outage.end?.nanoseconds,
                    Int64(outage.startEpoch), outage.endEpoch.map { Int64($0) }, Int64(bitPattern: outage.losses),
                    Int64(bitPattern: outage.first), outage.last.map { Int64(bitPattern: $0) }, Int64(bitPattern: outage.delivered),
                    Int64(bitPattern: outage.lost), Int64(bitPattern: outage.refused),
                ])
        }
        guard new.earlier != old?.earlier ?? OutageSum() else { return }
        let sum = new.earlier
        try writer.put(
            .outageSum,
            [
                cursor, Int64(bitPattern: sum.outages), Int64(bitPattern: sum.samples), Int64(bitPattern: sum.delivered),
                Int64(bitPattern: sum.lost), Int64(bitPattern: sum.refused), sum.from?.nanoseconds, sum.through?.nanoseconds,
            ])
    }

    static func save(_ new: [ProcessRun], over old: [ProcessRun], with writer: inout StateWriter) throws {
        guard new != old else { return }
        let known = Dictionary(old.map { ($0.epoch, $0) }, uniquingKeysWith: { $1 })
        let kept = Set(new.map(\.epoch))
        for epoch in known.keys where !kept.contains(epoch) { try writer.remove(.run, Int64(epoch)) }
        for run in new where known[run.epoch] != run {
            try writer.put(
                .run,
                [
                    Int64(run.epoch), run.opened?.nanoseconds, run.closed?.nanoseconds, run.removedTimes?.lowerBound.nanoseconds,
                    run.removedTimes?.upperBound.nanoseconds,
                ])
        }
    }
}
