/// Makes the routes of a site.
struct RouteBuilder {
    let file: String
    /// The site's name: default of group and node.
    let site: String
    private(set) var diagnostics: [Diagnostic] = []

    init(file: String, site: String) {
        self.file = file
        self.site = site
    }

    mutating func build(_ spec: ObjectValue) -> [Route] {
        var names = NameRegister(what: "route", file: file)
        var clientLines: [String: Int] = [:]
        var routes: [Route] = []
        for source in spec.objects("routes") {
            names.note(source)
            if let client = source.text("clientID") {
                if let first = clientLines[client] {
                    report(
                        source, "clientID", "client identifier '\(client)' is already used at line \(first)", value: client,
                        suggestion: "brokers drop the first of two clients with one identifier; choose another one")
                } else {
                    clientLines[client] = source.position(of: "clientID").line
                }
            }
            if let route = buildRoute(source) { routes.append(route) }
        }
        diagnostics += names.diagnostics
        return routes
    }

    private mutating func buildRoute(_ source: ObjectValue) -> Route? {
        let clusters = buildClusters(source)
        let tls = if let object = source.object("tls") { buildTLS(object) } else { TLSSettings?.none }
        checkEncryption(source)
        checkTopic(source)
        let delivery = buildDelivery(source)
        guard let name = source.text("name"), let payload = source.text("payload").flatMap(Route.Payload.init(rawValue:)),
            let failover = source.text("failover").flatMap(Route.Failover.init(rawValue:)), let inFlight = source.integer("inFlight"),
            let keepAlive = source.duration("keepAlive"), let delivery
        else { return nil }
        var route = Route(
            name: name, payload: payload, group: source.text("group") ?? site, node: source.text("node") ?? site,
            topic: source.text("topic") ?? SiteShape.topicDefault, clusters: clusters, failover: failover, inFlight: inFlight,
            keepAlive: keepAlive, clientID: source.text("clientID"), tls: tls)
        route.compression = source.text("compression").flatMap(RouteCompression.init(rawValue:)) ?? .none
        if let envelope = source.object("envelope") {
            var builder = RouteEnvelopeBuilder(file: file)
            route.envelope = builder.build(envelope, clusters: clusters.map(\.name))
            diagnostics += builder.diagnostics
        }
        if route.envelope != nil, source.text("commands") == "allowed" {
            report(
                source, "commands", "commands has no effect on a route with an envelope, which takes none but the rebirth",
                severity: .warning,
                suggestion: "remove it")
        }
        route.delivery = delivery
        if let mqtt = source.object("mqtt") {
            var builder = MQTTSettingsBuilder(file: file)
            if let settings = builder.build(mqtt, payload: payload) { route.mqtt = settings }
            diagnostics += builder.diagnostics
        }
        buildSparkplug(source, &route)
        return route
    }

    private mutating func buildSparkplug(_ source: ObjectValue, _ route: inout Route) {
        route.allowsCommands = source.text("commands") == "allowed"
        if let settings = source.object("sparkplug") {
            route.sparkplug = SparkplugSettings(
                primaryHost: settings.text("primaryHost"), templates: settings.text("templates") == "instances")
        }
        guard route.payload != .sparkplugB else { return }
        for field in ["sparkplug", "commands"] where !source.isAbsent(field) {
            report(
                source, field, "'\(field)' has no effect with payload \(route.payload.rawValue)", severity: .warning,
                suggestion: "remove it, or use payload: sparkplugB")
        }
    }

    private mutating func buildDelivery(_ source: ObjectValue) -> DeliverySettings? {
        guard let delivery = source.object("delivery") else { return source.isAbsent("delivery") ? DeliverySettings() : nil }
        var builder = DeliveryBuilder(file: file)
        defer { diagnostics += builder.diagnostics }
        return builder.build(delivery)
    }

    private mutating func buildClusters(_ source: ObjectValue) -> [Cluster] {
        var names = NameRegister(what: "cluster", file: file)
        var clusters: [Cluster] = []
        var weighted: ObjectValue?
        for cluster in source.objects("clusters") {
            names.note(cluster)
            if !cluster.isAbsent("weight") { weighted = weighted ?? cluster }
            guard let url = cluster.text("url") else { continue }
            guard let address = BrokerURL(url) else {
                report(
                    cluster, "url", "'\(url)' has no valid host and port", value: url,
                    allowed: "port 1…65535, IPv6 addresses in [brackets]",
                    suggestion: "for example mqtts://broker:8883")
                continue
            }
            guard let name = cluster.text("name"), let weight = cluster.integer("weight") else { continue }
            clusters.append(
                Cluster(name: name, host: address.host, port: address.port, isEncrypted: address.isEncrypted, weight: weight))
        }
        diagnostics += names.diagnostics
        if let weighted, let failover = source.text("failover"), failover != Route.Failover.weighted.rawValue {
            report(
                weighted, "weight", "weight has no effect with failover '\(failover)'", severity: .warning,
                suggestion: "say failover: weighted to spread devices by weight")
        }
        return clusters
    }

    private mutating func buildTLS(_ source: ObjectValue) -> TLSSettings? {
        guard let authority = source.text("ca"), let certificate = source.text("certificate"), let key = source.text("key"),
            let version = source.text("minimumVersion").flatMap(TLSSettings.Version.init(rawValue:))
        else { return nil }
        if version == .tls12 {
            report(
                source, "minimumVersion", "TLS 1.2 is accepted: do so only for brokers that know nothing newer", severity: .warning,
                value: version.rawValue, suggestion: "remove minimumVersion where the brokers speak TLS 1.3")
        }
        return TLSSettings(
            certificateAuthority: FilePath.resolve(authority, besideFile: file),
            certificate: FilePath.resolve(certificate, besideFile: file), key: FilePath.resolveKey(key, besideFile: file),
            minimumVersion: version)
    }

    /// Encryption wants certificates; its absence wants to be said by name.
    private mutating func checkEncryption(_ source: ObjectValue) {
        for cluster in source.objects("clusters") {
            guard let url = cluster.text("url") else { continue }
            if url.hasPrefix("mqtts:") {
                guard source.isAbsent("tls") else { continue }
                report(
                    cluster, "url", "mqtts needs certificates, but the route has no tls", value: url,
                    suggestion: "add tls: {ca: ca.crt, certificate: gateway.crt, key: gateway.key} to the route")
            } else if source.isAbsent("plaintext") {
                report(
                    cluster, "url", "mqtt:// sends everything unencrypted", value: url, allowed: "mqtts://",
                    suggestion: "use mqtts:// with tls, or say plaintext: allowed on the route")
            } else {
                report(cluster, "url", "this cluster is reached without encryption", severity: .warning, value: url)
            }
        }
    }

    private mutating func checkTopic(_ source: ObjectValue) {
        guard let topic = source.text("topic") else { return }
        if source.text("payload") == Route.Payload.sparkplugB.rawValue {
            report(
                source, "topic", "topic has no effect with payload sparkplugB, whose topics are fixed", severity: .warning, value: topic,
                suggestion: "remove it, or use payload: json")
        }
        var rest = topic[...]
        while let open = rest.firstIndex(of: "{") {
            rest = rest[rest.index(after: open)...]
            let name = String(rest.prefix { $0 != "}" })
            guard !RouteBuilder.placeholders.contains(name) || !rest.dropFirst(name.count).hasPrefix("}") else { continue }
            report(
                source, "topic", "'{\(name)}' is not a placeholder of the topic", value: topic, allowed: "{site}, {device}, {group}",
                suggestion: nearestName(to: name, among: RouteBuilder.placeholders).map { "did you mean '{\($0)}'?" })
        }
    }

    private static let placeholders = ["site", "device", "group"]

    private mutating func report(
        _ source: ObjectValue, _ field: String, _ message: String, severity: Diagnostic.Severity = .error, value: String? = nil,
        allowed: String? = nil, suggestion: String? = nil
    ) {
        diagnostics.append(
            Diagnostic(
                severity, file: file, at: source.position(of: field), path: source.path.key(field).description, message, value: value,
                allowed: allowed, suggestion: suggestion))
    }
}

/// The parts of `mqtts://host:port`.
struct BrokerURL: Equatable {
    var host: String
    var port: Int
    var isEncrypted: Bool

    /// `nil` if host or port are not valid. IPv6 addresses stand in brackets (RFC 3986, 3.2.2).
    init?(_ url: String) {
        isEncrypted = url.hasPrefix("mqtts://")
        guard isEncrypted || url.hasPrefix("mqtt://") else { return nil }
        var authority = url.dropFirst(isEncrypted ? 8 : 7)
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            host = String(authority[authority.index(after: authority.startIndex)..<end])
            authority = authority[authority.index(after: end)...]
            guard host.contains(":") else { return nil }
        } else {
            host = String(authority.prefix { $0 != ":" })
            authority = authority.dropFirst(host.count)
        }
        let isHost = !host.isEmpty && host.utf8.allSatisfy { isASCIILetter($0) || isASCIIDigit($0) || ".:_%-".utf8.contains($0) }
        guard isHost else { return nil }
        if authority.isEmpty {
            port = isEncrypted ? 8883 : 1883
        } else {
            let digits = authority.dropFirst()
            guard authority.hasPrefix(":"), digits.utf8.allSatisfy(isASCIIDigit), let number = Int(digits), (1...65_535).contains(number)
            else { return nil }
            port = number
        }
    }
}
