import GatewayCore
import Synchronization
import Telemetry
import TestKit
import Testing

@testable import Historian

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Random work on the two lanes of cursors, with crashes, evictions and refusing disks, against a list.
struct LanePropertyTests {
    /// What one reader did; positions are numbers of entries.
    private struct Reader {
        var acknowledged: Set<Int> = []
        /// Of these: surely persisted.
        var saved: Set<Int> = []
        /// Of these: acknowledged, and not saved when the process ended; they may come again.
        var unsure: Set<Int> = []
        var delivered: Set<Int> = []
        /// Read and not acknowledged, by lane.
        var inFlight: [LogLane: [Int]] = [.backlog: [], .live: []]
        /// Gaps among these: they are pending until something behind them is acknowledged.
        var gaps: [LogLane: [(position: Int, samples: UInt64)]] = [.backlog: [], .live: []]
        /// The last position of each lane since it began.
        var place: [LogLane: Int] = [:]
        /// Where the live lane began.
        var start: Int?
        var toldGap: UInt64 = 0

        mutating func didRewind() {
            inFlight = [.backlog: [], .live: []]
            gaps = [.backlog: [], .live: []]
            place = [:]
            start = nil
        }

        mutating func didLose(after kept: Int) {
            acknowledged = acknowledged.filter { $0 <= kept }
            saved = saved.filter { $0 <= kept }
            unsure = acknowledged.subtracting(saved)
            delivered = delivered.filter { $0 <= kept }
            didRewind()
        }

        mutating func didSave() { saved = acknowledged.subtracting(unsure) }
    }

    private struct Entry {
        var stream: StreamID
        var epoch: UInt32
        var sequence: UInt64
        var samples: UInt64
        var time: Timestamp
    }

    /// A log at work, and what it should hold: position `n` is element `n - 1`.
    private struct Work {
        let isEvicting: Bool
        let folder = TemporaryFolder()
        let disk = FaultyDisk()
        let names = ["route/a", "route/b"]
        let descriptors = [pump, wideDescriptor(3000), wideDescriptor(70, device: "narrow")]
        var random: SeededGenerator
        var log: Historian
        var streams: [StreamID] = []
        var cursors: [any LogCursor] = []
        var entries: [Entry] = []
        var readers: [Reader]
        var sequences: [StreamID: UInt64] = [:]

        init(seed: UInt64, isEvicting: Bool) throws {
            self.isEvicting = isEvicting
            random = SeededGenerator(seed: seed)
            log = try Work.open(folder, disk, isEvicting)
            readers = names.map { _ in Reader() }
            try enter()
        }

        static func open(_ folder: TemporaryFolder, _ disk: FaultyDisk, _ isEvicting: Bool) throws -> Historian {
            try openLog(folder, diskLimit: isEvicting ? 4 << 20 : 64 << 20, tail: isEvicting ? 128 << 10 : 2 << 20, disk: disk)
        }

        mutating func enter() throws {
            streams = try descriptors.map { try log.register($0) }
            cursors = try names.map { try log.cursor(named: $0, from: .oldest) }
            sequences = [:]
        }

        func samples(of positions: some Sequence<Int>) -> UInt64 { positions.reduce(0) { $0 + entries[$1 - 1].samples } }
    }

    @Test(arguments: [false, true]) func randomWorkOnTwoLanesMatchesTheModel(isEvicting: Bool) async throws {
        let seed = seedOfThisRun()
        for round in 0..<2 { try await work(seed: seed &+ UInt64(round) &* 7919, isEvicting: isEvicting, steps: 200) }
    }

    private func work(seed: UInt64, isEvicting: Bool, steps: Int) async throws {
        var work = try Work(seed: seed, isEvicting: isEvicting)
        for step in 0..<steps {
            let context = Comment(rawValue: "INDUS_SEED replays seed \(seed), step \(step)")
            let reader = Int.random(in: 0..<2, using: &work.random)
            let lane = Bool.random(using: &work.random) ? LogLane.live : .backlog
            switch Int.random(in: 0..<100, using: &work.random) {
            case 0..<30: append(&work, step)
            case 30..<36: begin(&work, reader, context)
            case 36..<62: try await read(&work, reader, lane, context)
            case 62..<80: acknowledge(&work, reader, lane)
            case 80..<83:
                work.cursors[reader].rewind()
                work.readers[reader].didRewind()
            case 83..<85:
                let time = Timestamp(milliseconds: Int64(step))
                if Bool.random(using: &work.random) {
                    work.cursors[reader].connectionLost(at: time)
                } else {
                    work.cursors[reader].connectionRestored(at: time)
                }
            case 85..<87: try? await work.log.seal()
            case 87..<93:
                do {
                    try await work.log.flush()
                    for index in work.readers.indices { work.readers[index].didSave() }
                } catch {
                    #expect(work.disk.faults.withLock { $0.write != 0 || $0.synchronize != 0 }, context)
                }
            case 93..<96:
                guard isEvicting else { continue }
                let fault = Int.random(in: 0..<3, using: &work.random)
                work.disk.faults.withLock {
                    $0.write = fault == 1 ? Int(ENOSPC) : 0
                    $0.synchronize = fault == 2 ? Int(EIO) : 0
                }
            default: try await reopen(&work, context)
            }
            if step % 10 == 0 { #expect(try await work.log.ledger().imbalances == [], context) }
            for (cursor, reader) in zip(work.cursors, work.readers) { checkBacklog(cursor, reader, work, context) }
        }
        try await drain(&work, Comment(rawValue: "INDUS_SEED replays seed \(seed), at the end"))
    }

    private func append(_ work: inout Work, _ step: Int) {
        for _ in 0..<Int.random(in: 1...40, using: &work.random) {
            let kind = Int.random(in: 0..<3, using: &work.random)
            let (stream, tags) = (work.streams[kind], work.descriptors[kind].tags.count)
            let time = Timestamp(milliseconds: Int64(step))
            var batch = SampleBatch(stream: stream, descriptor: work.descriptors[kind], time: time, status: .good)
            if Int.random(in: 0..<4, using: &work.random) == 0 {
                batch.presence = (0..<((tags + 63) / 64)).map { _ in UInt64.random(in: 1 ... .max, using: &work.random) }
                if tags % 64 != 0 { batch.presence[tags / 64] &= (1 << UInt64(tags % 64)) - 1 }
            }
            work.log.append(batch)
            work.entries.append(
                Entry(
                    stream: stream, epoch: work.log.epoch, sequence: work.sequences[stream, default: 0],
                    samples: UInt64(batch.sampleCount(of: tags)), time: time))
            work.sequences[stream, default: 0] += 1
        }
    }

    private func begin(_ work: inout Work, _ reader: Int, _ context: Comment) {
        guard work.cursors[reader].beginLiveLane() else {
            Issue.record("a live lane was refused, \(context)")
            return
        }
        work.readers[reader].inFlight[.live] = []
        work.readers[reader].gaps[.live] = []
        work.readers[reader].place[.live] = work.entries.count
        work.readers[reader].start = work.entries.count
    }

    private func read(_ work: inout Work, _ reader: Int, _ lane: LogLane, _ context: Comment) async throws {
        let cursor = work.cursors[reader]
        let backlog = cursor.backlog.samples
        let before = lane == .backlog ? backlog : cursor.pendingSamples - backlog
        // Nothing is waited for: nobody else appends.
        let gaps = work.readers[reader].gaps[lane, default: []].reduce(0) { $0 + $1.samples }
        guard before > work.samples(of: work.readers[reader].inFlight[lane] ?? []) + gaps else { return }
        for entry in try await cursor.read(lane, atMost: Int.random(in: 1...60, using: &work.random)) {
            check(entry, &work, reader, lane, context)
        }
    }

    private func check(_ entry: LogEntry, _ work: inout Work, _ reader: Int, _ lane: LogLane, _ context: Comment) {
        let position = Int(entry.position.rawValue)
        var place = work.readers[reader]
        defer { work.readers[reader] = place }
        switch entry.content {
        case .gap(let samples):
            place.toldGap += samples
            place.gaps[lane]?.append((position, samples))
        case .batch(let batch):
            guard (1...work.entries.count).contains(position) else {
                Issue.record("position \(position) of \(work.entries.count), \(context)")
                return
            }
            let expected = work.entries[position - 1]
            #expect(batch.stream == expected.stream && batch.epoch == expected.epoch && batch.sequence == expected.sequence, context)
            #expect(position > place.place[lane] ?? 0, "\(lane) after \(place.place[lane] ?? 0), \(context)")
            let isDone = place.acknowledged.contains(position) && place.unsure.remove(position) == nil
            #expect(!isDone, "acknowledged, and given again: \(position) on \(lane), \(context)")
            if let start = place.start { #expect((lane == .live) == (position > start), "\(position) on \(lane), \(context)") }
            #expect(!(place.inFlight[lane == .live ? .backlog : .live] ?? []).contains(position), context)
            place.delivered.insert(position)
            place.acknowledged.remove(position)
            if work.samples(of: [position]) > 0 { place.inFlight[lane]?.append(position) }
        }
        place.place[lane] = position
    }

    private func acknowledge(_ work: inout Work, _ reader: Int, _ lane: LogLane) {
        guard let inFlight = work.readers[reader].inFlight[lane], let place = inFlight.randomElement(using: &work.random) else { return }
        if Bool.random(using: &work.random), let refused = inFlight.randomElement(using: &work.random) {
            work.cursors[reader].refuse(LogPosition(rawValue: UInt64(refused)))
        }
        work.cursors[reader].acknowledge(lane, through: LogPosition(rawValue: UInt64(place)))
        work.readers[reader].acknowledged.formUnion(inFlight.filter { $0 <= place })
        work.readers[reader].inFlight[lane] = inFlight.filter { $0 > place }
        work.readers[reader].gaps[lane]?.removeAll { $0.position <= place }
    }

    private func reopen(_ work: inout Work, _ context: Comment) async throws {
        let isCrash = Bool.random(using: &work.random)
        work.disk.faults.withLock {
            $0.write = 0
            $0.synchronize = 0
        }
        if !isCrash {
            try await work.log.close()
            for index in work.readers.indices { work.readers[index].didSave() }
        }
        work.cursors = []
        let (folder, disk, isEvicting) = (work.folder, work.disk, work.isEvicting)
        work.log = try openLog(TemporaryFolder())
        // Reading tasks of the old cursors may hold the store for a moment longer.
        while true {
            do {
                work.log = try Work.open(folder, disk, isEvicting)
                break
            } catch  where (error as? GatewayError)?.code == .storageLocked {
                await Task.yield()
            }
        }
        let kept = Int(try Historian.openReadOnly(folder: folder.log).end().rawValue)
        #expect(isCrash ? kept <= work.entries.count : kept == work.entries.count, context)
        work.entries.removeLast(max(0, work.entries.count - kept))
        for index in work.readers.indices { work.readers[index].didLose(after: kept) }
        try work.enter()
    }

    private func checkBacklog(_ cursor: any LogCursor, _ reader: Reader, _ work: Work, _ context: Comment) {
        let backlog = cursor.backlog
        #expect(backlog.samples <= cursor.pendingSamples, context)
        #expect((backlog.samples == 0) == (backlog.oldest == nil) || work.isEvicting, context)
        guard !work.isEvicting, reader.unsure.isEmpty else { return }
        let pending = (1..<(reader.start ?? work.entries.count) + 1).filter { !reader.acknowledged.contains($0) }
        #expect(backlog.samples == work.samples(of: pending), context)
        if let oldest = backlog.oldest, let first = pending.first(where: { work.samples(of: [$0]) > 0 }) {
            #expect(oldest <= work.entries[first - 1].time, "the oldest is told too young, \(context)")
        }
    }

    private func drain(_ work: inout Work, _ context: Comment) async throws {
        work.disk.faults.withLock {
            $0.write = 0
            $0.synchronize = 0
        }
        try await work.log.flush()
        for index in work.readers.indices {
            let cursor = work.cursors[index]
            cursor.rewind()
            work.readers[index].didRewind()
            while cursor.pendingSamples > 0 {
                let entries = try await cursor.read(.backlog, atMost: 100)
                for entry in entries { check(entry, &work, index, .backlog, context) }
                if let last = entries.last { cursor.acknowledge(through: last.position) }
            }
            let reader = work.readers[index]
            let missed = (1..<(work.entries.count + 1)).filter { !reader.delivered.contains($0) }
            #expect(work.samples(of: missed) <= reader.toldGap, "what was never given was told as a gap, \(context)")
            if !work.isEvicting { #expect(missed.isEmpty && reader.toldGap == 0, context) }
        }
        let ledger = try await work.log.ledger()
        #expect(ledger.imbalances == [], context)
        #expect(ledger.total.cursors.allSatisfy { $0.pending == 0 }, context)
        if !work.isEvicting { #expect(ledger.total.cursors.allSatisfy { $0.evicted == 0 }, context) }
        try await work.log.close()
    }
}
