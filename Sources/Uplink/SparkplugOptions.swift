package import Sparkplug

/// What a Sparkplug route does beyond publishing flat metrics to whoever listens.
package struct SparkplugOptions: Sendable, Hashable {
    /// The host application without which nothing is published; `nil` to publish always.
    package var primaryHost: String?
    /// By the device's name: the definition of which it is told as a template instance. Others have flat metrics.
    package var templates: [String: TemplateName]
    /// Whether hosts may write tags; what may be written to is decided by whom the route hands the commands.
    package var allowsCommands: Bool
    /// Where `bdSeq` is kept over restarts; `nil` to begin with 0 each time.
    package var stateFolder: String?

    package init(
        primaryHost: String? = nil, templates: [String: TemplateName] = [:], allowsCommands: Bool = false, stateFolder: String? = nil
    ) {
        self.primaryHost = primaryHost
        self.templates = templates
        self.allowsCommands = allowsCommands
        self.stateFolder = stateFolder
    }
}
