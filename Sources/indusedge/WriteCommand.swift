internal import ArgumentParser
internal import Gateway
internal import GatewayCore

struct WriteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "write", abstract: "Write a tag of a device, through the running gateway.",
        discussion: """
            The gateway judges the request by the tag's definition and the site's document, records it in the audit trail, writes, and reads the \
            value back. Exit status 0: done (or would be, with --dry-run); 1: not done, or not certain; 3: to be confirmed with --confirm.
            """)

    @Argument(help: "The site document, or the folder of its log.")
    var site: String

    @Argument(help: ArgumentHelp("The tag and its new value in engineering units.", valueName: "device.tag=value"))
    var assignment: String

    @Flag(help: "Only say what would come of it.")
    var dryRun = false

    @Option(help: "Carry out what an earlier request asked for: the token it was given.")
    var confirm: String?

    @Flag(help: "One JSON document instead of text.")
    var json = false

    /// Something has to be done yet.
    private static let confirmationStatus = ExitCode(3)

    func run() async throws {
        try await reportingErrors {
            guard let equals = assignment.firstIndex(of: "=") else {
                throw ValidationError("'\(assignment)' is not device.tag=value")
            }
            let question = ControlService.Question(
                operation: .write, target: String(assignment[..<equals]), value: String(assignment[assignment.index(after: equals)...]),
                dryRun: dryRun, token: confirm)
            let outcome = try ControlService.ask(question, folder: try storeFolder(site))
            if json {
                try Output.json(outcome)
            } else {
                show(outcome)
            }
            if outcome.result == .confirm { throw WriteCommand.confirmationStatus }
            if !outcome.isSuccess { throw ExitCode.failure }
        }
    }

    private func show(_ outcome: WriteOutcome) {
        let unit = outcome.unit.map { " \($0)" } ?? ""
        let change = "\(outcome.target): \(outcome.old.map { "\($0)\(unit) → " } ?? "")\(outcome.value ?? "?")\(unit)"
        let reason = outcome.reason.isEmpty ? "" : ": \(outcome.reason)"
        switch outcome.result {
        case .done: Output.line("done: \(change)\(reason.isEmpty ? ", read back" : reason)")
        case .wouldWrite: Output.line("would be written: \(change)\(reason)")
        case .confirm:
            Output.line("to be confirmed: \(change)\(reason)")
            Output.line(
                "  within \(Int(outcome.tokenSeconds ?? 0)) s: indusedge write \(site) \(assignment) --confirm \(outcome.token ?? "")")
        case .refused: Output.trouble("refused: \(change)\(reason)")
        case .failed: Output.trouble("not written: \(change)\(reason)")
        case .mismatch: Output.trouble("written, but not as wanted: \(change)\(reason)")
        case .unknown: Output.trouble("not known whether written: \(change)\(reason)")
        }
        if let head = outcome.auditHead { Output.line("audit \(head)") }
    }
}
