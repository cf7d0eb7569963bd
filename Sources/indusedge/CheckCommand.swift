internal import ArgumentParser
internal import Definitions
internal import Foundation
internal import Gateway
internal import GatewayCore

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Validate site documents and protocol definitions, offline.",
        discussion: "Reports every problem with its place. Exit status 0: no errors (warnings allowed); 1: errors.")

    @Argument(help: ArgumentHelp("YAML files.", valueName: "file"))
    var files: [String]

    @Flag(help: "One JSON document instead of text.")
    var json = false

    private struct Report: Encodable {
        let valid: Bool
        let site: String?
        let definitions: [String]
        let diagnostics: [Diagnostic]
    }

    func run() async throws {
        var loaded = ConfigurationLoader().load(files: files, environment: ProcessInfo.processInfo.environment)
        if let site = loaded.site { loaded.diagnostics += ConnectionCheck.diagnostics(of: site, at: SystemTime().utc) }
        if json {
            try Output.json(
                Report(
                    valid: !loaded.hasErrors, site: loaded.site?.name, definitions: loaded.definitions.map(\.name),
                    diagnostics: loaded.diagnostics))
        } else {
            for diagnostic in loaded.diagnostics { Output.line(diagnostic.description) }
            let errors = loaded.diagnostics.count { $0.severity == .error }
            let warnings = loaded.diagnostics.count - errors
            var parts: [String] = []
            if let site = loaded.site {
                parts.append(
                    "site \(site.name): \(site.devices.count) devices, \(site.devices.reduce(0) { $0 + $1.tags.count }) tags, \(site.routes.count) routes"
                )
            }
            if !loaded.definitions.isEmpty { parts.append("definitions: \(loaded.definitions.map(\.name).joined(separator: ", "))") }
            Output.line((parts + ["\(errors) errors, \(warnings) warnings"]).joined(separator: "; "))
        }
        if loaded.hasErrors { throw ExitCode.failure }
    }
}

struct SchemaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema", abstract: "Print the JSON Schema of site documents or protocol definitions, for editors.")

    enum Document: String, CaseIterable, ExpressibleByArgument {
        case site
        case protocolDefinition = "protocol-definition"
    }

    @Argument(help: "site or protocol-definition.")
    var document: Document

    func run() throws {
        // The text ends its last line itself.
        print(document == .site ? JSONSchema.site : JSONSchema.protocolDefinition, terminator: "")
    }
}
