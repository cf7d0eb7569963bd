internal import ArgumentParser
internal import GatewayCore
internal import Historian
internal import Telemetry

struct QueryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "query", abstract: "Print stored samples of a time range, as they were taken.",
        discussion:
            "Works beside a running gateway and on a stopped one. Times are RFC 3339, for example 2026-03-01T08:00:00Z, or a span back from now, for example 15m."
    )

    @Argument(help: ArgumentHelp("The store's folder, or the site document that names it.", valueName: "store"))
    var store: String

    @Option(help: "Only this device (or asset).")
    var device: String?

    @Option(name: .customLong("tag"), help: "Only this tag. Repeatable.")
    var tags: [String] = []

    @Option(help: "From this time on.")
    var from: TimeArgument?

    @Option(help: "Before this time.")
    var to: TimeArgument?

    @Option(help: "Stop after so many samples.")
    var limit = 10_000

    @Flag(help: "One JSON document per sample instead of text.")
    var json = false

    mutating func validate() throws {
        if limit < 1 { throw ValidationError("--limit is \(limit), expected at least 1") }
    }

    func run() async throws {
        try await reportingErrors {
            let now = SystemTime().utc
            let reader = try Historian.openReadOnly(folder: storeFolder(store))
            try requireKnown(reader)
            let count = try reader.query(
                device: device, tags: tags.isEmpty ? nil : tags, from: from?.timestamp(now: now), to: to?.timestamp(now: now), limit: limit
            ) { sample in try SampleLine(sample).print(json: json) }
            if count == limit { Output.trouble("stopped after \(limit) samples; --limit raises that") }
            if count == 0 { Output.trouble("no samples in that range") }
        }
    }

    /// A misspelt name would otherwise look like an empty range.
    private func requireKnown(_ reader: HistorianReader) throws {
        let descriptors = try reader.streams().values.filter { device == nil || $0.device == device }
        if let device, descriptors.isEmpty {
            let known = Set(try reader.streams().values.map(\.device)).sorted().joined(separator: ", ")
            throw GatewayError(.notFound, resource: "store", operation: "query", "there is no device \(device); there are: \(known)")
        }
        let names = Set(descriptors.flatMap { $0.tags.map(\.name) })
        for tag in tags where !names.contains(tag) {
            throw GatewayError(
                .notFound, resource: "store", operation: "query",
                "there is no tag \(tag); there are: \(names.sorted().prefix(50).joined(separator: ", "))")
        }
    }
}

/// A time on the command line: RFC 3339, or a span back from now.
struct TimeArgument: ExpressibleByArgument {
    private enum Form {
        case absolute(Timestamp)
        case ago(Duration)
    }
    private let form: Form

    init?(argument: String) {
        if let time = Timestamp(argument) {
            form = .absolute(time)
            return
        }
        let units: [(String, Int64)] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)]
        for (unit, milliseconds) in units where argument.hasSuffix(unit) {
            if let count = Int64(argument.dropLast(unit.count)), count >= 0, count < 1 << 31 {
                form = .ago(.milliseconds(count * milliseconds))
                return
            }
        }
        return nil
    }

    func timestamp(now: Timestamp) -> Timestamp {
        switch form {
        case .absolute(let time): time
        case .ago(let span): now.advanced(by: .zero - span)
        }
    }
}

/// One stored sample, for people or programs.
struct SampleLine: Encodable {
    let time: String
    /// `true`, or left out.
    let timeUncertain: Bool?
    let device: String
    let group: String
    let tag: String
    let value: JSONValue?
    let unit: String?
    let status: String

    init(_ sample: HistorianReader.Sample) {
        time = sample.value.time.description
        timeUncertain = sample.value.isTimeUncertain ? true : nil
        device = sample.device
        group = sample.group
        tag = sample.tag
        value = sample.value.value.map(JSONValue.init)
        unit = sample.unit.isEmpty ? nil : sample.unit
        status = sample.value.status.description
    }

    func print(json: Bool) throws {
        if json { return try Output.json(self) }
        let quality = status == StatusCode.good.description ? "" : "  \(status)"
        let folder = StreamDescriptor.folder(ofGroup: group).map { $0 + "/" } ?? ""
        let mark = timeUncertain == true ? "~" : ""
        Output.line(
            "\(mark)\(time)  \(device).\(folder)\(tag)  \(value?.value.description ?? "-")\(unit.map { " \($0)" } ?? "")\(quality)"
        )
    }
}
