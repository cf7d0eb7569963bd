internal import ArgumentParser
internal import Commissioning
internal import Gateway
internal import GatewayCore
internal import ModbusAdapter
internal import Telemetry

struct ProbeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "probe", abstract: "Find out what a Modbus device offers, and draft its protocol definition.",
        discussion: """
            Only reads. Searches the areas for addresses the device answers, reads them several times, and proposes types and byte orders by what \
            the values look like. What it writes is a draft: names, units and scales are not on the wire.
            """)

    @Argument(help: ArgumentHelp("The device on the network.", valueName: "host[:port]"))
    var host: String?

    @Option(help: ArgumentHelp("A serial line instead, such as /dev/ttyUSB0.", valueName: "path"))
    var serial: String?

    @Option(help: "The baud rate of the serial line.")
    var baud = 9600

    @Option(help: "none, even or odd.")
    var parity = "even"

    @Option(help: "The stop bits of the serial line.")
    var stopBits = 1

    @Option(help: "The unit identifier, 0…255.")
    var unit: UInt8 = 1

    @Option(help: "The areas to search.")
    var areas = "holding,input,coil,discrete"

    @Option(help: "The first address to try.")
    var first = 0

    @Option(help: "The last address to try.")
    var last = 1999

    @Option(help: "At most so many requests per second.")
    var rate = 20.0

    @Option(help: "Search at most so many seconds.")
    var searchSeconds = 120

    @Option(help: "How often what was found is read.")
    var readings = 20

    @Option(help: "Seconds from one reading to the next.")
    var every = 0.5

    @Option(help: "Seconds to wait for an answer.")
    var timeout = 1.0

    @Option(name: .shortAndLong, help: ArgumentHelp("Where the draft goes; otherwise to standard output.", valueName: "file"))
    var output: String?

    @Flag(help: "Replace the file of an earlier probe.")
    var force = false

    @Flag(help: "Only say what would be asked.")
    var dryRun = false

    mutating func validate() throws {
        func check(_ isRight: Bool, _ message: String) throws { if !isRight { throw ValidationError(message) } }
        try check((host == nil) != (serial == nil), "give either host[:port] or --serial")
        try check(ModbusEndpoint.Parity(rawValue: parity) != nil, "--parity is '\(parity)', expected none, even or odd")
        try check((300...4_000_000).contains(baud), "--baud is \(baud), expected 300…4000000")
        try check((1...2).contains(stopBits), "--stop-bits is \(stopBits), expected 1 or 2")
        try check(
            (0...65_535).contains(first) && (first...65_535).contains(last), "--first \(first) and --last \(last) are no range in 0…65535")
        try check(rate >= 0.1 && rate <= 1000, "--rate is \(rate), expected 0.1…1000")
        try check((1...86_400).contains(searchSeconds), "--search-seconds is \(searchSeconds), expected 1…86400")
        try check((2...1000).contains(readings), "--readings is \(readings), expected 2…1000")
        try check(every >= 0 && every <= 3600, "--every is \(every), expected 0…3600")
        try check(timeout >= 0.01 && timeout <= 60, "--timeout is \(timeout), expected 0.01…60")
        _ = try areaList()
        if let host { _ = try ProbeCommand.endpoint(host) }
    }

    private func areaList() throws -> [DeviceProbe.Area] {
        try areas.split(separator: ",").map { word in
            guard let area = DeviceProbe.Area(rawValue: String(word)) else {
                throw ValidationError(
                    "'\(word)' is no area; there are \(DeviceProbe.Area.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            return area
        }
    }

    /// `host`, `host:port`, `[2001:db8::1]:502` or `2001:db8::1`.
    private static func endpoint(_ text: String) throws -> ModbusEndpoint {
        if text.hasPrefix("["), let close = text.firstIndex(of: "]") {
            let rest = text[text.index(after: close)...]
            let port = rest.isEmpty ? 502 : rest.hasPrefix(":") ? UInt16(rest.dropFirst()) : nil
            guard let port else { throw ValidationError("'\(text)' is not host:port") }
            return .tcp(host: String(text[text.index(after: text.startIndex)..<close]), port: port)
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        if parts.count != 2 { return .tcp(host: text, port: 502) }
        guard let port = UInt16(parts[1]), !parts[0].isEmpty else { throw ValidationError("'\(text)' is not host:port") }
        return .tcp(host: String(parts[0]), port: port)
    }

    private func endpoint() throws -> ModbusEndpoint {
        if let host { return try ProbeCommand.endpoint(host) }
        return .rtu(
            path: serial ?? "", baudRate: baud, parity: ModbusEndpoint.Parity(rawValue: parity) ?? .even, dataBits: 8, stopBits: stopBits)
    }

    func run() async throws {
        try await reportingErrors {
            let probe = DeviceProbe(
                endpoint: try endpoint(), unit: unit, areas: try areaList(), span: first..<last + 1, requestsPerSecond: rate,
                searchTime: .seconds(searchSeconds), readings: readings, readingInterval: .seconds(every),
                responseTimeout: .seconds(timeout))
            for sentence in probe.announcement { Output.trouble(sentence) }
            if dryRun { return }
            let file = try output.map { try PartialFile($0, replaces: force) }
            let draft = try await probe.run(time: SystemTime()) { Output.trouble($0) }
            guard let text = draft.yaml else {
                throw GatewayError(
                    .notFound, resource: "modbus \(probe.endpoint)", operation: "probe",
                    "nothing that could be defined was found at addresses \(first)…\(last) of unit \(unit)")
            }
            if let file {
                try file.write(Array(text.utf8))
                try file.complete()
            } else {
                try Output.write(Array(text.utf8))
            }
        }
    }
}
