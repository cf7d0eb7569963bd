internal import BenchmarkSignals
internal import Historian
internal import Telemetry

/// What a log of ten thousand tags takes in memory.
struct MemoryMeasurement {
    private static let groups = 100
    private static let tags = 100
    /// How many times faster than one poll a second: what is in memory depends on what came, not on how fast.
    private static let hertz = 100
    private let seed: UInt64

    init(seed: UInt64) { self.seed = seed }

    func run(seconds: Int) async throws {
        let tables = (0..<4).map { PollTable(tagCount: MemoryMeasurement.tags, polls: 3600, seed: seed &+ $0) }
        let empty = Machine.residentMiB
        let store = try BenchmarkStore("memory")
        let streams = try store.register(tables, groups: MemoryMeasurement.groups)
        let driver = ScanDriver()
        let log = store.log
        var most = 0.0
        for _ in 0..<seconds {
            try await driver.run(seconds: 1, tables, streams, hertz: MemoryMeasurement.hertz) { log.append($0) }
            most = max(most, Machine.residentMiB)
        }
        print("memory: \(decimal(empty)) MiB before, at most \(decimal(most)) MiB with \(store.blocks) blocks sealed")
        FigureLog().report("log.mib_per_10k_tags", most - empty, "MiB", goal: .atMost(25))
        try await store.discard()
    }
}
