internal import Telemetry

/// A message as MQTT carries it.
package struct SparkplugMessage: Sendable, Equatable {
    package var topic: String
    package var payload: [UInt8]
    /// MQTT QoS, 0 or 1.
    package var qualityOfService: Int32
    package var retain: Bool

    package init(topic: String, payload: [UInt8], qualityOfService: Int32, retain: Bool = false) {
        self.topic = topic
        self.payload = payload
        self.qualityOfService = qualityOfService
        self.retain = retain
    }
}

/// The message types of the topic name space.
///
/// Source: Sparkplug 3.0.0, 4.1.3 (message_type element).
package enum SparkplugMessageType: String, Sendable, Hashable, CaseIterable {
    case nodeBirth = "NBIRTH"
    case nodeDeath = "NDEATH"
    case nodeData = "NDATA"
    case nodeCommand = "NCMD"
    case deviceBirth = "DBIRTH"
    case deviceDeath = "DDEATH"
    case deviceData = "DDATA"
    case deviceCommand = "DCMD"

    /// Whether topics of this type end with a device.
    package var hasDevice: Bool {
        switch self {
        case .deviceBirth, .deviceDeath, .deviceData, .deviceCommand: true
        case .nodeBirth, .nodeDeath, .nodeData, .nodeCommand: false
        }
    }
}

/// A topic `spBv1.0/group/type/node[/device]`.
///
/// Source: Sparkplug 3.0.0, 4.1 (topic name space).
package struct SparkplugTopic: Sendable, Hashable {
    package var group: String
    package var type: SparkplugMessageType
    package var node: String
    /// Present exactly for device messages.
    package var device: String?

    package init(group: String, type: SparkplugMessageType, node: String, device: String? = nil) {
        self.group = group
        self.type = type
        self.node = node
        self.device = device
    }

    /// Reads a topic; `nil` if it is not one of an edge node or device (STATE topics included).
    package init?(_ topic: String) {
        let levels = topic.split(separator: "/", maxSplits: 5, omittingEmptySubsequences: false)
        guard levels.count == 4 || levels.count == 5, levels[0] == SparkplugTopic.namespace,
            let type = SparkplugMessageType(rawValue: String(levels[2])), type.hasDevice == (levels.count == 5),
            levels.allSatisfy({ !$0.isEmpty })
        else { return nil }
        self.init(
            group: String(levels[1]), type: type, node: String(levels[3]), device: levels.count == 5 ? String(levels[4]) : nil)
    }

    package static let namespace = "spBv1.0"

    /// The topic as published.
    package var text: String {
        let node = "\(SparkplugTopic.namespace)/\(group)/\(type.rawValue)/\(node)"
        return device.map { "\(node)/\($0)" } ?? node
    }

    /// Characters that no id may have: those that MQTT reserves in topics.
    static func isReserved(_ scalar: Unicode.Scalar) -> Bool {
        scalar == "+" || scalar == "/" || scalar == "#" || scalar == "\0"
    }

    /// A device's name as an id: characters that topics reserve become `_`.
    static func deviceID(of name: String) -> String {
        var id = String.UnicodeScalarView()
        for scalar in name.unicodeScalars { id.append(isReserved(scalar) ? "_" : scalar) }
        return id.isEmpty ? "_" : String(id)
    }

    /// Checks a group or edge node id.
    static func validate(_ id: String, as kind: String) throws(GatewayError) {
        if id.isEmpty {
            throw GatewayError(
                .configurationInvalid, resource: "sparkplug edge node", operation: "configure",
                "\(kind) is empty; at least one character is needed")
        }
        if let scalar = id.unicodeScalars.first(where: isReserved) {
            let shown = scalar == "\0" ? "U+0000" : "'\(scalar)'"
            throw GatewayError(
                .configurationInvalid, resource: "sparkplug edge node", operation: "configure",
                "\(kind) '\(id)' has \(shown); the characters + / # and U+0000 are reserved")
        }
    }
}
