internal import Definitions
internal import GatewayCore
internal import Logging
internal import Sparkplug
internal import Telemetry
internal import Uplink

/// Makes routes of what a site document says of them.
struct RouteFactory: Sendable {
    let site: Site
    let version: String
    let log: any TelemetryLog
    let time: any TimeSource
    let logger: Logger
    /// Carries out what hosts ask for.
    let writes: WriteService

    /// A route that knows of these streams, and is not connected yet.
    ///
    /// Throws a `GatewayError` with code `configurationInvalid`.
    func route(_ route: Definitions.Route, streams: [StreamID]) throws -> Uplink.Route {
        var configuration = RouteConfiguration(
            name: route.name, site: site.name,
            clusters: route.clusters.map {
                .init(name: $0.name, host: $0.host, port: UInt16($0.port), isTLS: $0.isEncrypted, weight: $0.weight)
            },
            failover: Self.failover(route.failover),
            payload: route.payload == .json ? .json(topicTemplate: route.topic) : .sparkplugB(group: route.group, node: route.node),
            tls: route.tls.map {
                .init(
                    ca: $0.certificateAuthority, certificate: $0.certificate, key: $0.key,
                    minimumVersion: $0.minimumVersion == .tls12 ? .tls12 : .tls13)
            }, inFlight: route.inFlight, keepAlive: route.keepAlive, clientID: route.clientID ?? "indusedge-\(site.name)-\(route.name)",
            epoch: log.epoch, gatewayVersion: version, delivery: Self.rules(route.delivery))
        configuration.sparkplug = SparkplugOptions(
            primaryHost: route.sparkplug.primaryHost, templates: route.sparkplug.templates ? templates : [:],
            allowsCommands: route.allowsCommands, stateFolder: site.log.path + "/sparkplug")
        configuration.form = form(of: route)
        configuration.mqtt = Self.settings(route.mqtt)
        let prepared = try Uplink.Route(
            configuration: configuration, log: log, time: time, logger: logger, commands: writes)
        prepared.register(streams: streams)
        return prepared
    }

    private static func settings(_ mqtt: Definitions.MQTTSettings) -> Uplink.MQTTSettings {
        var settings = Uplink.MQTTSettings()
        settings.version = mqtt.version == .v311 ? .v311 : .v5
        settings.sessionExpiry = mqtt.sessionExpiry
        settings.messageExpiry = mqtt.messageExpiry
        settings.willDelay = mqtt.willDelay
        settings.usesTopicAliases = mqtt.topicAliases
        settings.sendsKeys = mqtt.keys
        settings.holdsUnheard = mqtt.unheard == .hold
        return settings
    }

    private func form(of route: Definitions.Route) -> MessageForm {
        MessageForm(
            compression: MessageForm.Compression(rawValue: route.compression.rawValue) ?? .none,
            sealing: route.envelope.map {
                MessageForm.Sealing(
                    suite: $0.suite.rawValue, signingKey: $0.signingKey, recipients: $0.recipients, period: $0.rotate)
            })
    }

    /// Every device is an instance of its definition.
    private var templates: [String: TemplateName] {
        Dictionary(
            site.devices.map { ($0.name, TemplateName(name: $0.definition.name, version: "\($0.definition.version)")) },
            uniquingKeysWith: { first, _ in first })
    }

    private static func failover(_ failover: Definitions.Route.Failover) -> RouteConfiguration.Failover {
        switch failover {
        case .ordered: .ordered
        case .latencyAware: .latencyAware
        case .weighted: .weighted
        case .mirror: .mirror
        }
    }

    private static func rules(_ settings: DeliverySettings) -> DeliveryRules {
        DeliveryRules(
            bytesPerSecond: settings.rateLimit, backlogBytesPerSecond: settings.backlogRate, backlogSharePercent: settings.backlogShare,
            quietHours: settings.quietHours.map {
                QuietHours(startMinute: $0.start, endMinute: $0.end, allows: $0.allows == .live ? .live : .nothing)
            }, bytesPerDay: settings.dailyLimit)
    }
}
