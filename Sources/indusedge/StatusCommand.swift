internal import ArgumentParser
internal import Definitions
internal import Foundation
internal import Gateway

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Tell what became of the newest site document, and why.",
        discussion:
            "Works while the gateway runs and when it does not. Exit status 0: the newest document runs; 1: it does not, or nothing is known."
    )

    @Argument(help: ArgumentHelp("The folder of the log, or the site document.", valueName: "store"))
    var store: String

    @Flag(help: "One JSON document instead of text.")
    var json = false

    func run() async throws {
        try await reportingErrors {
            guard let status = ConfigurationStatus.kept(beside: try folder()) else {
                Output.trouble("error: no gateway has kept the state of its configuration in \(store)")
                throw ExitCode.failure
            }
            if json {
                try Output.json(status)
            } else {
                Output.line("\(StatusCommand.words(status.state)), since \(status.since)")
                for change in status.changes { Output.line("  changed: \(change)") }
                for reason in status.reasons { Output.line("  reason: \(reason)") }
            }
            if status.state == .refused || status.state == .rolledBack { throw ExitCode.failure }
        }
    }

    /// The folder of the log, also of a site document that cannot be used now.
    private func folder() throws -> String {
        guard store.hasSuffix(".yaml") || store.hasSuffix(".yml") else { return store }
        let environment = ProcessInfo.processInfo.environment
        let loaded = ConfigurationLoader().load(files: [store], environment: environment)
        let guesses = (loaded.logPath.map { [$0] } ?? []) + LogPathGuess.paths(in: loaded.bundle, environment: environment)
        return guesses.first { ConfigurationStatus.kept(beside: $0) != nil } ?? store
    }

    private static func words(_ state: ConfigurationStatus.State) -> String {
        switch state {
        case .accepted: "the newest site document runs"
        case .onTrial: "the newest site document runs on trial"
        case .refused: "the newest site document was refused; the one before runs"
        case .rolledBack: "the newest site document was taken back; the last known good one runs"
        }
    }
}
