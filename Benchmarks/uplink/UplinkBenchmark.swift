internal import BenchmarkSignals
internal import Foundation

/// Measures the way up: how fast a backlog drains beside live data, what a sample costs on the wire, what encoding, compression and encryption cost.
@main
struct UplinkBenchmark {
    private var samples = 86_400_000
    private var devices = 10
    private var seed: UInt64 = 1
    private var isKept = false
    private var parts: [String] = []

    private static let parts =
        ["drain", "size", "encode", "envelope", "receive"] + BenchmarkDatabase.Kind.allCases.map { "receive-\($0.rawValue)" }

    static func main() async throws {
        guard let benchmark = UplinkBenchmark(CommandLine.arguments.dropFirst()) else {
            FileHandle.standardError.write(
                Data(
                    """
                    usage: uplink-bench [--samples NUMBER] [--devices NUMBER] [--seed NUMBER] [--keep yes] [--only PART]...
                    parts: \(parts.joined(separator: ", ")); --devices divides 1,000 tags; --keep leaves the filled store for the next run\n
                    """.utf8))
            exit(2)
        }
        if benchmark.parts.count == 1 { return try await benchmark.measure(benchmark.parts[0]) }
        for part in benchmark.parts.isEmpty ? parts : benchmark.parts { try benchmark.start(part) }
    }

    private init?(_ arguments: some Sequence<String>) {
        var rest = Array(arguments)[...]
        while let option = rest.popFirst() {
            guard let text = rest.popFirst() else { return nil }
            switch (option, Int(text)) {
            case ("--samples", let number?) where number >= 1000: samples = number
            case ("--devices", let number?) where number > 0 && 1000 % number == 0: devices = number
            case ("--seed", let number?) where number >= 0: seed = UInt64(number)
            case ("--keep", _) where text == "yes": isKept = true
            case ("--only", _) where UplinkBenchmark.parts.contains(text): parts.append(text)
            default: return nil
            }
        }
    }

    /// Starts this program again for one part, so that no part sees memory or counters of another.
    private func start(_ part: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments =
            ["--only", part, "--samples", "\(samples)", "--devices", "\(devices)", "--seed", "\(seed)"] + (isKept ? ["--keep", "yes"] : [])
        try process.run()
        process.waitUntilExit()
        if process.terminationStatus != 0 { exit(1) }
    }

    private func measure(_ part: String) async throws {
        switch part {
        case "drain": try await DrainMeasurement(samples: samples, devices: devices, seed: seed, isKept: isKept).run()
        case let part where part.hasPrefix("receive"):
            let database = BenchmarkDatabase.Kind(rawValue: String(part.dropFirst("receive-".count)))
            try await ReceiveMeasurement(samples: samples, devices: devices, seed: seed, database: database).run()
        case "size": try await SizeMeasurement(seed: seed).run()
        case "envelope": try EnvelopeMeasurement(seed: seed).run()
        default: try EncodeMeasurement(seed: seed).run()
        }
    }
}
