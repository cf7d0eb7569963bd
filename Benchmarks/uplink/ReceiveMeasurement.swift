internal import BenchmarkSignals
internal import Foundation
internal import GatewayCore
internal import Historian
internal import Identity
internal import Ingest
internal import IngestService
internal import Sparkplug
internal import Telemetry
internal import Uplink

/// What the receiving end costs: reading messages alone, and everything behind a route that drains its log.
struct ReceiveMeasurement {
    let samples: Int
    let devices: Int
    let seed: UInt64
    /// `nil`: what is received is thrown away.
    let database: BenchmarkDatabase.Kind?

    /// A database takes longer than a broker: no more than this goes into one.
    private static let samplesMax = 10_000_000
    private static let rounds = 5
    private static let roundSeconds = 0.5
    /// How many samples go to the database at once, as in use.
    private static let chunkSamples = Receiver.Settings().chunkSamplesMax

    private var name: String { database?.rawValue ?? "nothing" }

    func run() async throws {
        if database == nil { try decode() }
        try await receive(min(samples, ReceiveMeasurement.samplesMax))
    }

    // MARK: - Alone

    /// One thread, messages of 1,000 tags in memory: from the payload to samples, and on to what a database reads.
    private func decode() throws {
        let time = SystemTime()
        let plant = try DemoPlant(devices: 1, tagCount: 1000, seed: seed)
        let stream = StreamID(rawValue: 1)
        var node = try EdgeNode(groupID: "bench", nodeID: "bench", epoch: 1)
        node.register(stream, plant.descriptors[0])
        _ = node.connecting(at: time.utc)
        let births = node.births(at: time.utc)
        var sequence: UInt64 = 0
        for form in [Form.samples, .lines, .rows] {
            var rates: [Double] = []
            for _ in 0..<ReceiveMeasurement.rounds {
                let messages = (0..<2000).map { poll in
                    var batch = plant.batch(device: 0, poll: poll, of: stream, at: time.utc)
                    sequence += 1
                    batch.epoch = 1
                    batch.sequence = sequence
                    return node.data(batch, isHistorical: true, at: time.utc)[0]
                }
                let start = Machine.processorSeconds
                let count = try read(births, messages, form, time)
                rates.append(Double(count) / (Machine.processorSeconds - start) / 1e6)
            }
            rates.sort()
            FigureLog().report(form.rawValue, rates[rates.count / 2], "million samples/s")
        }
    }

    /// How far a sample is brought.
    private enum Form: String {
        case samples = "ingest.decode_msps"
        case lines = "ingest.decode_and_lines_msps"
        case rows = "ingest.decode_and_copy_msps"
    }

    private func read(_ births: [SparkplugMessage], _ messages: [SparkplugMessage], _ form: Form, _ time: SystemTime) throws -> Int {
        var decoder = IngestDecoder(pattern: try TopicPattern(TopicPattern.standard))
        var encoder = LineProtocolEncoder(.victoriaMetrics, measurement: "indusedge")
        var chunk = SampleChunk()
        var effects = IngestEffects()
        var samples = 0
        for (number, message) in (births + messages).enumerated() {
            decoder.receive(
                IngestMessage(
                    topic: message.topic, payload: message.payload, token: MessageToken(connection: 1, number: UInt64(number))),
                at: time.now,
                utc: time.utc, into: &chunk, &effects)
            guard chunk.samples.count >= ReceiveMeasurement.chunkSamples else { continue }
            samples += chunk.samples.count
            decoder.complete(&chunk)
            encoder.learn(chunk.additions.series)
            switch form {
            case .samples: break
            case .lines: _ = encoder.lines(chunk, chunk.batches)
            case .rows:
                var rows: [UInt8] = []
                for sample in chunk.samples {
                    CopyEncoder.append(sample, series: sample.series, sourceTime: nil, texts: chunk.texts, to: &rows)
                    if rows.count >= 1 << 20 { rows.removeAll(keepingCapacity: true) }
                }
            }
            chunk = SampleChunk()
        }
        return samples
    }

    // MARK: - Behind a broker

    /// A route drains a log into a broker with TLS 1.3, and the receiving end, in the same process, empties it into the database.
    private func receive(_ samples: Int) async throws {
        let time = SystemTime()
        let broker = try BenchmarkBroker(time: time)
        defer { broker.stop() }
        var target: BenchmarkDatabase?
        if let database { target = try await BenchmarkDatabase(database, time: time) }
        let opened = target
        defer { opened?.stop() }
        let store = try BenchmarkLog("receive-\(name)", time: time)
        try await store.fill(try DemoPlant(devices: devices, tagCount: 1000 / devices, seed: seed), samples: samples, time: time)
        let total = samples / 1000 * 1000

        let status = IngestStatus()
        let settings = BrokerSettings(
            name: "bench", host: broker.cluster.host, port: broker.port,
            security: TLSClient(
                ca: "\(broker.identity)/ca.crt", certificate: "\(broker.identity)/subscriber.crt", key: "\(broker.identity)/subscriber.key"),
            clientID: "ingest-bench",
            filters: BrokerSettings.filters(share: nil, documents: try TopicPattern(TopicPattern.standard).filter))
        let writer = ChunkWriter(
            setAside: .init(folder: "\(FigureLog.folder)/uplink/aside"), time: time, status: status, logger: BenchmarkLog.logger,
            makeDatabase: { try opened?.open(time) ?? DiscardingDatabase() })
        let receiver = Receiver(
            brokers: [settings], decoder: IngestDecoder(pattern: try TopicPattern(TopicPattern.standard)), writer: writer, time: time,
            status: status, logger: BenchmarkLog.logger)
        let receiving = Task {
            try await writer.prepare()
            try await receiver.run()
        }
        while status.counters.connections == 0 { try await time.sleep(for: .milliseconds(20)) }

        let route = try Route(
            configuration: RouteConfiguration(
                name: "central", site: "bench", clusters: [broker.cluster], payload: .sparkplugB(group: "bench", node: "bench"),
                tls: broker.tls(as: "gateway"), clientID: "ingest-bench-route", epoch: store.log.epoch), log: store.log, time: time,
            logger: BenchmarkLog.logger)
        let databaseBefore = opened?.processorSeconds ?? 0
        let draining = Task { try await route.run() }
        while status.counters.writtenSamples == 0 { try await time.sleep(for: .milliseconds(1)) }
        let began = time.now
        let already = status.counters.writtenSamples
        while status.counters.writtenSamples < total { try await time.sleep(for: .milliseconds(20)) }
        let seconds = began.duration(to: time.now).inSeconds
        let databaseSeconds = (opened?.processorSeconds ?? 0) - databaseBefore
        let threads = Machine.secondsByThread
        let counters = status.counters
        draining.cancel()
        receiving.cancel()
        _ = await (draining.result, receiving.result)
        try await store.discard()

        let own = threads.filter { $0.name.hasPrefix("ingest") }.reduce(0) { $0 + $1.seconds }
        print(
            "  \(name): \(counters.messages) messages, \(counters.writes) writes, \(counters.duplicateMessages) duplicates, \(counters.setAsideSamples) samples set aside; "
                + threads.prefix(8).map { "\($0.name) \(decimal($0.seconds)) s" }.joined(separator: ", "))
        let figures = FigureLog()
        figures.report("ingest.samples_per_s_to_\(name)", (Double(total) - Double(already)) / seconds, "samples/s")
        figures.report("ingest.cpu_us_per_sample_to_\(name)", own * 1e6 / Double(total), "us")
        if database != nil { figures.report("ingest.database_cpu_us_per_sample_\(name)", databaseSeconds * 1e6 / Double(total), "us") }
        figures.report("ingest.rss_mib_\(name)", Machine.residentMiB, "MiB")
    }
}

/// Takes everything and keeps nothing: what is left is the cost of receiving.
private final class DiscardingDatabase: Database {
    let name = "nothing"
    let takesPartsOfBatches = true

    func prepare() throws(GatewayError) -> [String] { [] }
    func learn(_ additions: CatalogAdditions) {}
    func write(_ chunk: SampleChunk, _ batches: ArraySlice<SampleChunk.Batch>) throws(DatabaseFailure) -> WriteOutcome {
        WriteOutcome(writtenSamples: batches.reduce(0) { $0 + $1.samples.count }, bytes: 0)
    }
}
