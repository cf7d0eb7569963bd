internal import BenchmarkSignals
internal import Historian
internal import Telemetry

/// Bytes that a sealed store takes on disk: everything in its folder.
struct SizeMeasurement {
    private static let tags = 100
    private let seed: UInt64
    private let figures = FigureLog()

    init(seed: UInt64) { self.seed = seed }

    func run(series folders: [String]) async throws {
        print("bytes per sample on disk, all files of the store, polled once a second with 0.4 ms of jitter in ns")
        for signal in Signal.group(rows: 2, seed: seed) where signal.weight > 0 {
            let table = PollTable(tagCount: SizeMeasurement.tags, polls: 20_000, seed: seed, only: signal.name)
            print(padded("100 × " + signal.name, 40) + decimal(try await bytesPerSample([table], groups: 1, polls: 20_000)))
        }
        for folder in folders { try await recorded(folder) }
        // Every group has values of its own: a table serves some, one part after the other.
        let many = (0..<40).map { PollTable(tagCount: SizeMeasurement.tags, polls: 7500, seed: seed &+ $0) }
        let manyGroups = try await bytesPerSample(many, groups: 1000, polls: 300)
        let few = (0..<10).map { PollTable(tagCount: SizeMeasurement.tags, polls: 30_000, seed: seed &+ 100 &+ $0) }
        let fewGroups = try await bytesPerSample(few, groups: 10, polls: 30_000)
        print(padded("mix, 10 groups of 100 tags", 40) + decimal(fewGroups))
        print(padded("mix, 1,000 groups of 100 tags", 40) + decimal(manyGroups) + "\n")
        figures.report("log.bytes_per_sample", fewGroups, "B", goal: .atMost(1.2))
        figures.report("log.bytes_per_sample_1000_groups", manyGroups, "B", goal: .atMost(1.2))
    }

    private func bytesPerSample(_ tables: [PollTable], groups: Int, polls: Int) async throws -> Double {
        let store = try BenchmarkStore("size")
        let streams = try store.register(tables, groups: groups)
        var times = PollTimes(hertz: 1, seed: seed)
        var samples = 0
        for poll in 0..<polls {
            for group in 0..<groups {
                let table = tables[group % tables.count]
                try await store.load(table.batch(poll + group / tables.count * polls, of: streams[group], at: times.time(poll)))
                samples += table.tags.count
            }
        }
        try await store.settle()
        try await store.close()
        let bytes = Double(store.bytes) / Double(samples)
        try store.discardClosed()
        return bytes
    }

    /// Series of public data sets: the numbers as `float32`, up to 100 of one length side by side in a group.
    private func recorded(_ folder: String) async throws {
        for (dataset, series) in SeriesFolder.read(folder) {
            var store: BenchmarkStore?
            var samples = 0
            var group = 0
            var start = 0
            while start < series.count {
                let length = series[start].numbers.count
                var end = start
                while end < series.count, end < start + SizeMeasurement.tags, series[end].numbers.count == length { end += 1 }
                let part = series[start..<end]
                let table = PollTable(
                    tags: part.indices.map { Tag("series\($0)", .float32) },
                    columns: part.map { .float32($0.numbers.map { Float($0).bitPattern }) }, polls: length)
                let open = try store ?? BenchmarkStore("size")
                store = open
                let stream = try open.log.register(StreamDescriptor(device: dataset, group: "part\(group)", tags: table.tags))
                var times = PollTimes(hertz: 1, seed: seed)
                for poll in 0..<length { try await open.load(table.batch(poll, of: stream, at: times.time(poll))) }
                samples += length * part.count
                group += 1
                start = end
            }
            guard let store, samples > 0 else { continue }
            try await store.settle()
            try await store.close()
            print(padded("recorded: \(dataset), \(samples) samples", 40) + decimal(Double(store.bytes) / Double(samples)))
            try store.discardClosed()
        }
    }
}
