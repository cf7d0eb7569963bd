internal import ArgumentParser
internal import Definitions
internal import Foundation

struct DiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Tell what a changed site document would change in a running gateway, offline.",
        discussion: "Exit status 0: the two do the same, however they are written; 1: they differ; 2: one of them has errors.")

    @Argument(help: ArgumentHelp("The site document as it is.", valueName: "old.yaml"))
    var old: String

    @Argument(help: ArgumentHelp("The site document as it will be.", valueName: "new.yaml"))
    var new: String

    @Flag(help: "One JSON document instead of text.")
    var json = false

    private struct Report: Encodable {
        let identical: Bool
        let changes: [String]
        let needsRestart: [String]
    }

    func run() async throws {
        guard let before = load(old), let after = load(new) else { throw ExitCode(2) }
        let difference = SiteDifference(from: before, to: after)
        if json {
            try Output.json(
                Report(identical: difference.isEmpty, changes: difference.changes, needsRestart: difference.needsRestart))
        } else {
            for line in difference.changes { Output.line(line) }
            for line in difference.needsRestart { Output.line("refused while the gateway runs: \(line)") }
            if difference.isEmpty { Output.line("no change: both documents do the same") }
        }
        if !difference.isEmpty { throw ExitCode(1) }
    }

    /// The site of a document; prints every problem of one that has errors.
    private func load(_ file: String) -> Site? {
        let loaded = ConfigurationLoader().load(files: [file], environment: ProcessInfo.processInfo.environment)
        if let site = loaded.site { return site }
        for diagnostic in loaded.diagnostics { Output.trouble(diagnostic.description) }
        if !loaded.hasErrors { Output.trouble("error: no Site document in \(file); a document with 'kind: Site' is needed here") }
        return nil
    }
}
