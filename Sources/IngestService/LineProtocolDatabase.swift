internal import GatewayCore
package import Ingest
package import Telemetry

/// VictoriaMetrics and InfluxDB 1.x: line protocol over HTTP.
///
/// Both keep one value per series and time: a batch that is written twice changes nothing in InfluxDB, and in VictoriaMetrics when it runs with
/// `-dedup.minScrapeInterval=1ms`, which `prepare` looks at.
package final class LineProtocolDatabase: Database {
    package let name: String
    package let takesPartsOfBatches = true
    private let dialect: LineProtocolEncoder.Dialect
    private let client: HTTPClient
    private let writeURL: String
    private let baseURL: String
    private let databaseName: String
    private var encoder: LineProtocolEncoder
    /// How long VictoriaMetrics keeps samples; `nil` where it did not say so that we understand it.
    private var retention: Duration?

    /// How far ahead of its clock VictoriaMetrics takes samples.
    private static let futureMax = Duration.seconds(2 * 86_400)
    /// The longest value of a label that VictoriaMetrics keeps whole, in bytes (`-maxLabelValueLen`).
    private static let labelBytesMax = 16 << 10

    /// - Parameter settings: `databaseName` is InfluxDB's database; VictoriaMetrics has none.
    package init(_ dialect: LineProtocolEncoder.Dialect, _ settings: DatabaseSettings, stop: StopFlag) throws(GatewayError) {
        let base = String(settings.url.reversed().drop { $0 == "/" }.reversed())
        self.dialect = dialect
        baseURL = base
        databaseName = settings.databaseName
        switch dialect {
        case .influxDB:
            name = "InfluxDB at \(base)"
            writeURL = "\(base)/write?db=\(Self.percentEncoded(settings.databaseName))&precision=ns"
        case .victoriaMetrics:
            name = "VictoriaMetrics at \(base)"
            writeURL = "\(base)/write?precision=ns"
        }
        client = try HTTPClient(
            .init(
                ca: settings.ca, certificate: settings.certificate, key: settings.key, user: settings.user, password: settings.password),
            resource: name, stop: stop)
        encoder = LineProtocolEncoder(dialect, measurement: settings.measurement)
    }

    package func prepare() throws(GatewayError) -> [String] {
        switch dialect {
        case .influxDB:
            let statement = "CREATE DATABASE \"\(databaseName.filter { $0 != "\"" && $0 != "\\" })\""
            let answer = try client.post("\(baseURL)/query?q=\(Self.percentEncoded(statement))", [])
            guard answer.status == 200 else { throw failure(answer, "create the database") }
            return []
        case .victoriaMetrics:
            let answer = try client.get("\(baseURL)/flags")
            guard answer.status == 200 else { throw failure(answer, "ask for the flags") }
            return takeFlags(answer.text)
        }
    }

    /// Reads what VictoriaMetrics was started with, a flag a line and only those that were set; returns what should be put right.
    private func takeFlags(_ text: String) -> [String] {
        func value(_ name: String) -> String? {
            for line in text.split(separator: "\n") {
                let parts = line.drop { $0 == "-" }.split(separator: "=", maxSplits: 1)
                if parts.count == 2, parts[0] == name { return parts[1].filter { $0 != "\"" } }
            }
            return nil
        }
        var remarks: [String] = []
        if ["0s", "0", nil].contains(value("dedup.minScrapeInterval")) {
            remarks.append(
                "it runs without -dedup.minScrapeInterval=1ms: a batch that is written again after a crash would be there twice")
        }
        let period = value("retentionPeriod") ?? "1"
        retention = VictoriaMetricsRetention.duration(of: period)
        if value("retentionPeriod") == nil {
            remarks.append("it runs without -retentionPeriod: it keeps a month, and what is older when it arrives is set aside")
        } else if retention == nil {
            remarks.append("its -retentionPeriod=\(period) is not understood: what is older when it arrives is lost without a word")
        }
        return remarks
    }

    /// VictoriaMetrics answers 204 to what is out of its time, and cuts labels off.
    package var hasObjections: Bool { dialect == .victoriaMetrics }

    package func objection(to sample: Sample, texts: [String], at now: Timestamp) -> String? {
        guard dialect == .victoriaMetrics else { return nil }
        if let retention, sample.time < now.nanoseconds - retention.nanoseconds {
            return "older than VictoriaMetrics keeps samples (-retentionPeriod, \(Int(retention.inSeconds / 86_400)) days)"
        }
        if sample.time > now.nanoseconds + Self.futureMax.nanoseconds {
            return "more than \(Int(Self.futureMax.inSeconds / 86_400)) days ahead of the time: VictoriaMetrics does not keep it"
        }
        if sample.kind == .text, texts[Int(sample.bits)].utf8.count > Self.labelBytesMax {
            return "the text is longer than the \(Self.labelBytesMax) bytes that VictoriaMetrics keeps of a label"
        }
        return nil
    }

    package func learn(_ additions: CatalogAdditions) { encoder.learn(additions.series) }

    package func write(_ chunk: SampleChunk, _ batches: ArraySlice<SampleChunk.Batch>) throws(DatabaseFailure) -> WriteOutcome {
        let lines = encoder.lines(chunk, batches)
        let samples = batches.reduce(0) { $0 + $1.samples.count }
        guard !lines.isEmpty else { return WriteOutcome(writtenSamples: 0, bytes: 0) }
        let answer: HTTPClient.Answer
        do throws(GatewayError) {
            answer = try client.post(writeURL, lines)
        } catch {
            throw .failed(error)
        }
        switch answer.status {
        case 200..<300: return WriteOutcome(writtenSamples: samples, bytes: lines.count)
        case 400, 422: throw .refused(reason: Self.reason(answer))
        case 413: throw .tooLarge(reason: Self.reason(answer))
        default: throw .failed(failure(answer, "write"))
        }
    }

    private func failure(_ answer: HTTPClient.Answer, _ operation: String) -> GatewayError {
        GatewayError(.refused, resource: name, operation: operation, "the answer is \(Self.reason(answer)), expected 200 or 204")
    }

    private static func reason(_ answer: HTTPClient.Answer) -> String {
        let text = answer.text.split(whereSeparator: \.isNewline).joined(separator: " ").prefix(500)
        return text.isEmpty ? "HTTP \(answer.status)" : "HTTP \(answer.status): \(text)"
    }

    private static func percentEncoded(_ text: String) -> String {
        text.utf8.map { byte in
            switch byte {
            case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "~"):
                String(UnicodeScalar(byte))
            default: "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }.joined()
    }
}

/// How a database is reached.
package struct DatabaseSettings: Sendable {
    package var url: String
    /// InfluxDB's database; PostgreSQL has it in the URL.
    package var databaseName: String
    /// The measurement of line protocol; the schema in PostgreSQL.
    package var measurement: String
    package var user: String?
    package var password: String?
    /// PEM files.
    package var ca: String?
    package var certificate: String?
    package var key: String?

    package init(
        url: String, databaseName: String = "indusedge", measurement: String = "indusedge", user: String? = nil, password: String? = nil,
        ca: String? = nil, certificate: String? = nil, key: String? = nil
    ) {
        self.url = url
        self.databaseName = databaseName
        self.measurement = measurement
        self.user = user
        self.password = password
        self.ca = ca
        self.certificate = certificate
        self.key = key
    }
}
