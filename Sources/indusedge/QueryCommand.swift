internal import ArgumentParser
internal import GatewayCore
internal import Historian
internal import Telemetry

struct QueryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "query", abstract: "Print stored samples or their statistics.", discussion: QueryOptions.discussion)

    @OptionGroup var options: QueryOptions

    @Flag(help: "Only the newest sample of each tag (before --to).")
    var latest = false

    @Option(help: "Stop after so many lines.")
    var limit = 10_000

    @Flag(help: "A JSON document per tag and time instead of a table.")
    var json = false

    @Flag(help: "Comma-separated values instead of a table.")
    var csv = false

    mutating func validate() throws {
        if limit < 1 { throw ValidationError("--limit is \(limit), expected at least 1") }
        if json, csv { throw ValidationError("--json and --csv exclude each other") }
        if latest, options.every != nil { throw ValidationError("--latest prints samples: leave out --every") }
        if latest, options.from != nil { throw ValidationError("--latest has no beginning: leave out --from") }
    }

    func run() async throws {
        try await reportingErrors {
            let now = SystemTime().utc
            let run = try QueryRun(options, now: now)
            var layout = latest ? .long : options.layout(of: run.shape, wideByDefault: csv)
            if json { layout = .long }
            var writer: any RowWriter =
                if json {
                    JSONLinesWriter(run.shape)
                } else if csv {
                    CSVWriter(run.shape, layout: layout)
                } else {
                    TextTableWriter(run.shape, layout: layout)
                }
            var text = TextBuffer()
            var left = limit
            var hasBegun = false
            func write(_ row: OutputRow) throws -> Bool {
                guard left > 0 else { return false }
                if !hasBegun { writer.begin(into: &text) }
                hasBegun = true
                var row = row
                if layout == .long { row.truncate(to: left) }
                left -= layout == .long ? row.entries.count : 1
                writer.write(row, into: &text)
                if text.count >= Output.pieceBytes { try Output.write(text.take()) }
                return left > 0
            }
            if latest {
                let rows = try run.reader.latestRows(of: run.shape.series, in: run.snapshot, before: options.to?.timestamp(now: now))
                for row in rows where try !write(row) { break }
                if rows.isEmpty { run.tellWhatThereIs() }
            } else {
                try run.rows(write)
            }
            try Output.write(text.take())
            if left == 0 { Output.trouble("stopped after \(limit) lines; --limit raises that, and export has none") }
        }
    }
}

extension OutputRow {
    /// Leaves out the entries beyond the first `count`.
    fileprivate mutating func truncate(to count: Int) {
        guard entries.count > count, !entries.isEmpty else { return }
        let width = cells.count / entries.count
        entries.removeSubrange(count...)
        cells.removeSubrange((count * width)...)
    }
}
