internal import GatewayCore
internal import Historian
internal import Logging
internal import Synchronization
internal import Telemetry
internal import TestKit

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A wall clock that someone keeps setting; the monotonic one runs on.
///
/// It stands still in between, so that the numbers of the starts, and with them the samples, are the same when a round is played again.
final class SteppingTime: TimeSource {
    private let system = SystemTime()
    private let wall: Mutex<Int64>

    /// A second of the round; its first is a multiple of 65,536 seconds after 2020.
    init(second: Int64) { wall = Mutex((1_577_836_800 + 189_530_112 + second) * 1_000_000_000) }

    var utc: Timestamp { Timestamp(nanoseconds: wall.withLock { $0 }) }
    var now: MonotonicInstant { system.now }
    func sleep(until deadline: MonotonicInstant) async throws { try await system.sleep(until: deadline) }
    func step(by seconds: Int64) { wall.withLock { $0 = $0 &+ seconds &* 1_000_000_000 } }
}

/// The child: opens the store, appends, commits, reads and acknowledges, and tells its parent what was confirmed, until it ends or is ended.
final class TortureWriter: Sendable {
    static let readers = ["route/fast", "route/lagging"]
    /// Reads on two lanes.
    static let lanes = "route/lanes"
    /// Opened and never acknowledged: what it is given is everything.
    static let witness = "witness"

    private let plan: WriterPlan
    private let samples: TortureSamples
    private let disk: any StoreDisk
    private let time: SteppingTime

    init(_ plan: WriterPlan) {
        self.plan = plan
        time = SteppingTime(second: plan.clock)
        samples = TortureSamples(seed: plan.samplesSeed, isSpread: plan.isThinning)
        var disk: any StoreDisk = SystemDisk()
        if plan.usesUnreliableDisk { disk = UnreliableDisk(seed: plan.workSeed) }
        if let calls = plan.powerCutCalls {
            disk = PowerLossDisk(disk, attic: plan.folder + ".attic", seed: plan.workSeed, calls: calls) { kill(getpid(), SIGKILL) }
        }
        self.disk = disk
    }

    static func report(_ line: ProgressLine) {
        let bytes = Array((line.text + "\n").utf8)
        // One call, so that lines of several threads stay whole.
        _ = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
    }

    func run() async {
        TortureWriter.report(.starting(process: getpid()))
        var random = SeededGenerator(seed: plan.workSeed)
        var bursts = plan.bursts
        while bursts > 0 {
            let count = min(bursts, plan.burstsPerOpening ?? bursts)
            bursts -= count
            await work(bursts: count, closes: bursts == 0, &random)
        }
    }

    private func open() async -> Historian? {
        let configuration = HistorianConfiguration(
            folder: plan.folder, diskLimit: plan.diskLimit, commitInterval: .milliseconds(5),
            policy: plan.isThinning ? .thin : .dropOldest, memoryTailBytes: plan.memoryTailBytes, disk: disk,
            boot: BootID(high: 0, low: 0))
        let logger = Logger(label: "torture") { _ in SwiftLogNoOpLogHandler() }
        var failure = "?"
        // Refusals of the disk are the trouble of the round, and what a supervisor would do is try again.
        for _ in 0..<400 {
            do throws(GatewayError) {
                return try Historian(configuration: configuration, time: time, logger: logger)
            } catch {
                failure = "\(error)"
                try? await Task.sleep(for: .milliseconds(5))
            }
        }
        TortureWriter.report(.refused(failure))
        return nil
    }

    private func work(bursts: Int, closes: Bool, _ random: inout SeededGenerator) async {
        guard let log = await open() else { return }
        time.step(by: 1)
        TortureWriter.report(.opened(epoch: log.epoch))
        do {
            var streams: [StreamID] = []
            for descriptor in TortureSamples.descriptors { streams.append(try await persistently { try log.register(descriptor) }) }
            // Nothing is thinned that a reader waits for.
            if !plan.isThinning { _ = try log.cursor(named: TortureWriter.witness, from: .oldest) }
            let service = Task { try? await log.run() }
            let places = try TortureWriter.readers.map { name in (name, try log.cursor(named: name, from: .oldest), SharedNumber()) }
            let tasks = places.enumerated().map { index, place in
                read(place.1, of: log, place.2, isLagging: index == 1, seed: plan.workSeed &+ UInt64(index))
            }
            let lanes = LaneReader(try log.cursor(named: TortureWriter.lanes, from: .oldest), of: log, plan: plan, samples: samples)
            let laneTask = Task { await lanes.run() }
            var counts = streams.map { _ in UInt64(0) }
            for _ in 0..<bursts {
                try await burst(log, streams, &counts, &random)
                if plan.hasClockSteps, Int.random(in: 0..<4, using: &random) == 0 {
                    time.step(by: Int64.random(in: -100_000_000...100_000_000, using: &random))
                }
                // A refusing disk leaves the segments as they are.
                if Int.random(in: 0..<5, using: &random) == 0 { try? await log.seal() }
                if Int.random(in: 0..<3, using: &random) == 0 { await flush(log, counts, places.map { ($0.0, $0.2) }, lanes) }
                try await Task.sleep(for: .microseconds(Int.random(in: 0...1500, using: &random)))
            }
            for task in tasks + [laneTask] { task.cancel() }
            service.cancel()
            for task in tasks + [laneTask] { await task.value }
            _ = await service.value
            if let row = try await log.ledger().unbalanced.first { TortureWriter.report(.failure("the ledger does not balance: \(row)")) }
            if closes {
                try await log.close()
                TortureWriter.report(.confirmed(epoch: log.epoch, counts: counts))
                TortureWriter.report(.closed)
            }
        } catch {
            if !plan.expectsRefusals { TortureWriter.report(.refused("\(error)")) }
        }
    }

    /// Tries again what a bad disk may refuse.
    private func persistently<Value>(_ body: () throws -> Value) async throws -> Value {
        for _ in 0..<200 {
            do { return try body() } catch { try await Task.sleep(for: .milliseconds(5)) }
        }
        return try body()
    }

    private func burst(_ log: Historian, _ streams: [StreamID], _ counts: inout [UInt64], _ random: inout SeededGenerator) async throws {
        var chosen: [Int] = []
        for _ in 0..<Int.random(in: 1...(plan.isHeavy ? 40 : 25), using: &random) {
            chosen.append(plan.isHeavy && Bool.random(using: &random) ? 1 : Int.random(in: 0..<streams.count, using: &random))
        }
        var after = counts
        for kind in chosen { after[kind] += 1 }
        TortureWriter.report(.appending(epoch: log.epoch, counts: after))
        for kind in chosen {
            let batch = samples.batch(counts[kind], of: kind, epoch: log.epoch, as: streams[kind])
            for _ in 0..<batch.suppressedPolls { log.countSuppressedPoll(of: streams[kind]) }
            var taken = batch
            taken.sequence = 0
            taken.epoch = 0
            taken.suppressedPolls = 0
            log.append(taken)
            counts[kind] += 1
        }
    }

    private func flush(_ log: Historian, _ counts: [UInt64], _ places: [(String, SharedNumber)], _ lanes: LaneReader) async {
        let settled = lanes.settled
        let saved = places.map { ($0.0, $0.1.value) } + [(TortureWriter.lanes, settled.through)]
        do {
            try await log.flush()
        } catch {
            return
        }
        TortureWriter.report(.confirmed(epoch: log.epoch, counts: counts))
        for (name, position) in saved where position > 0 { TortureWriter.report(.saved(cursor: name, position: position)) }
        for range in settled.ahead where range.upperBound > settled.through {
            TortureWriter.report(.savedAhead(cursor: TortureWriter.lanes, positions: range))
        }
    }

    /// Reads on, compares, acknowledges now and then, goes back now and then.
    private func read(_ cursor: any LogCursor, of log: Historian, _ place: SharedNumber, isLagging: Bool, seed: UInt64) -> Task<Void, Never>
    {
        Task { [samples, plan] in
            var random = SeededGenerator(seed: seed)
            var continuity = Continuity(samples: samples, hasDamage: plan.hasDamage)
            while !Task.isCancelled {
                do {
                    let entries = try await cursor.read(atMost: Int.random(in: 1...100, using: &random))
                    for entry in entries {
                        if let complaint = continuity.complaint(about: entry, descriptor: log.descriptor) {
                            TortureWriter.report(.failure("\(cursor.name): \(complaint)"))
                            return
                        }
                    }
                    if isLagging, Int.random(in: 0..<4, using: &random) > 0 {
                        if Int.random(in: 0..<10, using: &random) == 0 {
                            cursor.rewind()
                            continuity.didRewind()
                        }
                        continue
                    }
                    guard let last = entries.last?.position else { continue }
                    cursor.acknowledge(through: last)
                    place.value = last.rawValue
                    if isLagging { try await Task.sleep(for: .milliseconds(Int.random(in: 0...30, using: &random))) }
                } catch is CancellationError {
                    return
                } catch {
                    if !plan.expectsMissingFiles { TortureWriter.report(.failure("\(cursor.name) cannot be read: \(error)")) }
                    return
                }
            }
        }
    }
}

/// A number that two tasks share.
final class SharedNumber: Sendable {
    private let mutex = Mutex(UInt64(0))
    var value: UInt64 {
        get { mutex.withLock { $0 } }
        set { mutex.withLock { $0 = newValue } }
    }
}
