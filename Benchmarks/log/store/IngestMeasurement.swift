internal import BenchmarkSignals
internal import GatewayCore
internal import Historian
internal import Telemetry

/// A thousand scan groups of a hundred tags, polled ten times a second.
struct IngestMeasurement {
    private static let groups = 1000
    private static let tags = 100
    private static let hertz = 10
    private static let warmUpSeconds = 10
    /// About what one commit writes.
    private static let commitBytes = 300 << 10
    private let tables: [PollTable]
    private let figures = FigureLog()

    init(seed: UInt64) {
        tables = (0..<40).map { PollTable(tagCount: IngestMeasurement.tags, polls: 3600, seed: seed &+ $0) }
    }

    /// CPU, commits, memory and bytes written at a million samples per second.
    func paced(seconds: Int) async throws {
        let idleBefore = try await generatorPercent()
        let store = try BenchmarkStore("ingest")
        let bare = try Machine.synchronizeP99(in: store.folder, bytes: IngestMeasurement.commitBytes, times: 100)
        let streams = try store.register(tables, groups: IngestMeasurement.groups)
        let cursor = try store.log.cursor(named: "live", from: .newest)
        let reading = Task { try await follow(cursor) }
        let driver = ScanDriver()
        let log = store.log
        try await driver.run(seconds: IngestMeasurement.warmUpSeconds, tables, streams, hertz: IngestMeasurement.hertz) { log.append($0) }
        let start = Reading()
        var resident = [start.residentMiB]
        for half in [seconds / 2, seconds - seconds / 2] {
            try await driver.run(seconds: half, tables, streams, hertz: IngestMeasurement.hertz) { log.append($0) }
            resident.append(Machine.residentMiB)
        }
        let end = Reading()
        let statistics = log.statistics
        try await log.flush()
        try await Task.sleep(for: .milliseconds(500))
        reading.cancel()
        let received = try await reading.value
        let appended = UInt64(seconds + IngestMeasurement.warmUpSeconds) * 1_000_000
        let ledger = try await log.ledger()
        let blocks = store.blocks
        let wall = end.seconds - start.seconds
        let samples =
            Double(driver.batches(in: seconds, groups: streams.count, hertz: IngestMeasurement.hertz)) * Double(IngestMeasurement.tags)
        try await store.discard()
        // The machine may be busier at one time than at the other: what is least is taken off.
        let idle = min(idleBefore, try await generatorPercent())
        let percent = (end.processorSeconds - start.processorSeconds) / wall * 100
        print("ingest: \(decimal(samples / wall / 1e6)) M samples/s for \(decimal(wall)) s on \(Machine.fileSystem(of: store.folder))")
        print("        CPU \(decimal(percent)) % of one core with the generator, which takes \(decimal(idle)) % alone")
        for (name, share) in end.threads.sorted(by: { $0.key < $1.key }) {
            print("        thread \(padded(name, 16)) \(decimal((share - (start.threads[name] ?? 0)) / wall * 100)) %")
        }
        print("        cursor received \(received) of \(appended) samples; ledger balances: \(ledger.isBalanced)")
        print("        RSS at start, middle, end: \(resident.map { decimal($0) }.joined(separator: ", ")) MiB; blocks: \(blocks)")
        guard received == appended, ledger.isBalanced else {
            throw GatewayError(
                .storageFailed, resource: "log \(store.folder)", operation: "measure",
                "the cursor received \(received) of \(appended) samples, and the ledger balances: \(ledger.isBalanced)")
        }
        figures.report("log.ingest_core_percent_at_1M", percent - idle, "%", goal: .atMost(15))
        figures.report("log.commit_p99_ms", statistics.p99Duration.milliseconds, "ms", goal: .atMost(20))
        figures.report("log.bare_fdatasync_p99_ms", bare, "ms")
        figures.report("log.rss_growth_mib", resident[2] - resident[0], "MiB")
        figures.report("log.rss_growth_second_half_mib", resident[2] - resident[1], "MiB")
        figures.report("log.disk_bytes_written_per_sample", (end.writtenBytes - start.writtenBytes) / samples, "B", goal: .atMost(8))
    }

    /// How much of a core the same loop takes with nothing behind it: making the batches and keeping their time.
    private func generatorPercent() async throws -> Double {
        let streams = (1...IngestMeasurement.groups).map { StreamID(rawValue: UInt32($0)) }
        let start = Reading()
        try await ScanDriver().run(seconds: 5, tables, streams, hertz: IngestMeasurement.hertz) { batch in
            precondition(batch.quality.count == 1)
        }
        let end = Reading()
        return (end.processorSeconds - start.processorSeconds) / (end.seconds - start.seconds) * 100
    }

    /// Reads and acknowledges what comes until it is cancelled; returns how many samples came.
    private func follow(_ cursor: any LogCursor) async throws -> UInt64 {
        var samples: UInt64 = 0
        do {
            while true {
                let entries = try await cursor.read(atMost: 1024)
                for entry in entries {
                    if case .batch(let batch) = entry.content { samples += UInt64(batch.sampleCount(of: IngestMeasurement.tags)) }
                }
                if let last = entries.last { cursor.acknowledge(through: last.position) }
            }
        } catch is CancellationError {
            return samples
        }
    }

    /// Samples per second that go to disk when nobody waits, and that are sealed as well.
    func unpaced(seconds: Int) async throws {
        let store = try BenchmarkStore("ingest-max", memoryTailBytes: 32 << 20)
        let streams = try store.register(tables, groups: IngestMeasurement.groups)
        let time = SystemTime()
        let start = time.now
        let deadline = start.advanced(by: .seconds(seconds))
        var batches = 0
        while time.now < deadline {
            for _ in 0..<1000 {
                let group = batches % streams.count
                try await store.load(
                    tables[group % tables.count].batch(batches / streams.count + group * 37, of: streams[group], at: time.utc))
                batches += 1
            }
        }
        try await store.log.flush()
        let committed = start.duration(to: time.now)
        try await store.settle()
        let sealed = start.duration(to: time.now)
        let millions = Double(batches * IngestMeasurement.tags) / 1e6
        print("ingest without pause: \(decimal(millions)) M samples, on disk after \(committed), in blocks after \(sealed)")
        figures.report("log.ingest_max_msps", millions / committed.seconds, "Msample/s", goal: .atLeast(5))
        figures.report("log.ingest_and_seal_max_msps", millions / sealed.seconds, "Msample/s")
        try await store.discard()
    }

    /// Bytes written at a site of one group of a hundred tags, polled once a second.
    ///
    /// Each second of the site is a batch, a commit and a saved state, one right after the other, as they follow each other in a real second.
    func smallSite() async throws {
        let store = try BenchmarkStore("small")
        let streams = try store.register(tables, groups: 1)
        let polls = 600
        var times = PollTimes(hertz: 1, seed: 1)
        let start = Machine.writtenBytes
        for poll in 0..<polls {
            store.log.append(tables[0].batch(poll, of: streams[0], at: times.time(poll)))
            try await store.log.flush()
        }
        try await store.settle()
        let samples = Double(polls * IngestMeasurement.tags)
        figures.report("log.small_site_disk_bytes_written_per_sample", (Machine.writtenBytes - start) / samples, "B")
        try await store.discard()
    }
}

/// Counters at one moment.
private struct Reading {
    let seconds = Double(SystemTime().now.nanoseconds) * 1e-9
    let processorSeconds = Machine.processorSeconds
    let writtenBytes = Machine.writtenBytes
    let residentMiB = Machine.residentMiB
    let threads = Machine.secondsByThread
}

/// Polls scan groups at a fixed rate, evenly spread, on a thread of its own.
actor ScanDriver {
    private let thread = DedicatedThread(name: "bench-scan")
    private let time = SystemTime()
    private var polls = 0

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// Milliseconds between two turns.
    private static let turn = 1

    nonisolated func batches(in seconds: Int, groups: Int, hertz: Int) -> Int { seconds * groups * hertz }

    /// Hands every batch to `append` when it is due, by absolute deadlines.
    func run(
        seconds: Int, _ tables: [PollTable], _ streams: [StreamID], hertz: Int, _ append: @Sendable (SampleBatch) -> Void
    ) async throws {
        let start = time.now
        let turns = seconds * 1000 / ScanDriver.turn
        let perTurn = streams.count * hertz * ScanDriver.turn / 1000
        for turn in 1...turns {
            for _ in 0..<perTurn {
                let group = polls % streams.count
                append(tables[group % tables.count].batch(polls / streams.count + group * 37, of: streams[group], at: time.utc))
                polls += 1
            }
            try await time.sleep(until: start.advanced(by: .milliseconds(turn * ScanDriver.turn)))
        }
    }
}

extension Duration {
    /// The duration as a number of seconds.
    var seconds: Double { Double(nanoseconds) * 1e-9 }
    /// The duration as a number of milliseconds.
    var milliseconds: Double { Double(nanoseconds) * 1e-6 }
}
