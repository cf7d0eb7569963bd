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

/// 2026-03-01T00:00:00Z.
private let march = Timestamp(nanoseconds: 1_772_323_200_000_000_000)

/// A box with a log: its clocks are the test's, and the log and its process come and go.
private final class Box {
    let folder = TemporaryFolder()
    let clock = ManualTime()
    var boot = BootID(high: 1, low: 1)
    private(set) var time: DisciplinedTime
    private(set) var log: Historian
    private(set) var stream: StreamID
    private var number = 0
    private let tail: Int

    init(wall: Timestamp, isSynchronized: Bool, tail: Int = 1 << 20) throws {
        clock.setWallClock(wall)
        clock.setSynchronized(isSynchronized)
        self.tail = tail
        time = DisciplinedTime(clock: clock, trust: .synchronized)
        log = try openLog(folder, tail: tail, time: time, boot: boot)
        time.tell(log, time.firstEvents)
        stream = try log.register(pump)
    }

    /// The next poll, a second after the one before; its value is its number.
    func poll() async throws {
        clock.advance(by: .seconds(1))
        log.append(stamped())
        if number % 50 == 0 { try await log.flush() }
    }

    func stamped() -> SampleBatch {
        var batch = pumpBatch(stream, number)
        batch.stamp = time.stamp
        number += 1
        return batch
    }

    func look() { _ = time.update(log) }

    func restart() async throws {
        try await log.close()
        try start()
    }

    func start() throws {
        time = DisciplinedTime(clock: clock, trust: .synchronized)
        log = try openLog(folder, tail: tail, time: time, boot: boot)
        time.tell(log, time.firstEvents)
        stream = try log.register(pump)
    }

    /// What a route has been given, with what a query finds on disk: both must be the same.
    func everything(_ name: String = "route/a", sourceLocation: SourceLocation = #_sourceLocation) async throws -> [SampleBatch] {
        try await log.flush()
        let cursor = try log.cursor(named: name, from: .oldest)
        var read: [SampleBatch] = []
        while cursor.pendingSamples > 0 {
            let entries = try await cursor.read(atMost: 50)
            read += entries.compactMap(\.batch)
            if let last = entries.last { cursor.acknowledge(through: last.position) }
        }
        var found: [(Timestamp, Bool)] = []
        try Historian.openReadOnly(folder: folder.log).query(tags: ["temperature"]) { sample in
            found.append((sample.value.time, sample.value.isTimeUncertain))
        }
        #expect(found.map(\.0) == read.map(\.time), sourceLocation: sourceLocation)
        #expect(found.map(\.1) == read.map(\.isTimeUncertain), sourceLocation: sourceLocation)
        return read
    }
}

private func seconds(_ batches: [SampleBatch]) -> [Int64] { batches.map { $0.time.since(march).nanoseconds / 1_000_000_000 } }
private func values(_ batches: [SampleBatch]) -> [Variant] { batches.map { $0.raw(of: 0, in: pump) } }

@Suite("Clock and log")
struct ClockTests {
    @Test("scenario 23: the box boots in 1970 and NTP comes ten minutes later: in order, at the right times, without a duplicate")
    func lateNTP() async throws {
        let box = try Box(wall: Timestamp(nanoseconds: 0), isSynchronized: false)
        for _ in 0..<600 { try await box.poll() }
        let before = try await box.everything("route/before")
        #expect(before.allSatisfy { $0.isTimeUncertain && $0.time < Timestamp(nanoseconds: 601_000_000_000) })
        let onItsWay = box.stamped()
        box.clock.setWallClock(march.advanced(by: .seconds(600)))
        box.clock.setSynchronized(true)
        box.look()
        box.log.append(onItsWay)
        for _ in 0..<10 { try await box.poll() }
        let after = try await box.everything()
        #expect(seconds(after) == Array(1...600) + [600] + Array(601...610))
        #expect(values(after) == (0..<611).map { .int($0) })
        #expect(after.allSatisfy { !$0.isTimeUncertain && $0.clockMapping == 0 })
        #expect(try await box.log.ledger().isBalanced)
        try await box.restart()
        #expect(try await box.everything("route/again") == after)
        try await box.log.close()
    }

    @Test("scenario 23: a human sets the date: uncertain times move along, and stay uncertain until NTP comes")
    func humanSetsTheDate() async throws {
        let box = try Box(wall: Timestamp(nanoseconds: 0), isSynchronized: false)
        for _ in 0..<5 { try await box.poll() }
        box.clock.setWallClock(march.advanced(by: .seconds(3605)))
        box.look()
        for _ in 0..<5 { try await box.poll() }
        let human = try await box.everything("route/human")
        #expect(seconds(human) == Array(3601...3610))
        #expect(human.allSatisfy { $0.isTimeUncertain })
        box.clock.setWallClock(march.advanced(by: .seconds(10)))
        box.clock.setSynchronized(true)
        box.look()
        try await box.poll()
        let after = try await box.everything()
        #expect(seconds(after) == Array(1...11))
        #expect(after.allSatisfy { !$0.isTimeUncertain })
        try await box.log.close()
    }

    @Test(
        "scenario 23: the box clock jumps: the series stays in order and keeps its distances",
        arguments: [
            ("to 1970", Timestamp(nanoseconds: 0)), ("to 2000", Timestamp(nanoseconds: 946_684_800_000_000_000)),
            ("forward", march.advanced(by: .seconds(10 * 86_400))), ("by daylight saving", march.advanced(by: .seconds(-3595))),
        ])
    func jump(name: String, wall: Timestamp) async throws {
        let box = try Box(wall: march, isSynchronized: true)
        for _ in 0..<5 { try await box.poll() }
        box.clock.setWallClock(wall)
        box.clock.setSynchronized(false)
        box.look()
        for _ in 0..<5 { try await box.poll() }
        box.clock.setWallClock(march.advanced(by: .seconds(10)))
        box.clock.setSynchronized(true)
        box.look()
        for _ in 0..<5 { try await box.poll() }
        let all = try await box.everything()
        #expect(seconds(all) == Array(1...15), "\(name)")
        #expect(all.map(\.isTimeUncertain) == (0..<15).map { (5..<10).contains($0) })
        #expect(values(all) == (0..<15).map { .int($0) })
        try await box.log.close()
    }

    @Test("scenario 23: the gateway starts again before NTP comes, or while it comes: one boot is one line of time")
    func restartsWithinTheBoot() async throws {
        let box = try Box(wall: Timestamp(nanoseconds: 0), isSynchronized: false)
        for _ in 0..<5 { try await box.poll() }
        try await box.restart()
        for _ in 0..<5 { try await box.poll() }
        try await box.log.close()
        box.clock.setWallClock(march.advanced(by: .seconds(10)))
        box.clock.setSynchronized(true)
        try box.start()
        try await box.poll()
        let all = try await box.everything()
        #expect(seconds(all) == Array(1...11))
        let epochs = all.map(\.epoch)
        #expect(Set(epochs[..<5]).count == 1 && Set(epochs[5..<10]).count == 1)
        #expect(epochs[4] < epochs[5] && epochs[9] < epochs[10])
        #expect(all.allSatisfy { !$0.isTimeUncertain })
        try await box.log.close()
    }

    @Test("times of an earlier boot cannot be corrected, and say so")
    func rebooted() async throws {
        let box = try Box(wall: Timestamp(nanoseconds: 0), isSynchronized: false)
        for _ in 0..<3 { try await box.poll() }
        try await box.log.close()
        box.boot = BootID(high: 1, low: 2)
        box.clock.setWallClock(march)
        box.clock.setSynchronized(true)
        try box.start()
        try await box.poll()
        let all = try await box.everything()
        #expect(all.map(\.isTimeUncertain) == [true, true, true, false])
        #expect(all.prefix(3).map(\.time) == (1...3).map { Timestamp(nanoseconds: $0 * 1_000_000_000) })
        #expect(all.allSatisfy { $0.clockMapping == 0 })
        try await box.log.close()
    }

    @Test("a lost database does not lose what is known of the clock, and a reader from disk sees it", arguments: [1 << 20, 64 << 10])
    func databaseLost(tail: Int) async throws {
        let box = try Box(wall: Timestamp(nanoseconds: 0), isSynchronized: false, tail: tail)
        for _ in 0..<2000 { try await box.poll() }
        box.clock.setWallClock(march.advanced(by: .seconds(1000)))
        box.look()
        for _ in 0..<10 { try await box.poll() }
        box.clock.setWallClock(march.advanced(by: .seconds(2010)))
        box.clock.setSynchronized(true)
        box.look()
        try await box.poll()
        let before = try await box.everything("route/before")
        #expect(seconds(before) == Array(1...2011))
        try await box.log.close()
        _ = TemporaryFolder.run("rm", "-f", box.folder.log + "/state.sqlite")
        #expect(Historian.readable(box.folder) == before.map(\.time))
        try box.start()
        #expect(box.log.recovery.catalogueRebuilt)
        #expect(try await box.everything("route/after").map(\.stamp) == before.map(\.stamp))
        try await box.log.close()
    }

    @Test("a crash between the correction and its commit corrects again at the next start")
    func crashAfterCorrection() async throws {
        let box = try Box(wall: Timestamp(nanoseconds: 0), isSynchronized: false)
        for _ in 0..<5 { try await box.poll() }
        try await box.log.flush()
        let copy = TemporaryFolder()
        _ = TemporaryFolder.run("cp", "-a", box.folder.log, copy.log)
        box.clock.setWallClock(march.advanced(by: .seconds(5)))
        box.clock.setSynchronized(true)
        box.look()
        try await box.log.close()
        // What the disk held before the correction, opened by the next process of the same boot.
        let time = DisciplinedTime(clock: box.clock, trust: .synchronized)
        let log = try openLog(copy, time: time, boot: box.boot)
        time.tell(log, time.firstEvents)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        let read = try await drain(cursor).compactMap(\.batch)
        #expect(seconds(read) == Array(1...5))
        #expect(read.allSatisfy { !$0.isTimeUncertain })
        try await log.close()
    }

    @Test("an uncertain clock takes no data away, and a corrected segment is found and kept by its right times")
    func retentionAndPruning() async throws {
        let folder = TemporaryFolder()
        let clock = ManualTime()
        clock.setWallClock(Timestamp(nanoseconds: 0))
        clock.setSynchronized(false)
        let time = DisciplinedTime(clock: clock, trust: .synchronized)
        let log = try openLog(folder, keepFor: .seconds(3600), time: time)
        time.tell(log, time.firstEvents)
        let stream = try log.register(pump)
        var batch = pumpBatch(stream, 0)
        batch.stamp = time.stamp
        log.append(batch)
        try await log.flush()
        clock.setWallClock(march)
        clock.setSynchronized(true)
        _ = time.update(log)
        try await log.flush()
        let reader = try Historian.openReadOnly(folder: folder.log)
        #expect(try reader.query(from: march, to: march.advanced(by: .seconds(1))) { _ in } == 3)
        #expect(try reader.query(from: nil, to: march) { _ in } == 0)
        try await log.close()
    }

    @Test("scenario 16: restarts and corrections never give an old value a new time, nor a value twice")
    func randomLife() async throws {
        let seed = seedOfThisRun()
        var random = SeededGenerator(seed: seed)
        for _ in 0..<6 {
            let box = try Box(wall: Timestamp(nanoseconds: 0), isSynchronized: false, tail: 64 << 10)
            // True time of every value: seconds of the monotonic clock, whatever the wall clock showed.
            var truth: [Int64] = []
            func elapsed() -> Int64 { box.clock.now.nanoseconds / 1_000_000_000 }
            for _ in 0..<40 {
                switch Int.random(in: 0..<8, using: &random) {
                case 0: box.clock.stepWallClock(by: .seconds(Int64.random(in: 0...1_000_000_000, using: &random)))
                case 1: try await box.restart()
                case 2: box.look()
                default:
                    for _ in 0..<Int.random(in: 1...80, using: &random) {
                        try await box.poll()
                        truth.append(elapsed())
                    }
                }
            }
            box.clock.setWallClock(march)
            box.clock.setSynchronized(true)
            box.look()
            let now = elapsed()
            let all = try await box.everything()
            #expect(seconds(all) == truth.map { $0 - now }, "seed \(seed)")
            #expect(values(all) == truth.indices.map { .int(Int64($0)) }, "seed \(seed)")
            #expect(all.allSatisfy { !$0.isTimeUncertain }, "seed \(seed)")
            #expect(try await box.log.ledger().isBalanced)
            try await box.log.close()
        }
    }

    @Test("a store of layout 1 opens with everything in it, for readers as it is")
    func layout1() async throws {
        let folder = TemporaryFolder()
        _ = TemporaryFolder.run("cp", "-a", goldenFolder + "/layout-1", folder.log)
        let reader = try Historian.openReadOnly(folder: folder.log)
        var before: [HistorianReader.Sample] = []
        try reader.query { before.append($0) }
        #expect(before.count == 8)
        #expect(before.first?.value.time.description == "2026-11-21T06:51:21.028Z")
        let log = try openLog(folder)
        #expect(log.recovery.isClean)
        #expect(log.epoch > 1)
        var after: [HistorianReader.Sample] = []
        try reader.query { after.append($0) }
        #expect(after == before)
        log.adopt(ClockMapping(number: 1, offset: 0, isCertain: false))
        let stream = try log.register(pump)
        var batch = pumpBatch(stream, 1)
        batch.stamp = ClockStamp(time: march, isUncertain: true, mapping: 1)
        batch.sourceTime = march.advanced(by: .seconds(-2))
        log.append(batch)
        try await log.close()
        var sources: [Timestamp?] = []
        try reader.query(device: pump.device) { sources.append($0.value.sourceTime) }
        #expect(sources == Array(repeating: march.advanced(by: .seconds(-2)), count: 3))
    }

    @Test("a clock that steps at every look costs bounded memory")
    func boundedBook() {
        var book = ClockBook()
        for number in 1...UInt32(ClockBook.stretchesMax + 100) {
            book.adopt(
                ClockMapping(number: number, offset: Int64(number), isCertain: false), epoch: 1, boot: BootID(high: 0, low: 0),
                first: UInt64(number))
        }
        #expect(book.stretches.count == ClockBook.stretchesMax)
    }
}

extension Historian {
    /// The times a reader without the database's help finds.
    fileprivate static func readable(_ folder: TemporaryFolder) -> [Timestamp] {
        var times: [Timestamp] = []
        _ = try? Historian.openReadOnly(folder: folder.log).query(tags: ["temperature"]) { times.append($0.value.time) }
        return times
    }
}
