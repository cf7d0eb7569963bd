internal import ArgumentParser
internal import Historian
internal import Telemetry

struct LedgerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ledger", abstract: "Account for every sample: stored, suppressed, sent, pending, evicted.",
        discussion: "sampled = suppressed + stored; for every reader stored = acknowledged + pending + evicted. "
            + "The terms are counted independently. Exit status 1 when a sum fails.")

    @Argument(help: ArgumentHelp("The store's folder, or the site document that names it.", valueName: "store"))
    var store: String

    @Flag(help: "A line per tag instead of per device.")
    var tags = false

    @Flag(help: "One JSON document instead of text.")
    var json = false

    private struct Report: Encodable {
        let balanced: Bool
        let total: Ledger.TagRow
        let tags: [Ledger.TagRow]
    }

    func run() async throws {
        try await reportingErrors {
            let ledger = try Historian.openReadOnly(folder: storeFolder(store)).ledger()
            if json {
                try Output.json(Report(balanced: ledger.isBalanced, total: ledger.total, tags: ledger.tags))
            } else {
                printText(ledger)
            }
            if !ledger.isBalanced { throw ExitCode.failure }
        }
    }

    private func printText(_ ledger: Ledger) {
        var rows = [["", "sampled", "= suppressed", "+ stored", "not on disk", ""]]
        func row(_ name: String, _ account: Ledger.TagRow) -> [String] {
            [
                name, String(account.sampled), String(account.suppressed), String(account.stored), String(account.notOnDisk),
                account.isBalanced ? "" : "DOES NOT BALANCE",
            ]
        }
        if tags {
            for tag in ledger.tags {
                rows.append(row("\(tag.device).\(StreamDescriptor.folder(ofGroup: tag.group).map { $0 + "/" } ?? "")\(tag.tag)", tag))
            }
        } else {
            for device in ledger.tags.map(\.device).uniqued() {
                rows.append(row(device, Ledger(tags: ledger.tags.filter { $0.device == device }).total))
            }
        }
        let total = ledger.total
        rows.append(row("all", total))
        Output.table(rows)
        Output.line("")
        Output.table(
            [["reader", "stored", "= acknowledged", "+ pending", "+ evicted", ""]]
                + total.cursors.map {
                    [
                        $0.cursor, String($0.stored), String($0.acknowledged), String($0.pending), String($0.evicted),
                        $0.isBalanced ? "" : "DOES NOT BALANCE",
                    ]
                })
        Output.line("")
        let lost = total.cursors.reduce(0) { $0 + $1.evicted } + total.notOnDisk
        Output.line(
            ledger.isBalanced
                ? "The ledger balances; \(lost == 0 ? "nothing was lost." : "what was lost is counted above.")"
                : "The ledger does NOT balance for \(ledger.unbalanced.count) tags; --tags shows them.")
    }
}

extension [String] {
    /// Each element once, in the order of its first appearance.
    fileprivate func uniqued() -> [String] {
        var seen: Set<String> = []
        return filter { seen.insert($0).inserted }
    }
}
