import GatewayCore
import Sparkplug
import Telemetry

@testable import Ingest

let noon = Timestamp(nanoseconds: 1_767_268_800_000_000_000)

/// A decoder with what it gave so far.
struct Bench {
    var decoder: IngestDecoder
    var chunk = SampleChunk()
    var effects = IngestEffects()
    var now = MonotonicInstant(nanoseconds: 1_000_000_000)
    var nextToken: UInt64 = 0

    init(filter: DuplicateFilter = DuplicateFilter(), sealed: SealedMessages? = nil) throws {
        decoder = IngestDecoder(pattern: try TopicPattern(TopicPattern.standard), filter: filter, sealed: sealed)
    }

    mutating func receive(_ topic: String, _ payload: [UInt8], from source: Int = 0) {
        nextToken += 1
        decoder.receive(
            IngestMessage(topic: topic, payload: payload, token: MessageToken(connection: 1, number: nextToken), source: source), at: now,
            utc: noon, into: &chunk, &effects)
    }

    mutating func receive(_ message: SparkplugMessage, from source: Int = 0) { receive(message.topic, message.payload, from: source) }

    mutating func receive(document: String, topic: String = "indusedge/plant/pump-1/fast") { receive(topic, Array(document.utf8)) }

    mutating func advance(_ duration: Duration) {
        now = now.advanced(by: duration)
        decoder.tick(at: now, utc: noon, &effects)
    }

    /// The samples of the chunk in words: `pump-1/speed=1500 Good @ms`.
    var words: [String] {
        let catalog = decoder.catalog
        return chunk.samples.map { sample in
            let series = catalog.series[Int(sample.series)]
            let value: String =
                switch sample.kind {
                case .none: "nothing"
                case .number: Double(bitPattern: sample.bits).description
                case .integer: Int64(bitPattern: sample.bits).description
                case .boolean: sample.bits == 0 ? "false" : "true"
                case .text: chunk.texts[Int(sample.bits)]
                }
            let uncertain = sample.isTimeUncertain ? " uncertain" : ""
            return "\(series.device)/\(series.tag)=\(value) \(StatusCode(rawValue: sample.status)) @\(sample.time / 1_000_000)\(uncertain)"
        }
    }
}

/// A gateway with one pump, as the real edge node makes its messages.
struct Plant {
    static let fast = StreamID(rawValue: 1)
    static let tags = StreamDescriptor(
        device: "pump-1", group: "fast",
        tags: [
            Tag("temperature", .int16, scaling: Scaling(scale: 0.1), unit: "Cel"), Tag("speed", .uint16),
            Tag("running", .bool), Tag("state", .string, stringCapacity: 8),
            Tag("total", .uint64), Tag("ratio", .float32),
        ])

    var node: EdgeNode
    var epoch: UInt32
    var sequence: UInt64 = 0

    /// - Parameter before: streams that come first, so that the aliases are others.
    init(epoch: UInt32, before: [String] = []) throws {
        node = try EdgeNode(groupID: "plant", nodeID: "line-1", version: "1", epoch: epoch)
        self.epoch = epoch
        for (index, name) in before.enumerated() {
            node.register(
                StreamID(rawValue: 100 + UInt32(index)), StreamDescriptor(device: name, group: "fast", tags: [Tag("x", .uint16)]))
        }
        node.register(Self.fast, Self.tags)
    }

    mutating func births() -> [SparkplugMessage] {
        _ = node.connecting(at: noon)
        return node.births(at: noon)
    }

    /// One poll: temperature in tenths.
    mutating func poll(_ temperature: Int16, at time: Timestamp = noon, quality: [QualityRun]? = nil, isTimeUncertain: Bool = false)
        -> SampleBatch
    {
        sequence += 1
        var values: [UInt8] = []
        func append(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value.littleEndian) { values += Array($0) } }
        append(temperature)
        append(UInt16(1500))
        values.append(1)
        append(UInt16(2))
        values += Array("on".utf8) + [0, 0, 0, 0, 0, 0]
        append(UInt64(1) << 63 + 5)
        append(Float(0.1).bitPattern)
        var batch = SampleBatch(stream: Self.fast, time: time, quality: quality ?? [QualityRun(count: 6, status: .good)], values: values)
        batch.epoch = epoch
        batch.sequence = sequence
        batch.isTimeUncertain = isTimeUncertain
        return batch
    }

    mutating func data(_ temperature: Int16, isHistorical: Bool = false) -> SparkplugMessage {
        let batch = poll(temperature)
        // Births may come before it: these tests send them, or not, by themselves.
        let messages = node.data(batch, isHistorical: isHistorical, at: noon)
        return messages[messages.count - 1]
    }
}
