internal import BenchmarkSignals
internal import Foundation

/// Measures the whole log on a real disk, each part in a process of its own.
@main
struct LogBenchmark {
    private var seed: UInt64 = 1
    private var seconds = 60
    private var samples = 1_000_000_000
    private var folders: [String] = []
    private var parts: [String] = []

    private static let parts = ["codec", "ingest", "commits", "maximum", "small-site", "size", "query", "opening", "memory"]
    /// How long the store that is opened may be filled.
    private static let fillingSecondsMax = 400

    static func main() async throws {
        guard let benchmark = LogBenchmark(CommandLine.arguments.dropFirst()) else {
            FileHandle.standardError.write(
                Data(
                    """
                    usage: log-bench [--seconds NUMBER] [--samples NUMBER] [--seed NUMBER] [--series FOLDER]... [--only PART]...
                    parts: \(parts.joined(separator: ", "))\n
                    """.utf8))
            exit(2)
        }
        if benchmark.parts.count == 1, benchmark.parts != ["codec"] { return try await benchmark.measure(benchmark.parts[0]) }
        let path = FigureLog.folder
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        print("seed \(benchmark.seed), \(ProcessInfo.processInfo.activeProcessorCount) cores, \(Machine.fileSystem(of: path))\n")
        fflush(nil)
        for part in benchmark.parts.isEmpty ? parts : benchmark.parts { try benchmark.start(part) }
    }

    private init?(_ arguments: some Sequence<String>) {
        var rest = Array(arguments)[...]
        while let option = rest.popFirst() {
            guard let text = rest.popFirst() else { return nil }
            switch (option, Int(text)) {
            case ("--seconds", let number?) where number >= 2: seconds = number
            case ("--samples", let number?) where number > 0: samples = number
            case ("--seed", let number?) where number >= 0: seed = UInt64(number)
            case ("--series", _): folders.append(text)
            case ("--only", _) where LogBenchmark.parts.contains(text): parts.append(text)
            default: return nil
            }
        }
    }

    /// Starts this program again for one part, so that no part sees memory or counters of another; the codec has a program of its own.
    private func start(_ part: String) throws {
        let process = Process()
        let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        let signals = ["--seed", "\(seed)"] + folders.flatMap { ["--series", $0] }
        if part == "codec" {
            process.executableURL = program.deletingLastPathComponent().appendingPathComponent("log-codec-bench")
            process.arguments = signals
        } else {
            process.executableURL = program
            process.arguments = ["--only", part, "--seconds", "\(seconds)", "--samples", "\(samples)"] + signals
        }
        try process.run()
        process.waitUntilExit()
        if process.terminationStatus != 0 { exit(1) }
    }

    private func measure(_ part: String) async throws {
        switch part {
        case "ingest": try await IngestMeasurement(seed: seed).paced(seconds: seconds)
        case "commits": try await CommitMeasurement(seed: seed).run(seconds: seconds)
        case "maximum": try await IngestMeasurement(seed: seed).unpaced(seconds: 10)
        case "small-site": try await IngestMeasurement(seed: seed).smallSite()
        case "size": try await SizeMeasurement(seed: seed).run(series: folders)
        case "query": try await QueryMeasurement(seed: seed).run()
        case "opening": try await OpeningMeasurement(seed: seed).run(samples: samples, seconds: LogBenchmark.fillingSecondsMax)
        default: try await MemoryMeasurement(seed: seed).run(seconds: min(seconds, 60))
        }
    }
}
