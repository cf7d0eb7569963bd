internal import Telemetry

/// Writes beside each message, as a user property of MQTT 5.0 (3.3.2.3.7), which batch it is: what duplicates are removed by, without a look into the payload.
struct MessageKeys: Sendable {
    private let isWanted: Bool
    private let gateway: String

    init(_ configuration: RouteConfiguration) {
        isWanted = configuration.mqtt.sendsKeys
        gateway =
            switch configuration.payload {
            case .sparkplugB(let group, let node): "\(group)/\(node)"
            case .json: configuration.site
            }
    }

    /// `key` = `<gateway>/<epoch>-<stream>-<sequence>`; the gateway is the JSON site, or the Sparkplug group and node with a slash.
    func add(to messages: [MQTTSession.Message], of batch: SampleBatch) -> [MQTTSession.Message] {
        guard isWanted else { return messages }
        let key = MQTTSession.UserProperty(name: "key", value: "\(gateway)/\(batch.epoch)-\(batch.stream.rawValue)-\(batch.sequence)")
        return messages.map { message in
            var message = message
            message.userProperties.append(key)
            return message
        }
    }
}
