package import Telemetry

/// The topic of JSON documents, from the receiving side: a route's template whose places are levels.
package struct TopicPattern: Sendable {
    /// The template of routes that name none.
    package static let standard = "indusedge/{site}/{device}/{group}"

    /// The subscription that gets all of its messages.
    package let filter: String
    /// Literal levels; `nil` where anything may stand.
    private let levels: [String?]
    private let siteLevel: Int

    /// Throws `.configurationInvalid` for a template from whose topics the site cannot be told.
    package init(_ template: String) throws(GatewayError) {
        var levels: [String?] = []
        var siteLevel: Int?
        for (index, level) in template.split(separator: "/", omittingEmptySubsequences: false).enumerated() {
            if level == "{site}" { siteLevel = index }
            guard !level.contains(where: { "+#\0".contains($0) }) else { throw Self.invalid(template, "“\(level)” has a wildcard") }
            levels.append(level.contains("{") ? nil : String(level))
        }
        guard let siteLevel else { throw Self.invalid(template, "{site} must be a level of its own, or gateways could not be told apart") }
        self.levels = levels
        self.siteLevel = siteLevel
        filter = levels.map { $0 ?? "+" }.joined(separator: "/")
    }

    /// The site that a topic names; `nil` when it is another topic.
    package func site(of topic: String) -> String? {
        let parts = topic.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == levels.count else { return nil }
        for (part, level) in zip(parts, levels) { if let level, part != level { return nil } }
        return String(parts[siteLevel])
    }

    private static func invalid(_ template: String, _ reason: String) -> GatewayError {
        GatewayError(.configurationInvalid, resource: "ingest", operation: "configure", "JSON topic “\(template)”: \(reason)")
    }
}
