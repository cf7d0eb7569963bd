internal import Sparkplug
internal import Telemetry

/// Encodes batches in the form the route is configured for.
struct PayloadEncoder {
    // One of the two is there. Two optionals, not an enumeration: so each is changed in place and its buffers are never copied.
    private var json: JSONPayloadEncoder?
    private var edgeNode: EdgeNode?
    /// What every message passes before it leaves.
    private let former: MessageFormer
    private let keys: MessageKeys
    private var primaryHost: PrimaryHost?
    private let sequenceFile: BirthDeathSequenceFile?
    /// What `connecting` last gave.
    private(set) var will: MQTTSession.Message?

    /// Throws a `GatewayError` for a topic, group or node that cannot be, and for envelope keys that cannot be read.
    init(_ configuration: RouteConfiguration, cluster: String) throws(GatewayError) {
        former = try MessageFormer(configuration, cluster: cluster)
        keys = MessageKeys(configuration)
        let sparkplug = configuration.sparkplug
        sequenceFile = sparkplug.stateFolder.map { BirthDeathSequenceFile(folder: $0, route: configuration.name, cluster: cluster) }
        switch configuration.payload {
        case .json(let template):
            json = try JSONPayloadEncoder(
                topicTemplate: template, site: configuration.site, resource: configuration.resource,
                documentBytesMax: configuration.documentBytesMax)
        case .sparkplugB(let group, let node):
            do {
                edgeNode = try EdgeNode(
                    groupID: group, nodeID: node, lastBirthDeathSequence: sequenceFile?.load(),
                    version: configuration.gatewayVersion, templates: sparkplug.templates,
                    epoch: configuration.epoch)
                primaryHost = try sparkplug.primaryHost.map { try PrimaryHost(id: $0) }
            } catch {
                throw GatewayError(
                    .configurationInvalid, resource: configuration.resource, operation: "configure",
                    "“\(group)” and “\(node)” cannot be a Sparkplug group and edge node", cause: error)
            }
        }
    }

    /// Where the broker's commands come from; empty where the payload knows none.
    var commandTopics: [String] { (edgeNode?.commandTopics ?? []) + (primaryHost.map { [$0.topic] } ?? []) }

    /// The host without which nothing may be published, as long as it has not said that it is there.
    var awaitedHost: String? { primaryHost.flatMap { $0.isOnline ? nil : $0.id } }

    /// What a message says of the primary host; `nil` if it is not about it.
    mutating func hear(topic: String, payload: [UInt8]) -> PrimaryHost.Decision? {
        guard topic == primaryHost?.topic else { return nil }
        return primaryHost?.receive(topic: topic, payload: payload)
    }

    /// Keeps the number of the connection that is about to be made. Throws a `GatewayError` when the disk does not take it.
    func keepSequence() throws(GatewayError) {
        guard let sequenceFile, let number = edgeNode?.birthDeathSequence else { return }
        try sequenceFile.save(number)
    }

    /// Tells of a stream before its first batch.
    mutating func register(_ stream: StreamID, _ descriptor: StreamDescriptor) { edgeNode?.register(stream, descriptor) }

    /// Says which streams the gateway has now; hosts are told of no others any more.
    mutating func retain(_ streams: Set<StreamID>) { edgeNode?.retain(streams) }

    /// What the broker shall publish when the connection that is about to be made breaks.
    mutating func connecting(at time: Timestamp) -> MQTTSession.Message? {
        primaryHost?.connecting()
        will = (edgeNode?.connecting(at: time)).flatMap { formed($0, at: time) }
        return will
    }

    /// What a subscriber must know before the first data.
    mutating func births(at time: Timestamp) -> [MQTTSession.Message] {
        (edgeNode?.births(at: time) ?? []).compactMap { formed($0, at: time) }
    }

    /// What hosts must hear of devices that went to another cluster.
    mutating func deaths(at time: Timestamp) -> [MQTTSession.Message] {
        (edgeNode?.departures(at: time) ?? []).compactMap { formed($0, at: time) }
    }

    /// What the broker's message asks for.
    func command(topic: String, payload: [UInt8]) -> EdgeCommand {
        let command = edgeNode?.command(topic: topic, payload: payload) ?? .ignored(reason: "this route takes no commands")
        guard former.isSealed, command != .rebirth else { return command }
        return .ignored(reason: "a route with an envelope takes no command but a rebirth")
    }

    /// The messages of a batch, in the order in which they must be sent; those of QoS 0 are not waited for.
    ///
    /// Throws a `GatewayError` when the batch does not have the shape of its stream, or its message could be too large.
    mutating func messages(
        for batch: SampleBatch, _ descriptor: StreamDescriptor, isHistorical: Bool, at time: Timestamp
    ) throws(GatewayError) -> [MQTTSession.Message] {
        try Self.checkShape(of: batch, descriptor)
        if let message = try json?.message(for: batch, descriptor, isHistorical: isHistorical) {
            var plain = MQTTSession.Message(topic: message.topic, payload: message.payload, qualityOfService: 1)
            plain.contentType = "application/json"
            return keys.add(to: [try former.form(plain, batch: batch, at: time)], of: batch)
        }
        edgeNode?.register(batch.stream, descriptor)
        var messages: [MQTTSession.Message] = []
        for message in edgeNode?.data(batch, isHistorical: isHistorical, at: time) ?? [] {
            messages.append(try former.form(Self.message(message), batch: batch, at: time))
        }
        return keys.add(to: messages, of: batch)
    }

    /// A message that no batch depends on. One that cannot be sealed is left out: hosts ask again for births they miss.
    private func formed(_ message: SparkplugMessage, at time: Timestamp) -> MQTTSession.Message? {
        try? former.form(Self.message(message), at: time)
    }

    private static func message(_ message: SparkplugMessage) -> MQTTSession.Message {
        MQTTSession.Message(
            topic: message.topic, payload: message.payload, qualityOfService: message.qualityOfService, retain: message.retain)
    }

    private static func checkShape(of batch: SampleBatch, _ descriptor: StreamDescriptor) throws(GatewayError) {
        let tagCount = descriptor.tags.count
        let described = batch.quality.reduce(0) { $0 + max(0, $1.count) }
        guard batch.values.count == descriptor.valueBytes, described == tagCount, batch.quality.allSatisfy({ $0.count >= 0 }),
            batch.presence.isEmpty || batch.presence.count == (tagCount + 63) / 64
        else {
            throw GatewayError(
                .protocolViolation, resource: "stream \(descriptor.device)/\(descriptor.group)", operation: "encode",
                "the batch has \(batch.values.count) bytes, the quality of \(described) tags and \(batch.presence.count) words of presence, "
                    + "but its stream has \(descriptor.valueBytes) bytes and \(tagCount) tags")
        }
    }
}
