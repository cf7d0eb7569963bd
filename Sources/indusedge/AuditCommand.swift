internal import ArgumentParser
internal import AuditTrail
internal import GatewayCore

struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "Look at the trail of all writes, refused and done.", subcommands: [Verify.self, Show.self])

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "verify", abstract: "Check that nobody changed the audit trail.",
            discussion: "Exit status 0: the chain is whole; 1: it is broken, and the first break is named.")

        @Argument(help: "The site document, or the folder of its log.")
        var site: String

        @Option(help: ArgumentHelp("A head that was kept elsewhere: the trail must still have this record.", valueName: "number:hash"))
        var head: String?

        @Flag(help: "One JSON document instead of text.")
        var json = false

        private struct Report: Encodable {
            let valid: Bool
            let records: Int
            let firstRecord: UInt64
            let head: String
            let firstBreak: String?
            let remarks: [String]
        }

        func run() async throws {
            try await reportingErrors {
                let known = try head.map { text in
                    guard let head = AuditHead(text) else { throw ValidationError("'\(text)' is not number:hash") }
                    return head
                }
                let found = try AuditVerification(folder: try storeFolder(site) + "/audit", known: known)
                if json {
                    try Output.json(
                        Report(
                            valid: found.isWhole, records: found.count, firstRecord: found.firstNumber, head: found.head.description,
                            firstBreak: found.firstBreak?.description, remarks: found.remarks))
                } else {
                    for remark in found.remarks { Output.line("note: \(remark)") }
                    if let firstBreak = found.firstBreak {
                        Output.trouble("the audit trail is broken: \(firstBreak)")
                        Output.trouble("  whole until \(found.head)")
                    } else {
                        Output.line("the audit trail is whole: \(found.count) records, head \(found.head)")
                    }
                }
                if !found.isWhole { throw ExitCode.failure }
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "show", abstract: "Print the last records of the audit trail.")

        @Argument(help: "The site document, or the folder of its log.")
        var site: String

        @Option(help: "How many records, the last ones.")
        var last = 50

        @Flag(help: "One JSON document per record instead of text.")
        var json = false

        func validate() throws {
            guard last > 0, last <= 1_000_000 else { throw ValidationError("--last is \(last), 1…1000000 is allowed") }
        }

        func run() async throws {
            try await reportingErrors {
                let found = try AuditVerification(folder: try storeFolder(site) + "/audit", keeping: last)
                for record in found.records {
                    if json { try Output.json(record) } else { Output.line(line(record)) }
                }
                guard let firstBreak = found.firstBreak else { return }
                Output.trouble("the audit trail is broken here: \(firstBreak)")
                throw ExitCode.failure
            }
        }

        private func line(_ record: AuditRecord) -> String {
            var words = ["\(record.number)", record.time, record.kind.rawValue]
            if let device = record.device, let tag = record.tag { words.append("\(device).\(tag)") }
            if let wanted = record.wanted { words.append("\(record.old ?? "?") → \(wanted)") }
            if let outcome = record.outcome { words.append(outcome) }
            if let who = record.who { words.append("by \(who)") }
            if let from = record.from { words.append("from \(from)") }
            if let reason = record.reason { words.append("(\(reason))") }
            return words.joined(separator: "  ")
        }
    }
}
