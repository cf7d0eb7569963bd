/// The tables of the `Site` document.
enum SiteShape {
    static let kind = "Site"

    static let document = ObjectShape(
        kind, "What one gateway does: devices, assets, routes, its log and its scoring.",
        [
            Field(required: "apiVersion", .word([ProtocolDefinitionShape.apiVersion]), "The version of the format."),
            Field(required: "kind", .word([kind]), "The kind of document."),
            Field(required: "metadata", .object(metadata), "The name."),
            Field(required: "spec", .object(spec), "The content."),
        ])

    static let metadata = ObjectShape(
        "metadata", "The name of the site.",
        [
            Field(
                required: "name", .text(.name), "The name of the gateway's site: default of Sparkplug group and node, part of JSON topics."),
            Field("description", .text(.prose), "For people."),
        ])

    static let spec = ObjectShape(
        "spec", "The content of the site.",
        [
            Field(
                "definitions", .list(.text(.filePath("protocols/acme/feed-pump.yaml")), count: 0...256),
                "Files with protocol definitions, relative to this file."),
            Field(required: "devices", .list(.object(device), count: 1...1000), "The devices the gateway reads."),
            Field(
                "assets", .list(.object(asset), count: 1...1000),
                "The machines whose health is scored; each device is one where none is given."),
            Field("routes", .list(.object(route), count: 0...16), "Where samples are published."),
            Field(
                "writes", .word(WritePolicy.allCases.map(\.rawValue)), default: "refused",
                "Whether tags that their definitions allow to be written may be written at all."),
            Field("log", .object(log), "The local log of all samples."),
            Field("scoring", .object(scoring), "The health of the assets."),
            Field("clock", .object(clock), "The clock that stamps the samples."),
            Field(
                "firewalls", .list(.object(FirewallShape.firewall), count: 0...16),
                "Modbus servers in front of the devices, for other clients."),
            Field("healthGate", .object(healthGate), "When a change of this document is taken back by itself."),
        ])

    static let device = ObjectShape(
        "device", "One device the gateway reads.",
        [
            Field(required: "name", .text(.name), "The name, unique within the site."),
            Field(required: "definition", .text(.name), "The name of the protocol definition."),
            Field(required: "connection", .object(connection), "How the device is reached."),
            Field(
                "connectTimeout", .duration(.milliseconds(10)...(.seconds(60))), default: "3s", "How long a connection may take to open."),
            Field("responseTimeout", .duration(.milliseconds(10)...(.seconds(60))), default: "1s", "How long an answer may take."),
            Field("retries", .integer(0...10), default: "1", "How often a request without a valid answer is sent again."),
            Field(
                "demoteAfter", .integer(1...100), default: "3",
                "Polls in a row without any answer after which the device is only probed, within 5 % of its line's time."),
            Field("backoff", .object(backoff), "How long to wait between attempts to reach the device."),
            Field(
                "scanGroups", .map(key: .name, .duration(.milliseconds(1)...(.seconds(86_400))), count: 1...64),
                "Other periods for scan groups of the definition."),
            Field("modbus", .object(ModbusReadingShape.device), "How this device may be read, where it differs from its definition."),
            Field(
                "disabledTags", .list(.text(.tagName), count: 0...65_535), "Tags of the definition that this device does not have."),
        ])

    static let backoff = ObjectShape(
        "backoff", "How long to wait between attempts to reach a device; doubles with each, half of it is drawn at random.",
        [
            Field("initial", .duration(.milliseconds(10)...(.seconds(60))), default: "500ms", "The longest first wait."),
            Field("max", .duration(.milliseconds(10)...(.seconds(3600))), default: "30s", "The longest wait."),
        ])

    static let asset = ObjectShape(
        "asset", "A machine whose health is scored from some tags.",
        [
            Field(required: "name", .text(.name), "The name, unique within the site."),
            Field("devices", .list(.text(.name), count: 1...1000), "Devices whose scored tags all belong to the machine."),
            Field("tags", .list(.text(.tagReference), count: 1...65_535), "Single tags that belong to the machine, as device.tag."),
        ])

    static let route = ObjectShape(
        "route", "Where samples are published.",
        [
            Field(required: "name", .text(.name), "The name, unique within the site."),
            Field("payload", .word(Route.Payload.allCases.map(\.rawValue)), default: "sparkplugB", "The form of the messages."),
            Field("group", .text(.topicLevel), "The Sparkplug group identifier; the site's name where none is given."),
            Field("node", .text(.topicLevel), "The Sparkplug edge node identifier; the site's name where none is given."),
            Field(
                "topic", .text(.topicTemplate),
                "The topic of JSON payloads with {site}, {device} and {group} (the scan group); \(topicDefault) where none is given."),
            Field(required: "clusters", .list(.object(cluster), count: 1...16), "The brokers; their order counts with failover: ordered."),
            Field(
                "failover", .word(Route.Failover.allCases.map(\.rawValue)), default: "ordered",
                "How the clusters share the work. ordered: one at a time, the first that can be reached; latencyAware: all devices through the one "
                    + "that answers fastest; weighted: devices spread by weight; mirror: everything to each."),
            Field("delivery", .object(DeliveryShape.delivery), "How much may be sent, and when."),
            Field("inFlight", .integer(1...1000), default: "64", "The most messages published and not yet acknowledged."),
            Field("keepAlive", .duration(.seconds(5)...(.seconds(3600))), default: "30s", "The MQTT keep-alive interval."),
            Field(
                "clientID", .text(.clientID), "The MQTT client identifier; made from the site's and the route's name where none is given."),
            Field("mqtt", .object(MQTTShape.mqtt), "How MQTT is spoken."),
            Field("tls", .object(tls), "Certificates; required for mqtts."),
            Field(
                "compression", .word(RouteCompression.allCases.map(\.rawValue)), default: "none",
                "How messages are made smaller, where that pays: gzip as Eclipse Tahu's libraries understand it; zstd for indusedge-control."
            ),
            Field("envelope", .object(EnvelopeShape.envelope), "End-to-end encryption, whatever the brokers are."),
            Field("sparkplug", .object(sparkplug), "What a Sparkplug route does beyond publishing flat metrics."),
            Field(
                "commands", .word(["refused", "allowed"]), default: "refused",
                "Whether hosts may write tags by DCMD; site and definition have to allow each write as well."),
            Field("plaintext", .word(["allowed"]), "Must be given before an unencrypted mqtt:// url is accepted."),
        ])

    static let topicDefault = "indusedge/{site}/{device}/{group}"

    static let sparkplug = ObjectShape(
        "sparkplug", "What a Sparkplug route does beyond publishing flat metrics.",
        [
            Field(
                "primaryHost", .text(.topicLevel),
                "The host application that has to be online, by its STATE message, before anything is published."),
            Field(
                "templates", .word(["none", "instances"]), default: "none",
                "With instances, each device is told as an instance of its protocol definition."),
        ])

    static let cluster = ObjectShape(
        "cluster", "One broker, or several behind one address.",
        [
            Field(required: "name", .text(.name), "The name, unique within the route."),
            Field(
                required: "url", .text(.brokerURL),
                "mqtts://host:port (8883 where no port is given); mqtt:// (1883) only with plaintext: allowed."),
            Field(
                "weight", .integer(0...1000), default: "1",
                "Its share of the devices with failover: weighted; 0 takes none as long as another can."),
        ])

    static let tls = ObjectShape(
        "tls", "Certificates for mutual authentication. Files in PEM, relative to this file.",
        [
            Field(required: "ca", .text(.filePath("identity/ca.crt")), "The certificate authorities that brokers are checked against."),
            Field(required: "certificate", .text(.filePath("identity/gateway.crt")), "The gateway's certificate."),
            Field(
                required: "key", .text(.filePath("identity/gateway.key")),
                "The gateway's private key: a file, or a PKCS#11 URI (pkcs11:token=…;object=…)."),
            Field("minimumVersion", .word(["1.2", "1.3"]), default: "1.3", "The oldest TLS version that is accepted."),
        ])

    static let log = ObjectShape(
        "log", "The local log of all samples.",
        [
            Field("path", .text(.filePath("data")), default: "data", "The folder of the log, relative to this file."),
            Field(
                "diskLimit", .size(8 * 1_048_576...64 * 1_099_511_627_776), default: "1GiB",
                "Bytes the log may take on disk, all of its files together."),
            Field(
                "policy", .word(LogSettings.Policy.allCases.map(\.rawValue)), default: "thin",
                "What happens at the disk limit: old samples that everybody has become summaries per minute, then per hour, before they go; "
                    + "the oldest go; or new ones are not kept."),
            Field(
                "writeBudget", .size(64 * 1_048_576...64 * 1_099_511_627_776),
                "Bytes to write to disk in a day, for the life of flash: commits become rarer, up to one in ten seconds, to keep it."),
            Field(
                "commitInterval", .duration(.milliseconds(10)...(.seconds(10))), default: "100ms",
                "How often samples are made durable: what a power cut can lose."),
            Field(
                "keepFor", .duration(.seconds(60)...(.seconds(3660 * 86_400))),
                "How long samples are kept; as long as there is room where none is given."),
        ])

    static let scoring = ObjectShape(
        "scoring", "The health of the assets.",
        [
            Field("enabled", .bool, default: "true", "Whether health is scored."),
            Field(
                "publishEvery", .duration(.milliseconds(100)...(.seconds(3600))), default: "1s",
                "How often the health of an asset is published."),
        ])

    static let clock = ObjectShape(
        "clock", "The clock that stamps the samples.",
        [
            Field(
                "trust", .word(ClockSettings.Trust.allCases.map(\.rawValue)), default: "synchronized",
                "synchronized: times are certain once the kernel says that NTP or PTP keeps the clock right; "
                    + "system: as soon as it shows a possible time, for plants without a time server.")
        ])
}
