package import GatewayCore
internal import Sparkplug
package import Telemetry

/// A message that came, with what it takes to acknowledge it.
package struct IngestMessage: Sendable {
    package var topic: String
    package var payload: [UInt8]
    /// `nil` for QoS 0: there is nobody to tell.
    package var token: MessageToken?
    /// Which broker it came from: a gateway's aliases hold within its session at one broker, and may differ at the next.
    package var source: Int

    package init(topic: String, payload: [UInt8], token: MessageToken?, source: Int = 0) {
        self.topic = topic
        self.payload = payload
        self.token = token
        self.source = source
    }
}

/// What a gateway told of its metrics, without values: names, aliases, types and units. Worth keeping over a restart, because they hold as long as
/// the gateway runs, and cannot be asked for after that.
package struct IngestBirth: Sendable, Equatable {
    /// `group/node`.
    package var node: String
    /// The start of the gateway.
    package var epoch: UInt32
    package var topic: String
    package var payload: [UInt8]

    package init(node: String, epoch: UInt32, topic: String, payload: [UInt8]) {
        self.node = node
        self.epoch = epoch
        self.topic = topic
        self.payload = payload
    }
}

/// What the decoder asks for beside writing samples.
package struct IngestEffects: Sendable {
    /// Messages that nothing can be made of, and why: for the folder of what was set aside.
    package var refused: [(message: IngestMessage, reason: String)] = []
    /// What is to be published, at QoS 0, and at which broker.
    package var publications: [(topic: String, payload: [UInt8], source: Int)] = []
    /// Births to be kept, with their brokers, before data that follows them is acknowledged.
    package var births: [(birth: IngestBirth, source: Int)] = []

    package init() {}
}

/// Turns messages into samples: the whole of what a receiving end knows of its senders.
///
/// A message ends in exactly one place: its samples in the chunk (or none, if it came before), or among the refused, or it waits for a birth, for a
/// bounded time. The tokens of those in the chunk are in the chunk; whoever sets a refused message aside puts its token there.
package struct IngestDecoder: Sendable {
    /// How long data waits for the birth that explains it.
    package static let holdTime = Duration.seconds(20)
    /// The most messages that wait, and their bytes.
    package static let heldMessagesMax = 20_000
    package static let heldBytesMax = 64 << 20
    /// The waits between two requests for a birth: doubling from the first to the last.
    package static let rebirthPauseMin = Duration.seconds(1)
    package static let rebirthPauseMax = Duration.seconds(60)

    private struct Held {
        var message: IngestMessage
        var until: MonotonicInstant
    }

    /// An edge node as one broker shows it.
    private struct NodeID: Hashable, Comparable {
        var source: Int
        var group: String
        var node: String

        init(_ topic: SparkplugTopic, _ message: IngestMessage) {
            source = message.source
            group = topic.group
            node = topic.node
        }

        var name: String { "\(group)/\(node)" }

        static func < (one: NodeID, other: NodeID) -> Bool { (one.source, one.group, one.node) < (other.source, other.group, other.node) }
    }

    /// A node whose data waits.
    private struct Waiting {
        var messages: [Held] = []
        var nextRequest: MonotonicInstant
        var pause = IngestDecoder.rebirthPauseMin
    }

    package private(set) var catalog = SeriesCatalog()
    package private(set) var counters = IngestCounters()
    private let pattern: TopicPattern
    private var filter: DuplicateFilter
    private var senders: [NodeID: SparkplugSender] = [:]
    private var documents = JSONDocumentReader()
    private var waiting: [NodeID: Waiting] = [:]
    private var heldBytes = 0
    /// The envelopes; `nil` for a receiving end without keys.
    private var sealed: SealedMessages?

    package init(pattern: TopicPattern, filter: DuplicateFilter = DuplicateFilter(), sealed: SealedMessages? = nil) {
        self.pattern = pattern
        self.filter = filter
        self.sealed = sealed
    }

    /// Takes a message in, out of its envelope if it is in one.
    package mutating func receive(
        _ message: IngestMessage, at now: MonotonicInstant, utc: Timestamp, into chunk: inout SampleChunk, _ effects: inout IngestEffects
    ) {
        guard sealed != nil, Self.carriesData(message.topic), let outcome = sealed?.open(message) else {
            return read(message, at: now, utc: utc, into: &chunk, &effects)
        }
        if let sealed { counters.envelopes = sealed.counters }
        switch outcome {
        case .message(let inner): read(inner, at: now, utc: utc, into: &chunk, &effects)
        case .known:
            counters.messages += 1
            counters.messageBytes += UInt64(message.payload.count)
            counters.duplicateMessages += 1
            finish(message, &chunk)
        case .refused(let reason):
            counters.messages += 1
            counters.messageBytes += UInt64(message.payload.count)
            refuse(message, reason, &effects)
        }
    }

    /// Whether it is no command and no state of a host, which never come in envelopes.
    private static func carriesData(_ topic: String) -> Bool {
        if topic.hasPrefix("\(SparkplugTopic.namespace)/STATE/") { return false }
        switch SparkplugTopic(topic)?.type {
        case .nodeCommand, .deviceCommand: return false
        default: return true
        }
    }

    /// Messages are where they belong, so that what comes again of them is a repetition.
    package mutating func record(_ messages: [MessageToken]) { sealed?.record(messages) }

    private mutating func read(
        _ message: IngestMessage, at now: MonotonicInstant, utc: Timestamp, into chunk: inout SampleChunk, _ effects: inout IngestEffects
    ) {
        if let topic = SparkplugTopic(message.topic) {
            switch topic.type {
            case .nodeData, .deviceData:
                counters.messages += 1
                counters.messageBytes += UInt64(message.payload.count)
                if let reason = data(message, topic, into: &chunk, &effects) { wait(message, topic, reason, at: now, utc, &effects) }
            case .nodeBirth, .deviceBirth:
                counters.lifecycleMessages += 1
                birth(message, topic, at: now, utc, into: &chunk, &effects)
            case .nodeDeath, .deviceDeath:
                counters.lifecycleMessages += 1
                if topic.type == .nodeDeath { senders[NodeID(topic, message)]?.died() }
                finish(message, &chunk)
            case .nodeCommand, .deviceCommand: finish(message, &chunk)
            }
        } else if let site = pattern.site(of: message.topic) {
            counters.messages += 1
            counters.messageBytes += UInt64(message.payload.count)
            document(message, site, into: &chunk, &effects)
        } else if message.topic.hasPrefix("\(SparkplugTopic.namespace)/STATE/") {
            finish(message, &chunk)
        } else {
            counters.messages += 1
            refuse(message, "the topic is neither Sparkplug's nor the template's of JSON documents", &effects)
        }
    }

    /// Takes a birth that was kept from before.
    package mutating func restore(_ birth: IngestBirth, source: Int) {
        let message = IngestMessage(topic: birth.topic, payload: birth.payload, token: nil, source: source)
        guard let topic = SparkplugTopic(birth.topic), let payload = try? SparkplugPayload(decoding: birth.payload) else { return }
        let id = NodeID(topic, message)
        guard var sender = try? sender(id) else { return }
        // What cannot be taken now could not be taken then.
        try? sender.birth(payload, device: topic.device, epoch: birth.epoch, catalog: &catalog)
        senders[id] = sender
    }

    /// Finishes a chunk: what its writer must know of names goes with it.
    package mutating func complete(_ chunk: inout SampleChunk) { chunk.additions = catalog.takeAdditions() }

    /// What the connection to a broker missed is unknown: births of senders whose births carry no start do not count any more.
    package mutating func didReconnect(source: Int = 0) {
        for id in senders.keys where id.source == source { senders[id]?.forgetForeignBirths() }
    }

    /// The next moment at which `tick` has something to do; `nil` while nothing waits.
    package var nextDeadline: MonotonicInstant? {
        waiting.values.reduce(nil) { earliest, entry in
            let own = min(entry.nextRequest, entry.messages.first?.until ?? entry.nextRequest)
            return earliest.map { min($0, own) } ?? own
        }
    }

    /// Asks again for births that did not come, and gives up messages that waited too long.
    package mutating func tick(at now: MonotonicInstant, utc: Timestamp, _ effects: inout IngestEffects) {
        for id in waiting.keys.sorted() {
            guard var entry = waiting[id] else { continue }
            while let first = entry.messages.first, first.until <= now {
                entry.messages.removeFirst()
                release(first.message)
                refuse(first.message, "no birth of \(id.name) came within \(Self.holdTime.nanoseconds / 1_000_000_000) s", &effects)
            }
            if entry.messages.isEmpty {
                waiting[id] = nil
                continue
            }
            request(id, &entry, at: now, utc, &effects)
            waiting[id] = entry
        }
    }

    private mutating func release(_ message: IngestMessage) {
        heldBytes -= message.payload.count
        counters.heldMessages -= 1
    }

    private mutating func finish(_ message: IngestMessage, _ chunk: inout SampleChunk) {
        if let token = message.token { chunk.messages.append(token) }
    }

    private mutating func refuse(_ message: IngestMessage, _ reason: String, _ effects: inout IngestEffects) {
        effects.refused.append((message, reason))
    }

    /// Notes a batch whose samples were appended; removes them again when it came before.
    private mutating func take(_ batch: SampleChunk.Batch, _ message: IngestMessage, _ firstText: Int, _ chunk: inout SampleChunk) {
        finish(message, &chunk)
        if filter.contains(batch.key) {
            counters.duplicateMessages += 1
            chunk.samples.removeSubrange(batch.samples.lowerBound...)
            chunk.texts.removeSubrange(firstText...)
            return
        }
        filter.insert(batch.key)
        counters.samples += UInt64(batch.samples.count)
        chunk.batches.append(batch)
    }
}

// MARK: - JSON

extension IngestDecoder {
    private mutating func document(_ message: IngestMessage, _ site: String, into chunk: inout SampleChunk, _ effects: inout IngestEffects)
    {
        let firstText = chunk.texts.count
        do throws(GatewayError) {
            let gateway = try catalog.index(ofGateway: site)
            let payload = try PayloadUnpacker.document(message.payload)
            let batch = try documents.read(payload, gateway: gateway, catalog: &catalog, into: &chunk)
            take(batch, message, firstText, &chunk)
        } catch {
            refuse(message, error.message, &effects)
        }
    }
}

// MARK: - Sparkplug

extension IngestDecoder {
    private mutating func sender(_ id: NodeID) throws(GatewayError) -> SparkplugSender {
        // Taken out while it changes, so that its names are not copied; whoever takes it brings it back.
        if let known = senders.removeValue(forKey: id) { return known }
        return SparkplugSender(gateway: try catalog.index(ofGateway: id.name), name: id.name)
    }

    private mutating func birth(
        _ message: IngestMessage, _ topic: SparkplugTopic, at now: MonotonicInstant, _ utc: Timestamp, into chunk: inout SampleChunk,
        _ effects: inout IngestEffects
    ) {
        let id = NodeID(topic, message)
        do throws(GatewayError) {
            var payload = try SparkplugPayload(decoding: message.payload)
            if PayloadUnpacker.isCompressed(payload.uuid) {
                payload = try SparkplugPayload(decoding: try PayloadUnpacker.inner(of: message.payload))
            }
            let epoch = payload.uuid.flatMap { UInt32($0) }
            var sender = try sender(id)
            defer { senders[id] = sender }
            try sender.birth(payload, device: topic.device, epoch: epoch, catalog: &catalog)
            // Our births repeat what data told already; those of others carry values of their own.
            if let epoch {
                effects.births.append((Self.withoutValues(payload, id, epoch, message.topic), message.source))
            } else {
                try foreignBirth(payload, message, topic, &sender, into: &chunk)
            }
            finish(message, &chunk)
        } catch {
            refuse(message, error.message, &effects)
            return
        }
        retry(id, at: now, into: &chunk, &effects)
    }

    private static func withoutValues(_ payload: SparkplugPayload, _ id: NodeID, _ epoch: UInt32, _ topic: String) -> IngestBirth {
        let metrics = payload.metrics.map { metric in
            SparkplugMetric(
                name: metric.name, alias: metric.alias, datatype: metric.datatype, isNull: true,
                properties: metric.properties.filter { $0.key == SparkplugProperty.unitKey })
        }
        return IngestBirth(
            node: id.name, epoch: epoch, topic: topic, payload: SparkplugPayload(metrics: metrics, uuid: payload.uuid).encoded())
    }

    /// The values of another maker's birth are samples like any other.
    private mutating func foreignBirth(
        _ payload: SparkplugPayload, _ message: IngestMessage, _ topic: SparkplugTopic, _ sender: inout SparkplugSender,
        into chunk: inout SampleChunk
    ) throws(GatewayError) {
        guard let generation = sender.generation(of: nil), payload.timestamp != nil else { return }
        let first = chunk.samples.count
        let firstText = chunk.texts.count
        let named = SparkplugPayload(
            metrics: payload.metrics.filter { $0.name != "bdSeq" && $0.name?.hasPrefix("Node Control/") == false && $0.datatype != nil })
        let outcome = SparkplugDataReader.read(
            named.encoded(), &sender, generation: generation, device: topic.device, isForeign: true, payloadTime: payload.timestamp,
            into: &chunk)
        guard outcome == .samples, first < chunk.samples.count else { return }
        let key = Self.foreignKey(sender.gateway, topic.device, payload.timestamp, payload.sequence)
        if filter.contains(key) {
            chunk.samples.removeSubrange(first...)
            chunk.texts.removeSubrange(firstText...)
            return
        }
        filter.insert(key)
        counters.samples += UInt64(chunk.samples.count - first)
        chunk.batches.append(.init(key: key, samples: first..<chunk.samples.count))
    }

    /// Reads a data message; returns why it must wait for a birth, and has then done nothing.
    private mutating func data(
        _ message: IngestMessage, _ topic: SparkplugTopic, into chunk: inout SampleChunk, _ effects: inout IngestEffects
    ) -> String? {
        guard message.payload.count <= SparkplugPayload.payloadBytesMax else {
            refuse(
                message, "the payload has \(message.payload.count) bytes, at most \(SparkplugPayload.payloadBytesMax) are read", &effects)
            return nil
        }
        guard var envelope = SparkplugDataReader.envelope(of: message.payload) else {
            refuse(message, "the payload is not protobuf", &effects)
            return nil
        }
        let id = NodeID(topic, message)
        do throws(GatewayError) {
            var payload = message.payload
            if PayloadUnpacker.isCompressed(envelope.uuid) {
                payload = try PayloadUnpacker.inner(of: payload)
                guard let inner = SparkplugDataReader.envelope(of: payload) else {
                    refuse(message, "the payload inside of the compressed one is not protobuf", &effects)
                    return nil
                }
                envelope = inner
            }
            var sender = try sender(id)
            defer { senders[id] = sender }
            let own = envelope.uuid.flatMap { Self.key($0, sender.gateway) }
            let key = own ?? Self.foreignKey(sender.gateway, topic.device, envelope.timestamp, envelope.sequence)
            if filter.contains(key) {
                counters.duplicateMessages += 1
                finish(message, &chunk)
                return nil
            }
            // Our own data with births of before they carried their start is read with the last ones.
            guard let generation = sender.generation(of: own?.epoch) ?? sender.generation(of: nil) else {
                return "no birth came yet"
            }
            let first = chunk.samples.count
            let firstText = chunk.texts.count
            let outcome = SparkplugDataReader.read(
                payload, &sender, generation: generation, device: topic.device, isForeign: own == nil,
                payloadTime: envelope.timestamp, into: &chunk)
            switch outcome {
            case .samples: take(.init(key: key, samples: first..<chunk.samples.count), message, firstText, &chunk)
            case .unknownMetric(let what): return "no birth told of \(what)"
            case .broken(let reason): refuse(message, reason, &effects)
            }
        } catch {
            refuse(message, error.message, &effects)
        }
        return nil
    }

    /// `epoch-stream-sequence`.
    private static func key(_ uuid: String, _ gateway: Int32) -> BatchKey? {
        let parts = uuid.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, let epoch = UInt32(parts[0]), let stream = UInt32(parts[1]), let sequence = UInt64(parts[2]) else {
            return nil
        }
        return BatchKey(gateway: gateway, epoch: epoch, stream: stream, sequence: sequence)
    }

    /// Other makers have no keys: the time of the message in milliseconds, its number among 256, and its device come close.
    private static func foreignKey(_ gateway: Int32, _ device: String?, _ timestamp: UInt64?, _ sequence: UInt64?) -> BatchKey {
        // FNV-1a, because the standard library's hashes differ from run to run.
        var hash: UInt32 = 2_166_136_261
        for byte in (device ?? "").utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
        return BatchKey(gateway: gateway, epoch: 0, stream: hash, sequence: (timestamp ?? 0) << 8 | (sequence ?? 0) & 0xFF)
    }

    private mutating func wait(
        _ message: IngestMessage, _ topic: SparkplugTopic, _ reason: String, at now: MonotonicInstant, _ utc: Timestamp,
        _ effects: inout IngestEffects
    ) {
        guard counters.heldMessages < UInt64(Self.heldMessagesMax), heldBytes + message.payload.count <= Self.heldBytesMax else {
            return refuse(message, "\(reason), and too many messages wait already", &effects)
        }
        let id = NodeID(topic, message)
        var entry = waiting.removeValue(forKey: id) ?? Waiting(nextRequest: now)
        entry.messages.append(Held(message: message, until: now.advanced(by: Self.holdTime)))
        heldBytes += message.payload.count
        counters.heldMessages += 1
        request(id, &entry, at: now, utc, &effects)
        waiting[id] = entry
    }

    /// Source: Sparkplug 3.0.0, 6.4.25 (Node Control/Rebirth in NCMD).
    private mutating func request(
        _ id: NodeID, _ entry: inout Waiting, at now: MonotonicInstant, _ utc: Timestamp, _ effects: inout IngestEffects
    ) {
        guard entry.nextRequest <= now else { return }
        entry.nextRequest = now.advanced(by: entry.pause)
        entry.pause = min(entry.pause + entry.pause, Self.rebirthPauseMax)
        counters.rebirthRequests += 1
        let milliseconds = utc.sparkplugMilliseconds
        let payload = SparkplugPayload(
            timestamp: milliseconds,
            metrics: [
                SparkplugMetric(
                    name: "Node Control/Rebirth", timestamp: milliseconds, datatype: SparkplugDataType.boolean.rawValue,
                    value: .boolean(true))
            ])
        let topic = SparkplugTopic(group: id.group, type: .nodeCommand, node: id.node)
        effects.publications.append((topic.text, payload.encoded(), id.source))
    }

    /// Reads what waited for a birth of the node; what still does not fit goes on waiting until its time is over.
    private mutating func retry(
        _ id: NodeID, at now: MonotonicInstant, into chunk: inout SampleChunk, _ effects: inout IngestEffects
    ) {
        guard let entry = waiting.removeValue(forKey: id) else { return }
        var left: [Held] = []
        for held in entry.messages {
            guard let topic = SparkplugTopic(held.message.topic) else { continue }
            if data(held.message, topic, into: &chunk, &effects) == nil { release(held.message) } else { left.append(held) }
        }
        guard !left.isEmpty else { return }
        // Births of the other devices follow this one: asking at once would only bring them all again.
        waiting[id] = Waiting(
            messages: left, nextRequest: max(entry.nextRequest, now.advanced(by: Self.rebirthPauseMin)), pause: entry.pause)
    }
}
