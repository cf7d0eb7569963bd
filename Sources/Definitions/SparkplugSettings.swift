/// What a Sparkplug route does beyond publishing flat metrics to whoever listens.
package struct SparkplugSettings: Sendable, Equatable {
    /// The host application without which nothing is published.
    package var primaryHost: String?
    /// Whether each device is told as an instance of its protocol definition.
    package var templates: Bool

    package init(primaryHost: String? = nil, templates: Bool = false) {
        self.primaryHost = primaryHost
        self.templates = templates
    }
}
