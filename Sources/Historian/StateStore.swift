internal import Foundation
internal import GRDB
internal import GRDBSQLite
internal import GatewayCore
internal import Synchronization
internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The small transactional state of a store at one durable position.
struct StoredState: Hashable {
    struct Stream: Hashable {
        var descriptor: StreamDescriptor
        /// Through the durable position.
        var counts = StreamCounts()
        /// Of those stored: given up before they reached the disk.
        var lost = Tally()
        /// Of those stored: gone from the journal by retention.
        var gone = Tally()
        /// Of those stored: replaced by summaries.
        var thinned = Tally()
        /// Suppressed polls of which no batch tells yet; not in `counts`.
        var suppressedSinceBatch: UInt32 = 0
    }
    struct Cursor: Hashable {
        var position: UInt64
        /// Samples evicted right up to the position that the reader was not told of.
        var gap: UInt64 = 0
        /// Acknowledged on live lanes, beyond the position.
        var ahead: [PositionRange] = []
        /// Samples acknowledged on live lanes so far.
        var settledAhead: UInt64 = 0
        /// Since when nobody reads with it any more.
        var releasedAt: Timestamp?
        var tallies: [StreamID: CursorTally] = [:]
        var outages = OutageBook(settled: 0)
    }
    var epoch: UInt32 = 0
    /// The durable position that all counts are of.
    var position: UInt64 = 0
    /// Segments through this number are gone for good.
    var removedThrough: UInt64 = 0
    var streams: [StreamID: Stream] = [:]
    var cursors: [String: Cursor] = [:]
    var segments: [Segment] = []
    /// What the store has written to the medium in all.
    var bytesWritten: UInt64 = 0
    /// In the order of their epochs.
    var runs: [ProcessRun] = []

    /// Samples of all streams, as the streams have counted them.
    var storedSamples: UInt64 {
        streams.values.reduce(0) { $0 &+ $1.counts.stored.samples(of: $1.descriptor.tags.count) }
    }

    /// Samples that a cursor is done with.
    func settledSamples(of cursor: Cursor) -> UInt64 {
        cursor.tallies.reduce(0) { $0 &+ $1.value.settled.samples(of: streams[$1.key]?.descriptor.tags.count ?? 0) }
    }
    var clock = ClockBook()
}

/// `state.sqlite`: epoch, catalogue, cursors, ledger and the list of segments.
///
/// Every transaction is synchronized: an epoch or a stream's number that was handed out must never be handed out again.
final class StateStore: Sendable {
    private let queue: DatabaseQueue
    private let path: String
    /// Of what the database holds; `nil` until it was read.
    private let digest = Mutex<StateDigest?>(nil)

    /// Bytes of the last save.
    private let lastBytesWritten = Mutex(0)

    /// How long to wait for another program that has the database locked.
    private static let busySeconds = 2

    /// Each brings a database from the layout before to its own; the first makes an empty one.
    private static let steps: [@Sendable (Database) throws -> Void] = [
        create, addOutages, addBlocks, addClock, separateCounts, addDigest, addLanes, addReleases,
    ]
    /// The layout this program writes, as `user_version`.
    static var layout: Int { steps.count }

    init(path: String, readOnly: Bool = false) throws(GatewayError) {
        self.path = path
        var configuration = Configuration()
        configuration.readonly = readOnly
        configuration.busyMode = .timeout(TimeInterval(StateStore.busySeconds))
        configuration.label = "historian"
        configuration.prepareDatabase { database in
            guard !readOnly else { return }
            try database.execute(sql: "PRAGMA journal_mode = WAL")
            try database.execute(sql: "PRAGMA synchronous = FULL")
            // A small write-ahead log keeps the store's size within its limit.
            try database.execute(sql: "PRAGMA wal_autocheckpoint = 32")
            try database.execute(sql: "PRAGMA journal_size_limit = 131072")
        }
        do {
            try StateStore.checkHead(path)
            queue = try DatabaseQueue(path: path, configuration: configuration)
            let version = try queue.read(StateStore.version)
            if version > StateStore.layout {
                throw GatewayError(
                    .unsupported, resource: "log \(path)", operation: "open",
                    "the database has layout \(version), but this program knows layouts up to \(StateStore.layout): install a newer one")
            }
            if let complaint = try queue.read({ try String.fetchOne($0, sql: "PRAGMA quick_check(1)") }), complaint != "ok" {
                throw GatewayError(.storageCorrupt, resource: "log \(path)", operation: "open", complaint)
            }
            if version < StateStore.layout, !readOnly {
                try queue.write { database in
                    for step in StateStore.steps[max(0, version)...] { try step(database) }
                    try database.execute(
                        sql: "PRAGMA user_version = \(StateStore.layout); UPDATE store SET layout = \(StateStore.layout)")
                    try StateWriter(database, digest: StateDigest(of: database)).finish()
                }
            }
        } catch {
            throw StateStore.wrap(error, path: path, operation: "open")
        }
    }

    /// The layout of a database, which it says in two places since there is a digest.
    private static func version(of database: Database) throws -> Int {
        let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        let isStated = try database.tableExists("store") && database.columns(in: "store").contains { $0.name == "layout" }
        let stated = isStated ? try Int.fetchOne(database, sql: "SELECT layout FROM store") : nil
        if isStated || version == StateStore.layout, stated != version {
            throw DatabaseError(
                resultCode: .SQLITE_CORRUPT,
                message: "its layout is \(version) in one place and \(stated.map(String.init) ?? "not stated") in the other")
        }
        return version
    }

    /// SQLite takes a database with a newer number of its own format for one that cannot be written.
    private static func checkHead(_ path: String) throws {
        guard Files.size(path) >= headBytes else { return }
        let head = try OpenFile(path, O_RDONLY).bytes(at: 0, count: headBytes)
        if head.count == headBytes, head[18] > 2 || head[19] > 2 {
            throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "its format is \(head[18]) and \(head[19]), at most 2 and 2")
        }
    }

    /// Magic, size of a page, and the two numbers of the format.
    private static let headBytes = 20

    /// What a database holds, read where nothing can be written: the index of the write-ahead log is kept in memory, for which this
    /// connection must be the only one.
    static func loadWithoutRoom(path: String) throws(GatewayError) -> StoredState {
        var configuration = Configuration()
        configuration.prepareDatabase { try $0.execute(sql: "PRAGMA locking_mode = EXCLUSIVE") }
        do {
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            defer { try? queue.close() }
            return try queue.read { database in
                try version(of: database) == 0 ? StoredState() : try load(database).state
            }
        } catch {
            throw StateStore.wrap(error, path: path, operation: "read")
        }
    }

    /// What the database holds. Throws `.storageCorrupt` where it is not what was written.
    func load() throws(GatewayError) -> StoredState {
        do {
            let (state, read) = try queue.read(StateStore.load)
            digest.withLock { $0 = read }
            return state
        } catch {
            throw StateStore.wrap(error, path: path, operation: "read")
        }
    }

    /// The digest is `nil` of a layout that has none.
    private static func load(_ database: Database) throws -> (state: StoredState, digest: StateDigest?) {
        // Read-only, an older layout is read as it is.
        let digest = try version(of: database) == layout ? try StateDigest(verifying: database) : nil
        return (try state(in: database), digest)
    }

    private static func state(in database: Database) throws -> StoredState {
        var state = StoredState()
        if let row = try Row.fetchOne(database, sql: "SELECT * FROM store") {
            state.epoch = UInt32(truncatingIfNeeded: row["epoch"] as Int64)
            state.position = UInt64(bitPattern: row["position"])
            state.removedThrough = UInt64(bitPattern: row["removedThrough"])
            state.bytesWritten = (row["written"] as Int64?).map { UInt64(bitPattern: $0) } ?? 0
        }
        // Read-only, an older layout is read as it is.
        let hasCounts = try database.tableExists("streamCount")
        for row in try Row.fetchAll(database, sql: "SELECT * FROM stream" + (hasCounts ? " JOIN streamCount USING(id)" : "")) {
            let (id, descriptor) = try decode(row["descriptor"]) { JournalRecord.descriptor(from: &$0) }
            var stream = StoredState.Stream(descriptor: descriptor)
            stream.counts = try decode(row["counts"]) { StreamCounts(from: &$0) }
            stream.lost = try decode(row["lost"]) { Tally(from: &$0) }
            stream.gone = try decode(row["gone"]) { Tally(from: &$0) }
            if let thinned = row["thinned"] as Data? { stream.thinned = try decode(thinned) { Tally(from: &$0) } }
            stream.suppressedSinceBatch = UInt32(truncatingIfNeeded: row["suppressedSinceBatch"] as Int64)
            state.streams[id] = stream
        }
        for row in try Row.fetchAll(database, sql: "SELECT * FROM cursor") {
            state.cursors[row["name"]] = StoredState.Cursor(
                position: UInt64(bitPattern: row["position"]), gap: UInt64(bitPattern: row["gap"]),
                settledAhead: (row["settledAhead"] as Int64?).map { UInt64(bitPattern: $0) } ?? 0,
                releasedAt: (row["releasedAt"] as Int64?).map { Timestamp(nanoseconds: $0) })
        }
        try loadLanes(into: &state, from: database)
        for row in try Row.fetchAll(database, sql: "SELECT * FROM cursorStream") {
            var tally = CursorTally()
            tally.skipped = try decode(row["skipped"]) { Tally(from: &$0) }
            tally.acknowledged = try decode(row["acknowledged"]) { Tally(from: &$0) }
            tally.evicted = try decode(row["evicted"]) { Tally(from: &$0) }
            if let refused = row["refused"] as Data? { tally.refused = try decode(refused) { Tally(from: &$0) } }
            state.cursors[row["cursor"], default: .init(position: 0)]
                .tallies[StreamID(rawValue: UInt32(truncatingIfNeeded: row["stream"] as Int64))] = tally
        }
        for row in try Row.fetchAll(database, sql: "SELECT * FROM segment ORDER BY number") {
            var segment = Segment(
                number: UInt64(bitPattern: row["number"]), epoch: UInt32(truncatingIfNeeded: row["epoch"] as Int64),
                base: UInt64(bitPattern: row["base"]), end: UInt64(bitPattern: row["end"]), bytes: row["bytes"])
            segment.tallies = try decode(row["tallies"]) { StateStore.tallies(from: &$0) }
            segment.lost = try (row["lost"] as Data?).map { try decode($0) { StateStore.tallies(from: &$0) } }
            if let oldest = row["oldest"] as Int64?, let newest = row["newest"] as Int64?, oldest <= newest {
                segment.times = Timestamp(nanoseconds: oldest)...Timestamp(nanoseconds: newest)
            }
            segment.isMissing = row["missing"]
            // Read-only, an older layout is read as it is.
            if let form = row["form"] as Int64?, form > 0 {
                segment.isSealed = true
                segment.level = UInt8(clamping: form - 1)
                segment.firstNumber = UInt64(bitPattern: row["first"])
            }
            guard segment.base > 0, segment.end >= segment.base - 1, segment.bytes >= 0 else {
                throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "segment \(segment.number) ends before it begins")
            }
            state.segments.append(segment)
        }
        try loadOutages(into: &state, from: database)
        // A reader beside nobody may look at a store of layout 1, which has none.
        if try database.tableExists("clock") { state.clock = try loadClock(database) }
        return state
    }

    private static func loadClock(_ database: Database) throws -> ClockBook {
        let rows = try Row.fetchAll(database, sql: "SELECT * FROM clock ORDER BY epoch, first")
        return ClockBook(
            stretches: rows.map { row in
                ClockBook.Stretch(
                    statement: ClockStatement(
                        epoch: UInt32(truncatingIfNeeded: row["epoch"] as Int64),
                        boot: BootID(high: UInt64(bitPattern: row["bootHigh"]), low: UInt64(bitPattern: row["bootLow"])),
                        first: UInt64(bitPattern: row["first"]), offset: row["stamped"], isCertain: row["certain"]),
                    offset: row["offset"], isSettled: row["settled"])
            })
    }

    private static func save(_ new: ClockBook, over old: ClockBook, with writer: inout StateWriter) throws {
        func key(_ stretch: ClockBook.Stretch) -> [Int64] { [Int64(stretch.statement.epoch), Int64(bitPattern: stretch.statement.first)] }
        let known = Dictionary(old.stretches.map { (key($0), $0) }, uniquingKeysWith: { $1 })
        let kept = Set(new.stretches.map(key))
        for key in known.keys where !kept.contains(key) { try writer.remove(.clock, key[0], key[1]) }
        for stretch in new.stretches where known[key(stretch)] != stretch {
            let statement = stretch.statement
            try writer.put(
                .clock,
                [
                    Int64(statement.epoch), Int64(bitPattern: statement.first), Int64(bitPattern: statement.boot.high),
                    Int64(bitPattern: statement.boot.low), statement.offset, statement.isCertain, stretch.offset, stretch.isSettled,
                ])
        }
    }

    /// Brings the database from `old` to `new` in one transaction.
    ///
    /// Throws `.storageFailed` also while the write-ahead log cannot be brought into the database: it would grow with each save, and take
    /// from samples the room that they need.
    func save(_ new: StoredState, over old: StoredState) throws(GatewayError) {
        try keepJournalShort()
        try write("save") { writer in
            for (id, stream) in new.streams where old.streams[id] != stream {
                try StateStore.save(stream, id, over: old.streams[id], with: &writer)
            }
            for (name, cursor) in new.cursors where old.cursors[name] != cursor {
                try StateStore.save(cursor, name, over: old.cursors[name], with: &writer)
            }
            let known = Dictionary(old.segments.map { ($0.number, $0) }, uniquingKeysWith: { $1 })
            let kept = Set(new.segments.map(\.number))
            for number in known.keys where !kept.contains(number) { try writer.remove(.segment, Int64(bitPattern: number)) }
            for segment in new.segments where known[segment.number] != segment { try StateStore.save(segment, with: &writer) }
            try StateStore.save(new.runs, over: old.runs, with: &writer)
            try StateStore.save(new.clock, over: old.clock, with: &writer)
            try writer.finish(new)
        }
    }

    /// Adds streams to the catalogue.
    func add(_ streams: [(StreamDescriptor, StreamID)]) throws(GatewayError) {
        try write("register stream") { writer in
            for (descriptor, id) in streams {
                try StateStore.save(StoredState.Stream(descriptor: descriptor), id, over: nil, with: &writer)
            }
            try writer.finish()
        }
    }

    /// One transaction, and the digest brought along with it when it holds.
    private func write(_ operation: String, _ body: (inout StateWriter) throws -> Void) throws(GatewayError) {
        do {
            try queue.writeWithoutTransaction { database in
                var changes: [StateDigest.Key: UInt32?] = [:]
                try database.inTransaction(.immediate) {
                    var writer = StateWriter(database, digest: try knownDigest(in: database))
                    try body(&writer)
                    changes = writer.changes
                    return .commit
                }
                digest.withLock { $0?.apply(changes) }
            }
        } catch {
            throw StateStore.wrap(error, path: path, operation: operation)
        }
    }

    private func knownDigest(in database: Database) throws -> StateDigest {
        if let known = digest.withLock({ $0 }) { return known }
        let read = try StateDigest(verifying: database)
        digest.withLock { $0 = read }
        return read
    }

    /// Every save is brought into the database right after it, and the next one overwrites the write-ahead log. Not so while the disk refuses, or
    /// somebody keeps reading the database as it was.
    private func keepJournalShort() throws(GatewayError) {
        let bytes = Files.size(path + "-wal")
        guard bytes > StateStore.journalBytesMin + lastBytesWritten.withLock({ $0 }) else { return }
        do {
            try queue.inDatabase { database in
                // Whoever commits does not wait for a reader.
                try database.execute(sql: "PRAGMA busy_timeout = 0")
                defer { try? database.execute(sql: "PRAGMA busy_timeout = \(StateStore.busySeconds * 1000)") }
                try database.checkpoint(.truncate)
            }
        } catch {
            throw GatewayError(
                .storageFailed, resource: "log \(path)", operation: "save",
                "the write-ahead log has \(bytes) bytes and cannot be brought into the database: does the disk fail, or does a program keep it open?",
                cause: error)
        }
    }

    /// The write-ahead log may have that much beside what the last save wrote.
    private static let journalBytesMin = HistorianConfiguration.databaseReserve / 2

    /// Bytes that SQLite has written since the last call: each page to the write-ahead log and, at a checkpoint, to the database.
    func takeBytesWritten() -> Int {
        let pages = queue.inDatabase { database -> Int in
            var current: Int32 = 0
            var highest: Int32 = 0
            sqlite3_db_status(database.sqliteConnection, SQLITE_DBSTATUS_CACHE_WRITE, &current, &highest, 1)
            return Int(current)
        }
        let bytes = pages * 2 * StateStore.pageBytes
        lastBytesWritten.withLock { $0 = bytes }
        return bytes
    }

    /// A page of the database and its frame's head.
    private static let pageBytes = 4096 + 24

    func close() throws(GatewayError) {
        do {
            try queue.close()
        } catch {
            throw StateStore.wrap(error, path: path, operation: "close")
        }
    }

    private static func save(
        _ stream: StoredState.Stream, _ id: StreamID, over old: StoredState.Stream?, with writer: inout StateWriter
    ) throws {
        if stream.descriptor != old?.descriptor {
            try writer.put(
                .stream, [Int64(id.rawValue), encode { JournalRecord.encode(stream.descriptor, of: id, into: &$0) }])
        }
        try writer.put(
            .streamCount,
            [
                Int64(id.rawValue), encode { stream.counts.encode(into: &$0) }, encode { stream.lost.encode(into: &$0) },
                encode { stream.gone.encode(into: &$0) }, encode { stream.thinned.encode(into: &$0) }, Int64(stream.suppressedSinceBatch),
            ])
    }

    private static func save(
        _ cursor: StoredState.Cursor, _ name: String, over old: StoredState.Cursor?, with writer: inout StateWriter
    ) throws {
        try writer.put(
            .cursor,
            [
                name, Int64(bitPattern: cursor.position), Int64(bitPattern: cursor.gap), Int64(bitPattern: cursor.settledAhead),
                cursor.releasedAt?.nanoseconds,
            ])
        try save(cursor.ahead, of: name, over: old?.ahead ?? [], with: &writer)
        for (id, tally) in cursor.tallies where old?.tallies[id] != tally {
            try writer.put(
                .cursorStream,
                [
                    name, Int64(id.rawValue), encode { tally.skipped.encode(into: &$0) },
                    encode { tally.acknowledged.encode(into: &$0) }, encode { tally.evicted.encode(into: &$0) },
                    encode { tally.refused.encode(into: &$0) },
                ])
        }
        try save(cursor.outages, of: name, over: old?.outages, with: &writer)
    }

    private static func save(_ segment: Segment, with writer: inout StateWriter) throws {
        try writer.put(
            .segment,
            [
                Int64(bitPattern: segment.number), Int64(segment.epoch), Int64(bitPattern: segment.base),
                Int64(bitPattern: segment.end), segment.bytes, encode { StateStore.encode(segment.tallies, into: &$0) },
                segment.times?.lowerBound.nanoseconds, segment.times?.upperBound.nanoseconds, segment.isMissing,
                segment.lost.map { lost in encode { StateStore.encode(lost, into: &$0) } },
                segment.isSealed ? Int64(segment.level) + 1 : 0, Int64(bitPattern: segment.firstNumber),
            ])
    }

    private static func encode(_ tallies: StreamTallies, into bytes: inout [UInt8]) {
        bytes.append(littleEndian: UInt32(tallies.count))
        for (stream, tally) in tallies.sorted(by: { $0.key < $1.key }) {
            bytes.append(littleEndian: stream.rawValue)
            tally.encode(into: &bytes)
        }
    }

    private static func tallies(from reader: inout ByteReader) -> StreamTallies? {
        guard let count = reader.count(ofWidth: 4) else { return nil }
        var tallies = StreamTallies()
        for _ in 0..<count {
            guard let stream = reader.integer(UInt32.self), let tally = Tally(from: &reader) else { return nil }
            tallies[StreamID(rawValue: stream)] = tally
        }
        return tallies
    }

    private static func encode(_ body: (inout [UInt8]) -> Void) -> Data {
        var bytes: [UInt8] = []
        body(&bytes)
        return Data(bytes)
    }

    private static func decode<Value>(_ blob: Data, _ body: (inout ByteReader) -> Value?) throws -> Value {
        let value = blob.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            return body(&reader)
        }
        guard let value else { throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "a field of \(blob.count) bytes makes no sense") }
        return value
    }

    private static func wrap(_ error: any Error, path: String, operation: String) -> GatewayError {
        if let error = error as? GatewayError { return error }
        let code: GatewayError.Code =
            switch (error as? DatabaseError)?.resultCode {
            case .SQLITE_FULL: .storageFull
            case .SQLITE_CORRUPT, .SQLITE_NOTADB: .storageCorrupt
            // A table or a column is not there, or a row twice.
            case .SQLITE_ERROR, .SQLITE_CONSTRAINT: operation == "open" || operation == "read" ? .storageCorrupt : .storageFailed
            case .SQLITE_BUSY, .SQLITE_LOCKED: .storageLocked
            default: .storageFailed
            }
        let message = (error as? DatabaseError)?.message ?? "the database refused"
        return GatewayError(code, resource: "log \(path)", operation: operation, message, cause: error)
    }
}
