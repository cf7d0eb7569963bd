internal import Sparkplug
internal import Telemetry

/// Encodes batches in the form the route is configured for.
struct PayloadEncoder {
    // One of the two is there. Two optionals, not an enumeration: so each is changed in place and its buffers are never copied.
    private var json: JSONPayloadEncoder?
    private var edgeNode: EdgeNode?

    /// Throws a `GatewayError` for a topic, group or node that cannot be.
    init(_ configuration: RouteConfiguration) throws(GatewayError) {
        switch configuration.payload {
        case .json(let template):
            json = try JSONPayloadEncoder(
                topicTemplate: template, site: configuration.site, resource: configuration.resource,
                documentBytesMax: configuration.documentBytesMax)
        case .sparkplugB(let group, let node):
            do {
                edgeNode = try EdgeNode(
                    groupID: group, nodeID: node, firstBirthDeathSequence: UInt8(truncatingIfNeeded: configuration.epoch),
                    version: configuration.gatewayVersion, epoch: configuration.epoch)
            } catch {
                throw GatewayError(
                    .configurationInvalid, resource: configuration.resource, operation: "configure",
                    "“\(group)” and “\(node)” cannot be a Sparkplug group and edge node", cause: error)
            }
        }
    }

    /// Where the broker's commands come from; empty where the payload knows none.
    var commandTopics: [String] { edgeNode?.commandTopics ?? [] }

    /// Tells of a stream before its first batch.
    mutating func register(_ stream: StreamID, _ descriptor: StreamDescriptor) { edgeNode?.register(stream, descriptor) }

    /// Says which streams the gateway has now; hosts are told of no others any more.
    mutating func retain(_ streams: Set<StreamID>) { edgeNode?.retain(streams) }

    /// What the broker shall publish when the connection that is about to be made breaks.
    mutating func connecting(at time: Timestamp) -> MQTTSession.Message? { (edgeNode?.connecting(at: time)).map(Self.message) }

    /// What a subscriber must know before the first data.
    mutating func births(at time: Timestamp) -> [MQTTSession.Message] { (edgeNode?.births(at: time) ?? []).map(Self.message) }

    /// What hosts must hear of devices that went to another cluster.
    mutating func deaths(at time: Timestamp) -> [MQTTSession.Message] { (edgeNode?.departures(at: time) ?? []).map(Self.message) }

    /// What the broker's message asks for.
    func command(topic: String, payload: [UInt8]) -> EdgeCommand {
        edgeNode?.command(topic: topic, payload: payload) ?? .ignored(reason: "this route takes no commands")
    }

    /// The messages of a batch, in the order in which they must be sent; those of QoS 0 are not waited for.
    ///
    /// Throws a `GatewayError` when the batch does not have the shape of its stream, or its message could be too large.
    mutating func messages(
        for batch: SampleBatch, _ descriptor: StreamDescriptor, isHistorical: Bool, at time: Timestamp
    ) throws(GatewayError) -> [MQTTSession.Message] {
        try Self.checkShape(of: batch, descriptor)
        if let message = try json?.message(for: batch, descriptor, isHistorical: isHistorical) {
            return [MQTTSession.Message(topic: message.topic, payload: message.payload, qualityOfService: 1)]
        }
        edgeNode?.register(batch.stream, descriptor)
        return (edgeNode?.data(batch, isHistorical: isHistorical, at: time) ?? []).map(Self.message)
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
