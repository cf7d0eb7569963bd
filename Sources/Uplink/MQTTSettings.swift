/// How a connection speaks MQTT.
package struct MQTTSettings: Sendable, Hashable {
    package enum Version: String, Sendable, Hashable, CaseIterable {
        case v311 = "3.1.1"
        case v5 = "5"
    }

    /// The version to begin with. With 5, a broker that refuses it is spoken to in 3.1.1.
    package var version = Version.v5
    /// For how long the broker keeps our session after the connection has broken (MQTT 5.0, 3.1.2.11.2); zero, as Sparkplug demands, for not at all.
    package var sessionExpiry = Duration.zero
    /// For how long the broker keeps a message for subscribers that are away (MQTT 5.0, 3.3.2.3.3); `nil` for ever.
    package var messageExpiry: Duration?
    /// How long the broker waits before it publishes the will (MQTT 5.0, 3.1.3.2.2); never longer than it keeps the session.
    package var willDelay = Duration.zero
    /// Whether repeated topics are sent as numbers where the broker allows it (MQTT 5.0, 3.3.2.3.4).
    package var usesTopicAliases = true
    /// Whether each message says, as user properties, from which gateway, epoch, stream and sequence it is (MQTT 5.0, 3.3.2.3.7).
    package var sendsKeys = false

    package init() {}

    /// The longest session, message expiry and will delay, in seconds: one less than what means “for ever” to a broker (MQTT 5.0, 3.1.2.11.2).
    package static let secondsMax: UInt32 = 0xFFFF_FFFE

    /// Whole seconds of a duration, rounded up, as MQTT counts them.
    static func seconds(_ duration: Duration) -> UInt32 {
        let seconds = duration.components.seconds + (duration.components.attoseconds > 0 ? 1 : 0)
        return UInt32(clamping: min(max(0, seconds), Int64(secondsMax)))
    }
}

/// What a broker said when it accepted a connection (MQTT 5.0, 3.2.2.3).
///
/// A broker of 3.1.1 says nothing of this: then the values are those that mean no limit.
package struct ConnectionProperties: Sendable, Hashable {
    package var version = MQTTSettings.Version.v5
    /// The broker refused MQTT 5, and 3.1.1 is spoken instead.
    package var didFallBack = false
    /// Of the connection, for example `TLSv1.3`; `nil` without TLS.
    package var tlsVersion: String?
    package var cipher: String?
    /// The broker still had our session from before.
    package var isSessionPresent = false
    /// The most messages that may be on their way without an acknowledgement.
    package var receiveMaximum: UInt16 = 65_535
    package var maximumQualityOfService: UInt8 = 2
    package var keepsRetained = true
    /// The largest packet that the broker takes, in bytes.
    package var maximumPacketSize: UInt32?
    /// The most topics that may be replaced by numbers.
    package var topicAliasMaximum: UInt16 = 0
    /// The client ID that the broker gave us, where we had none.
    package var assignedClientID: String?
    /// The keep-alive that the broker wants instead of ours, in seconds.
    package var serverKeepAlive: UInt16?
    package var hasSharedSubscriptions = true
    /// What the broker says to people.
    package var reasonString: String?
    /// Where the broker sends us instead.
    package var serverReference: String?

    package init() {}
}

/// Why a message will not be delivered by this connection.
package struct PublishRefusal: Sendable, Hashable {
    package var reason: ReasonCode
    /// The same message would be refused again: there is no use in sending it a second time.
    package var isPermanent: Bool
    /// What happened, and what to do.
    package var message: String

    package init(reason: ReasonCode, isPermanent: Bool, message: String) {
        self.reason = reason
        self.isPermanent = isPermanent
        self.message = message
    }
}
