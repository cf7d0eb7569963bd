internal import CPostgreSQL
internal import GatewayCore
package import Ingest
package import Telemetry

/// PostgreSQL and TimescaleDB through libpq: samples by binary COPY, in one transaction with the keys of their batches.
///
/// A batch whose key the database has already is left out, so that a write that is repeated after a crash adds nothing.
package final class PostgreSQLDatabase: Database {
    package let name: String
    package let takesPartsOfBatches = false
    private let settings: DatabaseSettings
    private let schema: String
    private var connection: OpaquePointer?
    /// All series and gateways so far, with the database's numbers for them; -1 where it was not asked yet.
    private var series: [Series] = []
    private var units: [String] = []
    private var seriesIDs: [Int32] = []
    private var gateways: [String] = []
    private var gatewayIDs: [Int32] = []

    /// How many names are asked for at once.
    private static let namesPerQuery = 2000
    /// How many bytes of a COPY are sent at once.
    private static let copyPieceBytes = 1 << 20

    /// - Parameter settings: `url` is a URL or a connection string of libpq, `measurement` the name of the schema.
    package init(_ settings: DatabaseSettings) throws(GatewayError) {
        self.settings = settings
        schema = settings.measurement
        let shown = settings.url.split(separator: "?").first.map(String.init) ?? settings.url
        name = "PostgreSQL at \(shown)"
        guard !schema.isEmpty, schema.utf8.count < 64,
            schema.utf8.allSatisfy({ (97...122).contains($0) || $0 == 95 || (48...57).contains($0) })
        else {
            throw GatewayError(
                .configurationInvalid, resource: name, operation: "configure",
                "the schema “\(schema)” is not of small letters, digits and underscores")
        }
    }

    deinit { if let connection { PQfinish(connection) } }

    package func prepare() throws(GatewayError) -> [String] {
        try connect()
        return []
    }

    package func learn(_ additions: CatalogAdditions) {
        let firstNew = series.count
        series += additions.series
        units += additions.units
        seriesIDs += additions.series.map { _ in -1 }
        gateways += additions.gateways
        gatewayIDs += additions.gateways.map { _ in -1 }
        for (index, unit) in additions.changedUnits where Int(index) < firstNew {
            units[Int(index)] = unit
            seriesIDs[Int(index)] = -1
        }
    }

    package func write(_ chunk: SampleChunk, _ batches: ArraySlice<SampleChunk.Batch>) throws(DatabaseFailure) -> WriteOutcome {
        do throws(GatewayError) {
            try connect()
            try askForNames(chunk, batches)
            return try transfer(chunk, batches)
        } catch {
            // What a transaction left half done ends with its connection.
            disconnect()
            if let state = (error.cause as? SQLState)?.state, state.hasPrefix("22") || state.hasPrefix("23") {
                throw .refused(reason: error.message)
            }
            throw .failed(error)
        }
    }

    // MARK: - Connection

    private func disconnect() {
        if let connection { PQfinish(connection) }
        connection = nil
        // Another server, or one restored from a backup, may have other numbers.
        seriesIDs = seriesIDs.map { _ in -1 }
        gatewayIDs = gatewayIDs.map { _ in -1 }
    }

    private func connect() throws(GatewayError) {
        if let connection, PQstatus(connection) == CONNECTION_OK { return }
        disconnect()
        var parameters = [
            // First: what it says, the others may add to.
            ("dbname", settings.url), ("connect_timeout", "10"), ("tcp_user_timeout", "30000"), ("keepalives_idle", "10"),
            ("application_name", "indusedge-control"), ("options", "-c statement_timeout=120000 -c lock_timeout=60000"),
        ]
        if let user = settings.user { parameters.append(("user", user)) }
        if let password = settings.password { parameters.append(("password", password)) }
        if let ca = settings.ca { parameters.append(("sslrootcert", ca)) }
        if let certificate = settings.certificate { parameters.append(("sslcert", certificate)) }
        if let key = settings.key { parameters.append(("sslkey", key)) }
        let opened = Self.withCStrings(parameters.map(\.0)) { keywords in
            Self.withCStrings(parameters.map(\.1)) { values in PQconnectdbParams(keywords, values, 1) }
        }
        guard let opened, PQstatus(opened) == CONNECTION_OK else {
            let message = opened.map { Self.line(PQerrorMessage($0)) } ?? "no memory"
            if let opened { PQfinish(opened) }
            throw GatewayError(.connectionFailed, resource: name, operation: "connect", message)
        }
        // What the server remarks on is not for standard error.
        PQsetNoticeProcessor(opened, { _, _ in }, nil)
        connection = opened
        try makeTables()
    }

    /// Source of the layout: docs/ingest.md.
    private func makeTables() throws(GatewayError) {
        try run("SELECT pg_advisory_lock(7305808)")
        defer { try? run("SELECT pg_advisory_unlock(7305808)") }
        try run("CREATE SCHEMA IF NOT EXISTS \(schema)")
        for statement in [
            "CREATE TABLE IF NOT EXISTS \(schema).gateway (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE)",
            """
            CREATE TABLE IF NOT EXISTS \(schema).series (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, gateway text NOT NULL, \
            device text NOT NULL, scan_group text NOT NULL, tag text NOT NULL, unit text NOT NULL, UNIQUE (gateway, device, scan_group, tag))
            """,
            """
            CREATE TABLE IF NOT EXISTS \(schema).batch (gateway_id integer NOT NULL, epoch bigint NOT NULL, stream bigint NOT NULL, \
            sequence bigint NOT NULL, samples integer NOT NULL, PRIMARY KEY (gateway_id, epoch, stream, sequence))
            """,
            """
            CREATE TABLE IF NOT EXISTS \(schema).sample (time timestamptz NOT NULL, series_id integer NOT NULL, value double precision, \
            integer_value bigint, boolean_value boolean, text_value text, quality bigint NOT NULL, time_uncertain boolean NOT NULL, \
            source_time timestamptz)
            """,
            "CREATE INDEX IF NOT EXISTS sample_series_time ON \(schema).sample (series_id, time)",
            """
            CREATE OR REPLACE VIEW \(schema).value AS SELECT s.time, n.gateway, n.device, n.scan_group, n.tag, n.unit, s.value, \
            s.integer_value, s.boolean_value, s.text_value, s.quality, s.time_uncertain, s.source_time \
            FROM \(schema).sample s JOIN \(schema).series n ON n.id = s.series_id
            """,
        ] { try run(statement) }
    }

    // MARK: - Names

    /// Gets the numbers of the series and gateways that the batches need.
    private func askForNames(_ chunk: SampleChunk, _ batches: ArraySlice<SampleChunk.Batch>) throws(GatewayError) {
        var unknown: Set<Int32> = []
        var unknownGateways: Set<Int32> = []
        for batch in batches {
            if gatewayIDs[Int(batch.key.gateway)] < 0 { unknownGateways.insert(batch.key.gateway) }
            for index in batch.samples where seriesIDs[Int(chunk.samples[index].series)] < 0 { unknown.insert(chunk.samples[index].series) }
        }
        for index in unknownGateways.sorted(by: { gateways[Int($0)] < gateways[Int($1)] }) {
            let result = try query(
                "INSERT INTO \(schema).gateway (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id",
                [Self.text(gateways[Int(index)])])
            gatewayIDs[Int(index)] = Int32(result.value(0, 0)) ?? -1
        }
        // Two workers that learn of the same names take them in the same order, so that they cannot lock each other out.
        var names = unknown.map { ($0, series[Int($0)]) }.sorted { Self.key($0.1) < Self.key($1.1) }[...]
        while !names.isEmpty {
            let part = names.prefix(Self.namesPerQuery)
            names = names.dropFirst(Self.namesPerQuery)
            let columns = [\Series.gateway, \.device, \.group, \.tag].map { field in part.map { Self.text($0.1[keyPath: field]) } }
            let result = try query(
                """
                INSERT INTO \(schema).series (gateway, device, scan_group, tag, unit) \
                SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) \
                ON CONFLICT (gateway, device, scan_group, tag) DO UPDATE \
                SET unit = CASE WHEN excluded.unit = '' THEN series.unit ELSE excluded.unit END \
                RETURNING id, gateway, device, scan_group, tag
                """,
                (columns + [part.map { Self.text(units[Int($0.0)]) }]).map(Self.array))
            var ids: [Series: Int32] = [:]
            for row in 0..<result.rows {
                let found = Series(
                    gateway: result.value(row, 1), device: result.value(row, 2), group: result.value(row, 3), tag: result.value(row, 4))
                ids[found] = Int32(result.value(row, 0))
            }
            for (index, wanted) in part {
                let cleaned = Series(
                    gateway: Self.text(wanted.gateway), device: Self.text(wanted.device), group: Self.text(wanted.group),
                    tag: Self.text(wanted.tag))
                guard let id = ids[cleaned] else {
                    throw GatewayError(
                        .protocolViolation, resource: name, operation: "write",
                        "the database gave no number for \(wanted.device)/\(wanted.tag) of \(wanted.gateway)")
                }
                seriesIDs[Int(index)] = id
            }
        }
    }

    private static func key(_ series: Series) -> (String, String, String, String) {
        (series.gateway, series.device, series.group, series.tag)
    }

    /// PostgreSQL's texts cannot hold U+0000.
    private static func text(_ text: String) -> String { text.utf8.contains(0) ? text.replacing("\0", with: " ") : text }

    /// A literal of an array of texts.
    private static func array(_ texts: [String]) -> String {
        var literal: [UInt8] = [UInt8(ascii: "{")]
        for text in texts {
            if literal.count > 1 { literal.append(UInt8(ascii: ",")) }
            literal.append(UInt8(ascii: "\""))
            for byte in text.utf8 {
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { literal.append(UInt8(ascii: "\\")) }
                literal.append(byte)
            }
            literal.append(UInt8(ascii: "\""))
        }
        literal.append(UInt8(ascii: "}"))
        return String(decoding: literal, as: UTF8.self)
    }

    // MARK: - Samples

    private func transfer(_ chunk: SampleChunk, _ batches: ArraySlice<SampleChunk.Batch>) throws(GatewayError) -> WriteOutcome {
        try run("BEGIN")
        let (fresh, known) = try register(batches)
        let bytes = try copy(chunk, fresh)
        try run("COMMIT")
        let written = fresh.reduce(0) { $0 + $1.samples.count }
        return WriteOutcome(writtenSamples: written, knownSamples: known, bytes: bytes)
    }

    /// Enters the keys; returns the batches whose key was not there, and the samples of the others.
    private func register(_ batches: ArraySlice<SampleChunk.Batch>) throws(GatewayError) -> ([SampleChunk.Batch], Int) {
        // In one order for all workers: two that enter the same keys wait for each other instead of locking each other out.
        let sorted = batches.sorted { one, other in
            (gatewayIDs[Int(one.key.gateway)], one.key.epoch, one.key.stream, one.key.sequence)
                < (gatewayIDs[Int(other.key.gateway)], other.key.epoch, other.key.stream, other.key.sequence)
        }
        func column(_ value: (SampleChunk.Batch) -> Int64) -> String { "{" + sorted.map { String(value($0)) }.joined(separator: ",") + "}" }
        let result = try query(
            """
            INSERT INTO \(schema).batch (gateway_id, epoch, stream, sequence, samples) \
            SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[]) \
            ON CONFLICT DO NOTHING RETURNING gateway_id, epoch, stream, sequence
            """,
            [
                column { Int64(gatewayIDs[Int($0.key.gateway)]) }, column { Int64($0.key.epoch) }, column { Int64($0.key.stream) },
                column { Int64(bitPattern: $0.key.sequence) }, column { Int64($0.samples.count) },
            ])
        guard result.rows < batches.count else { return (Array(batches), 0) }
        var entered: Set<[String]> = []
        for row in 0..<result.rows { entered.insert((0..<4).map { result.value(row, $0) }) }
        var fresh: [SampleChunk.Batch] = []
        var known = 0
        for batch in batches {
            let key = [
                String(gatewayIDs[Int(batch.key.gateway)]), String(batch.key.epoch), String(batch.key.stream),
                String(Int64(bitPattern: batch.key.sequence)),
            ]
            if entered.remove(key) != nil { fresh.append(batch) } else { known += batch.samples.count }
        }
        return (fresh, known)
    }

    private func copy(_ chunk: SampleChunk, _ batches: [SampleChunk.Batch]) throws(GatewayError) -> Int {
        guard !batches.isEmpty else { return 0 }
        let begun = Result(
            PQexec(
                connection,
                """
                COPY \(schema).sample (time, series_id, value, integer_value, boolean_value, text_value, quality, time_uncertain, source_time) \
                FROM STDIN (FORMAT binary)
                """))
        guard PQresultStatus(begun.handle) == PGRES_COPY_IN else { throw failure(begun, "copy") }
        var sent = 0
        var piece = CopyEncoder.header
        piece.reserveCapacity(Self.copyPieceBytes + 65_536)
        for batch in batches {
            for index in batch.samples {
                let sample = chunk.samples[index]
                CopyEncoder.append(
                    sample, series: seriesIDs[Int(sample.series)], sourceTime: batch.sourceTime, texts: chunk.texts, to: &piece)
                if piece.count >= Self.copyPieceBytes { sent += try put(&piece) }
            }
        }
        piece += CopyEncoder.trailer
        sent += try put(&piece)
        guard PQputCopyEnd(connection, nil) == 1 else { throw broken("copy") }
        var first: GatewayError?
        while true {
            let result = Result(PQgetResult(connection))
            guard result.handle != nil else { break }
            if PQresultStatus(result.handle) != PGRES_COMMAND_OK, first == nil { first = failure(result, "copy") }
        }
        if let first { throw first }
        return sent
    }

    private func put(_ piece: inout [UInt8]) throws(GatewayError) -> Int {
        let count = piece.count
        let result = piece.withUnsafeBytes { PQputCopyData(connection, $0.bindMemory(to: CChar.self).baseAddress, Int32($0.count)) }
        guard result == 1 else { throw broken("copy") }
        piece.removeAll(keepingCapacity: true)
        return count
    }

    // MARK: - Statements

    /// The owner of one result.
    private final class Result {
        let handle: OpaquePointer?
        init(_ handle: OpaquePointer?) { self.handle = handle }
        deinit { PQclear(handle) }

        var rows: Int { Int(PQntuples(handle)) }
        func value(_ row: Int, _ column: Int) -> String { PQgetvalue(handle, Int32(row), Int32(column)).map { String(cString: $0) } ?? "" }
    }

    /// Which kind of failure it was, as the server says it (PostgreSQL 15, appendix A).
    private struct SQLState: Error, CustomStringConvertible {
        let state: String
        var description: String { "SQLSTATE \(state)" }
    }

    private func run(_ statement: String) throws(GatewayError) {
        let result = Result(PQexec(connection, statement))
        switch PQresultStatus(result.handle) {
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK: return
        default: throw failure(result, statement.split(separator: " ").first.map { $0.lowercased() } ?? "run")
        }
    }

    private func query(_ statement: String, _ values: [String]) throws(GatewayError) -> Result {
        let result = Result(
            Self.withCStrings(values) { PQexecParams(connection, statement, Int32(values.count), nil, $0, nil, nil, 0) })
        guard PQresultStatus(result.handle) == PGRES_TUPLES_OK else { throw failure(result, "insert") }
        return result
    }

    private func failure(_ result: Result, _ operation: String) -> GatewayError {
        guard let handle = result.handle, let state = cpostgresql_state(handle) else { return broken(operation) }
        return GatewayError(
            .refused, resource: name, operation: operation, Self.line(PQresultErrorMessage(handle)),
            cause: SQLState(state: String(cString: state)))
    }

    private func broken(_ operation: String) -> GatewayError {
        GatewayError(.connectionLost, resource: name, operation: operation, Self.line(PQerrorMessage(connection)))
    }

    private static func line(_ text: UnsafePointer<CChar>?) -> String {
        let text = text.map { String(cString: $0) } ?? ""
        return text.split(whereSeparator: \.isNewline).joined(separator: " ")
    }

    /// Strings as a null-terminated list of C's, for the time of the call.
    private static func withCStrings<Outcome>(_ texts: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Outcome) -> Outcome {
        var bytes: [CChar] = []
        var offsets: [Int] = []
        for text in texts {
            offsets.append(bytes.count)
            bytes += text.utf8CString
        }
        return bytes.withUnsafeBufferPointer { bytes in
            var pointers: [UnsafePointer<CChar>?] = offsets.map { bytes.baseAddress?.advanced(by: $0) }
            pointers.append(nil)
            return pointers.withUnsafeBufferPointer { pointers in
                guard let base = pointers.baseAddress else { preconditionFailure("an array with an element has an address") }
                return body(base)
            }
        }
    }
}
