import GatewayCore
import Telemetry
import TestKit
import Testing

@testable import Historian

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What is acknowledged ahead of the backlog: over restarts, outages, damage and limits.
struct LaneTests {
    private func numbers(_ entries: [LogEntry]) -> [Int] { entries.compactMap(\.batch).map { Int($0.sequence) } }

    private func read(_ count: Int, _ lane: LogLane, _ cursor: any LogCursor) async throws -> [LogEntry] {
        var entries: [LogEntry] = []
        while entries.count < count { entries += try await cursor.read(lane, atMost: count - entries.count) }
        return entries
    }

    /// A log of 60 batches: 40 are backlog, of which 10 are acknowledged, and of 20 live ones 15.
    private func work(_ folder: TemporaryFolder) async throws -> (log: Historian, cursor: any LogCursor) {
        let log = try openLog(folder)
        let stream = try log.register(pump)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        for number in 0..<40 { log.append(pumpBatch(stream, number)) }
        #expect(cursor.beginLiveLane())
        for number in 40..<60 { log.append(pumpBatch(stream, number)) }
        let live = try await read(20, .live, cursor)
        let backlog = try await read(20, .backlog, cursor)
        #expect(numbers(live) == Array(40..<60) && numbers(backlog) == Array(0..<20))
        cursor.acknowledge(.live, through: live[14].position)
        cursor.acknowledge(.backlog, through: backlog[9].position)
        return (log, cursor)
    }

    @Test("scenario 07: what was sent live before a restart is not sent again, and the backlog goes on in order", arguments: [true, false])
    func lanesSurviveARestart(isClosed: Bool) async throws {
        let folder = TemporaryFolder()
        var work: (log: Historian, cursor: any LogCursor)? = try await work(folder)
        try await work?.log.flush()
        #expect(work?.cursor.backlog.samples == 90)
        #expect(work?.cursor.backlog.oldest == pumpBatch(StreamID(rawValue: 1), 10).time)
        if isClosed { try await work?.log.close() }
        work = nil
        let looked = try Historian.openReadOnly(folder: folder.log).ledger()
        #expect(looked.imbalances == [] && looked.total.cursors.first?.pending == 105)

        let log = try await reopened(folder)
        #expect(try await log.ledger().imbalances == [])
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        #expect(cursor.pendingSamples == 105 && cursor.backlog.samples == 105)
        // Nothing was read since the start: the segment's oldest time is all that is known.
        #expect(cursor.backlog.oldest == pumpBatch(StreamID(rawValue: 1), 0).time)
        #expect(numbers(try await drain(cursor)) == Array(10..<40) + Array(55..<60))
        let ledger = try await log.ledger()
        #expect(ledger.imbalances == [] && ledger.total.cursors.first?.acknowledged == 180)
        try await log.flush()
        #expect(log.core.snapshot().cursors["route/a"]?.ahead == [], "nothing is ahead of a backlog that is gone")
        try await log.close()
    }

    /// Reading tasks of an old log may hold the store for a moment longer.
    private func reopened(_ folder: TemporaryFolder) async throws -> Historian {
        while true {
            do { return try openLog(folder) } catch  where (error as? GatewayError)?.code == .storageLocked { await Task.yield() }
        }
    }

    /// One lane comes by the hole that the file left, while the other has the newest of the same file in memory still.
    @Test(arguments: [LogLane.backlog, .live]) func whatOneLaneHasInMemoryIsNoGapOfTheOther(first: LogLane) async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder, tail: 64 << 10)
        let stream = try log.register(pump)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        for number in 0..<1000 { log.append(pumpBatch(stream, number)) }
        #expect(cursor.beginLiveLane())
        for number in 1000..<1400 {
            if number % 100 == 0 { try await log.flush() }
            log.append(pumpBatch(stream, number))
        }
        try await log.flush()
        for file in folder.segments { try Files.remove(file) }

        var gap: UInt64 = 0
        var delivered: [Int] = []
        for lane in [first, first == .backlog ? .live : .backlog] {
            var place: UInt64 = 0
            while place < (lane == .live ? 1400 : 1000) {
                if try await log.ledger().total.cursors.first?.pending == 0 { break }
                let entries = try await cursor.read(lane, atMost: 50)
                for case .gap(let samples) in entries.map(\.content) { gap += samples }
                delivered += numbers(entries)
                place = entries.last?.position.rawValue ?? place
                if let last = entries.last { cursor.acknowledge(lane, through: last.position) }
            }
        }
        #expect(delivered.count > 200 && delivered.last == 1399, "memory has the newest")
        #expect(gap + UInt64(delivered.count) * 3 == 1400 * 3)
        let ledger = try await log.ledger()
        #expect(ledger.imbalances == [] && ledger.total.cursors.first?.pending == 0)
        #expect(ledger.total.cursors.first?.evicted == gap)
        try await log.close()
    }

    /// To tell what is lost with one file, the reader looks into another, which is gone, too.
    @Test func twoFilesThatAreGoneAreTwoGaps() async throws {
        let folder = TemporaryFolder()
        var log = try openLog(folder)
        let stream = try log.register(pump)
        for number in 0..<40 { log.append(pumpBatch(stream, number)) }
        try await log.close()
        log = try openLog(folder)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        for number in 40..<50 { log.append(pumpBatch(stream, number)) }
        #expect(cursor.beginLiveLane())
        for number in 50..<60 { log.append(pumpBatch(stream, number)) }
        let live = try await read(5, .live, cursor)
        cursor.acknowledge(.live, through: try #require(live.last).position)
        try await log.close()
        log = try await reopened(folder)
        let again = try log.cursor(named: "route/a", from: .oldest)
        #expect(folder.segments.count == 2)
        for file in folder.segments { try Files.remove(file) }
        var gap: UInt64 = 0
        // The ledger, too, would find out that files are gone: the reader comes first.
        repeat {
            let entries = try await again.read(atMost: 100)
            for case .gap(let samples) in entries.map(\.content) { gap += samples }
            if let last = entries.last { again.acknowledge(through: last.position) }
        } while try await log.ledger().total.cursors.first?.pending != 0
        #expect(gap == 55 * 3)
        #expect(try await log.ledger().imbalances == [])
        try await log.close()
    }

    @Test func whatIsSentLiveWaitedForNoOutage() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder)
        let stream = try log.register(pump)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        var number = 0
        func append(_ count: Int) {
            for _ in 0..<count {
                log.append(pumpBatch(stream, number))
                number += 1
            }
        }
        cursor.connectionLost(at: Timestamp(milliseconds: 1000))
        append(20)
        #expect(cursor.beginLiveLane())
        // Stored after the live lane began and before the way was told to stand again: not the outage's.
        append(5)
        cursor.connectionRestored(at: Timestamp(milliseconds: 2000))
        append(10)
        let live = try await read(15, .live, cursor)
        cursor.acknowledge(.live, through: live[11].position)
        let backlog = try await read(8, .backlog, cursor)
        cursor.acknowledge(.backlog, through: backlog[7].position)
        try await log.flush()
        func rows() async throws -> [Ledger.OutageRow] {
            let ledger = try await log.ledger()
            #expect(ledger.imbalances == [])
            return ledger.outages.first?.outages ?? []
        }
        let first = try #require(try await rows().first)
        #expect(first.samples == 60 && first.delivered == 24 && first.pending == 36)

        // Three of the live ones are pending with the rest of the backlog when the way is cut again.
        cursor.connectionLost(at: Timestamp(milliseconds: 3000))
        cursor.rewind()
        append(5)
        cursor.connectionRestored(at: Timestamp(milliseconds: 4000))
        #expect(cursor.beginLiveLane())
        append(7)
        let later = try await read(7, .live, cursor)
        cursor.acknowledge(.live, through: later[6].position)
        let second = try await rows()
        #expect(second.map(\.samples) == [60, 60] && second.map(\.pending) == [36, 60] && second.map(\.carriedOver) == [0, 36])
        #expect(numbers(try await drain(cursor)) == Array(8..<20) + Array(32..<40))
        #expect(try await rows().allSatisfy { $0.delivered == 60 && $0.pending == 0 && $0.lost == 0 })
        try await log.close()
    }

    @Test(
        "what is damaged of the backlog is a gap of just that, whatever is acknowledged around it",
        arguments: [[15], [35, 39], [45], [57], [5, 20, 41, 58]])
    func damageBesideWhatIsAhead(damaged: [Int]) async throws {
        let folder = TemporaryFolder()
        var work: (log: Historian, cursor: any LogCursor)? = try await work(folder)
        try await work?.log.close()
        work = nil
        let path = try #require(folder.segments.first)
        var bytes = try readBytes(path)
        let offsets = recordOffsets(bytes)
        // The descriptor comes first.
        for number in damaged { bytes[offsets[number + 1] + 4] ^= 0x55 }
        try writeBytes(bytes, to: path)
        let log = try openLog(folder)
        let missing = damaged.filter { (10..<40).contains($0) || $0 >= 55 }
        #expect(try await log.ledger().imbalances == [])
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        #expect(cursor.pendingSamples == 105)
        let entries = try await drain(cursor)
        #expect(numbers(entries) == (Array(10..<40) + Array(55..<60)).filter { !missing.contains($0) })
        #expect(entries.compactMap(\.gap).reduce(0, +) == UInt64(missing.count) * 3)
        let ledger = try await log.ledger()
        #expect(ledger.imbalances == [] && ledger.total.cursors.first?.evicted == UInt64(missing.count) * 3)
        try await log.close()
    }

    @Test func soManyLanesAreKeptApartAndNoMore() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder)
        let stream = try log.register(pump)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        var begun = 0
        for number in 0..<200 {
            log.append(pumpBatch(stream, number * 2))
            guard cursor.beginLiveLane() else { continue }
            begun += 1
            log.append(pumpBatch(stream, number * 2 + 1))
            let entries = try await read(1, .live, cursor)
            cursor.acknowledge(.live, through: entries[0].position)
        }
        #expect(begun == CursorState.aheadMax)
        #expect(cursor.backlog.samples == UInt64(CursorState.aheadMax) * 3 && cursor.pendingSamples == 200 * 3)
        try await log.flush()
        #expect(try await log.ledger().imbalances == [])
        cursor.rewind()
        let entries = try await drain(cursor)
        #expect(entries.count == 200 && numbers(entries) == numbers(entries).sorted())
        #expect(cursor.beginLiveLane())
        try await log.close()
    }

    @Test func aDatabaseWhoseRangesMakeNoSenseIsADamagedOne() async throws {
        let folder = TemporaryFolder()
        let work = try await work(folder)
        try await work.log.flush()
        let stored = work.log.core.snapshot()
        try await work.log.close()
        for ranges in [
            [PositionRange(after: 3, through: 9)], [PositionRange(after: 41, through: 41)],
            [PositionRange(after: 41, through: 45), PositionRange(after: 44, through: 50)],
        ] {
            let path = folder.path + "/state-\(ranges.count)-\(ranges[0].through).sqlite"
            let store = try StateStore(path: path)
            var state = stored
            state.cursors["route/a"]?.ahead = ranges
            try store.save(state, over: StoredState())
            #expect(throws: GatewayError.self) { try store.load() }
            try store.close()
        }
    }
}

/// Cursors of routes that the site has no more.
struct ReleasedCursorTests {
    @Test func aReleasedCursorKeepsNothingFromExpiring() async throws {
        let folder = TemporaryFolder()
        let time = ManualTime()
        var log = try openLog(folder, diskLimit: 4 << 20, keepFor: .seconds(60), time: time)
        let wide = wideDescriptor(2000)
        let stream = try log.register(wide)
        var gone: (any LogCursor)? = try log.cursor(named: "route/gone", from: .oldest)
        #expect(gone?.backlog.samples == 0)
        func append(_ count: Int) async throws {
            for _ in 0..<count {
                log.append(SampleBatch(stream: stream, descriptor: wide, time: time.utc, status: .good))
                time.advance(by: .milliseconds(100))
            }
            try await log.flush()
        }
        // Several segments, all of them too old before long.
        for _ in 0..<4 { try await append(100) }
        time.advance(by: .seconds(600))
        try await append(1)
        _ = await log.turn()
        #expect(try await log.ledger().total.removed == 0, "a route that is away holds back what it waits for")

        // One that is open is asked for by somebody.
        log.releaseCursors(at: time.utc) { _ in true }
        #expect(try await log.ledger().released == [])
        gone?.close()
        gone = nil
        let released = time.utc
        log.releaseCursors(at: released) { $0 == "route/gone" }
        time.advance(by: .seconds(5))
        _ = await log.turn()
        var ledger = try await log.ledger()
        #expect(ledger.imbalances == [])
        #expect(ledger.released == [Ledger.Released(cursor: "route/gone", since: released)])
        let row = try #require(ledger.total.cursors.first)
        #expect(row.evicted > 0 && row.evicted == ledger.total.removed && row.pending > 0)
        try await log.close()

        // It stays so over a restart, until somebody wants it again: then it is told of its gap and goes on.
        log = try openLog(folder, diskLimit: 4 << 20, keepFor: .seconds(60), time: time)
        #expect(try await log.ledger().released.map(\.cursor) == ["route/gone"])
        let back = try log.cursor(named: "route/gone", from: .oldest)
        #expect(try await log.ledger().released == [])
        let entries = try await drain(back)
        #expect(entries.first?.gap == row.evicted)
        ledger = try await log.ledger()
        #expect(ledger.imbalances == [] && ledger.total.cursors.first?.pending == 0)
        try await log.close()
    }

    @Test func aReleasedCursorKeepsNothingFromBeingThinned() async throws {
        var random = SeededGenerator()
        let folder = TemporaryFolder()
        let log = try openLog(folder, diskLimit: 4 << 20)
        let wide = wideDescriptor(60)
        let stream = try log.register(wide)
        var gone: (any LogCursor)? = try log.cursor(named: "route/gone", from: .oldest)
        for number in 0..<30_000 {
            var batch = SampleBatch(
                stream: stream, descriptor: wide, time: Timestamp(milliseconds: 1_700_006_400_000 + Int64(number) * 1000), status: .good)
            for tag in 0..<60 { batch.set(.uint(UInt64.random(in: 0...65_535, using: &random)), tag: tag, in: wide) }
            log.append(batch)
            // Within the first segment, on both lanes.
            if number == 300, let gone {
                let entries = try await gone.read(atMost: 100)
                if let last = entries.last { gone.acknowledge(through: last.position) }
                #expect(gone.beginLiveLane())
            }
            if number == 600, let last = try await gone?.read(.live, atMost: 200).last {
                gone?.acknowledge(.live, through: last.position)
                gone?.close()
                gone = nil
                log.releaseCursors(at: batch.time) { _ in true }
            }
            if number % 400 == 399 {
                try await log.flush()
                try await log.seal()
            }
        }
        let ledger = try await log.ledger()
        #expect(ledger.imbalances == [])
        let row = try #require(ledger.total.cursors.first)
        #expect(ledger.total.thinned > 0 && row.evicted > 0 && row.acknowledged == 300 * 60)
        try await log.close()
    }
}
