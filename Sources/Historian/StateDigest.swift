internal import Foundation
internal import GRDB
internal import Telemetry

/// The tables of `state.sqlite`.
enum StateTable: String, CaseIterable {
    case stream, streamCount, cursor, cursorStream, cursorAhead, segment, outage, outageSum, run, clock
    /// One row, with the digest of all rows.
    case store

    /// The primary key is the first columns.
    var keyColumns: Int {
        switch self {
        case .cursorStream, .cursorAhead, .outage, .clock: 2
        case .stream, .streamCount, .cursor, .segment, .outageSum, .run: 1
        case .store: 0
        }
    }

    /// A condition that the primary key meets.
    fileprivate var keyCondition: String {
        switch self {
        case .stream, .streamCount: "id = ?"
        case .cursor: "name = ?"
        case .cursorStream: "cursor = ? AND stream = ?"
        case .cursorAhead: "cursor = ? AND after = ?"
        case .segment: "number = ?"
        case .outage: "cursor = ? AND number = ?"
        case .outageSum: "cursor = ?"
        case .run: "epoch = ?"
        case .clock: "epoch = ? AND first = ?"
        case .store: "TRUE"
        }
    }
}

/// The checksums of all rows of the database and their sum: the database's own structure says nothing of bytes that were changed within it.
///
/// The sum also tells when rows are missing, or come from different transactions, as after damage to the write-ahead log.
struct StateDigest {
    struct Key: Hashable {
        /// `nil` is the list of tables.
        var table: StateTable?
        var name = ""
        var first: Int64 = 0
        var second: Int64 = 0
    }

    private var checksums: [Key: UInt32] = [:]
    /// Of all checksums, modulo 2⁶⁴.
    private(set) var sum: UInt64 = 0

    subscript(key: Key) -> UInt32? { checksums[key] }

    /// Takes over what a transaction changed; `nil` is a row that is gone.
    mutating func apply(_ changes: [Key: UInt32?]) {
        for (key, checksum) in changes {
            sum = sum &- UInt64(checksums[key] ?? 0) &+ UInt64(checksum ?? 0)
            checksums[key] = checksum
        }
    }

    /// What the database holds, of the layouts that have a digest.
    ///
    /// Throws `SQLITE_CORRUPT` where it is not what was written.
    init(verifying database: Database) throws {
        self = try StateDigest(of: database)
        let stated = try Int64.fetchOne(database, sql: "SELECT digest FROM store").map { UInt64(bitPattern: $0) }
        guard stated == sum else {
            throw DatabaseError(
                resultCode: .SQLITE_CORRUPT,
                message:
                    "the checksums of its rows add up to \(sum), but it says \(stated.map(String.init) ?? "nothing"): bytes were changed")
        }
    }

    /// Adds up what is there.
    init(of database: Database) throws {
        var scratch: [UInt8] = []
        let tables = try Row.fetchCursor(database, sql: "SELECT name, type, tbl_name, sql FROM sqlite_master")
        while let row = try tables.next() {
            let values = Array(row.databaseValues)
            add(StateDigest.checksum(of: values, in: nil, &scratch), Key(table: nil, keyColumns: 1, values))
        }
        for table in StateTable.allCases {
            let rows = try Row.fetchCursor(database, sql: "SELECT * FROM \(table.rawValue)")
            while let row = try rows.next() {
                var values = Array(row.databaseValues)
                // The digest itself.
                if table == .store { values.removeLast() }
                add(StateDigest.checksum(of: values, in: table, &scratch), Key(table: table, keyColumns: table.keyColumns, values))
            }
        }
    }

    private mutating func add(_ checksum: UInt32, _ key: Key) {
        checksums[key] = checksum
        sum &+= UInt64(checksum)
    }

    /// CRC32C over the table's name and the values, each with its type.
    static func checksum(of values: [DatabaseValue], in table: StateTable?, _ scratch: inout [UInt8]) -> UInt32 {
        scratch.removeAll(keepingCapacity: true)
        scratch.append(text: table?.rawValue ?? "")
        for value in values {
            switch value.storage {
            case .null: scratch.append(0)
            case .int64(let number):
                scratch.append(1)
                scratch.append(littleEndian: number)
            case .double(let number):
                scratch.append(2)
                scratch.append(littleEndian: number.bitPattern)
            case .string(let text):
                scratch.append(3)
                scratch.append(littleEndian: UInt32(truncatingIfNeeded: text.utf8.count))
                scratch.append(contentsOf: text.utf8)
            case .blob(let bytes):
                scratch.append(4)
                scratch.append(littleEndian: UInt32(truncatingIfNeeded: bytes.count))
                bytes.withUnsafeBytes { scratch.append(contentsOf: $0) }
            }
        }
        return scratch.withUnsafeBytes { CRC32C.checksum($0) }
    }
}

extension StateDigest.Key {
    fileprivate init(table: StateTable?, keyColumns: Int, _ values: [DatabaseValue]) {
        self.table = table
        var isSecond = false
        for value in values.prefix(keyColumns) {
            switch value.storage {
            case .string(let text): name = text
            case .int64(let number) where isSecond: second = number
            case .int64(let number): first = number
            case .null, .double, .blob: break
            }
            isSecond = true
        }
    }
}

/// Writes rows within one transaction, and what they do to the digest.
struct StateWriter {
    let database: Database
    private let digest: StateDigest
    private(set) var changes: [StateDigest.Key: UInt32?] = [:]
    private var sum: UInt64
    private var scratch: [UInt8] = []
    /// Carried out for every stream each second: looked up once in a transaction.
    private var insertions: [StateTable: Statement] = [:]

    init(_ database: Database, digest: StateDigest) {
        self.database = database
        self.digest = digest
        sum = digest.sum
    }

    /// Puts a row in the place of one with the same key. The values are those of all columns, in order.
    mutating func put(_ table: StateTable, _ row: [(any DatabaseValueConvertible)?]) throws {
        let values = row.map { $0?.databaseValue ?? .null }
        // Of a sequence of one type they would be made by way of a key path, looked up anew for each row.
        try insertion(into: table, columns: values.count).execute(arguments: StatementArguments(row))
        note(StateDigest.checksum(of: values, in: table, &scratch), StateDigest.Key(table: table, keyColumns: table.keyColumns, values))
    }

    private mutating func insertion(into table: StateTable, columns: Int) throws -> Statement {
        if let known = insertions[table] { return known }
        let places = repeatElement("?", count: columns).joined(separator: ", ")
        let statement = try database.cachedStatement(sql: "INSERT OR REPLACE INTO \(table.rawValue) VALUES(\(places))")
        insertions[table] = statement
        return statement
    }

    mutating func remove(_ table: StateTable, _ key: any DatabaseValueConvertible...) throws {
        let values = key.map(\.databaseValue)
        try database.cachedStatement(sql: "DELETE FROM \(table.rawValue) WHERE \(table.keyCondition)")
            .execute(arguments: StatementArguments(values))
        note(nil, StateDigest.Key(table: table, keyColumns: table.keyColumns, values))
    }

    /// Ends with the row of the store, and the digest beside it.
    mutating func finish(_ state: StoredState) throws {
        let row: [(any DatabaseValueConvertible)?] = [
            Int64(state.epoch), Int64(bitPattern: state.position), Int64(bitPattern: state.removedThrough),
            Int64(bitPattern: state.bytesWritten), StateStore.layout,
        ]
        let values = row.map { $0?.databaseValue ?? .null }
        note(StateDigest.checksum(of: values, in: .store, &scratch), StateDigest.Key(table: .store))
        try database.cachedStatement(
            sql: "UPDATE store SET epoch = ?, position = ?, removedThrough = ?, written = ?, layout = ?, digest = ?"
        )
        .execute(arguments: StatementArguments(values + [Int64(bitPattern: sum).databaseValue]))
    }

    /// Ends with the digest alone.
    func finish() throws {
        try database.execute(sql: "UPDATE store SET digest = ?", arguments: [Int64(bitPattern: sum)])
    }

    private mutating func note(_ checksum: UInt32?, _ key: StateDigest.Key) {
        let before = changes[key] ?? digest[key]
        sum = sum &- UInt64(before ?? 0) &+ UInt64(checksum ?? 0)
        changes.updateValue(checksum, forKey: key)
    }
}
