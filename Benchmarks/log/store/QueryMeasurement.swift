internal import BenchmarkSignals
internal import GatewayCore
internal import Historian
internal import Telemetry

/// Questions to a store of a thousand tags that has a day of them, once a second.
struct QueryMeasurement {
    private static let polls = 86_400
    private static let rounds = 20
    private let seed: UInt64
    private let figures = FigureLog()
    private let time = SystemTime()

    init(seed: UInt64) { self.seed = seed }

    func run() async throws {
        let one = try await measure(groups: 1, tags: 1000)
        let ten = try await measure(groups: 10, tags: 100)
        figures.report("log.query_day_ms", max(one.day, ten.day), "ms", goal: .atMost(10))
        figures.report("log.query_day_one_group_ms", one.day, "ms")
        figures.report("log.query_day_ten_groups_ms", ten.day, "ms")
        figures.report("log.query_day_mean_per_hour_ms", max(one.mean, ten.mean), "ms")
        figures.report("log.query_latest_ms", max(one.latest, ten.latest), "ms")
    }

    private func measure(groups: Int, tags: Int) async throws -> (day: Double, mean: Double, latest: Double) {
        let store = try BenchmarkStore("query")
        let tables = (0..<groups).map { PollTable(tagCount: tags, polls: 7200, seed: seed &+ UInt64($0)) }
        let streams = try store.register(tables, groups: groups)
        var times = PollTimes(hertz: 1, seed: seed)
        for poll in 0..<QueryMeasurement.polls {
            for group in 0..<groups { try await store.load(tables[group].batch(poll, of: streams[group], at: times.time(poll))) }
        }
        try await store.settle()
        try await store.close()
        let reader = try Historian.openReadOnly(folder: store.folder)
        let all = Series.all(in: try reader.streams())
        var worst = (day: 0.0, mean: 0.0, latest: 0.0)
        print("query, \(groups) × \(tags) tags, one tag of 24 h, \(store.blocks) blocks: columns, mean per hour, latest, in ms")
        // One tag of each kind: the mix begins with all of them.
        for series in all.prefix(12) {
            let selection = TagSelection([series.members[0].stream: [series.members[0].index]])
            var found = 0
            let day = try median {
                found = 0
                _ = try reader.columns(of: selection, in: try reader.snapshot()) { section in
                    for slice in section.slices { found += slice.columns[0].count }
                    return true
                }
            }
            precondition(found == QueryMeasurement.polls, "\(found) values of \(QueryMeasurement.polls)")
            let layout = BucketLayout(
                window: BenchmarkStore.epoch..<(BenchmarkStore.epoch + 86_401 * 1_000_000_000), width: 3_600_000_000_000)
            let mean = try median {
                _ = try reader.buckets(of: [series], [.mean], layout: layout, in: try reader.snapshot()) { _ in true }
            }
            let latest = try median { _ = try reader.latestRows(of: [series], in: try reader.snapshot()) }
            print(padded("  \(series.name) \(series.tag.dataType)", 28) + [day, mean, latest].map { padded(decimal($0), 10) }.joined())
            worst = (max(worst.day, day), max(worst.mean, mean), max(worst.latest, latest))
        }
        print()
        try store.discardClosed()
        return worst
    }

    private func median(_ body: () throws -> Void) rethrows -> Double {
        var durations: [Double] = []
        for _ in 0..<QueryMeasurement.rounds {
            let start = time.now
            try body()
            durations.append(start.duration(to: time.now).milliseconds)
        }
        return durations.sorted()[durations.count / 2]
    }
}
