package import Telemetry

/// The state machine of a Sparkplug edge node: which messages tell a host of the gateway, its devices and their samples.
///
/// Value in, messages out: whoever owns it connects, publishes and listens. One session is `connecting`, then `births`, then any
/// number of `data`; after a lost connection it begins anew. Whatever is returned must be published in this order.
///
/// Source: Sparkplug 3.0.0, chapters 5 (operational behavior) and 6 (payloads).
package struct EdgeNode: Sendable {
    package let groupID: String
    package let nodeID: String
    /// The topics on which hosts send commands, to be subscribed to at QoS 1 before the births.
    package var commandTopics: [String] {
        [
            SparkplugTopic(group: groupID, type: .nodeCommand, node: nodeID).text,
            SparkplugTopic(group: groupID, type: .deviceCommand, node: nodeID, device: "#").text,
        ]
    }

    private let version: String
    /// By the device's name in the site.
    private let templates: [String: TemplateName]
    private var shapes = TemplateShapes()
    /// The `uuid` of births: which start of the gateway their aliases belong to.
    private let birthKey: String?
    /// `bdSeq` of the last CONNECT; `nil` before the first.
    package private(set) var birthDeathSequence: UInt8?
    /// `seq` of the next message.
    private var sequence: UInt8 = 0
    private var hasBirths = false
    private var nextAlias: UInt32

    private var devices: [DeviceMetrics] = []
    private var deviceIndices: [String: Int] = [:]
    private var streams: [PublishedStream] = []
    private var streamIndices: [StreamID: Int] = [:]
    /// What the gateway has, since it said so for the first time.
    private var retained: Set<StreamID>?
    /// Devices that are born and whose streams the gateway does not have any more.
    private var leaving: [Int] = []

    static let rebirthMetric = "Node Control/Rebirth"
    static let birthDeathSequenceMetric = "bdSeq"
    /// The node's properties have the first aliases. 0 stays free: some hosts take it for none.
    private static let firstNodeAlias: UInt32 = 1
    private static let firstDeviceAlias: UInt32 = 3

    /// - Parameters:
    ///   - groupID, nodeID: not empty, without `+`, `/`, `#` and U+0000; otherwise throws `.configurationInvalid`.
    ///   - lastBirthDeathSequence: `bdSeq` of the last CONNECT of an earlier run, with which this one goes on; `nil` for the first ever,
    ///     which has 0.
    ///   - version: the gateway's version, for the node's properties.
    ///   - templates: per device whose tags shall go as the members of one template instance, the definition; the others' metrics are flat.
    ///   - epoch: the number of the gateway's start, which births carry as their `uuid`: aliases of two starts differ, and a receiver may get
    ///     births and data over different ways.
    package init(
        groupID: String, nodeID: String, lastBirthDeathSequence: UInt8? = nil, version: String = "",
        templates: [String: TemplateName] = [:], epoch: UInt32? = nil
    ) throws {
        try SparkplugTopic.validate(groupID, as: "group id")
        try SparkplugTopic.validate(nodeID, as: "edge node id")
        self.groupID = groupID
        self.nodeID = nodeID
        birthDeathSequence = lastBirthDeathSequence
        self.version = version
        self.templates = templates
        birthKey = epoch.map { String($0) }
        nextAlias = EdgeNode.firstDeviceAlias
    }

    /// The NDEATH to set as the will of the CONNECT that is about to be sent, and to publish before an intended DISCONNECT.
    /// Moves `bdSeq` on, from 255 to 0.
    package mutating func connecting(at time: Timestamp) -> SparkplugMessage {
        let next = birthDeathSequence.map { $0 &+ 1 } ?? 0
        birthDeathSequence = next
        hasBirths = false
        let payload = SparkplugPayload(
            timestamp: time.sparkplugMilliseconds, metrics: [EdgeNode.birthDeathSequence(next, at: time)])
        return SparkplugMessage(
            topic: SparkplugTopic(group: groupID, type: .nodeDeath, node: nodeID).text, payload: payload.encoded(), qualityOfService: 1)
    }

    /// NBIRTH, then a DBIRTH per device with all its metrics and their latest values: after the acknowledgement of the
    /// connection and of the command subscription, and whenever a host asks for a rebirth.
    package mutating func births(at time: Timestamp) -> [SparkplugMessage] {
        sequence = 0
        hasBirths = true
        leaving = []
        let told = devices.indices.filter { devices[$0].streams.contains { isTold($0) } }
        shapes.beginBirths()
        for device in told { _ = shapes.reference(of: toldMembers(of: device), devices[device].template) }
        var messages = [nodeBirth(at: time)]
        for stream in streams.indices { streams[stream].isBorn = false }
        for device in devices.indices { devices[device].isBorn = false }
        for device in told { messages.append(deviceBirth(device, at: time)) }
        return messages
    }

    /// Says which streams the gateway has now; others are no longer told of in births.
    ///
    /// If births are out, a device that lost a stream is born anew before its next data, and one that lost all of them dies before the next
    /// live data of another. Data of a stream that is not retained may still come: it makes the stream known again, until the next call.
    package mutating func retain(_ streams: Set<StreamID>) {
        retained = streams
        for (stream, index) in streamIndices {
            let isRetained = streams.contains(stream)
            let device = self.streams[index].device
            self.streams[index].isRecalled = false
            // A stream that comes back begins anew: what it last said is not known to hold.
            if isRetained, !self.streams[index].isRetained { self.streams[index].latest = LatestValues() }
            self.streams[index].isRetained = isRetained
            if isRetained != self.streams[index].isBorn { devices[device].needsBirth = true }
        }
        leaving = devices.indices.filter { devices[$0].isBorn && !isRetained($0) }
    }

    private func isRetained(_ device: Int) -> Bool { devices[device].streams.contains { streams[$0].isRetained } }

    private func isTold(_ stream: Int) -> Bool { streams[stream].isRetained || streams[stream].isRecalled }

    /// Tells of a stream, which the gateway has or old data needs. A stream that is known already costs a look-up.
    ///
    /// If births are out, the next `data` of its device is preceded by a fresh DBIRTH.
    package mutating func register(_ stream: StreamID, _ descriptor: StreamDescriptor) {
        guard streamIndices[stream] == nil else { return }
        let deviceID = SparkplugTopic.deviceID(of: descriptor.device)
        let device: Int
        if let known = deviceIndices[deviceID] {
            device = known
        } else {
            device = devices.count
            deviceIndices[deviceID] = device
            let template = templates[descriptor.device]
            devices.append(
                DeviceMetrics(
                    id: deviceID, name: descriptor.device, group: groupID, node: nodeID, template: template,
                    templateAlias: template == nil ? 0 : nextAlias))
            if template != nil { nextAlias += 1 }
        }
        let metrics = devices[device].metrics(of: descriptor, nextAlias: &nextAlias)
        let definitions = devices[device].metrics
        devices[device].needsBirth = true
        devices[device].streams.append(streams.count)
        streamIndices[stream] = streams.count
        var published = PublishedStream(
            descriptor, device: device, metrics: metrics, aliases: metrics.map { definitions[$0].alias },
            instanceAlias: devices[device].holdsAsMembers(descriptor.group) ? devices[device].templateAlias : nil)
        published.isRetained = retained?.contains(stream) ?? true
        streams.append(published)
    }

    /// One DDATA with the batch, aliases only, its key in `uuid`; before it a DBIRTH where the host does not know all metrics yet,
    /// and all births if they are not out.
    ///
    /// A historical batch's metrics say so, and do not change the values that births repeat. An empty batch gives no DDATA.
    ///
    /// - Precondition: the stream is registered, and the batch has its shape.
    package mutating func data(_ batch: SampleBatch, isHistorical: Bool, at publishTime: Timestamp) -> [SparkplugMessage] {
        guard let index = streamIndices[batch.stream] else {
            preconditionFailure("stream \(batch.stream.rawValue) was not registered with the edge node")
        }
        EdgeNode.checkShape(of: batch, streams[index].descriptor)
        let device = streams[index].device
        if !streams[index].isRetained, !streams[index].isBorn || !hasBirths {
            streams[index].isRecalled = true
            devices[device].needsBirth = true
        }
        var messages: [SparkplugMessage] = []
        if !hasBirths {
            messages = births(at: publishTime)
        } else {
            if !leaving.isEmpty, !isHistorical, !leaving.contains(device) { messages = deaths(at: publishTime) }
            // What is left of a leaving device fits its last birth.
            if devices[device].needsBirth, streams[index].isRetained || !streams[index].isBorn {
                // A definition that the NBIRTH did not have needs a new one.
                if shapes.isTold(toldMembers(of: device), devices[device].template) {
                    messages.append(deviceBirth(device, at: publishTime))
                } else {
                    messages = births(at: publishTime)
                }
            }
        }
        if batch.presence.isEmpty ? batch.quality.isEmpty : batch.presence.allSatisfy({ $0 == 0 }) { return messages }
        let payload = streams[index].encoder.payload(
            batch, isHistorical: isHistorical, publishTime: publishTime, sequence: nextSequence(),
            tellsQuality: isHistorical ? [] : streams[index].toldNotGood, reference: devices[device].reference)
        if !isHistorical {
            streams[index].latest.update(batch, streams[index].descriptor)
            streams[index].didTell(batch)
        }
        messages.append(SparkplugMessage(topic: devices[device].dataTopic, payload: payload, qualityOfService: 1))
        return messages
    }

    /// What a message on one of the `commandTopics` asks for. Never traps, whatever the bytes.
    package func command(topic: String, payload: [UInt8]) -> EdgeCommand {
        guard let parsed = SparkplugTopic(topic), parsed.group == groupID, parsed.node == nodeID,
            parsed.type == .nodeCommand || parsed.type == .deviceCommand
        else { return .ignored(reason: "topic '\(topic)' is not one of this node's commands") }
        let decoded: SparkplugPayload
        do { decoded = try SparkplugPayload(decoding: payload) } catch { return .ignored(reason: "\(error)") }
        return parsed.device.map { write(decoded, device: $0) } ?? nodeCommand(decoded.metrics)
    }
}

// MARK: - Births

extension EdgeNode {
    private mutating func nextSequence() -> UInt8 {
        defer { sequence &+= 1 }
        return sequence
    }

    private static func birthDeathSequence(_ value: UInt8, at time: Timestamp) -> SparkplugMetric {
        SparkplugMetric(
            name: birthDeathSequenceMetric, timestamp: time.sparkplugMilliseconds, datatype: SparkplugDataType.int64.rawValue,
            value: .long(UInt64(value)))
    }

    private mutating func nodeBirth(at time: Timestamp) -> SparkplugMessage {
        let milliseconds = time.sparkplugMilliseconds
        var metrics = [
            EdgeNode.birthDeathSequence(birthDeathSequence ?? 0, at: time),
            // Hosts find it by name: it is the one metric that must not have an alias.
            SparkplugMetric(
                name: EdgeNode.rebirthMetric, timestamp: milliseconds, datatype: SparkplugDataType.boolean.rawValue, value: .boolean(false)),
        ]
        let properties = [("Properties/Gateway", "IndusEdge"), ("Properties/Gateway Version", version)]
        for (index, (name, value)) in properties.enumerated() where !value.isEmpty {
            metrics.append(
                SparkplugMetric(
                    name: name, alias: UInt64(EdgeNode.firstNodeAlias) + UInt64(index), timestamp: milliseconds,
                    datatype: SparkplugDataType.string.rawValue, value: .string(value)))
        }
        metrics += shapes.definitions(at: milliseconds)
        let payload = SparkplugPayload(timestamp: milliseconds, metrics: metrics, sequence: UInt64(nextSequence()), uuid: birthKey)
        return SparkplugMessage(
            topic: SparkplugTopic(group: groupID, type: .nodeBirth, node: nodeID).text, payload: payload.encoded(), qualityOfService: 0)
    }

    /// The DDEATHs that `retain` left to be sent before the next data, for an edge node that has no more data of its own to send.
    package mutating func departures(at time: Timestamp) -> [SparkplugMessage] { hasBirths ? deaths(at: time) : [] }

    /// DDEATH of every leaving device.
    private mutating func deaths(at time: Timestamp) -> [SparkplugMessage] {
        defer { leaving = [] }
        return leaving.map { index in
            devices[index].isBorn = false
            devices[index].needsBirth = true
            for stream in devices[index].streams {
                streams[stream].isBorn = false
                streams[stream].isRecalled = false
            }
            let payload = SparkplugPayload(timestamp: time.sparkplugMilliseconds, metrics: [], sequence: UInt64(nextSequence()))
            return SparkplugMessage(topic: devices[index].deathTopic, payload: payload.encoded(), qualityOfService: 0)
        }
    }

    private mutating func deviceBirth(_ index: Int, at time: Timestamp) -> SparkplugMessage {
        let device = devices[index]
        var isMetricTold = [Bool](repeating: false, count: device.metrics.count)
        for stream in device.streams {
            streams[stream].isBorn = isTold(stream)
            if streams[stream].isBorn { for metric in streams[stream].metrics { isMetricTold[metric] = true } }
        }
        if !isRetained(index), !leaving.contains(index) { leaving.append(index) }
        devices[index].isBorn = true
        // Streams that follow each other share metrics: the newest value counts.
        var values = [DataValue?](repeating: nil, count: device.metrics.count)
        for stream in device.streams where streams[stream].isBorn {
            for (metric, value) in zip(streams[stream].metrics, streams[stream].latest.all(streams[stream].descriptor)) {
                guard let value else { continue }
                if let other = values[metric], other.time > value.time { continue }
                values[metric] = value
            }
        }
        for stream in device.streams {
            streams[stream].didTell(isNotGood: streams[stream].metrics.map { values[$0].map { !$0.status.isGood } ?? true })
        }
        devices[index].needsBirth = false
        let told = device.metrics.indices.filter { isMetricTold[$0] }
        var metrics = told.filter { !device.isMember(device.metrics[$0]) }.map {
            EdgeNode.birthMetric(device.metrics[$0], values[$0], at: time)
        }
        let members = told.filter { device.isMember(device.metrics[$0]) }
        devices[index].reference = shapes.reference(of: members.map { device.metrics[$0] }, device.template)
        if let template = device.template, let reference = devices[index].reference {
            let instance = SparkplugTemplate(
                version: template.version, metrics: members.map { EdgeNode.birthMetric(device.metrics[$0], values[$0], at: time) },
                reference: reference, isDefinition: false)
            metrics.append(
                SparkplugMetric(
                    name: device.instanceName, alias: UInt64(device.templateAlias), timestamp: time.sparkplugMilliseconds,
                    datatype: SparkplugDataType.template.rawValue, value: .template(instance)))
        }
        let payload = SparkplugPayload(
            timestamp: time.sparkplugMilliseconds, metrics: metrics, sequence: UInt64(nextSequence()), uuid: birthKey)
        return SparkplugMessage(topic: device.birthTopic, payload: payload.encoded(), qualityOfService: 0)
    }

    /// The metrics that a birth of the device would tell of as members of its template instance.
    private func toldMembers(of index: Int) -> [MetricDefinition] {
        let device = devices[index]
        guard device.template != nil else { return [] }
        var isTold = [Bool](repeating: false, count: device.metrics.count)
        for stream in device.streams where self.isTold(stream) { for metric in streams[stream].metrics { isTold[metric] = true } }
        return device.metrics.indices.filter { isTold[$0] }.map { device.metrics[$0] }.filter(device.isMember)
    }

    private static func birthMetric(_ definition: MetricDefinition, _ value: DataValue?, at time: Timestamp) -> SparkplugMetric {
        let encoded = value?.value.flatMap { SparkplugValue($0, as: definition.datatype) }
        var properties = [SparkplugProperty.quality(SparkplugQuality(value?.status ?? .badWaitingForInitialData))]
        if !definition.unit.isEmpty { properties.append(.unit(definition.unit)) }
        if value?.isTimeUncertain == true { properties.append(.timeUncertain) }
        return SparkplugMetric(
            name: definition.name, alias: UInt64(definition.alias), timestamp: (value?.time ?? time).sparkplugMilliseconds,
            datatype: definition.datatype.rawValue, isNull: encoded == nil, properties: properties, value: encoded)
    }

    /// The hot path trusts these sizes, so that they are checked once per batch and not once per tag.
    private static func checkShape(of batch: SampleBatch, _ descriptor: StreamDescriptor) {
        let tagCount = descriptor.tags.count
        precondition(
            batch.values.count == descriptor.valueBytes, "batch has \(batch.values.count) value bytes, its stream \(descriptor.valueBytes)")
        precondition(
            batch.presence.isEmpty || batch.presence.count == (tagCount + 63) / 64,
            "batch has \(batch.presence.count) words of presence for \(tagCount) tags")
        var covered = 0
        for run in batch.quality {
            precondition(run.count >= 0, "a quality run has \(run.count) tags")
            covered += run.count
        }
        precondition(covered == tagCount, "quality runs cover \(covered) of \(tagCount) tags")
    }
}

// MARK: - Commands

extension EdgeNode {
    private func nodeCommand(_ metrics: [SparkplugMetric]) -> EdgeCommand {
        if let rebirth = metrics.first(where: { $0.name == EdgeNode.rebirthMetric }) {
            guard rebirth.value == .boolean(true) else { return .ignored(reason: "\(EdgeNode.rebirthMetric) is not true") }
            return .rebirth
        }
        guard let first = metrics.first else { return .ignored(reason: "the node command has no metric") }
        return .ignored(reason: "this node has no writable metric \(EdgeNode.shown(first))")
    }

    /// All metrics are known and have values of their types, or the command counts as a whole for nothing.
    private func write(_ payload: SparkplugPayload, device: String) -> EdgeCommand {
        guard let index = deviceIndices[device] else {
            return .ignored(reason: "this node has no device '\(device.prefix(EdgeNode.shownCharactersMax))'")
        }
        // Hosts write a member of an instance by an instance that has only that.
        let metrics = payload.metrics.flatMap { metric in
            if case .template(let instance)? = metric.value { instance.metrics } else { [metric] }
        }
        guard (1...EdgeWriteCommand.writesMax).contains(metrics.count) else {
            return .ignored(
                reason: "the command for device '\(device)' has \(metrics.count) metrics, expected 1 to \(EdgeWriteCommand.writesMax)")
        }
        var writes: [EdgeWriteCommand.Write] = []
        for metric in metrics {
            switch write(metric, device: index) {
            case .success(let write): writes.append(write)
            case .failure(let refusal): return .ignored(reason: refusal.reason)
            }
        }
        return .write(
            EdgeWriteCommand(
                device: devices[index].name, sentAt: payload.timestamp.map { Timestamp(sparkplugMilliseconds: $0) }, writes: writes))
    }

    private struct Refusal: Error {
        var reason: String
    }

    private func write(_ metric: SparkplugMetric, device index: Int) -> Result<EdgeWriteCommand.Write, Refusal> {
        let device = devices[index].id
        let definitions = devices[index].metrics
        let known: MetricDefinition?
        if let name = metric.name {
            known = devices[index].index(named: name).map { definitions[$0] }
        } else if let alias = metric.alias {
            known = definitions.first { UInt64($0.alias) == alias }
        } else {
            return .failure(Refusal(reason: "a metric of the command for device '\(device)' has neither name nor alias"))
        }
        guard let known else { return .failure(Refusal(reason: "device '\(device)' has no metric \(EdgeNode.shown(metric))")) }
        guard StreamDescriptor.folder(ofGroup: known.group) == nil else {
            return .failure(Refusal(reason: "metric '\(known.name)' of device '\(device)' is the gateway's own, and cannot be written"))
        }
        guard !metric.isNull, let value = metric.value?.variant(as: known.datatype.rawValue) else {
            return .failure(
                Refusal(reason: "the value for metric '\(known.name)' of device '\(device)' is not of its type \(known.datatype.name)"))
        }
        return .success(EdgeWriteCommand.Write(metric: known.name, tag: known.tag, value: value))
    }

    private static func shown(_ metric: SparkplugMetric) -> String {
        metric.name.map { "'\($0.prefix(shownCharactersMax))'" } ?? metric.alias.map { "with alias \($0)" } ?? "without name and alias"
    }

    /// How much of a foreign name a reason repeats.
    private static let shownCharactersMax = 80
}
