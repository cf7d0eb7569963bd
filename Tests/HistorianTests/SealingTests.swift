import GatewayCore
import Synchronization
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import Historian

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Blocks hold what their segments held, bit for bit; damage and ends in the middle cost what the format says.
struct SealingTests {
    private static let mixed = StreamDescriptor(
        device: "mixed", group: "fast",
        tags: [
            Tag("bool", .bool), Tag("i8", .int8), Tag("u8", .uint8), Tag("i16", .int16, scaling: Scaling(scale: 0.1)), Tag("u16", .uint16),
            Tag("i32", .int32), Tag("u32", .uint32), Tag("i64", .int64), Tag("u64", .uint64), Tag("f32", .float32), Tag("f64", .float64),
            Tag("text", .string, stringCapacity: 12),
        ] + (0..<70).map { Tag("more\($0)", .uint16) })

    /// Any bits at all in any slot, now and then; else values like those of machines.
    private static func batch(
        _ stream: StreamID, _ descriptor: StreamDescriptor, _ number: Int, _ random: inout SeededGenerator
    ) -> SampleBatch {
        var batch = SampleBatch(
            stream: stream, descriptor: descriptor, time: Timestamp(milliseconds: 1_700_000_000_000 + Int64(number) * 100), status: .good)
        let isWild = Int.random(in: 0..<5, using: &random) == 0
        for (tag, offset) in zip(descriptor.tags, descriptor.offsets) where isWild || Int.random(in: 0..<3, using: &random) == 0 {
            for place in offset..<(offset + tag.slotWidth) {
                batch.values[place] =
                    isWild ? UInt8.random(in: 0...255, using: &random) : UInt8(truncatingIfNeeded: number / 7 * (place & 1))
            }
            // A string's slot may hold anything, too.
        }
        if Int.random(in: 0..<4, using: &random) == 0 {
            batch.quality = QualityRun.runs(
                of: descriptor.tags.map { _ in
                    Int.random(in: 0..<3, using: &random) == 0 ? StatusCode.badNotConnected : StatusCode.good
                })
        }
        if Int.random(in: 0..<3, using: &random) == 0 {
            let tags = descriptor.tags.count
            batch.presence = (0..<((tags + 63) / 64)).map { _ in UInt64.random(in: 0 ... .max, using: &random) }
            if tags % 64 != 0 { batch.presence[tags / 64] &= (1 << UInt64(tags % 64)) - 1 }
            for (tag, offset) in descriptor.offsets.enumerated() where !batch.has(tag) {
                for place in offset..<(offset + descriptor.tags[tag].slotWidth) { batch.values[place] = 0 }
            }
        }
        if Int.random(in: 0..<6, using: &random) == 0 { batch.time.nanoseconds += Int64.random(in: -1_000_000...1_000_000, using: &random) }
        if Int.random(in: 0..<6, using: &random) == 0 { batch.isTimeUncertain = true }
        if Int.random(in: 0..<6, using: &random) == 0 {
            batch.sourceTime = Timestamp(nanoseconds: Int64.random(in: 0 ... .max, using: &random))
        }
        return batch
    }

    private static func blocks(_ folder: TemporaryFolder) -> [String] {
        ((try? Files.names(in: folder.journal)) ?? []).filter { $0.hasSuffix(".block") }.map { folder.journal + "/" + $0 }
    }

    /// Who asks for everything to be sealed waits for what another is sealing, and returns when nothing is left.
    @Test func sealingEverythingWaitsForWhatIsBeingSealed() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder, diskLimit: 32 << 20)
        let stream = try log.register(wideDescriptor(200))
        for number in 0..<30_000 {
            log.append(
                SampleBatch(
                    stream: stream, descriptor: wideDescriptor(200), time: Timestamp(milliseconds: Int64(number)), status: .good))
            if number % 1000 == 0 { try await log.flush() }
        }
        try await log.flush()
        let journal = folder.journal
        @Sendable func segments() throws -> Int { try Files.names(in: journal).count { $0.hasSuffix(".segment") } }
        #expect(try segments() > 2)
        try await withThrowingTaskGroup(of: Int.self) { tasks in
            for _ in 0..<3 {
                tasks.addTask {
                    try await log.seal()
                    return try segments()
                }
            }
            // The one that grows stays.
            for try await left in tasks { #expect(left == 1) }
        }
        try await log.close()
    }

    @Test func whatIsSealedComesBackBitForBit() async throws {
        let seed = seedOfThisRun()
        var random = SeededGenerator(seed: seed)
        let folder = TemporaryFolder()
        let descriptors = [SealingTests.mixed, pump, wideDescriptor(200), StreamDescriptor(device: "empty", group: "g", tags: [])]
        var expected: [SampleBatch] = []
        // Three runs, so that one block holds segments of several epochs.
        for run in 0..<3 {
            let log = try openLog(folder)
            let streams = try descriptors.map { try log.register($0) }
            let live = try log.cursor(named: "route/live", from: .oldest)
            for number in 0..<200 {
                let kind = Int.random(in: 0..<descriptors.count, using: &random)
                for _ in 0..<Int.random(in: 0..<3, using: &random) { log.countSuppressedPoll(of: streams[kind]) }
                log.append(SealingTests.batch(streams[kind], descriptors[kind], run * 200 + number, &random))
            }
            let entries = try await live.read(atMost: 10_000)
            expected += entries.compactMap(\.batch)
            if let last = entries.last { live.acknowledge(through: last.position) }
            try await log.close()
        }
        #expect(expected.count == 600)

        var log = try openLog(folder)
        let before = try await log.ledger()
        #expect(before.isBalanced)
        try await log.seal()
        #expect(folder.segments.isEmpty)
        #expect(SealingTests.blocks(folder).count == 1)
        #expect(try await log.ledger().tags == before.tags)
        let sealed = try await drain(try log.cursor(named: "route/sealed", from: .oldest)).compactMap(\.batch)
        #expect(sealed.count == expected.count)
        for (found, wanted) in zip(sealed, expected) where found != wanted {
            let places = zip(found.values, wanted.values).enumerated().filter { $0.element.0 != $0.element.1 }.map(\.offset)
            Issue.record("seed \(seed), stream \(wanted.stream): \(found.quality) \(wanted.quality), values differ at \(places)")
        }
        try await log.close()

        // Opened again, with and without its database.
        for isDatabaseLost in [false, true] {
            if isDatabaseLost { for suffix in ["", "-wal", "-shm"] { try Files.remove(folder.log + "/state.sqlite" + suffix) } }
            log = try openLog(folder)
            #expect(log.recovery.catalogueRebuilt == isDatabaseLost)
            #expect(try await log.ledger().isBalanced)
            let again = try await drain(try log.cursor(named: "route/again", from: .oldest)).compactMap(\.batch)
            #expect(again == expected, "seed \(seed)")
            try await log.close()
        }
    }

    @Test func aReaderInTheMiddleOfASegmentGoesOnInItsBlock() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder, tail: 64 << 10)
        let wide = wideDescriptor(1000)
        let stream = try log.register(wide)
        let slow = try log.cursor(named: "route/slow", from: .oldest)
        func append(_ range: Range<Int>) async throws {
            for number in range {
                log.append(SampleBatch(stream: stream, descriptor: wide, time: Timestamp(milliseconds: Int64(number)), status: .good))
                if number % 20 == 19 { try await log.flush() }
            }
        }
        try await append(0..<6000)
        var sequences: [UInt64] = []
        for _ in 0..<3 { sequences += try await slow.read(atMost: 500).compactMap(\.batch).map(\.sequence) }
        try await log.seal()
        #expect(folder.segments.count == 1)
        try await append(6000..<7000)
        while slow.pendingSamples > 0, sequences.count < 7000 {
            let entries = try await slow.read(atMost: 500)
            #expect(entries.allSatisfy { $0.gap == nil })
            sequences += entries.compactMap(\.batch).map(\.sequence)
            if let last = entries.last { slow.acknowledge(through: last.position) }
        }
        #expect(sequences == Array(0..<7000))
        #expect(try await log.ledger().isBalanced)
        try await log.close()
    }

    /// A store with one block of two streams, of which "route/a" has read nothing; the batches in it.
    private func sealedStore() async throws -> (TemporaryFolder, block: String, batches: [SampleBatch]) {
        let folder = TemporaryFolder()
        var log = try openLog(folder)
        let wide = wideDescriptor(500)
        let streams = (try log.register(pump), try log.register(wide))
        _ = try log.cursor(named: "route/a", from: .oldest)
        for number in 0..<100 {
            log.append(pumpBatch(streams.0, number))
            var batch = SampleBatch(stream: streams.1, descriptor: wide, time: Timestamp(milliseconds: Int64(number)), status: .good)
            for tag in 0..<500 { batch.set(.uint(UInt64(number * tag * 31 % 60_000)), tag: tag, in: wide) }
            log.append(batch)
        }
        try await log.close()
        log = try openLog(folder)
        try await log.seal()
        let batches = try await drain(try log.cursor(named: "route/all", from: .oldest)).compactMap(\.batch)
        try await log.close()
        #expect(batches.count == 200)
        return (folder, try #require(SealingTests.blocks(folder).first), batches)
    }

    @Test func noDamageOfABlockIsSilent() async throws {
        var random = SeededGenerator(seed: seedOfThisRun())
        let (folder, block, batches) = try await sealedStore()
        let whole = try readBytes(block)
        let state = try readBytes(folder.log + "/state.sqlite")
        let samples = UInt64(100 * 3 + 100 * 500)
        for round in 0..<40 {
            var bytes = whole
            switch round % 5 {
            case 0: bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: bytes.removeLast(Int.random(in: 1...bytes.count, using: &random))
            case 2:
                let start = Int.random(in: 0..<bytes.count, using: &random)
                for place in start..<min(bytes.count, start + 4096) { bytes[place] = 0 }
            case 3: bytes[Int.random(in: 0..<80, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            default: bytes = (0..<Int.random(in: 0..<5000, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            }
            if bytes == whole { continue }
            for name in try Files.names(in: folder.journal) { try Files.remove(folder.journal + "/" + name) }
            try writeBytes(bytes, to: block)
            for suffix in ["-wal", "-shm"] { try Files.remove(folder.log + "/state.sqlite" + suffix) }
            try writeBytes(state, to: folder.log + "/state.sqlite")
            // Even a damaged number of the version is not taken for a newer one.
            let log = try openLog(folder)
            let cursor = try log.cursor(named: "route/a", from: .oldest)
            let entries = try await drain(cursor)
            let found = entries.compactMap(\.batch)
            let kept = Set(batches)
            #expect(found.allSatisfy { kept.contains($0) }, "round \(round)")
            let read = found.reduce(UInt64(0)) { $0 + UInt64($1.sampleCount(of: $1.quality.reduce(0) { $0 + $1.count })) }
            #expect(read + entries.compactMap(\.gap).reduce(0, +) == samples, "round \(round)")
            #expect(cursor.pendingSamples == 0)
            #expect(try await log.ledger().isBalanced)
            try await log.close()
        }
    }

    @Test func anEndBetweenNamingABlockAndRemovingItsSegmentsCostsNothing() async throws {
        let folder = TemporaryFolder()
        for run in 0..<3 {
            let log = try openLog(folder)
            let stream = try log.register(pump)
            for number in 0..<50 { log.append(pumpBatch(stream, run * 50 + number)) }
            try await log.close()
        }
        let copy = TemporaryFolder()
        #expect(TemporaryFolder.run("cp", "-r", folder.log, copy.log) == 0)
        let log = try openLog(copy)
        try await log.seal()
        try await log.close()
        let block = try #require(SealingTests.blocks(copy).first)
        let blockBytes = try readBytes(block)
        let name = String(block.dropFirst(copy.journal.count + 1))
        let segments = folder.segments

        /// Both forms are there; the database is of before, of after, or gone.
        for database in ["before", "after", "none"] {
            for removed in 0...segments.count where database != "before" || removed == 0 {
                let place = TemporaryFolder()
                #expect(TemporaryFolder.run("cp", "-r", folder.log, place.log) == 0)
                try writeBytes(blockBytes, to: place.journal + "/" + name)
                try writeBytes([1, 2, 3], to: place.journal + "/000000000009.block.new")
                if database == "none" { #expect(TemporaryFolder.run("cp", copy.log + "/catalogue", place.log + "/catalogue") == 0) }
                if database == "after" { #expect(TemporaryFolder.run("cp", copy.log + "/state.sqlite", place.log + "/state.sqlite") == 0) }
                if database == "none" { for suffix in ["", "-wal", "-shm"] { try Files.remove(place.log + "/state.sqlite" + suffix) } }
                for segment in segments.prefix(removed) { try Files.remove(place.journal + segment.dropFirst(folder.journal.count)) }
                let log = try openLog(place)
                let entries = try await drain(try log.cursor(named: "route/a", from: .oldest))
                #expect(entries.compactMap(\.gap).isEmpty, "database \(database), \(removed) segments removed")
                let numbers = entries.compactMap(\.batch).map { $0.raw(of: 0, in: pump) }
                #expect(numbers == (0..<150).map { .int(Int64($0)) }, "database \(database), \(removed) segments removed")
                #expect(try await log.ledger().isBalanced)
                try await log.close()
                #expect(try Files.names(in: place.journal).allSatisfy { !$0.hasSuffix(".new") })
            }
        }
    }

    @Test func aBlockThatWasGivenUpNeverStandsInTheWayOfTheOneThatCounts() async throws {
        let folder = TemporaryFolder()
        var orphan: (name: String, bytes: [UInt8])?
        for run in 0..<3 {
            let log = try openLog(folder)
            let stream = try log.register(pump)
            for number in 0..<50 { log.append(pumpBatch(stream, run * 50 + number)) }
            try await log.close()
            guard run == 0 else { continue }
            // The block of the first segment alone, from a copy of the store.
            let copy = TemporaryFolder()
            #expect(TemporaryFolder.run("cp", "-r", folder.log, copy.log) == 0)
            let alone = try openLog(copy)
            try await alone.seal()
            try await alone.close()
            let block = try #require(SealingTests.blocks(copy).first)
            orphan = (String(block.dropFirst(copy.journal.count + 1)), try readBytes(block))
        }
        var log = try openLog(folder)
        try await log.seal()
        try await log.close()
        let left = try #require(orphan)
        #expect(SealingTests.blocks(folder).count == 1 && !SealingTests.blocks(folder)[0].hasSuffix(left.name))
        try writeBytes(left.bytes, to: folder.journal + "/" + left.name)
        for isDatabaseLost in [false, true] {
            if isDatabaseLost {
                try writeBytes(left.bytes, to: folder.journal + "/" + left.name)
                for suffix in ["", "-wal", "-shm"] { try Files.remove(folder.log + "/state.sqlite" + suffix) }
            }
            log = try openLog(folder)
            #expect(log.recovery.setAside.isEmpty)
            let entries = try await drain(try log.cursor(named: "route/\(isDatabaseLost)", from: .oldest))
            #expect(entries.compactMap(\.batch).map { $0.raw(of: 0, in: pump) } == (0..<150).map { .int(Int64($0)) })
            #expect(entries.compactMap(\.gap).isEmpty)
            #expect(try await log.ledger().isBalanced)
            try await log.close()
            #expect(SealingTests.blocks(folder).count == 1)
        }
    }

    @Test(arguments: [ENOSPC, EIO]) func whileTheDiskRefusesSegmentsStayAsTheyAre(refusal: Int32) async throws {
        let folder = TemporaryFolder()
        var log = try openLog(folder)
        let stream = try log.register(pump)
        for number in 0..<50 { log.append(pumpBatch(stream, number)) }
        try await log.close()
        let disk = FaultyDisk()
        log = try openLog(folder, disk: disk)
        disk.faults.withLock { $0.write = Int(refusal) }
        await #expect(throws: GatewayError.self) { try await log.seal() }
        #expect(try Files.names(in: folder.journal).allSatisfy { $0.hasSuffix(".segment") })
        disk.faults.withLock { $0.write = 0 }
        try await log.seal()
        #expect(SealingTests.blocks(folder).count == 1)
        #expect(try await drain(try log.cursor(named: "route/a", from: .oldest)).compactMap(\.batch).count == 50)
        try await log.close()
    }

    /// What queries deliver of a store: samples, statistics by bucket, and the newest values.
    private func answers(_ folder: TemporaryFolder, from: Timestamp? = nil, to: Timestamp? = nil) throws -> [String] {
        let reader = try Historian.openReadOnly(folder: folder.log)
        var lines: [String] = []
        try reader.query(from: from, to: to) { lines.append("\($0)") }
        return lines
    }

    @Test func queriesOfBlocksAreThoseOfTheirSegments() async throws {
        let seed = seedOfThisRun()
        var random = SeededGenerator(seed: seed)
        let folder = TemporaryFolder()
        let descriptors = [SealingTests.mixed, pump, wideDescriptor(70)]
        var log = try openLog(folder)
        let streams = try descriptors.map { try log.register($0) }
        for number in 0..<150 {
            let kind = Int.random(in: 0..<descriptors.count, using: &random)
            log.append(SealingTests.batch(streams[kind], descriptors[kind], number, &random))
        }
        try await log.close()
        let ranges: [(Timestamp?, Timestamp?)] = [
            (nil, nil), (Timestamp(milliseconds: 1_700_000_002_000), Timestamp(milliseconds: 1_700_000_009_050)),
            (Timestamp(milliseconds: 1_700_000_012_300), nil),
        ]
        let before = try ranges.map { try answers(folder, from: $0.0, to: $0.1) }
        #expect(before[0].count > 1000 && before[1].count > 100)
        log = try openLog(folder)
        try await log.seal()
        try await log.close()
        for (range, expected) in zip(ranges, before) {
            let found = try answers(folder, from: range.0, to: range.1)
            #expect(found.count == expected.count, "seed \(seed)")
            for (found, expected) in zip(found, expected) where found != expected {
                Issue.record("seed \(seed): \(found) is not \(expected)")
                return
            }
        }
    }

    @Test func aDamagedSegmentStaysASegmentAndOthersAreSealed() async throws {
        let folder = TemporaryFolder()
        for run in 0..<2 {
            let log = try openLog(folder)
            let stream = try log.register(pump)
            _ = try log.cursor(named: "route/a", from: .oldest)
            for number in 0..<50 { log.append(pumpBatch(stream, run * 50 + number)) }
            try await log.close()
        }
        let damaged = try #require(folder.segments.first)
        var bytes = try readBytes(damaged)
        bytes[bytes.count / 2] ^= 1
        try writeBytes(bytes, to: damaged)
        let log = try openLog(folder)
        try await log.seal()
        #expect(folder.segments.contains(damaged))
        let entries = try await drain(try log.cursor(named: "route/a", from: .oldest))
        #expect(entries.compactMap(\.batch).count == 99)
        #expect(entries.compactMap(\.gap) == [3])
        #expect(try await log.ledger().isBalanced)
        try await log.close()
    }
}
