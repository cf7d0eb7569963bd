package import Telemetry

/// One value that a subscriber learned of.
package struct SparkplugUpdate: Sendable, Hashable {
    /// `nil` for a metric of the edge node itself.
    package var device: String?
    package var name: String
    package var value: DataValue
    /// The birth's `engUnit`; empty for none.
    package var unit: String
    /// Whether the value was stored and sent later.
    package var isHistorical: Bool

    package init(device: String?, name: String, value: DataValue, unit: String = "", isHistorical: Bool = false) {
        self.device = device
        self.name = name
        self.value = value
        self.unit = unit
        self.isHistorical = isHistorical
    }
}

/// What one message told a subscriber.
package struct SparkplugReception: Sendable, Equatable {
    /// `nil` if the topic is not one of Sparkplug's edge nodes.
    package var topic: SparkplugTopic?
    package var sequence: UInt64?
    /// The payload's `uuid`: from IndusEdge the key of the batch, by which duplicates are known.
    package var uuid: String?
    package var timestamp: Timestamp?
    /// Values of births and data in the order of the message; deaths and commands have none.
    package var updates: [SparkplugUpdate]
    /// What about the message is against the standard, for people.
    package var violations: [String]

    package init(
        topic: SparkplugTopic? = nil, sequence: UInt64? = nil, uuid: String? = nil, timestamp: Timestamp? = nil,
        updates: [SparkplugUpdate] = [], violations: [String] = []
    ) {
        self.topic = topic
        self.sequence = sequence
        self.uuid = uuid
        self.timestamp = timestamp
        self.updates = updates
        self.violations = violations
    }
}

/// A subscriber's side of Sparkplug: keeps the births of all edge nodes, turns aliases back into names, and names what
/// breaks the rules.
///
/// Takes messages in the order of their arrival; never throws and never traps, whatever arrives.
package struct SparkplugReader: Sendable {
    /// The most edge nodes that are followed; messages of further ones are violations.
    package static let nodesMax = 10_000
    /// The most metrics that are kept for one edge node.
    package static let metricsMax = 500_000
    /// The most violations that one message lists.
    package static let violationsMax = 20

    private struct NodeID: Hashable {
        var group: String
        var node: String
    }

    private var nodes: [NodeID: FollowedNode] = [:]

    package init() {}

    /// Takes a message in.
    package mutating func receive(topic: String, payload: [UInt8]) -> SparkplugReception {
        guard let parsed = SparkplugTopic(topic) else {
            return SparkplugReception(violations: ["topic '\(topic.prefix(200))' is not of the form spBv1.0/group/type/node[/device]"])
        }
        var reception = SparkplugReception(topic: parsed)
        let decoded: SparkplugPayload
        do {
            decoded = try SparkplugPayload(decoding: payload)
        } catch {
            reception.violations = ["\(parsed.type.rawValue): \(error.message)"]
            return reception
        }
        reception.sequence = decoded.sequence
        reception.uuid = decoded.uuid
        reception.timestamp = decoded.timestamp.map { Timestamp(sparkplugMilliseconds: $0) }
        // Commands come from hosts: they say nothing about the node.
        if parsed.type == .nodeCommand || parsed.type == .deviceCommand { return reception }
        let id = NodeID(group: parsed.group, node: parsed.node)
        guard nodes[id] != nil || nodes.count < SparkplugReader.nodesMax else {
            reception.violations = ["\(parsed.type.rawValue): more than \(SparkplugReader.nodesMax) edge nodes; this one is not followed"]
            return reception
        }
        nodes[id, default: FollowedNode()].receive(decoded, parsed, &reception)
        if reception.violations.count > SparkplugReader.violationsMax {
            let further = reception.violations.count - SparkplugReader.violationsMax
            reception.violations.removeLast(further)
            reception.violations.append("and \(further) more")
        }
        return reception
    }
}

/// What a subscriber knows of one edge node.
private struct FollowedNode {
    private struct Metric {
        var device: String?
        var name: String
        var datatype: UInt32
        var unit: String
        /// The quality last told: data repeats it only when it changes.
        var status: StatusCode
    }

    private struct MetricID: Hashable {
        var device: String?
        var name: String
    }

    private var isOnline = false
    private var lastSequence: UInt64?
    private var birthDeathSequence: UInt64?
    private var devices: Set<String> = []
    private var metrics: [Metric] = []
    private var names: [MetricID: Int] = [:]
    private var aliases: [UInt64: Int] = [:]

    mutating func receive(_ payload: SparkplugPayload, _ topic: SparkplugTopic, _ reception: inout SparkplugReception) {
        let type = topic.type.rawValue
        if topic.type == .nodeDeath {
            nodeDeath(payload, &reception)
            return
        }
        if payload.timestamp == nil { reception.violations.append("\(type): the payload has no timestamp") }
        checkSequence(payload, topic, &reception)
        switch topic.type {
        case .nodeBirth:
            birthDeathSequence = FollowedNode.birthDeathSequence(of: payload)
            isOnline = true
            devices = []
            metrics = []
            names = [:]
            aliases = [:]
            checkNodeBirth(payload, &reception)
            birth(payload, nil, &reception)
        case .deviceBirth:
            if !isOnline { reception.violations.append("\(type) of device '\(topic.device ?? "")' before the node's NBIRTH") }
            if let device = topic.device { devices.insert(device) }
            birth(payload, topic.device, &reception)
        case .deviceDeath:
            if let device = topic.device, devices.remove(device) == nil {
                reception.violations.append("\(type) of device '\(device)', which was not born")
            }
        case .nodeData, .deviceData:
            if !isOnline {
                reception.violations.append("\(type) before the node's NBIRTH")
            } else if let device = topic.device, !devices.contains(device) {
                reception.violations.append("\(type) of device '\(device)' before its DBIRTH")
            }
            data(payload, topic, &reception)
        case .nodeDeath, .nodeCommand, .deviceCommand: break
        }
    }

    private mutating func nodeDeath(_ payload: SparkplugPayload, _ reception: inout SparkplugReception) {
        if payload.sequence != nil { reception.violations.append("NDEATH has a sequence number") }
        guard let told = FollowedNode.birthDeathSequence(of: payload) else {
            reception.violations.append("NDEATH has no bdSeq")
            return
        }
        // A death of an older session arrives late: the node that was born since is alive.
        guard let birthDeathSequence, isOnline else { return }
        if told == birthDeathSequence {
            isOnline = false
            devices = []
            lastSequence = nil
        } else {
            reception.violations.append("NDEATH has bdSeq \(told), but the node was born with \(birthDeathSequence); it is ignored")
        }
    }

    private static func birthDeathSequence(of payload: SparkplugPayload) -> UInt64? {
        switch payload.metrics.first(where: { $0.name == EdgeNode.birthDeathSequenceMetric })?.value {
        case .long(let value)?: value
        case .int(let value)?: UInt64(value)
        default: nil
        }
    }

    private mutating func checkSequence(_ payload: SparkplugPayload, _ topic: SparkplugTopic, _ reception: inout SparkplugReception) {
        let type = topic.type.rawValue
        guard let sequence = payload.sequence, sequence <= 255 else {
            let actual = payload.sequence.map { "sequence number \($0)" } ?? "no sequence number"
            reception.violations.append("\(type) has \(actual), expected one of 0 to 255")
            return
        }
        if topic.type == .nodeBirth {
            if sequence != 0 { reception.violations.append("NBIRTH has sequence number \(sequence), expected 0") }
        } else if let lastSequence, sequence != (lastSequence + 1) % 256 {
            let expected = (lastSequence + 1) % 256
            reception.violations.append("\(type) has sequence number \(sequence) after \(lastSequence), expected \(expected)")
        }
        lastSequence = sequence
    }

    private func checkNodeBirth(_ payload: SparkplugPayload, _ reception: inout SparkplugReception) {
        if birthDeathSequence == nil { reception.violations.append("NBIRTH has no bdSeq") }
        let rebirth = payload.metrics.first { $0.name == EdgeNode.rebirthMetric }
        if rebirth?.value != .boolean(false) || rebirth?.datatype != SparkplugDataType.boolean.rawValue {
            reception.violations.append("NBIRTH has no '\(EdgeNode.rebirthMetric)' of type Boolean with the value false")
        }
    }

    /// The members of template instances beside the other metrics, under their own names; definitions are no metrics with values.
    private static func flattened(_ metrics: [SparkplugMetric]) -> [SparkplugMetric] {
        guard metrics.contains(where: { if case .template? = $0.value { true } else { false } }) else { return metrics }
        return metrics.flatMap { metric in
            guard case .template(let template)? = metric.value else { return [metric] }
            if template.isDefinition == true { return [] }
            return flattened(template.metrics).map { member in
                var member = member
                member.isHistorical = member.isHistorical || metric.isHistorical
                return member
            }
        }
    }

    private mutating func birth(_ payload: SparkplugPayload, _ device: String?, _ reception: inout SparkplugReception) {
        let type = device == nil ? "NBIRTH" : "DBIRTH"
        for metric in FollowedNode.flattened(payload.metrics) {
            guard let name = metric.name, let datatype = metric.datatype else {
                reception.violations.append("\(type) has a metric without name or datatype")
                continue
            }
            let status = metric.quality?.status ?? .good
            let known = Metric(device: device, name: name, datatype: datatype, unit: metric.unit ?? "", status: status)
            let id = MetricID(device: device, name: name)
            let index: Int
            if let place = names[id] {
                index = place
                metrics[place] = known
            } else {
                guard metrics.count < SparkplugReader.metricsMax else {
                    reception.violations.append("\(type): more than \(SparkplugReader.metricsMax) metrics; the rest is not followed")
                    return
                }
                index = metrics.count
                names[id] = index
                metrics.append(known)
            }
            if let alias = metric.alias {
                if let other = aliases[alias], other != index {
                    reception.violations.append("\(type) gives alias \(alias) of '\(metrics[other].name)' to '\(name)' as well")
                }
                aliases[alias] = index
            }
            update(metric, index, type, payload, &reception)
        }
    }

    private mutating func data(_ payload: SparkplugPayload, _ topic: SparkplugTopic, _ reception: inout SparkplugReception) {
        let type = topic.type.rawValue
        for metric in FollowedNode.flattened(payload.metrics) {
            let index: Int?
            if let alias = metric.alias {
                index = aliases[alias]
                if index == nil { reception.violations.append("\(type) has unknown alias \(alias)") }
            } else if let name = metric.name {
                index = names[MetricID(device: topic.device, name: name)]
                if index == nil { reception.violations.append("\(type) has metric '\(name)', which no birth told of") }
            } else {
                index = nil
                reception.violations.append("\(type) has a metric without name and alias")
            }
            guard let index else { continue }
            if metrics[index].device != topic.device {
                reception.violations.append("\(type) has metric '\(metrics[index].name)' of another device")
                continue
            }
            update(metric, index, type, payload, &reception)
        }
    }

    private mutating func update(
        _ metric: SparkplugMetric, _ index: Int, _ type: String, _ payload: SparkplugPayload, _ reception: inout SparkplugReception
    ) {
        let known = metrics[index]
        if metric.timestamp == nil { reception.violations.append("\(type) has metric '\(known.name)' without timestamp") }
        var status = metric.quality?.status ?? (metric.isHistorical ? .good : known.status)
        var value: Variant?
        if metric.isNull || metric.value == nil {
            // Null without a quality that explains it: the value is refused all the same.
            if !status.isBad { status = .bad }
        } else if status.isBad {
            value = nil
        } else {
            value = metric.value?.variant(as: known.datatype)
            if value == nil {
                let expected = SparkplugDataType(rawValue: known.datatype)?.name ?? "datatype \(known.datatype)"
                if SparkplugDataType(rawValue: known.datatype) != nil {
                    reception.violations.append("\(type) has metric '\(known.name)' with a value that is not of its type \(expected)")
                }
                status = .badDecodingError
            }
        }
        if !metric.isHistorical, let told = metric.quality?.status { metrics[index].status = told }
        let time = (metric.timestamp ?? payload.timestamp).map { Timestamp(sparkplugMilliseconds: $0) } ?? Timestamp(nanoseconds: 0)
        reception.updates.append(
            SparkplugUpdate(
                device: known.device, name: known.name,
                value: DataValue(value: value, status: status, time: time, isTimeUncertain: metric.isTimeUncertain), unit: known.unit,
                isHistorical: metric.isHistorical))
    }
}
