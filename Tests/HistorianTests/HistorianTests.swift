import GatewayCore
import Telemetry
import TestKit
import Testing

@testable import Historian

/// Reading, acknowledging, reopening: the log as its users see it.
struct HistorianTests {
    @Test func keepsTheContractOfALog() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder)
        try await TelemetryLogConformance(log).run()
        #expect(try await log.ledger().isBalanced)
        try await TelemetryLogConformance(MemoryLog()).run()
        try await log.close()
    }

    @Test func servesBeforeTheCommitAndFromDiskAfterReopening() async throws {
        let folder = TemporaryFolder()
        var log = try openLog(folder)
        let firstEpoch = log.epoch
        let stream = try log.register(pump)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        for number in 0..<10 { log.append(pumpBatch(stream, number)) }
        let live = try await cursor.read(atMost: 100)
        #expect(live.count == 10)
        #expect(live.allSatisfy { !$0.isFromDisk })
        cursor.acknowledge(through: live[3].position)
        try await log.close()

        log = try openLog(folder)
        #expect(log.epoch > firstEpoch)
        #expect(log.recovery.isClean)
        #expect(try log.register(pump) == stream)
        let again = try log.cursor(named: "route/a", from: .oldest)
        #expect(again.pendingSamples == 18)
        let stored = try await again.read(atMost: 100)
        #expect(stored.map(\.isFromDisk) == Array(repeating: true, count: 6))
        #expect(stored.compactMap(\.batch) == live.dropFirst(4).compactMap(\.batch))
        #expect(stored.map(\.position) == live.dropFirst(4).map(\.position))
        log.append(pumpBatch(stream, 10))
        let next = try await again.read(atMost: 100)
        #expect(next.compactMap(\.batch).map(\.epoch) == [log.epoch])
        #expect(next.first.map { $0.position > live[9].position } == true)
        #expect(try await log.ledger().isBalanced)
        try await log.close()
    }

    @Test("a cursor that was closed can be opened again while somebody still holds the old one")
    func closesCursors() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder)
        let stream = try log.register(pump)
        let held = try log.cursor(named: "route/a", from: .oldest)
        #expect(throws: GatewayError.self) { try log.cursor(named: "route/a", from: .oldest) }
        log.append(pumpBatch(stream, 0))
        _ = try await held.read(atMost: 1)
        held.close()
        let next = try log.cursor(named: "route/a", from: .oldest)
        #expect(try await next.read(atMost: 1).count == 1)
        held.close()
        #expect(throws: GatewayError.self) { try log.cursor(named: "route/a", from: .oldest) }
        try await log.close()
    }

    @Test func countsSuppressedPollsAndAbsentTags() async throws {
        let folder = TemporaryFolder()
        var log = try openLog(folder)
        let stream = try log.register(pump)
        log.append(pumpBatch(stream, 0))
        log.countSuppressedPoll(of: stream)
        log.countSuppressedPoll(of: stream)
        log.append(pumpBatch(stream, 1, presence: [0b101]))
        log.countSuppressedPoll(of: stream)
        _ = try log.cursor(named: "route/a", from: .oldest)
        for _ in 0..<2 {
            let ledger = try await log.ledger()
            #expect(ledger.isBalanced)
            #expect(ledger.tags.map(\.sampled) == [5, 5, 5])
            #expect(ledger.tags.map(\.suppressed) == [3, 4, 3])
            #expect(ledger.tags.map(\.stored) == [2, 1, 2])
            #expect(ledger.tags.map { $0.cursors.first?.pending } == [2, 1, 2])
            try await log.close()
            let closed = try Historian.openReadOnly(folder: folder.log).ledger()
            #expect(closed.isBalanced && closed.tags.map(\.cursors) == ledger.tags.map(\.cursors))
            #expect(closed.tags.map(\.suppressed) == ledger.tags.map(\.suppressed))
            #expect(closed.tags.map(\.onDisk) == ledger.tags.map { $0.onDisk + $0.uncommitted })
            log = try openLog(folder)
        }
        try await log.close()
    }

    @Test func movesFromDiskToMemoryWithoutAHoleOrADuplicate() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder, diskLimit: 4 << 20, tail: 64 << 10)
        let wide = wideDescriptor(100)
        let stream = try log.register(wide)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        var expected: UInt64 = 0
        var fromDisk = 0
        for round in 0..<40 {
            for number in 0..<50 {
                log.append(
                    SampleBatch(stream: stream, descriptor: wide, time: Timestamp(milliseconds: Int64(round * 50 + number)), status: .good))
            }
            try await log.flush()
            // A slow reader: every round reads less than what came, until the end.
            for entry in try await cursor.read(atMost: 30) {
                #expect(entry.batch?.sequence == expected)
                fromDisk += entry.isFromDisk ? 1 : 0
                expected += 1
                cursor.acknowledge(through: entry.position)
            }
        }
        for entry in try await drain(cursor) {
            #expect(entry.batch?.sequence == expected)
            expected += 1
        }
        #expect(expected == 2000)
        #expect(fromDisk > 0)
        #expect(try await log.ledger().isBalanced)
        try await log.close()
    }

    @Test func aCursorHasOneReader() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder)
        var first: (any LogCursor)? = try log.cursor(named: "scoring", from: .oldest)
        #expect(first != nil)
        let error = #expect(throws: GatewayError.self) { try log.cursor(named: "scoring", from: .oldest) }
        #expect(error?.code == .refused)
        first = nil
        _ = try log.cursor(named: "scoring", from: .oldest)
        try await log.close()
    }

    @Test func aSecondOpenerIsRefusedWithTheProcessNamed() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder)
        let error = #expect(throws: GatewayError.self) { try openLog(folder) }
        #expect(error?.code == .storageLocked)
        #expect(error?.message.contains("process \(processNumber)") == true)
        try await log.close()
        try await openLog(folder).close()
    }

    @Test func theServiceCommitsAtItsIntervalAndALastTimeWhenCancelled() async throws {
        let folder = TemporaryFolder()
        let time = ManualTime()
        let log = try openLog(folder, time: time)
        let stream = try log.register(pump)
        let service = Task { try await log.run() }
        await time.untilAsleep(1)
        log.append(pumpBatch(stream, 0))
        #expect(log.statistics.commits == 0)
        time.advance(by: .milliseconds(100))
        await time.untilAsleep(1)
        while log.statistics.commits == 0 { await Task.yield() }
        log.append(pumpBatch(stream, 1))
        service.cancel()
        await #expect(throws: CancellationError.self) { try await service.value }
        #expect(log.statistics.commits == 2)
        #expect(try Historian.openReadOnly(folder: folder.log).ledger().total.stored == 6)
        try await log.close()
    }

    @Test func readersOfAClosedLogAreTold() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        let reader = Task { try await cursor.read(atMost: 1) }
        await Task.yield()
        try await log.close()
        let error = await #expect(throws: GatewayError.self) { try await reader.value }
        #expect(error?.code == .stopped)
    }

    @Test func absurdStreamsAreRefused() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder)
        let huge = StreamDescriptor(
            device: "d", group: "g", tags: (0..<1100).map { Tag("t\($0)", .string, stringCapacity: Tag.stringCapacityMax) })
        let error = #expect(throws: GatewayError.self) { try log.register(huge) }
        #expect(error?.code == .limitExceeded)
        try await log.close()
    }

    @Test func queriesARangeBesideTheWriter() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder)
        let stream = try log.register(pump)
        for number in 0..<20 { log.append(pumpBatch(stream, number)) }
        try await log.flush()
        let reader = try Historian.openReadOnly(folder: folder.log)
        var values: [Variant?] = []
        let start = Timestamp(milliseconds: 1_700_000_000_000)
        let count = try reader.query(
            device: "pump-1", tags: ["temperature"], from: start.advanced(by: .milliseconds(500)), to: start.advanced(by: .seconds(1)),
            limit: 4
        ) { values.append($0.value.value) }
        #expect(count == 4)
        #expect(values == [.double(0.5), .double(0.6), .double(0.7), .double(0.8)])
        #expect(try reader.query(device: "nobody") { _ in } == 0)
        let end = try reader.end()
        log.append(pumpBatch(stream, 20))
        try await log.flush()
        #expect(try reader.entries(after: end, atMost: 10).compactMap(\.batch).map(\.sequence) == [20])
        try await log.close()
    }
}
