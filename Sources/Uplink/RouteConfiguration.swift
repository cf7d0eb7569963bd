internal import Identity
internal import Telemetry

/// One way up: which brokers, how to reach them, and in what form the samples go.
package struct RouteConfiguration: Sendable, Hashable {
    /// A broker, or an address behind which several appear as one.
    package struct Cluster: Sendable, Hashable {
        package var name: String
        package var host: String
        package var port: UInt16
        package var isTLS: Bool
        /// Its share of the devices where they are spread by weight.
        package var weight: Int

        package init(name: String, host: String, port: UInt16, isTLS: Bool = true, weight: Int = 1) {
            self.name = name
            self.host = host
            self.port = port
            self.isTLS = isTLS
            self.weight = weight
        }

        /// `host:port`, with brackets around an IPv6 address.
        package var address: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    }

    /// How several clusters share the work.
    package enum Failover: String, Sendable, Hashable, CaseIterable {
        /// One cluster at a time: the first that can be reached, in the order given.
        case ordered
        /// All are connected; all devices go through the one that answers fastest.
        case latencyAware
        /// All are connected; devices are spread by weight.
        case weighted
        /// All are connected; each gets everything, at its own pace.
        case mirror
    }

    /// The form of the messages.
    package enum Payload: Sendable, Hashable {
        /// Sparkplug 3.0 with this group ID and edge node ID.
        case sparkplugB(group: String, node: String)
        /// One JSON document per batch; the topic may contain `{site}`, `{device}` and `{group}`.
        case json(topicTemplate: String)
    }

    /// The oldest version of TLS that is accepted.
    package enum TLSVersion: String, Sendable, Hashable, CaseIterable {
        case tls12 = "1.2"
        case tls13 = "1.3"
    }

    /// Whom to trust and who we are: paths of PEM files, the key also by its PKCS#11 URI (RFC 7512).
    package struct TLS: Sendable, Hashable {
        package var ca: String
        package var certificate: String?
        package var key: String?
        package var minimumVersion: TLSVersion

        package init(ca: String, certificate: String?, key: String?, minimumVersion: TLSVersion = .tls13) {
            self.ca = ca
            self.certificate = certificate
            self.key = key
            self.minimumVersion = minimumVersion
        }

        var files: TLSFiles { TLSFiles(ca: ca, certificate: certificate, key: key) }
        var oldestVersion: TLSCredentials.Version { minimumVersion == .tls12 ? .tls12 : .tls13 }
    }

    package var name: String
    package var site: String
    /// In order of preference, where the order counts.
    package var clusters: [Cluster]
    package var failover: Failover
    package var payload: Payload
    package var tls: TLS?
    /// Most messages that are sent and not yet acknowledged.
    package var inFlight: Int
    /// Bytes of such messages beyond which no further one is sent.
    package var inFlightBytes: Int
    package var keepAlive: Duration
    package var clientID: String
    /// The number of this start of the process, for the birth/death sequence of Sparkplug.
    package var epoch: UInt32
    /// The gateway's version, told in the Sparkplug birth; empty to leave it out.
    package var gatewayVersion: String
    /// How long one attempt may take from the first packet to the broker's consent.
    package var connectTimeout: Duration
    /// The largest JSON document, in bytes; a batch whose document could be larger is refused.
    package var documentBytesMax: Int
    package var backoffInitial: Duration
    package var backoffMaximum: Duration
    package var mqtt = MQTTSettings()
    package var sparkplug = SparkplugOptions()
    /// How much may be sent, and when.
    package var delivery: DeliveryRules
    /// How often a connection is looked after: no acknowledgement for so long, while some are due, is a failed probe.
    package var probeInterval: Duration
    /// How long a cluster that was lost must stand before devices go back to it.
    package var recoveryTimeout: Duration
    /// How long devices wait at the start for their own cluster to connect.
    package var settleTime: Duration
    /// Data older than this no longer counts as fresh: the live lane begins anew, and what has piled up follows as backlog.
    package var liveLagMax: Duration
    /// How often the certificates and keys are looked at while a connection stands.
    package var identityInterval = Duration.seconds(10)
    /// What is done to messages before they leave.
    package var form = MessageForm()

    package init(
        name: String, site: String, clusters: [Cluster], failover: Failover = .ordered, payload: Payload, tls: TLS?, inFlight: Int = 64,
        inFlightBytes: Int = 4 << 20, keepAlive: Duration = .seconds(30), clientID: String, epoch: UInt32, gatewayVersion: String = "",
        connectTimeout: Duration = .seconds(15), documentBytesMax: Int = RouteConfiguration.documentBytesMax,
        backoffInitial: Duration = .milliseconds(500), backoffMaximum: Duration = .seconds(30), delivery: DeliveryRules = DeliveryRules(),
        probeInterval: Duration = .seconds(10), recoveryTimeout: Duration = .seconds(30), settleTime: Duration = .seconds(2),
        liveLagMax: Duration = .seconds(10)
    ) {
        self.name = name
        self.site = site
        self.clusters = clusters
        self.failover = failover
        self.payload = payload
        self.tls = tls
        self.inFlight = inFlight
        self.inFlightBytes = inFlightBytes
        self.keepAlive = keepAlive
        self.clientID = clientID
        self.epoch = epoch
        self.gatewayVersion = gatewayVersion
        self.connectTimeout = connectTimeout
        self.documentBytesMax = documentBytesMax
        self.backoffInitial = backoffInitial
        self.backoffMaximum = backoffMaximum
        self.delivery = delivery
        self.probeInterval = probeInterval
        self.recoveryTimeout = recoveryTimeout
        self.settleTime = settleTime
        self.liveLagMax = liveLagMax
    }

    /// The most messages in flight that a route may have: packet identifiers are 16 bits wide (MQTT 3.1.1, 2.3.1).
    package static let inFlightMax = 32_768
    /// The largest JSON document, in bytes: what brokers and subscribers may be expected to take.
    package static let documentBytesMax = 64 << 20
    /// The keep-alive intervals that the client library takes, in seconds.
    package static let keepAliveSeconds = 5...65_535

    /// What `resource` is in the errors and logs of this route.
    var resource: String { "route \(name)" }

    /// Throws a `GatewayError` with code `configurationInvalid` for the first value that cannot work.
    func validate() throws(GatewayError) {
        func require(_ isRight: Bool, _ message: @autoclosure () -> String) throws(GatewayError) {
            if !isRight { throw GatewayError(.configurationInvalid, resource: resource, operation: "configure", message()) }
        }
        try require(!clusters.isEmpty, "the route names no cluster, but needs at least one")
        try require((1...Self.inFlightMax).contains(inFlight), "inFlight is \(inFlight), but must be 1 to \(Self.inFlightMax)")
        try require(inFlightBytes > 0, "inFlightBytes is \(inFlightBytes), but must be positive")
        try require(
            Self.keepAliveSeconds.contains(Int(keepAlive.inSeconds)),
            "keepAlive is \(keepAlive), but must be \(Self.keepAliveSeconds.lowerBound) to \(Self.keepAliveSeconds.upperBound) seconds")
        try require(
            !clientID.isEmpty && clientID.utf8.count <= 65_535, "the client ID has \(clientID.utf8.count) bytes, but must have 1 to 65535")
        try require(
            backoffInitial > .zero && backoffMaximum >= backoffInitial,
            "the backoff runs from \(backoffInitial) to \(backoffMaximum), but must be positive and grow")
        try require(
            (1...Self.documentBytesMax).contains(documentBytesMax),
            "documentBytesMax is \(documentBytesMax), but must be 1 to \(Self.documentBytesMax)")
        try require(
            probeInterval > .zero && identityInterval > .zero && recoveryTimeout > .zero && settleTime >= .zero && liveLagMax > .zero,
            "probeInterval, identityInterval, recoveryTimeout and liveLagMax are \(probeInterval), \(identityInterval), \(recoveryTimeout) and \(liveLagMax), "
                + "but must be positive")
        try require(
            (1...100).contains(delivery.backlogSharePercent),
            "the backlog's share is \(delivery.backlogSharePercent) %, but must be 1 to 100 %")
        for (what, value) in [
            ("bytesPerSecond", delivery.bytesPerSecond), ("backlogBytesPerSecond", delivery.backlogBytesPerSecond),
            ("bytesPerDay", delivery.bytesPerDay),
        ] { try require(value.map { $0 > 0 } ?? true, "\(what) is \(value ?? 0), but must be positive") }
        for cluster in clusters {
            try require(cluster.weight >= 0, "cluster \(cluster.name) has the weight \(cluster.weight), but must have none below 0")
            try require(
                !cluster.host.isEmpty && cluster.port > 0,
                "cluster \(cluster.name) has the address \(cluster.address), but needs host and port")
            try require(!cluster.isTLS || tls != nil, "cluster \(cluster.name) is reached by TLS, but the route has no `tls` section")
        }
        if let tls {
            try require(
                (tls.certificate == nil) == (tls.key == nil), "a client certificate and its key belong together, but one is missing")
            if let key = tls.key, PKCS11URI.isMeant(by: key) { _ = try PKCS11URI(key) }
        }
        if case .json(let template) = payload { _ = try TopicTemplate(template, site: site, resource: resource) }
    }
}
