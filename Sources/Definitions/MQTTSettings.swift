/// How a route speaks MQTT.
package struct MQTTSettings: Sendable, Equatable {
    package enum Version: String, Sendable, CaseIterable {
        case v5 = "5"
        case v311 = "3.1.1"
    }

    /// What becomes of a message that nobody subscribes to.
    package enum Unheard: String, Sendable, CaseIterable {
        case acknowledge
        /// It counts as not delivered, and is sent again later.
        case hold
    }

    package var version = Version.v5
    package var sessionExpiry = Duration.zero
    /// `nil`: for ever.
    package var messageExpiry: Duration?
    package var willDelay = Duration.zero
    package var topicAliases = true
    package var keys = false
    package var unheard = Unheard.acknowledge

    package init() {}
}

/// Makes the MQTT settings of a route, and reports what has no effect.
struct MQTTSettingsBuilder {
    let file: String
    private(set) var diagnostics: [Diagnostic] = []

    init(file: String) { self.file = file }

    mutating func build(_ source: ObjectValue, payload: Route.Payload) -> MQTTSettings? {
        guard let version = source.text("version").flatMap(MQTTSettings.Version.init(rawValue:)),
            let sessionExpiry = source.duration("sessionExpiry"), let willDelay = source.duration("willDelay"),
            let aliases = source.bool("topicAliases"), let keys = source.bool("keys"),
            let unheard = source.text("unheard").flatMap(MQTTSettings.Unheard.init(rawValue:))
        else { return nil }
        var settings = MQTTSettings()
        settings.version = version
        settings.sessionExpiry = sessionExpiry
        settings.messageExpiry = source.duration("messageExpiry")
        settings.willDelay = willDelay
        settings.topicAliases = aliases
        settings.keys = keys
        settings.unheard = unheard
        if version == .v311 {
            for field in MQTTSettingsBuilder.onlyInVersion5 where !source.isAbsent(field) {
                warn(source, field, "\(field) has no effect with MQTT 3.1.1", suggestion: "remove it, or use version: \"5\"")
            }
        } else if payload == .sparkplugB, sessionExpiry > .zero {
            warn(
                source, "sessionExpiry", "Sparkplug 3.0 wants sessions that end with their connection",
                suggestion: "remove it, unless hosts are content with a node that is not conformant")
        } else if willDelay > sessionExpiry {
            warn(
                source, "willDelay", "the broker publishes the will at the latest when the session ends, after sessionExpiry",
                suggestion: "make sessionExpiry as long")
        }
        return settings
    }

    private static let onlyInVersion5 = ["sessionExpiry", "messageExpiry", "willDelay", "topicAliases", "keys", "unheard"]

    private mutating func warn(_ source: ObjectValue, _ field: String, _ message: String, suggestion: String) {
        diagnostics.append(
            Diagnostic(
                .warning, file: file, at: source.position(of: field), path: source.path.key(field).description, message,
                suggestion: suggestion))
    }
}
