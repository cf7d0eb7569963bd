import Dispatch
import GatewayCore
import Telemetry
import TestKit
import Testing

@testable import Historian

@Suite("Reading columns")
struct ColumnsTests {
    private struct Expected: Hashable {
        var position: UInt64
        var time: Int64
        var status: StatusCode
        var raw: Variant?
    }

    private static let mixed = StreamDescriptor(
        device: "mixed", group: "fast",
        tags: [
            Tag("flag", .bool), Tag("i8", .int8), Tag("u8", .uint8), Tag("i16", .int16, scaling: Scaling(scale: 0.1)), Tag("u16", .uint16),
            Tag("i32", .int32), Tag("u32", .uint32), Tag("i64", .int64), Tag("u64", .uint64), Tag("f32", .float32), Tag("f64", .float64),
            Tag("text", .string, stringCapacity: 9),
        ])

    private static func randomRaw(_ type: DataType, _ generator: inout SeededGenerator) -> Variant {
        switch type {
        case .bool: .bool(Bool.random(using: &generator))
        case .int8: .int(Int64(Int8.random(in: .min ... .max, using: &generator)))
        case .uint8: .uint(UInt64(UInt8.random(in: .min ... .max, using: &generator)))
        case .int16: .int(Int64(Int16.random(in: .min ... .max, using: &generator)))
        case .uint16: .uint(UInt64(UInt16.random(in: .min ... .max, using: &generator)))
        case .int32: .int(Int64(Int32.random(in: .min ... .max, using: &generator)))
        case .uint32: .uint(UInt64(UInt32.random(in: .min ... .max, using: &generator)))
        case .int64: .int(Int64.random(in: .min ... .max, using: &generator))
        case .uint64: .uint(UInt64.random(in: .min ... .max, using: &generator))
        case .float32: .float(Float.random(in: -1e6...1e6, using: &generator))
        case .float64: .double(Double.random(in: -1e6...1e6, using: &generator))
        case .string: .string(["", "a", "ümlaut", "nine char"].randomElement(using: &generator) ?? "")
        }
    }

    @Test("every sample comes once, in order, with its raw value, status and time, through several starts of the gateway")
    func everySample() async throws {
        var generator = SeededGenerator()
        let folder = TemporaryFolder()
        var expected: [TagID: [Expected]] = [:]
        var position: UInt64 = 0
        var time: Int64 = 1_700_000_000_000_000_000
        var ends: [Int64] = []
        for _ in 0..<3 {
            let log = try openLog(folder, diskLimit: 4 << 20)
            let streams = [try log.register(Self.mixed), try log.register(pump)]
            for _ in 0..<3000 {
                let which = Int.random(in: 0...1, using: &generator)
                let descriptor = which == 0 ? Self.mixed : pump
                var batch = SampleBatch(stream: streams[which], descriptor: descriptor, time: Timestamp(nanoseconds: time), status: .good)
                let statuses: [StatusCode] = descriptor.tags.map { _ in
                    [.good, .good, .good, .uncertain, .badTimeout].randomElement(using: &generator) ?? .good
                }
                batch.quality = QualityRun.runs(of: statuses)
                if Int.random(in: 0...2, using: &generator) == 0 {
                    batch.presence = [UInt64.random(in: 0..<(1 << UInt64(descriptor.tags.count)), using: &generator)]
                }
                position += 1
                for (index, tag) in descriptor.tags.enumerated() where batch.has(index) {
                    var raw: Variant?
                    if !statuses[index].isBad {
                        batch.set(Self.randomRaw(tag.dataType, &generator), tag: index, in: descriptor)
                        // A text may have been cut to its slot.
                        raw = batch.raw(of: index, in: descriptor)
                    }
                    expected[TagID(stream: streams[which], index: index), default: []]
                        .append(Expected(position: position, time: time, status: statuses[index], raw: raw))
                }
                log.append(batch)
                // Sometimes the clock is set back.
                time +=
                    Int.random(in: 0..<50, using: &generator) == 0 ? -5_000_000_000 : Int64.random(in: 0...200_000_000, using: &generator)
            }
            try await log.flush()
            try await log.close()
            ends.append(time)
        }
        let reader = try Historian.openReadOnly(folder: folder.log)
        let snapshot = try reader.snapshot()
        for range in [(nil, nil), (ends[0], ends[1]), (nil, ends[0])] as [(Int64?, Int64?)] {
            let (from, to) = (range.0.map { Timestamp(nanoseconds: $0) }, range.1.map { Timestamp(nanoseconds: $0) })
            var found: [TagID: [Expected]] = [:]
            var interruptions = 0
            let report = try reader.columns(of: TagSelection(all: snapshot.streams), in: snapshot, from: from, to: to) { section in
                if section.interruptedAt != nil { interruptions += 1 }
                #expect(section.slices.reduce(0) { $0 + $1.times.count } <= ReadRequest.rowsMax)
                for slice in section.slices {
                    #expect(slice.times.allSatisfy { $0 >= section.nothingBefore.nanoseconds })
                    for column in slice.columns { Self.collect(column, of: slice, into: &found) }
                }
                return true
            }
            #expect(report.isComplete)
            #expect(interruptions == (range.0 == nil && range.1 == nil ? 2 : interruptions))
            let wanted = expected.mapValues { $0.filter { $0.time >= range.0 ?? .min && $0.time < range.1 ?? .max } }.filter {
                !$0.value.isEmpty
            }
            for (tag, samples) in wanted {
                let difference = zip(found[tag] ?? [], samples).first { $0 != $1 }
                #expect(
                    found[tag]?.count == samples.count && difference == nil,
                    "seed \(generator.seed): \(tag) \(String(describing: difference))")
            }
            #expect(found.count == wanted.count)
        }
        let latest = try reader.latest(of: TagSelection(all: snapshot.streams), in: snapshot)
        for (tag, samples) in expected {
            let last = try #require(samples.last)
            let sample = try #require(latest[tag])
            #expect(sample.position == last.position && sample.status == last.status && sample.raw == last.raw && sample.isContinuous)
        }
        let before = try reader.latest(of: TagSelection(all: snapshot.streams), in: snapshot, before: Timestamp(nanoseconds: ends[0]))
        for (tag, samples) in expected {
            let last = samples.last { $0.time < ends[0] }
            #expect(before[tag]?.position == last?.position)
        }
    }

    private static func collect(_ column: TagColumn, of slice: StreamSlice, into found: inout [TagID: [Expected]]) {
        var index = 0
        let id = TagID(stream: slice.stream, index: column.tag)
        for run in column.quality {
            for _ in 0..<run.count {
                let row = column.rows.map { Int($0[index]) } ?? index
                let raw = run.status.isBad ? nil : column.raw(at: index, as: slice.descriptor.tags[column.tag].dataType)
                found[id, default: []].append(
                    Expected(position: slice.positions[row], time: slice.times[row], status: run.status, raw: raw))
                index += 1
            }
        }
    }

    @Test("rows of several streams come in the order in which they were stored")
    func rowOrder() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder)
        let first = try log.register(wideDescriptor(2, device: "a"))
        let second = try log.register(wideDescriptor(3, device: "b"))
        for number in 0..<100 {
            let isFirst = number % 3 == 0
            log.append(
                SampleBatch(
                    stream: isFirst ? first : second, descriptor: wideDescriptor(isFirst ? 2 : 3, device: isFirst ? "a" : "b"),
                    time: Timestamp(milliseconds: Int64(number)), status: .good))
        }
        try await log.flush()
        let reader = try Historian.openReadOnly(folder: folder.log)
        let snapshot = try reader.snapshot()
        var times: [Int64] = []
        var widths: [Int] = []
        _ = try reader.rows(of: Series.all(in: snapshot.streams), in: snapshot) { row in
            times.append(row.time.milliseconds)
            widths.append(row.entries.count)
            return times.count < 50
        }
        #expect(times == Array(0..<50))
        #expect(widths == (0..<50).map { $0 % 3 == 0 ? 2 : 3 })
        try await log.close()
    }

    @Test("what retention removes while it is read is counted, and what is left comes")
    func evictionInTheMiddle() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder, diskLimit: 4 << 20)
        let wide = wideDescriptor(500)
        let stream = try log.register(wide)
        try await Self.fill(log, stream, 0..<2600)
        let reader = try Historian.openReadOnly(folder: folder.log)
        let snapshot = try reader.snapshot()
        #expect(snapshot.state.segments.count > 3)
        let stored = snapshot.state.segments.reduce(0) { $0 + ($1.tallies[stream]?[0] ?? 0) }
        var seen: [UInt64] = []
        let report = try reader.columns(of: TagSelection([stream: [0]]), in: snapshot) { section in
            if seen.isEmpty {
                // The writer goes on until nothing but the newest data is left.
                let done = Checkpoint()
                Task.detached {
                    try await Self.fill(log, stream, 2600..<8600)
                    done.reach()
                }
                done.wait()
            }
            seen += section.slices.flatMap(\.positions)
            return true
        }
        #expect(report.evicted > 0 && report.damaged == 0)
        #expect(UInt64(seen.count) + report.evicted == stored)
        #expect(zip(seen, seen.dropFirst()).allSatisfy { $0 < $1 })
        try await log.close()
    }

    private static func fill(_ log: Historian, _ stream: StreamID, _ numbers: Range<Int>) async throws {
        let wide = wideDescriptor(500)
        for number in numbers {
            log.append(SampleBatch(stream: stream, descriptor: wide, time: Timestamp(milliseconds: Int64(number)), status: .good))
            if number % 200 == 0 { try await log.flush() }
        }
        try await log.flush()
    }

    @Test("damage is counted, and ends what a value is known to hold")
    func damage() async throws {
        let folder = TemporaryFolder()
        var log = try openLog(folder)
        let stream = try log.register(pump)
        for number in 0..<30 { log.append(pumpBatch(stream, number)) }
        try await log.flush()
        try await log.close()
        let path = try #require(folder.segments.first)
        var bytes = try readBytes(path)
        bytes[bytes.count / 2] ^= 0x10
        try writeBytes(bytes, to: path)
        log = try openLog(folder)
        try await log.close()
        let reader = try Historian.openReadOnly(folder: folder.log)
        let snapshot = try reader.snapshot()
        var seen = 0
        var interruptions: [Timestamp?] = []
        let report = try reader.columns(of: TagSelection([stream: [0]]), in: snapshot) { section in
            seen += section.slices.reduce(0) { $0 + $1.times.count }
            interruptions.append(section.interruptedAt)
            return true
        }
        #expect(report.damaged == 1 && seen == 29, "\(report) \(seen)")
        #expect(interruptions.count == 2 && interruptions[0] == nil && interruptions[1] != nil)
    }

    @Test("buckets hold the value from before the range, join streams of one series, and scale at the end")
    func buckets() async throws {
        let folder = TemporaryFolder()
        let log = try openLog(folder)
        let first = StreamDescriptor(device: "p", group: "g", tags: [Tag("t", .int16, scaling: Scaling(scale: 0.1), unit: "Cel")])
        let second = StreamDescriptor(
            device: "p", group: "g",
            tags: [Tag("t", .int16, scaling: Scaling(scale: 0.1), unit: "Cel"), Tag("minus", .int16, scaling: Scaling(scale: -2))])
        let streams = [try log.register(first), try log.register(second)]
        func append(_ value: Int64, at seconds: Int64, to place: Int) {
            let descriptor = place == 0 ? first : second
            var batch = SampleBatch(
                stream: streams[place], descriptor: descriptor, time: Timestamp(milliseconds: seconds * 1000), status: .good)
            batch.set(.int(value), tag: 0, in: descriptor)
            if place == 1 { batch.set(.int(value), tag: 1, in: descriptor) }
            log.append(batch)
        }
        append(235, at: 50, to: 0)
        append(100, at: 90, to: 0)
        append(300, at: 150, to: 1)
        append(1, at: 170, to: 1)
        try await log.flush()
        try await log.close()
        // After the restart the tag is no longer read: nothing says that the value of 170 s still held.
        let other = try openLog(folder)
        let later = try other.register(wideDescriptor(1))
        other.append(SampleBatch(stream: later, descriptor: wideDescriptor(1), time: Timestamp(milliseconds: 178_000), status: .good))
        try await other.flush()
        let reader = try Historian.openReadOnly(folder: folder.log)
        let snapshot = try reader.snapshot()
        let series = Series.all(in: snapshot.streams).filter { $0.device == "p" }
        #expect(series.map(\.name) == ["p/t", "p/minus"])
        #expect(series[0].members.count == 2)
        let second1: Int64 = 1_000_000_000
        var rows: [OutputRow] = []
        _ = try reader.buckets(
            of: series, [.timeWeightedMean, .min, .max, .count, .durationGood],
            layout: BucketLayout(window: (60 * second1)..<(180 * second1), width: 60 * second1), in: snapshot
        ) { row in
            rows.append(row)
            return true
        }
        #expect(rows.map { $0.time.milliseconds } == [60_000, 120_000])
        #expect(rows[0].entries.map { $0.series } == [0])
        #expect(rows[0].cells[1] == .decimal(100, digits: 1) && rows[0].cells[3] == .integer(1) && rows[0].cells[4] == .real(60))
        guard case .real(let mean) = rows[0].cells[0] else { throw GatewayError(.notFound, resource: "row", operation: "test", "no mean") }
        #expect(abs(mean - (23.5 * 30 + 10.0 * 30) / 60) < 1e-9)
        #expect(rows[1].entries.map { $0.series } == [0, 1])
        #expect(rows[1].cells[4] == .real(50))
        #expect(rows[1].cells[6] == .real(-600) && rows[1].cells[7] == .real(-2))
        try await other.close()
    }
}

/// Lets a synchronous place of a test wait for a task.
private final class Checkpoint: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)
    func reach() { semaphore.signal() }
    func wait() { semaphore.wait() }
}
