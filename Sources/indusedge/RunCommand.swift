internal import ArgumentParser
internal import Definitions
internal import Foundation
internal import Gateway
internal import GatewayCore
internal import Logging

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run the gateway.",
        discussion: "Ends on SIGTERM or SIGINT after a last commit to disk. Follows changes of its files; SIGHUP has them read at once. "
            + "Logs go to standard error.")

    @Argument(help: ArgumentHelp("The site document, and files with protocol definitions.", valueName: "site.yaml"))
    var files: [String]

    @Option(help: "Format of the log: \(LogFormat.allCases.map(\.rawValue).joined(separator: " or ")).")
    var logFormat: LogFormat = .logfmt

    @Option(
        help: "Least level that is logged: \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")).",
        transform: { text in
            guard let level = Logger.Level(rawValue: text) else { throw ValidationError("there is no level '\(text)'") }
            return level
        })
    var logLevel: Logger.Level = .info

    func run() async throws {
        try await reportingErrors {
            let start = try chooseStart()
            let time = SystemTime()
            let format = logFormat
            let level = logLevel
            LoggingSystem.bootstrap { label in
                StructuredLogHandler(label: label, level: level, format: format, now: { time.utc })
            }
            try await GatewayService(start, version: Version.current, time: time, logger: Logger(label: "indusedge")).run()
        }
    }

    /// The present documents, or the last known good ones; prints what is wrong with the present ones.
    private func chooseStart() throws -> GatewayStart {
        let (start, loaded) = GatewayStart.choose(ConfigurationSource(files: files, environment: ProcessInfo.processInfo.environment))
        for diagnostic in loaded.diagnostics { Output.trouble(diagnostic.description) }
        if let start { return start }
        if !loaded.hasErrors {
            Output.trouble("error: no Site document in \(files.joined(separator: ", ")); a document with 'kind: Site' is needed here")
        }
        throw ExitCode.failure
    }
}

extension LogFormat: ExpressibleByArgument {}
