internal import ArgumentParser
internal import Definitions
internal import GatewayCore
internal import Historian
internal import Telemetry

/// Which part of a store is asked for, and how: what `query` and `export` have in common.
struct QueryOptions: ParsableArguments {
    @Argument(help: ArgumentHelp("The store's folder, or the site document that names it.", valueName: "store"))
    var store: String

    @Argument(
        help: ArgumentHelp(
            "Tags as device/tag; * stands for any characters, ? for one; a device alone is all its tags. Default: everything.",
            valueName: "device/tag"))
    var patterns: [String] = []

    @Option(help: "Only this device (or asset).")
    var device: String?

    @Option(name: .customLong("tag"), help: "Only this tag of each device. Repeatable.")
    var tags: [String] = []

    @Option(parsing: .unconditional, help: "From this time on: RFC 3339, a date, or a span before now such as -1h or 15m.")
    var from: TimeExpression?

    @Option(parsing: .unconditional, help: "Before this time; also now.")
    var to: TimeExpression?

    @Option(help: "Sum up by buckets of this width, for example 1m, 1h30m or 1d (UTC).")
    var every: SpanArgument?

    @Option(help: ArgumentHelp("What to sum up, with commas: \(AggregateList.known). Default: mean,min,max,count.", valueName: "list"))
    var aggregate: AggregateList?

    @Option(help: "Where buckets begin, for example 2026-03-01T00:00:00+01:00 for days of that offset. Default: 1970-01-01T00:00:00Z.")
    var origin: TimeExpression?

    @Option(help: "For twmean and duration: a value holds at most this long. Default: until the next sample, Bad or restart.")
    var hold: SpanArgument?

    @Option(help: ArgumentHelp("One order for all tags (time), or one tag after the other (tag).", valueName: "time|tag"))
    var by: Order = .time

    @Flag(help: "A column per tag.")
    var wide = false

    @Flag(help: "A line per tag and time.")
    var long = false

    enum Order: String, ExpressibleByArgument, CaseIterable { case time, tag }

    static let discussion =
        "Works beside a running gateway and on a stopped one. Samples come in the order in which they were stored: where the clock was set "
        + "back, their times fall. docs/query.md explains formats and aggregates."

    mutating func validate() throws {
        if wide, long { throw ValidationError("--wide and --long exclude each other") }
        if wide, by == .tag { throw ValidationError("--by tag prints a line per tag and time: leave out --wide") }
        if every == nil {
            if aggregate != nil { throw ValidationError("--aggregate needs the width of the buckets: add --every, for example --every 1m") }
            if origin != nil { throw ValidationError("--origin is for buckets: add --every, for example --every 1d") }
            if hold != nil { throw ValidationError("--hold is for buckets: add --every and --aggregate twmean") }
        }
        if let every, every.span <= .zero { throw ValidationError("--every must be longer than nothing") }
        if let hold, hold.span <= .zero { throw ValidationError("--hold must be longer than nothing") }
    }

    /// What the statistics are when none are named.
    private static let aggregatesByDefault: [Aggregate] = [.mean, .min, .max, .count]

    var aggregates: [Aggregate] { every == nil ? [] : aggregate?.aggregates ?? QueryOptions.aggregatesByDefault }

    /// Where a table has so many columns or more it is long unless it is told to be wide.
    private static let columnsMax = 8

    func layout(of shape: OutputShape, wideByDefault: Bool) -> TableLayout {
        if by == .tag || long { return .long }
        return wide || wideByDefault || shape.series.count * shape.width <= QueryOptions.columnsMax ? .wide : .long
    }

    /// The series that are asked for. A misspelt name would otherwise look like an empty range.
    func series(in snapshot: LogSnapshot) throws(GatewayError) -> [Series] {
        var all = Series.all(in: snapshot.streams)
        guard !all.isEmpty else { throw QueryOptions.unknown("the log has no tags yet: start the gateway once") }
        if let device {
            let known = Set(all.map(\.device)).sorted()
            guard known.contains(device) else {
                throw QueryOptions.unknown("there is no device \(device)" + QueryOptions.hint(for: device, among: known))
            }
            all = all.filter { $0.device == device }
        }
        for tag in tags where !all.contains(where: { $0.tag.name == tag || $0.tagName == tag }) {
            let known = Set(all.map(\.tagName)).sorted()
            throw QueryOptions.unknown("there is no tag \(tag)" + QueryOptions.hint(for: tag, among: known))
        }
        if !tags.isEmpty { all = all.filter { tags.contains($0.tag.name) || tags.contains($0.tagName) } }
        guard !patterns.isEmpty else { return all }
        let (chosen, unmatched) = TagPattern.choose(patterns.map(TagPattern.init), from: all)
        if let first = unmatched.first {
            let isWhole = first.text.utf8.contains(UInt8(ascii: "/")) || first.text.utf8.contains(UInt8(ascii: "."))
            let known = isWhole ? all.map(\.name) : Set(all.map(\.device)).sorted()
            let kind = first.text.contains("*") || first.text.contains("?") ? "no tag matches" : "there is no \(isWhole ? "tag" : "device")"
            throw QueryOptions.unknown("\(kind) \(first.text)" + QueryOptions.hint(for: first.text, among: known))
        }
        return chosen
    }

    private static func unknown(_ message: String) -> GatewayError {
        GatewayError(.notFound, resource: "log", operation: "query", message)
    }

    /// The nearest name, or the names that there are.
    private static func hint(for name: String, among known: [String]) -> String {
        let shownMax = 50
        if let nearest = nearestName(to: name, among: known) { return "; did you mean \(nearest)?" }
        let more = known.count > shownMax ? " and \(known.count - shownMax) more" : ""
        return "; there are: \(known.prefix(shownMax).joined(separator: ", "))\(more)"
    }
}

/// Answers a question: reads the rows and hands them on.
struct QueryRun {
    let options: QueryOptions
    let reader: HistorianReader
    let snapshot: LogSnapshot
    let shape: OutputShape
    private let from: Timestamp?
    private let to: Timestamp?

    init(_ options: QueryOptions, now: Timestamp) throws {
        self.options = options
        reader = try Historian.openReadOnly(folder: storeFolder(options.store))
        snapshot = try reader.snapshot()
        shape = OutputShape(series: try options.series(in: snapshot), aggregates: options.aggregates)
        from = options.from?.timestamp(now: now)
        to = options.to?.timestamp(now: now)
        if let from, let to, from >= to {
            throw GatewayError(
                .notFound, resource: "log", operation: "query", "--from \(from) is not before --to \(to): the range is empty")
        }
    }

    /// Hands the rows to `body` until it has enough, and tells people what is missing.
    func rows(_ body: (OutputRow) throws -> Bool) throws {
        var isEmpty = true
        var isStopped = false
        var report = ReadReport()
        let parts = options.by == .time ? [Array(shape.series.indices)] : shape.series.indices.map { [$0] }
        for part in parts where !isStopped {
            report += try read(part) { row in
                isEmpty = false
                if try body(row) { return true }
                isStopped = true
                return false
            }
        }
        tell(report)
        if isEmpty { tellWhatThereIs() }
    }

    private func read(_ part: [Int], _ body: (OutputRow) throws -> Bool) throws -> ReadReport {
        let series = part.map { shape.series[$0] }
        let offset = part.count == 1 ? part[0] : 0
        func whole(_ row: OutputRow) throws -> Bool {
            guard offset > 0 else { return try body(row) }
            var row = row
            for index in row.entries.indices { row.entries[index].series += offset }
            return try body(row)
        }
        guard let every = options.every else { return try reader.rows(of: series, in: snapshot, from: from, to: to, whole) }
        guard let times = snapshot.times else { return ReadReport() }
        let lower = from ?? times.lowerBound
        let upper = to ?? times.upperBound.advanced(by: .nanoseconds(1))
        guard lower < upper else { return ReadReport() }
        let layout = BucketLayout(
            window: lower.nanoseconds..<upper.nanoseconds, width: every.span.nanoseconds,
            origin: options.origin?.timestamp(now: upper).nanoseconds ?? 0, holdMax: options.hold?.span.nanoseconds ?? .max)
        return try reader.buckets(of: series, shape.aggregates, layout: layout, in: snapshot, whole)
    }

    private func tell(_ report: ReadReport) {
        tellThinned(report)
        let exact = from == nil && to == nil ? "" : "up to "
        if report.evicted > 0 {
            Output.trouble(
                "warning: the disk limit removed \(exact)\(report.evicted) samples of these tags while they were read: they are missing")
        }
        if report.damaged > 0 {
            Output.trouble("warning: \(exact)\(report.damaged) samples of these tags are damaged on disk: they are missing")
        }
        if report.damagedSummaries > 0 {
            Output.trouble(
                "warning: summaries of older samples of these tags are damaged on disk in \(report.damagedSummaries) places: what they stood "
                    + "for is missing")
        }
        if report.givenUp > 0 {
            Output.trouble(
                "warning: \(exact)\(report.givenUp) samples of these tags were given up when the disk refused them: they are missing")
        }
    }

    /// Samples that have become summaries.
    private func tellThinned(_ report: ReadReport) {
        guard report.thinned > 0, shape.aggregates.isEmpty else { return }
        Output.trouble(
            "\(report.thinned) older samples of these tags are kept as summaries per bucket only: ask for them with --every")
    }

    func tellWhatThereIs() {
        guard let times = snapshot.times else { return Output.trouble("no samples: the log is empty") }
        Output.trouble("no samples in that range: the log has samples from \(times.lowerBound) to \(times.upperBound)")
    }
}

extension TimeExpression: ExpressibleByArgument {
    package init?(argument: String) { self.init(argument) }
}

/// A span of time on the command line.
struct SpanArgument: ExpressibleByArgument {
    let span: Duration

    init?(argument: String) {
        guard let span = Duration(compact: argument) else { return nil }
        self.span = span
    }
}

/// Statistics on the command line, with commas between them.
struct AggregateList: ExpressibleByArgument {
    let aggregates: [Aggregate]

    static let known = Aggregate.allCases.map(\.rawValue).joined(separator: ",")

    init?(argument: String) {
        var aggregates: [Aggregate] = []
        for name in argument.split(separator: ",", omittingEmptySubsequences: false) {
            guard let aggregate = Aggregate(rawValue: String(name)), !aggregates.contains(aggregate) else { return nil }
            aggregates.append(aggregate)
        }
        self.aggregates = aggregates
    }
}
