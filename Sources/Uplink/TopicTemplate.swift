internal import Telemetry

/// A topic with places for what differs between streams: `{site}`, `{device}`, `{group}`.
struct TopicTemplate: Sendable {
    private enum Part {
        case text(String)
        case device
        case group
    }
    private let parts: [Part]

    /// The longest topic that MQTT can carry, in bytes (MQTT 3.1.1, 1.5.3).
    static let bytesMax = 65_535

    /// Throws a `GatewayError` for an unknown place, an unclosed brace, or a template that gives no topic to publish to.
    init(_ template: String, site: String, resource: String) throws(GatewayError) {
        func refuse(_ message: String) -> GatewayError {
            GatewayError(.configurationInvalid, resource: resource, operation: "configure", "topic “\(template)”: \(message)")
        }
        guard !template.isEmpty, template.utf8.count <= Self.bytesMax else {
            throw refuse("has \(template.utf8.count) bytes, but needs 1 to \(Self.bytesMax)")
        }
        if let wildcard = template.first(where: { "+#\0".contains($0) }) {
            throw refuse("“\(wildcard)” cannot be published to (MQTT 3.1.1, 4.7.1)")
        }
        var parts: [Part] = []
        var rest = Substring(template)
        while let open = rest.firstIndex(of: "{") {
            parts.append(.text(String(rest[..<open])))
            guard let close = rest[open...].firstIndex(of: "}") else { throw refuse("a “{” is not closed") }
            switch rest[rest.index(after: open)..<close] {
            case "site": parts.append(.text(Self.level(site)))
            case "device": parts.append(.device)
            case "group": parts.append(.group)
            case let name: throw refuse("“{\(name)}” is unknown; {site}, {device} and {group} are known")
            }
            rest = rest[rest.index(after: close)...]
        }
        parts.append(.text(String(rest)))
        self.parts = parts
    }

    /// The topic of a stream.
    func topic(for descriptor: StreamDescriptor) -> String {
        parts.map { part in
            switch part {
            case .text(let text): text
            case .device: Self.level(descriptor.device)
            case .group: Self.level(descriptor.group)
            }
        }.joined()
    }

    /// A name as one level of a topic: what would change the topic's meaning becomes an underscore.
    private static func level(_ name: String) -> String { String(name.map { "+#/\0".contains($0) ? "_" : $0 }) }
}
