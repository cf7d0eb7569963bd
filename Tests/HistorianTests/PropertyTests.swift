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

/// Random work on a log, with crashes and refusing disks, against a list.
struct PropertyTests {
    /// What a log should hold: position `n` is element `n - 1`.
    private struct Model {
        struct Entry: Equatable {
            var stream: StreamID
            var epoch: UInt32
            var sequence: UInt64
            var samples: UInt64
        }
        struct Reader {
            var read = 0
            var acknowledged = 0
            /// Everywhere it was ever acknowledged to be: what is acknowledged after its eviction stays evicted, so that a gap may
            /// begin at an earlier place than the last.
            var places: Set<Int> = [0]
            /// Where the entries lie that were read and not acknowledged.
            var unacknowledged: [Int] = []
            /// After a crash the place is between what was saved and what was acknowledged; the first entry tells.
            var saved = 0
            var isUncertain = false

            /// A place that is not known cannot become known by saving it.
            mutating func didSave() { if !isUncertain { saved = acknowledged } }
        }
        var entries: [Entry] = []
        var readers: [Reader] = []

        func samples(after first: Int, through last: Int) -> UInt64 {
            first < last ? entries[first..<last].reduce(0) { $0 + $1.samples } : 0
        }
    }

    @Test func randomWorkMatchesTheModel() async throws {
        let seed = seedOfThisRun()
        for round in 0..<4 { try await work(seed: seed &+ UInt64(round) &* 7919, steps: 250) }
    }

    private func work(seed: UInt64, steps: Int) async throws {
        var random = SeededGenerator(seed: seed)
        let folder = TemporaryFolder()
        let disk = FaultyDisk()
        let descriptors = [pump, wideDescriptor(3000), wideDescriptor(70, device: "narrow")]
        let names = ["route/a", "route/b", "scoring"]
        var model = Model()
        model.readers = names.map { _ in Model.Reader() }
        var log = try openLog(folder, diskLimit: 4 << 20, tail: 128 << 10, disk: disk)
        var streams = try descriptors.map { try log.register($0) }
        var cursors = try names.map { try log.cursor(named: $0, from: .oldest) }
        var sequences: [StreamID: UInt64] = [:]

        for step in 0..<steps {
            let context = Comment(rawValue: "INDUS_SEED replays seed \(seed), step \(step)")
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<40:
                for _ in 0..<Int.random(in: 1...40, using: &random) {
                    let kind = Int.random(in: 0..<3, using: &random)
                    let (stream, tags) = (streams[kind], descriptors[kind].tags.count)
                    var batch = SampleBatch(
                        stream: stream, descriptor: descriptors[kind], time: Timestamp(milliseconds: Int64(step)), status: .good)
                    if Int.random(in: 0..<4, using: &random) == 0 {
                        batch.presence = (0..<((tags + 63) / 64)).map { _ in UInt64.random(in: 0 ... .max, using: &random) }
                        if tags % 64 != 0 { batch.presence[tags / 64] &= (1 << UInt64(tags % 64)) - 1 }
                    }
                    log.append(batch)
                    model.entries.append(
                        .init(
                            stream: stream, epoch: log.epoch, sequence: sequences[stream, default: 0],
                            samples: UInt64(batch.sampleCount(of: tags))))
                    sequences[stream, default: 0] += 1
                }
            case 40..<42:
                let cursor = cursors[Int.random(in: 0..<3, using: &random)]
                let time = Timestamp(milliseconds: Int64(step))
                if Bool.random(using: &random) { cursor.connectionLost(at: time) } else { cursor.connectionRestored(at: time) }
            case 42..<45: log.countSuppressedPoll(of: streams[Int.random(in: 0..<3, using: &random)])
            case 45..<70:
                let reader = Int.random(in: 0..<3, using: &random)
                guard cursors[reader].pendingSamples > 0, model.readers[reader].read < model.entries.count else { continue }
                let entries = try await cursors[reader].read(atMost: Int.random(in: 1...60, using: &random))
                for entry in entries { check(entry, &model, reader, context) }
            case 70..<80:
                let reader = Int.random(in: 0..<3, using: &random)
                guard let place = model.readers[reader].unacknowledged.randomElement(using: &random) else { continue }
                if Bool.random(using: &random), let refused = model.readers[reader].unacknowledged.first {
                    cursors[reader].refuse(LogPosition(rawValue: UInt64(refused)))
                }
                model.readers[reader].unacknowledged.removeAll { $0 <= place }
                cursors[reader].acknowledge(through: LogPosition(rawValue: UInt64(place)))
                model.readers[reader].acknowledged = max(model.readers[reader].acknowledged, place)
                model.readers[reader].places.insert(place)
            case 80..<85:
                let reader = Int.random(in: 0..<3, using: &random)
                guard !model.readers[reader].isUncertain else { continue }
                cursors[reader].rewind()
                model.readers[reader].read = model.readers[reader].acknowledged
                model.readers[reader].unacknowledged = []
            case 85..<87:
                // A refusing disk leaves the segments as they are.
                try? await log.seal()
            case 87..<93:
                do {
                    try await log.flush()
                    for index in model.readers.indices { model.readers[index].didSave() }
                } catch {
                    #expect(disk.faults.withLock { $0.write != 0 || $0.synchronize != 0 }, context)
                }
            case 93..<96:
                let fault = Int.random(in: 0..<3, using: &random)
                disk.faults.withLock {
                    $0.write = fault == 1 ? Int(ENOSPC) : 0
                    $0.synchronize = fault == 2 ? Int(EIO) : 0
                }
            default:
                let isCrash = Bool.random(using: &random)
                disk.faults.withLock {
                    $0.write = 0
                    $0.synchronize = 0
                }
                if !isCrash {
                    try await log.close()
                    for index in model.readers.indices { model.readers[index].didSave() }
                }
                log = try await reopened(&log, &cursors, folder, disk)
                let kept = Int(try Historian.openReadOnly(folder: folder.log).end().rawValue)
                #expect(isCrash ? kept <= model.entries.count : kept == model.entries.count, context)
                model.entries.removeLast(max(0, model.entries.count - kept))
                streams = try descriptors.map { try log.register($0) }
                cursors = try names.map { try log.cursor(named: $0, from: .oldest) }
                sequences = [:]
                for index in model.readers.indices {
                    model.readers[index].acknowledged = min(model.readers[index].acknowledged, kept)
                    model.readers[index].saved = min(model.readers[index].saved, kept)
                    model.readers[index].isUncertain = true
                    model.readers[index].unacknowledged = []
                }
            }
            if step % 10 == 0 {
                #expect(try await log.ledger().imbalances == [], context)
            }
        }
        disk.faults.withLock {
            $0.write = 0
            $0.synchronize = 0
        }
        try await log.flush()
        for (reader, cursor) in cursors.enumerated() {
            while cursor.pendingSamples > 0 {
                let entries = try await cursor.read(atMost: 100)
                for entry in entries { check(entry, &model, reader, "seed \(seed), at the end") }
                if let last = entries.last { cursor.acknowledge(through: last.position) }
                model.readers[reader].acknowledged = model.readers[reader].read
            }
        }
        #expect(try await log.ledger().imbalances == [], "seed \(seed)")
        #expect(try await log.ledger().total.cursors.allSatisfy { $0.pending == 0 })
        try await log.close()
    }

    /// Lets go of everything without closing, and opens again.
    private func reopened(
        _ log: inout Historian, _ cursors: inout [any LogCursor], _ folder: TemporaryFolder, _ disk: FaultyDisk
    ) async throws -> Historian {
        cursors = []
        let placeholder = TemporaryFolder()
        log = try openLog(placeholder)
        // Reading tasks of the old cursors may hold the store for a moment longer.
        while true {
            do {
                return try openLog(folder, diskLimit: 4 << 20, tail: 128 << 10, disk: disk)
            } catch  where (error as? GatewayError)?.code == .storageLocked {
                await Task.yield()
            }
        }
    }

    /// An entry must be the next one of the list, or a gap over exactly what is missing.
    private func check(_ entry: LogEntry, _ model: inout Model, _ reader: Int, _ context: Comment) {
        let position = Int(entry.position.rawValue)
        guard position <= model.entries.count else {
            Issue.record("position \(position) of \(model.entries.count), \(context)")
            return
        }
        var place = model.readers[reader]
        if place.isUncertain {
            let candidates = place.saved...max(place.saved, place.acknowledged)
            place.isUncertain = false
            switch entry.content {
            case .batch: place.read = position - 1
            case .gap(let samples):
                let starts = candidates.filter { $0 <= position } + place.places.filter { $0 <= position }
                guard let start = starts.first(where: { model.samples(after: $0, through: position) == samples }) else {
                    Issue.record(
                        "a gap of \(samples) samples ends at \(position), but none that begins in \(candidates) has so many; \(context)")
                    return
                }
                place.read = start
                place.acknowledged = start
            }
            if case .batch = entry.content {
                #expect(candidates.contains(place.read), context)
                place.acknowledged = place.read
            }
        }
        switch entry.content {
        case .batch(let batch):
            #expect(position == place.read + 1, context)
            let expected = model.entries[position - 1]
            #expect(batch.stream == expected.stream && batch.epoch == expected.epoch && batch.sequence == expected.sequence, context)
        case .gap(let samples):
            // What was read and not acknowledged when it was evicted is part of the gap.
            let starts = place.places.union([place.read, place.acknowledged]).filter { $0 <= position }
            #expect(starts.contains { model.samples(after: $0, through: position) == samples }, context)
        }
        place.read = position
        place.unacknowledged.append(position)
        model.readers[reader] = place
    }
}
