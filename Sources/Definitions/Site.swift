/// What one gateway does: devices, assets, routes, its log and its scoring. Every default is filled in and every file path is absolute or
/// relative to the working directory, no longer to the document.
package struct Site: Sendable, Equatable {
    package var name: String
    package var description: String?
    package var devices: [Device]
    /// The machines whose health is scored; one per device where the document names none.
    package var assets: [Asset]
    package var routes: [Route]
    package var log: LogSettings
    package var scoring: ScoringSettings
    package var clock: ClockSettings
    /// Modbus servers in front of the devices.
    package var firewalls: [Firewall]
    /// When a change of the document is taken back.
    package var healthGate = HealthGateSettings()
    package var writes: WritePolicy
    /// The file it was read from.
    package var file: String

    package init(
        name: String, description: String? = nil, devices: [Device], assets: [Asset], routes: [Route], log: LogSettings,
        scoring: ScoringSettings, clock: ClockSettings = ClockSettings(trust: .synchronized),
        firewalls: [Firewall] = [], writes: WritePolicy = .refused, file: String
    ) {
        self.name = name
        self.description = description
        self.devices = devices
        self.assets = assets
        self.routes = routes
        self.log = log
        self.scoring = scoring
        self.clock = clock
        self.firewalls = firewalls
        self.writes = writes
        self.file = file
    }
}

/// Whether anything may be written to the devices of a site.
package enum WritePolicy: String, Sendable, CaseIterable {
    /// What the definitions allow.
    case allowed
    /// Nothing.
    case refused
}

/// One device the gateway reads.
package struct Device: Sendable, Equatable {
    package var name: String
    /// The definition as written; `scanGroups` and `tags` below are what this device really has.
    package var definition: ProtocolDefinition
    package var connection: Connection
    package var connectTimeout: Duration
    package var responseTimeout: Duration
    package var patience: PatienceSettings
    /// The definition's groups with this device's periods; groups without enabled tags are left out.
    package var scanGroups: [ScanGroup]
    /// The definition's tags without the disabled ones.
    package var tags: [TagDefinition]
    /// How the device may be read: the definition's settings with what is this device's own.
    package var reading: ModbusReading

    package init(
        name: String, definition: ProtocolDefinition, connection: Connection, connectTimeout: Duration, responseTimeout: Duration,
        patience: PatienceSettings = PatienceSettings(), scanGroups: [ScanGroup], tags: [TagDefinition],
        reading: ModbusReading = ModbusReading()
    ) {
        self.reading = reading
        self.name = name
        self.definition = definition
        self.connection = connection
        self.connectTimeout = connectTimeout
        self.responseTimeout = responseTimeout
        self.patience = patience
        self.scanGroups = scanGroups
        self.tags = tags
    }

    /// The tags of one scan group, in the order of the document.
    package func tags(of scanGroup: String) -> [TagDefinition] { tags.filter { $0.scanGroup == scanGroup } }
}

/// A machine whose health is scored from some tags.
package struct Asset: Sendable, Equatable {
    package var name: String
    package var members: [AssetMember]

    package init(name: String, members: [AssetMember]) {
        self.name = name
        self.members = members
    }
}

/// A device, or one tag of it, that belongs to an asset.
package struct AssetMember: Sendable, Hashable {
    package var device: String
    /// `nil`: every scored tag of the device.
    package var tag: String?

    package init(device: String, tag: String? = nil) {
        self.device = device
        self.tag = tag
    }
}

/// Where samples are published.
package struct Route: Sendable, Equatable {
    package enum Payload: String, Sendable, CaseIterable {
        case sparkplugB
        case json
    }

    package enum Failover: String, Sendable, CaseIterable {
        /// One cluster at a time: the first that can be reached.
        case ordered
        /// All devices through the cluster that answers fastest.
        case latencyAware
        /// Devices spread over all clusters by weight.
        case weighted
        /// Everything to each cluster.
        case mirror
    }

    package var name: String
    package var payload: Payload
    /// The Sparkplug group identifier.
    package var group: String
    /// The Sparkplug edge node identifier.
    package var node: String
    /// Topic of JSON payloads, with `{site}`, `{device}`, `{group}` (the scan group).
    package var topic: String
    /// In the order they are tried.
    package var clusters: [Cluster]
    package var failover: Failover
    /// How much may be sent, and when.
    package var delivery = DeliverySettings()
    /// The most messages published and not yet acknowledged.
    package var inFlight: Int
    package var keepAlive: Duration
    /// `nil`: made from the site's and the route's name.
    package var clientID: String?
    /// `nil` only where no cluster is encrypted.
    package var tls: TLSSettings?
    package var mqtt = MQTTSettings()
    package var compression = RouteCompression.none
    /// `nil`: messages are as the payload has them.
    package var envelope: RouteEnvelope?
    package var sparkplug = SparkplugSettings()
    /// Whether hosts may write tags through this route, where site and definition allow it too.
    package var allowsCommands = false

    package init(
        name: String, payload: Payload, group: String, node: String, topic: String, clusters: [Cluster], failover: Failover, inFlight: Int,
        keepAlive: Duration, clientID: String? = nil, tls: TLSSettings? = nil
    ) {
        self.name = name
        self.payload = payload
        self.group = group
        self.node = node
        self.topic = topic
        self.clusters = clusters
        self.failover = failover
        self.inFlight = inFlight
        self.keepAlive = keepAlive
        self.clientID = clientID
        self.tls = tls
    }
}

/// One broker, or several behind one address.
package struct Cluster: Sendable, Equatable {
    package var name: String
    package var host: String
    package var port: Int
    package var isEncrypted: Bool
    package var weight: Int

    package init(name: String, host: String, port: Int, isEncrypted: Bool, weight: Int) {
        self.name = name
        self.host = host
        self.port = port
        self.isEncrypted = isEncrypted
        self.weight = weight
    }
}

package struct TLSSettings: Sendable, Equatable {
    package enum Version: String, Sendable, CaseIterable {
        case tls12 = "1.2"
        case tls13 = "1.3"
    }

    package var certificateAuthority: String
    package var certificate: String
    /// A file, or a PKCS#11 URI (RFC 7512).
    package var key: String
    package var minimumVersion: Version

    package init(certificateAuthority: String, certificate: String, key: String, minimumVersion: Version) {
        self.certificateAuthority = certificateAuthority
        self.certificate = certificate
        self.key = key
        self.minimumVersion = minimumVersion
    }
}

package struct LogSettings: Sendable, Equatable {
    package var path: String
    /// Bytes the log may take on disk.
    package var diskLimit: Int64
    package var commitInterval: Duration
    /// How long samples are kept; `nil`: as long as there is room.
    package var keepFor: Duration?
    /// What happens when the disk limit is reached.
    package var policy: Policy
    /// Most bytes to write in a day, for the life of flash; `nil`: as many as come.
    package var writeBudget: Int64?

    /// What a log does when its disk limit is reached.
    package enum Policy: String, Sendable, Hashable, CaseIterable {
        case thin, dropOldest, stop
    }

    package init(
        path: String, diskLimit: Int64, commitInterval: Duration, keepFor: Duration? = nil, policy: Policy = .thin,
        writeBudget: Int64? = nil
    ) {
        self.path = path
        self.diskLimit = diskLimit
        self.commitInterval = commitInterval
        self.keepFor = keepFor
        self.policy = policy
        self.writeBudget = writeBudget
    }
}

package struct ScoringSettings: Sendable, Equatable {
    package var isEnabled: Bool
    package var publishEvery: Duration

    package init(isEnabled: Bool, publishEvery: Duration) {
        self.isEnabled = isEnabled
        self.publishEvery = publishEvery
    }
}

/// Which clock stamps samples without a mark.
package struct ClockSettings: Sendable, Equatable {
    /// What makes the wall clock worth believing.
    package enum Trust: String, Sendable, CaseIterable {
        /// The kernel says that NTP or PTP keeps it right.
        case synchronized
        /// It shows a possible time: for plants without a time server.
        case system
    }

    package var trust: Trust

    package init(trust: Trust) { self.trust = trust }
}
