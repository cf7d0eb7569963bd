import GatewayCore
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import Historian

/// What happens at the disk limit, and what is written to the medium.
struct RetentionTests {
    private static let fast = StreamDescriptor(
        device: "press", group: "fast",
        tags: [
            Tag("pressure", .int16, scaling: Scaling(scale: 0.1)), Tag("force", .float64), Tag("isRunning", .bool),
            Tag("recipe", .string, stringCapacity: 8), Tag("count", .uint64),
        ] + (0..<60).map { Tag("noise\($0)", .float64) })
    private static let health = StreamDescriptor(device: "press", group: StreamDescriptor.healthGroup, tags: [Tag("score", .float32)])

    /// Ten batches a second from midnight on; the run changes every 20 minutes, the recipe every hour.
    private static func batch(_ stream: StreamID, _ number: Int, _ random: inout SeededGenerator) -> SampleBatch {
        var batch = SampleBatch(stream: stream, descriptor: fast, time: time(number), status: .good)
        batch.set(.int(Int64(number % 3000 - 1500)), tag: 0, in: fast)
        batch.set(.double(Double(number) / 7), tag: 1, in: fast)
        batch.set(.bool(number / 12_000 % 2 == 0), tag: 2, in: fast)
        batch.set(.string("r\(number / 36_000)"), tag: 3, in: fast)
        batch.set(.uint(UInt64(number) + (1 << 63)), tag: 4, in: fast)
        for tag in 5..<65 { batch.set(.double(Double(UInt64.random(in: 0 ... .max, using: &random) >> 11)), tag: tag, in: fast) }
        return batch
    }

    private static let start: Int64 = 1_700_006_400_000
    private static func time(_ number: Int) -> Timestamp { Timestamp(milliseconds: start + Int64(number) * 1000) }

    private func size(of folder: TemporaryFolder) throws -> Int {
        try Files.names(in: folder.log).filter { $0 != "journal" }.reduce(0) { $0 + Files.size(folder.log + "/" + $1) }
            + Files.names(in: folder.journal).reduce(0) { $0 + Files.size(folder.journal + "/" + $1) }
    }

    private func levels(_ folder: TemporaryFolder) throws -> [UInt8] {
        try Files.names(in: folder.journal).compactMap { BlockFormat.parse(fileName: $0)?.level }
    }

    @Test func oldDataIsThinnedBeforeItGoesAndStillAnswersQuestions() async throws {
        var random = SeededGenerator()
        let folder = TemporaryFolder()
        let limit = 6 << 20
        var log = try openLog(folder, diskLimit: limit)
        let stream = try log.register(RetentionTests.fast)
        let scores = try log.register(RetentionTests.health)
        let live = try log.cursor(named: "route/live", from: .oldest)
        // About three times what the limit holds, batch by batch.
        let count = 36_000
        for number in 0..<count {
            log.append(RetentionTests.batch(stream, number, &random))
            if number % 60 == 0 {
                var score = SampleBatch(stream: scores, descriptor: RetentionTests.health, time: RetentionTests.time(number), status: .good)
                score.set(.float(Float(number / 60)), tag: 0, in: RetentionTests.health)
                log.append(score)
            }
            if number % 400 == 399 {
                try await log.flush()
                let entries = try await live.read(atMost: 1000)
                if let last = entries.last { live.acknowledge(through: last.position) }
                try await log.flush()
                try await log.seal()
                #expect(try size(of: folder) <= limit)
            }
        }
        let found = try levels(folder)
        #expect(found.contains(1), "\(found)")
        let ledger = try await log.ledger()
        #expect(ledger.unbalanced.first == nil)
        let total = ledger.total
        #expect(total.thinned > 0)
        #expect(total.removed == 0 && total.cursors.allSatisfy { $0.evicted == 0 })
        // Scores are kept singly to the last.
        #expect(ledger.tags.first { $0.tag == "score" }.map { $0.onDisk == 600 && $0.thinned == 0 } == true)
        let fresh = try log.cursor(named: "route/new", from: .oldest)
        let entries = try await drain(fresh)
        #expect(entries.allSatisfy { $0.gap == nil })
        #expect(try await log.ledger().isBalanced)
        try await log.close()

        // Every minute of the ten hours still has its extremes, its mean and its last value.
        let reader = try Historian.openReadOnly(folder: folder.log)
        let snapshot = try reader.snapshot()
        let series = Series.all(in: snapshot.streams).filter {
            $0.device == "press" && ["pressure", "isRunning", "recipe", "count"].contains($0.tag.name)
        }
        #expect(series.count == 4)
        let window = RetentionTests.time(0).nanoseconds..<RetentionTests.time(count).nanoseconds
        var rows: [[String: [Cell?]]] = []
        let report = try reader.buckets(
            of: series, [.min, .max, .mean, .last, .count], layout: BucketLayout(window: window, width: 60_000_000_000), in: snapshot
        ) { row in
            var cells: [String: [Cell?]] = [:]
            for (index, entry) in row.entries.enumerated() {
                cells[series[entry.series].tag.name] = Array(row.cells[(index * 5)..<(index * 5 + 5)])
            }
            rows.append(cells)
            return true
        }
        #expect(report.thinned > 0 && report.damaged == 0)
        #expect(rows.count == count / 60)
        for (minute, row) in rows.enumerated() {
            let numbers = (minute * 60)..<(minute * 60 + 60)
            let values = numbers.map { Double($0 % 3000 - 1500) / 10 }
            func number(_ tag: String, _ place: Int) -> Double? { row[tag]?[place].flatMap { $0.number } }
            #expect(number("pressure", 0) == values.min(), "minute \(minute)")
            #expect(number("pressure", 1) == values.max(), "minute \(minute)")
            #expect(abs((number("pressure", 2) ?? .nan) - values.reduce(0, +) / 60) < 1e-9, "minute \(minute)")
            #expect(number("pressure", 3) == values.last, "minute \(minute)")
            #expect(number("pressure", 4) == 60)
            let last = minute * 60 + 59
            #expect(row["recipe"]?[3]?.shown == "r\(last / 36_000)")
            #expect(row["isRunning"]?[3]?.shown == (last / 12_000 % 2 == 0 ? "true" : "false"), "minute \(minute)")
        }

        // Opened again, the account is the same.
        log = try openLog(folder, diskLimit: limit)
        #expect(log.recovery.isClean)
        #expect(try await log.ledger().total.thinned == total.thinned)
        try await log.close()
    }

    @Test func whatARouteWaitsForGoesLastOfAll() async throws {
        var random = SeededGenerator()
        let folder = TemporaryFolder()
        let log = try openLog(folder, diskLimit: 4 << 20)
        let stream = try log.register(RetentionTests.fast)
        let slow = try log.cursor(named: "route/slow", from: .oldest)
        for number in 0..<16_000 {
            log.append(RetentionTests.batch(stream, number, &random))
            if number % 400 == 399 {
                try await log.flush()
                if number < 4000 {
                    let entries = try await slow.read(atMost: 1000)
                    if let last = entries.last { slow.acknowledge(through: last.position) }
                    try await log.flush()
                }
                try await log.seal()
            }
        }
        let total = try await log.ledger().total
        #expect(try await log.ledger().isBalanced)
        let cursor = try #require(total.cursors.first)
        // What was acknowledged has been thinned and has gone; only then was anything evicted that was waited for.
        #expect(total.thinned > 0 || total.removed > 0)
        #expect(cursor.evicted > 0)
        #expect(cursor.pending > 0)
        let entries = try await slow.read(atMost: 1)
        #expect(entries.first?.gap == cursor.evicted)
        try await log.close()
    }

    @Test func theLogCanStopInsteadAndNothingStoredGoes() async throws {
        var random = SeededGenerator()
        let folder = TemporaryFolder()
        let configuration = HistorianConfiguration(folder: folder.log, diskLimit: 4 << 20, policy: .stop, memoryTailBytes: 256 << 10)
        let log = try Historian(configuration: configuration, time: SystemTime(), logger: quiet)
        let stream = try log.register(RetentionTests.fast)
        var refused = 0
        for number in 0..<14_000 {
            log.append(RetentionTests.batch(stream, number, &random))
            if number % 200 == 199 { do { try await log.flush() } catch { refused += 1 } }
        }
        #expect(refused > 0)
        let total = try await log.ledger().total
        #expect(try await log.ledger().isBalanced)
        #expect(total.notOnDisk > 0 && total.removed == 0 && total.thinned == 0)
        let first = try await log.cursor(named: "route/a", from: .oldest).read(atMost: 1).first
        #expect(first?.batch?.sequence == 0)
        try? await log.close()
    }

    @Test("scenario 06: what is written to flash is measured, and kept within a budget")
    func writesAreMeasuredAndLimited() async throws {
        // A small site: one poll of five tags a second, for hours.
        func run(_ hours: Int, budget: Int?) async throws -> (written: UInt64, samples: UInt64, interval: Duration) {
            let folder = TemporaryFolder()
            let time = ManualTime()
            let configuration = HistorianConfiguration(folder: folder.log, diskLimit: 64 << 20, writeBudget: budget)
            let log = try Historian(configuration: configuration, time: time, logger: quiet)
            let stream = try log.register(pump)
            let live = try log.cursor(named: "route/live", from: .oldest)
            var next = time.now
            for second in 0..<(hours * 3600) {
                log.append(pumpBatch(stream, second))
                if let last = try await live.read(atMost: 10).last { live.acknowledge(through: last.position) }
                let until = time.now.advanced(by: .seconds(1))
                while next < until {
                    time.advance(by: time.now.duration(to: next))
                    next = next.advanced(by: await log.turn())
                }
                time.advance(by: time.now.duration(to: until))
            }
            let statistics = log.statistics
            try await log.close()
            #expect(try Historian.openReadOnly(folder: folder.log).storage().bytesWritten >= statistics.bytesWritten)
            return (statistics.bytesWritten, statistics.samples, statistics.commitInterval)
        }
        let free = try await run(1, budget: nil)
        #expect(free.written > 0 && free.samples > 3 * 3500)
        let perDay = Int(free.written) * 24
        // A quarter of that is enough for a while of finding the pace, and then keeping it.
        let kept = try await run(2, budget: perDay / 4)
        #expect(kept.interval > .seconds(1))
        #expect(kept.samples > 2 * 3 * 3500)
        #expect(Double(kept.written) * 12 < Double(perDay) / 2, "\(kept) of \(perDay)")
    }
}

extension Cell {
    fileprivate var shown: String {
        var text = TextBuffer()
        text.append(self)
        return String(decoding: text.bytes, as: UTF8.self)
    }
    fileprivate var number: Double? { Double(shown) }
}
