import GatewayCore
import Telemetry
import TestKit
import Testing

@testable import Historian

/// The account of refusals, outages, runs and damage, through restarts and crashes.
struct LedgerTests {
    private func row(_ log: Historian) async throws -> Ledger.CursorRow {
        let ledger = try await log.ledger()
        #expect(ledger.imbalances == [])
        #expect(ledger.isBalanced)
        return try #require(ledger.total.cursors.first)
    }

    private func append(_ numbers: Range<Int>, to log: Historian) throws {
        let stream = try log.register(pump)
        for number in numbers { log.append(pumpBatch(stream, number)) }
    }

    private func time(_ seconds: Int64) -> Timestamp { Timestamp(milliseconds: 1_700_000_000_000 + seconds * 1000) }

    @Test func whatIsRefusedIsItsOwnTermThroughARestart() async throws {
        let folder = TemporaryFolder()
        var log = try openLog(folder)
        try append(0..<10, to: log)
        var cursor: (any LogCursor)? = try log.cursor(named: "route/a", from: .oldest)
        let entries = try await #require(cursor).read(atMost: 10)
        cursor?.refuse(entries[2].position)
        cursor?.refuse(entries[5].position)
        cursor?.acknowledge(through: entries[3].position)
        // The refusal of entry 5 was not passed: it will be read, and must be refused, again.
        let before = try await row(log)
        #expect(before.acknowledged == 9 && before.refused == 3 && before.pending == 18)
        cursor = nil
        try await log.close()

        log = try openLog(folder)
        #expect(try await row(log) == before)
        let again = try log.cursor(named: "route/a", from: .oldest)
        let rest = try await again.read(atMost: 10)
        #expect(rest.first?.position == entries[4].position)
        again.acknowledge(through: rest[5].position)
        let after = try await row(log)
        #expect(after.acknowledged == 27 && after.refused == 3 && after.pending == 0)
        #expect(try await log.ledger().tags.allSatisfy { $0.cursors.allSatisfy { $0.refused == 1 } })
        try await log.close()
        #expect(try Historian.openReadOnly(folder: folder.log).ledger().total.cursors == [after])
    }

    @Test func anAcknowledgementThatComesAfterTheEvictionStaysAnEviction() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder, diskLimit: 4 << 20, tail: 64 << 10)
        let wide = wideDescriptor(1000)
        let stream = try log.register(wide)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        func store(_ count: Int) async throws {
            for number in 0..<count {
                log.append(SampleBatch(stream: stream, descriptor: wide, time: Timestamp(milliseconds: Int64(number)), status: .good))
                if number % 20 == 19 { try await log.flush() }
            }
        }
        try await store(20)
        let sent = try await cursor.read(atMost: 10)
        #expect(sent.count == 10)
        try await store(2400)
        let evicted = try await row(log).evicted
        #expect(evicted > 20_000)
        for entry in sent { cursor.acknowledge(through: entry.position) }
        let late = try await row(log)
        #expect(late.acknowledged == 0 && late.evicted == evicted)
        try await log.close()
    }

    @Test func anOutageIsToldInASentenceWhoseNumbersWereCounted() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder)
        let cursor = try log.cursor(named: "route/central", from: .oldest)
        try append(0..<10, to: log)
        let first = try await cursor.read(atMost: 10)
        cursor.acknowledge(through: first[3].position)
        cursor.connectionLost(at: time(100))
        cursor.rewind()
        try append(10..<30, to: log)
        var ledger = try await log.ledger()
        #expect(ledger.isBalanced)
        var outages = try #require(ledger.outages.first)
        #expect(
            outages.outages.map(outages.sentence) == [
                "route central: since 2023-11-14 22:15:00, not connected yet, 78 samples pending, 0 delivered late, 0 lost, 78 still pending"
            ])
        cursor.connectionRestored(at: time(160))
        try append(30..<40, to: log)
        let entries = try await cursor.read(atMost: 100)
        cursor.refuse(entries[1].position)
        cursor.acknowledge(through: entries[9].position)
        ledger = try await log.ledger()
        #expect(ledger.isBalanced)
        outages = try #require(ledger.outages.first)
        #expect(
            outages.outages.map(outages.sentence) == [
                "route central: 2023-11-14 22:15:00–22:16:00, 78 samples pending, 27 delivered late, 0 lost, 3 refused, 48 still pending"
            ])
        #expect(ledger.explanation.count == 3)
        cursor.rewind()
        _ = try await drain(cursor)
        ledger = try await log.ledger()
        #expect(ledger.outages.first?.outages.first?.delivered == 75 && ledger.isBalanced)
        try await log.close()
    }

    @Test func evictedSamplesOfAnOutageAreLostAndTheRestIsDelivered() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder, diskLimit: 4 << 20, tail: 64 << 10)
        let wide = wideDescriptor(1000)
        let stream = try log.register(wide)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        cursor.connectionLost(at: time(0))
        for number in 0..<3000 {
            log.append(SampleBatch(stream: stream, descriptor: wide, time: Timestamp(milliseconds: Int64(number)), status: .good))
            if number % 20 == 19 { try await log.flush() }
        }
        cursor.connectionRestored(at: time(10))
        let delivered = try await drain(cursor).count { $0.batch != nil }
        let ledger = try await log.ledger()
        #expect(ledger.isBalanced)
        let outage = try #require(ledger.outages.first?.outages.first)
        #expect(outage.samples == 3_000_000 && outage.delivered == UInt64(delivered) * 1000 && outage.pending == 0)
        #expect(outage.lost > 0 && outage.lost == 3_000_000 - outage.delivered)
        #expect(ledger.total.onDisk + ledger.total.removed == 3_000_000 && ledger.total.removed > 0)
        try await log.close()
        #expect(try Historian.openReadOnly(folder: folder.log).ledger() == ledger)
    }

    @Test func anOutageThatWasOpenWhenTheProcessEndedGoesOnAndTheTimeOffIsNamed() async throws {
        let folder = TemporaryFolder()
        let clock = ManualTime()
        var log = try openLog(folder, time: clock)
        var cursor: (any LogCursor)? = try log.cursor(named: "route/central", from: .oldest)
        try append(0..<10, to: log)
        cursor?.connectionLost(at: time(0))
        try append(10..<20, to: log)
        clock.advance(by: .seconds(30))
        cursor = nil
        try await log.close()

        clock.advance(by: .seconds(270))
        log = try openLog(folder, time: clock)
        let again = try log.cursor(named: "route/central", from: .oldest)
        // As a route does at its start when no broker answers: the outage goes on.
        again.connectionLost(at: time(300))
        let stream = try log.register(pump)
        log.append(pumpBatch(stream, 3020))
        again.connectionRestored(at: time(310))
        _ = try await drain(again)
        try await log.flush()
        let ledger = try await log.ledger()
        #expect(ledger.isBalanced)
        let outages = try #require(ledger.outages.first)
        #expect(
            outages.outages.map(outages.sentence) == [
                "route central: 2023-11-14 22:13:20–22:18:30, 63 samples pending, 63 delivered late, 0 lost, "
                    + "the gateway was off 2023-11-14 22:13:21–22:18:22"
            ])
        #expect(
            ledger.downtimes.map(\.sentence) == [
                "not sampled 2023-11-14 22:13:21–22:18:22, the gateway was off (stopped in order at 2023-11-14 22:13:50, "
                    + "started again at 2023-11-14 22:18:20)"
            ])
        try await log.close()
        #expect(try Historian.openReadOnly(folder: folder.log).ledger().outages == ledger.outages)
    }

    @Test func aRunThatWasKilledHasNoEndAndItsOutageLosesOnlyWhatWasNeverOnDisk() async throws {
        let folder = TemporaryFolder()
        let copy = TemporaryFolder()
        let log = try openLog(folder)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        try append(0..<10, to: log)
        try await log.flush()
        cursor.connectionLost(at: time(1))
        try append(10..<30, to: log)
        try await log.flush()
        // Appended, the outage ended, and neither on disk when the process dies.
        try append(30..<40, to: log)
        cursor.connectionRestored(at: time(2))
        #expect(TemporaryFolder.run("cp", "-r", folder.log, copy.log) == 0)
        try await log.close()

        let after = try openLog(copy)
        let again = try after.cursor(named: "route/a", from: .oldest)
        let ledger = try await after.ledger()
        #expect(ledger.isBalanced)
        let outage = try #require(ledger.outages.first?.outages.first)
        #expect(outage.end == nil && outage.samples == 90 && outage.pending == 90)
        again.connectionRestored(at: time(9))
        try append(100..<110, to: after)
        _ = try await drain(again)
        try await after.flush()
        let end = try await after.ledger()
        #expect(end.isBalanced)
        #expect(end.outages.first?.outages.first.map { $0.delivered == 90 && $0.end == time(9) } == true)
        #expect(end.downtimes.map(\.stopped) == [nil])
        try await after.close()
    }

    @Test(arguments: [1, 5, 12, 19], [4, 9, 14, 19])
    func aCursorInARangeThatIsDamagedLaterStillBalances(acknowledged: Int, damaged: Int) async throws {
        let folder = TemporaryFolder()
        var log = try openLog(folder)
        try append(0..<20, to: log)
        var cursor: (any LogCursor)? = try log.cursor(named: "route/a", from: .oldest)
        let entries = try await #require(cursor).read(atMost: 20)
        cursor?.acknowledge(through: entries[acknowledged - 1].position)
        cursor = nil
        try await log.close()
        // Two holes, one of them a run of three batches.
        let path = try #require(folder.segments.first)
        var bytes = try readBytes(path)
        let offsets = recordOffsets(bytes)
        for number in Set([2, damaged - 2, damaged - 1, damaged]) { bytes[offsets[number + 1] + 30] ^= 0x10 }
        try writeBytes(bytes, to: path)

        log = try openLog(folder)
        #expect(try await log.ledger().imbalances == [])
        let again = try log.cursor(named: "route/a", from: .oldest)
        let gone = Set([2, damaged - 2, damaged - 1, damaged].filter { $0 >= acknowledged })
        let rest = try await drain(again)
        #expect(rest.compactMap(\.batch).map { Int($0.sequence) } == (acknowledged..<20).filter { !gone.contains($0) })
        #expect(rest.compactMap(\.gap).reduce(0, +) == UInt64(gone.count) * 3)
        let after = try await row(log)
        #expect(after.pending == 0 && after.evicted == UInt64(gone.count) * 3)
        #expect(again.pendingSamples == 0)
        try await log.close()
        #expect(try Historian.openReadOnly(folder: folder.log).ledger().imbalances == [])
    }

    @Test func retentionOfADamagedRangeEvictsWhatTheCursorHadBeforeIt() async throws {
        let folder = TemporaryFolder()
        let wide = wideDescriptor(1000)
        var log = try openLog(folder, diskLimit: 4 << 20, tail: 64 << 10)
        let stream = try log.register(wide)
        func store(_ count: Int, in log: Historian) async throws {
            for number in 0..<count {
                log.append(SampleBatch(stream: stream, descriptor: wide, time: Timestamp(milliseconds: Int64(number)), status: .good))
                if number % 20 == 19 { try await log.flush() }
            }
        }
        try await store(200, in: log)
        var cursor: (any LogCursor)? = try log.cursor(named: "route/a", from: .oldest)
        for entry in try await #require(cursor).read(atMost: 50) { cursor?.acknowledge(through: entry.position) }
        cursor = nil
        try await log.close()
        let path = try #require(folder.segments.first)
        var bytes = try readBytes(path)
        let offsets = recordOffsets(bytes)
        for number in [10, 100] { bytes[offsets[number + 1] + 30] ^= 0x10 }
        try writeBytes(bytes, to: path)
        log = try openLog(folder, diskLimit: 4 << 20, tail: 64 << 10)
        #expect(try await log.ledger().imbalances == [])
        try await store(2400, in: log)
        let ledger = try await log.ledger()
        #expect(ledger.imbalances == [])
        #expect(ledger.total.removed >= 200_000)
        #expect(ledger.total.cursors.first.map { $0.acknowledged == 50_000 && $0.evicted >= 150_000 } == true)
        try await log.close()
    }

    @Test func thinnedSamplesAreATermOfTheirOwnAndSurviveARestart() async throws {
        let folder = TemporaryFolder()
        var log = try openLog(folder)
        try append(0..<10, to: log)
        try await log.close()
        // As retention will do it: out of the segment's count, into the stream's.
        let store = try StateStore(path: folder.log + "/state.sqlite")
        let old = try store.load()
        var new = old
        var four = Tally()
        four.whole = 4
        new.segments[0].tallies = new.segments[0].tallies.mapValues { $0.subtracting(four) }
        new.streams[StreamID(rawValue: 1)]?.thinned = four
        try store.save(new, over: old)
        try store.close()
        log = try openLog(folder)
        try append(10..<12, to: log)
        try await log.flush()
        let total = try await log.ledger().total
        #expect(total.thinned == 12 && total.onDisk == 24 && total.stored == 36)
        #expect(try await log.ledger().imbalances == [])
        try await log.close()
    }

    @Test func aSumThatFailsIsNamedWithItsTagAndReader() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder)
        try append(0..<10, to: log)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        cursor.connectionLost(at: time(0))
        let entries = try await cursor.read(atMost: 5)
        cursor.acknowledge(through: entries[4].position)
        try await log.close()
        let store = try StateStore(path: folder.log + "/state.sqlite")
        let old = try store.load()
        var new = old
        new.cursors["route/a"]?.tallies[StreamID(rawValue: 1)]?.acknowledged.whole = 4
        new.streams[StreamID(rawValue: 1)]?.gone.whole = 1
        try store.save(new, over: old)
        try store.close()
        let ledger = try Historian.openReadOnly(folder: folder.log).ledger()
        #expect(!ledger.isBalanced)
        let text = ledger.imbalances.joined(separator: "\n")
        #expect(text.contains("pump-1.temperature, route a: 10 stored, but 4 acknowledged + 5 pending + 0 evicted + 0 refused = 9"))
        #expect(text.contains("pump-1.serial: 10 stored, but 10 on disk + 0 uncommitted + 0 thinned + 1 removed"), "\(text)")
        #expect(text.contains("route a, outage 1: 30 samples, but 15 delivered + 0 lost + 0 refused + 18 pending = 33"), "\(text)")
    }

    @Test func deviceOutagesAreWhatTheDiagnosticsSay() {
        var finder = DeviceOutageFinder()
        finder.add(time: time(0), isOnline: true, faultyPolls: 7, missedPolls: 1)
        finder.add(time: time(10), isOnline: false, faultyPolls: 9, missedPolls: 1)
        finder.add(time: time(20), isOnline: false, faultyPolls: 1209, missedPolls: 2)
        // The gateway was started again: its counters begin with 0.
        finder.add(time: time(30), isOnline: false, faultyPolls: 40, missedPolls: 0)
        finder.add(time: time(31), isOnline: true, faultyPolls: 41, missedPolls: 3)
        finder.add(time: time(40), isOnline: true, faultyPolls: 50, missedPolls: 3)
        finder.add(time: time(50), isOnline: false, faultyPolls: 51, missedPolls: 3)
        #expect(
            finder.outages.map { $0.sentence(device: "plc") } == [
                "device plc: not connected 2023-11-14 22:13:30–22:13:51, 1,243 polls with Bad tags, 4 polls missed",
                "device plc: not connected since 2023-11-14 22:14:10, 1 polls with Bad tags, 0 polls missed",
            ])
    }
}
