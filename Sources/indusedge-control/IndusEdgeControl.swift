internal import ArgumentParser

@main
struct IndusEdgeControl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "indusedge-control", abstract: "The platform's side of IndusEdge.", version: "IndusEdge \(Version.current)",
        subcommands: [IngestCommand.self])
}

/// What this build is.
enum Version {
    static let current = "0.1.0"
}
