internal import ArgumentParser

@main
struct IndusEdge: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "indusedge",
        abstract: "Edge gateway for industrial telemetry: reads PLCs, keeps every sample, scores machines, forwards encrypted MQTT.",
        version: "IndusEdge \(Version.current)",
        subcommands: [
            RunCommand.self, CheckCommand.self, DiffCommand.self, PlanCommand.self, StatusCommand.self, RouteCommand.self, ReadCommand.self,
            WriteCommand.self,
            IdentifyCommand.self, TailCommand.self, QueryCommand.self, ExportCommand.self, LedgerCommand.self, AuditCommand.self,
            IdentityCommand.self, EnvelopeCommand.self, ProbeCommand.self, DiscoverCommand.self, ImportCommand.self, SchemaCommand.self,
            SimulateCommand.self,
            WatchCommand.self,
        ])
}

/// What this build is.
enum Version {
    static let current = "0.1.0"
}
