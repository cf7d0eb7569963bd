internal import ArgumentParser
internal import GatewayCore
internal import Historian
internal import Telemetry

struct ExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write stored samples or their statistics to a file.", discussion: QueryOptions.discussion)

    enum Format: String, ExpressibleByArgument, CaseIterable {
        /// RFC 4180.
        case csv
        /// InfluxDB line protocol.
        case line
    }

    @OptionGroup var options: QueryOptions

    @Option(help: "csv (RFC 4180) or line (InfluxDB line protocol).")
    var format: Format = .csv

    @Option(help: "The file; it gets its name when it is complete. Default: standard output.")
    var output: String?

    @Flag(help: "Replace the file if there is one.")
    var force = false

    func run() async throws {
        try await reportingErrors {
            let run = try QueryRun(options, now: SystemTime().utc)
            guard let output else {
                _ = try write(run) { try Output.write($0) }
                return
            }
            let file = try PartialFile(output, replaces: force)
            // From here on Ctrl-C takes the unfinished file away before it ends the program.
            let signals = await StopSignals()
            let rows = try await withThrowingTaskGroup(of: Int?.self) { group in
                group.addTask { try write(run) { try file.write($0) } }
                group.addTask {
                    try await signals.wait()
                    return nil
                }
                defer { group.cancelAll() }
                return try await group.next() ?? nil
            }
            guard let rows else { throw CancellationError() }
            try file.complete()
            Output.trouble("\(rows) rows, \(file.bytes) bytes: \(output)")
        }
    }

    /// Streams all rows and returns how many there were.
    private func write(_ run: QueryRun, _ put: ([UInt8]) throws -> Void) throws -> Int {
        var writer: any RowWriter =
            switch format {
            case .csv: CSVWriter(run.shape, layout: options.layout(of: run.shape, wideByDefault: true))
            case .line: LineProtocolWriter(run.shape)
            }
        var text = TextBuffer()
        writer.begin(into: &text)
        var rows = 0
        try run.rows { row in
            rows += 1
            writer.write(row, into: &text)
            if text.count >= Output.pieceBytes {
                try Task.checkCancellation()
                try put(text.take())
            }
            return true
        }
        try put(text.take())
        if writer.valuesLeftOut > 0 {
            Output.trouble(
                "warning: \(writer.valuesLeftOut) values are not finite numbers, which \(format.rawValue) has no form for: only their quality was written"
            )
        }
        return rows
    }
}
