/// The table of `mqtt` in a route of the `Site` document.
enum MQTTShape {
    static let mqtt = ObjectShape(
        "mqtt", "How a route speaks MQTT.",
        [
            Field(
                "version", .word(MQTTSettings.Version.allCases.map(\.rawValue)), default: "5",
                "The version to begin with; a broker that refuses 5 is spoken to in 3.1.1."),
            Field(
                "sessionExpiry", .duration(.zero...(.seconds(30 * 86_400))), default: "0s",
                "How long the broker keeps our session after the connection broke."),
            Field(
                "messageExpiry", .duration(.seconds(1)...(.seconds(3660 * 86_400))),
                "How long the broker keeps a message for subscribers that are away; for ever where none is given."),
            Field(
                "willDelay", .duration(.zero...(.seconds(86_400))), default: "0s",
                "How long the broker waits before it publishes the will; never longer than it keeps the session."),
            Field("topicAliases", .bool, default: "true", "Whether repeated topics are sent as numbers where the broker allows it."),
            Field("keys", .bool, default: "false", "Whether each message carries gateway, epoch, stream and sequence as user properties."),
            Field(
                "unheard", .word(MQTTSettings.Unheard.allCases.map(\.rawValue)), default: "acknowledge",
                "Whether a message that nobody subscribes to counts as delivered, or is held and sent again."),
        ])
}
