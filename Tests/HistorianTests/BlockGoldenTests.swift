import Foundation
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import Historian

/// The bytes of blocks are fixed: what is written today is what was written, and what was written can be read.
struct BlockGoldenTests {
    private static let descriptor = StreamDescriptor(
        device: "d", group: "g",
        tags: [
            Tag("i", .int16), Tag("f", .float32), Tag("t", .string, stringCapacity: 6), Tag("b", .bool), Tag("d", .float64),
            Tag("u", .uint64),
        ])
    private static let stream = StreamID(rawValue: 1)

    private static let batches: [SampleBatch] = (0..<40).map { number in
        var batch = SampleBatch(
            stream: stream, descriptor: descriptor, time: Timestamp(milliseconds: 1_700_000_000_000 + Int64(number) * 1000), status: .good)
        batch.epoch = 3
        batch.sequence = UInt64(number)
        batch.set(.int(Int64(200 + number % 7)), tag: 0, in: descriptor)
        batch.set(.float(Float(number) / 4), tag: 1, in: descriptor)
        batch.set(.string(number < 20 ? "on" : "off"), tag: 2, in: descriptor)
        batch.set(.bool(number >= 30), tag: 3, in: descriptor)
        batch.set(.double(Double(number) / 3), tag: 4, in: descriptor)
        batch.set(.uint(UInt64.max - UInt64(number)), tag: 5, in: descriptor)
        if number == 5 { batch.presence = [0b10_1011] }
        if number == 5 { for place in Array(6..<14) + Array(15..<23) { batch.values[place] = 0 } }
        if number == 6 { batch.quality = [QualityRun(count: 2, status: .good), QualityRun(count: 4, status: .uncertainDataSubNormal)] }
        if number == 7 { batch.sourceTime = Timestamp(milliseconds: 1_600_000_000_000) }
        if number == 8 { batch.suppressedPolls = 2 }
        return batch
    }

    private static func file(_ folder: TemporaryFolder, level: UInt8, _ body: (inout BlockWriter) throws -> Void) throws -> [UInt8] {
        try Files.createFolder(folder.journal, on: SystemDisk())
        var writer = try BlockWriter(number: 9, level: level, journal: folder.journal, disk: SystemDisk())
        try body(&writer)
        _ = try writer.finish(
            BlockHeader(
                epoch: 3, number: 9, firstNumber: 8, base: 100, end: 141, created: Timestamp(milliseconds: 1_700_000_100_000),
                indexOffset: 0,
                indexBytes: 0, indexChecksum: 0, level: level))
        return try readBytes(folder.journal + "/" + BlockFormat.fileName(9, level: level))
    }

    private static func whole(_ folder: TemporaryFolder) throws -> [UInt8] {
        try file(folder, level: 0) { writer in
            var rows = ChunkRows(descriptor: descriptor)
            for (number, batch) in batches.enumerated() { rows.append(batch, at: UInt64(100 + number)) }
            try writer.append(rows, of: stream)
            var record: [UInt8] = []
            var counts = StreamCounts()
            counts.add(batches[0], tagCount: 6)
            JournalRecord.loss(Loss(first: 140, last: 141, counts: [stream: counts])).encode(into: &record)
            writer.append(BlockIndex.Record(kind: .loss, epoch: 3, payload: Array(record.dropFirst(JournalFormat.recordHeaderBytes))))
        }
    }

    private static func compare(_ bytes: [UInt8], with name: String) throws {
        var text = "# \(name), 16 bytes a line\n"
        for start in stride(from: 0, to: bytes.count, by: 16) {
            let line = bytes[start..<min(start + 16, bytes.count)].map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
            text += line.joined(separator: " ") + "\n"
        }
        let path = Checkout.root.appendingPathComponent("Tests/HistorianTests/Golden/\(name).hex")
        if ProcessInfo.processInfo.environment["INDUS_UPDATE_GOLDEN"] == "1" { try text.write(to: path, atomically: true, encoding: .utf8) }
        #expect(try String(contentsOf: path, encoding: .utf8) == text, "INDUS_UPDATE_GOLDEN=1 rewrites \(name).hex")
    }

    @Test func aBlockIsWrittenAndReadByteForByte() throws {
        let folder = TemporaryFolder()
        try BlockGoldenTests.compare(try BlockGoldenTests.whole(folder), with: "block")
        let records = BlockRecords(
            try BlockReader(path: folder.journal + "/" + BlockFormat.fileName(9, level: 0)) { _ in BlockGoldenTests.descriptor })
        for (number, batch) in BlockGoldenTests.batches.enumerated() {
            guard case .batch(let position, let found)? = try records.next(after: 0) else {
                Issue.record("batch \(number) is missing")
                return
            }
            #expect(position == UInt64(100 + number))
            #expect(found == batch)
        }
        guard case .loss(let loss)? = try records.next(after: 0) else {
            Issue.record("the loss is missing")
            return
        }
        #expect(loss.last == 141)
        #expect(try records.next(after: 0) == nil)
    }

    @Test func aThinnedBlockIsWrittenAndReadByteForByte() throws {
        let folder = TemporaryFolder()
        _ = try BlockGoldenTests.whole(folder)
        let reader = try BlockReader(path: folder.journal + "/" + BlockFormat.fileName(9, level: 0)) { _ in BlockGoldenTests.descriptor }
        let entry = try #require(reader.index?.entries.first)
        var lanes = ColumnLanes()
        let restored = try reader.restore(entry, lanes: &lanes)
        let chunk = try #require(restored)
        var summaries = StreamSummaries(descriptor: BlockGoldenTests.descriptor, bucket: .seconds(10))
        summaries.add(chunk, clock: ClockBook())
        let bytes = try BlockGoldenTests.file(folder, level: 1) { try $0.append(summaries, of: BlockGoldenTests.stream) }
        try BlockGoldenTests.compare(bytes, with: "block-thinned")
        let thinned = try BlockReader(path: folder.journal + "/" + BlockFormat.fileName(9, level: 1)) { _ in BlockGoldenTests.descriptor }
        let thinnedEntry = try #require(thinned.index?.entries.first)
        let summarized = try thinned.summaries(thinnedEntry, lanes: &lanes)
        let found = try #require(summarized)
        #expect(found.batches == [10, 10, 10, 10])
        #expect(found.tags[0].minimum == [200, 200, 200, 200] && found.tags[0].maximum == [206, 206, 206, 206])
        #expect(found.tags[4].good == [9, 10, 10, 10])
        #expect(found.tags[2].isOfChanges && found.tags[3].isOfChanges)
        #expect(found.tags[3].changes.map(\.bucket) == [0, 0, 0, 3])
    }
}
