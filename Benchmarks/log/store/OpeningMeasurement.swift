internal import BenchmarkSignals
internal import GatewayCore
internal import Historian
internal import Telemetry

/// How long it takes to open a store of a billion samples.
struct OpeningMeasurement {
    private static let groups = 100
    private static let tags = 100
    private let seed: UInt64
    private let figures = FigureLog()
    private let time = SystemTime()

    init(seed: UInt64) { self.seed = seed }

    /// Fills the store for at most `seconds`, and opens it after each quarter.
    func run(samples wanted: Int, seconds: Int) async throws {
        let tables = (0..<20).map { PollTable(tagCount: OpeningMeasurement.tags, polls: 7200, seed: seed &+ $0) }
        let store = try BenchmarkStore("opening")
        let streams = try store.register(tables, groups: OpeningMeasurement.groups)
        let deadline = time.now.advanced(by: .seconds(seconds))
        var times = PollTimes(hertz: 1, seed: seed)
        let polls = wanted / (OpeningMeasurement.groups * OpeningMeasurement.tags)
        var poll = 0
        var last = (opening: 0.0, looking: 0.0)
        print("opening: samples, blocks, MiB, writable ms, read-only ms")
        for quarter in 1...4 where time.now < deadline {
            while poll < polls * quarter / 4, time.now < deadline {
                for (group, stream) in streams.enumerated() {
                    try await store.load(tables[group % tables.count].batch(poll + group * 71, of: stream, at: times.time(poll)))
                }
                poll += 1
            }
            try await store.settle()
            try await store.close()
            last.looking = try median { _ = try Historian.openReadOnly(folder: store.folder).streams() }
            let start = time.now
            try store.reopen()
            last.opening = start.duration(to: time.now).milliseconds
            let samples = poll * OpeningMeasurement.groups * OpeningMeasurement.tags
            print(
                "  " + padded("\(samples)", 14) + padded("\(store.blocks)", 8) + padded(decimal(Double(store.bytes) / 1_048_576), 12)
                    + padded(decimal(last.opening), 10) + decimal(last.looking))
        }
        print()
        let samples = Double(poll * OpeningMeasurement.groups * OpeningMeasurement.tags)
        figures.report("log.open_samples", samples, "samples", goal: .atLeast(Double(wanted)))
        figures.report("log.open_ms", last.opening, "ms", goal: .atMost(1000))
        figures.report("log.open_read_only_ms", last.looking, "ms", goal: .atMost(1000))
        try await store.discard()
    }

    private func median(_ body: () throws -> Void) rethrows -> Double {
        var durations: [Double] = []
        for _ in 0..<5 {
            let start = time.now
            try body()
            durations.append(start.duration(to: time.now).milliseconds)
        }
        return durations.sorted()[2]
    }
}
