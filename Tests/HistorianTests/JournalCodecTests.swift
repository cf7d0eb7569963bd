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

/// Bytes of the journal, without files.
struct JournalCodecTests {
    @Test func checksumsAreThoseOfTheStandard() {
        // RFC 3720, B.4.
        let vectors: [([UInt8], UInt32)] = [
            ([UInt8](repeating: 0, count: 32), 0x8A91_36AA), ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
            (Array(0..<32), 0x46DD_794E), (Array((0..<32).reversed()), 0x113F_DB5C),
            (
                [
                    0x01, 0xC0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18,
                    0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0,
                ], 0xD996_3A56
            ),
        ]
        for (bytes, expected) in vectors {
            #expect(bytes.withUnsafeBytes { CRC32C.checksum($0) } == expected)
            for cut in 0...bytes.count {
                let first = bytes[..<cut].withUnsafeBytes { CRC32C.checksum($0) }
                #expect(bytes[cut...].withUnsafeBytes { CRC32C.checksum($0, after: first) } == expected)
            }
        }
        #expect(Array("123456789".utf8).withUnsafeBytes { CRC32C.checksum($0) } == 0xE306_9283)
    }

    /// A log may move to a processor without the instruction, and back.
    @Test func checksumsAreTheSameWithoutTheProcessorsInstruction() {
        var generator = SeededGenerator(seed: 4)
        let bytes = (0..<300).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        bytes.withUnsafeBytes { bytes in
            for start in 0..<9 {
                for end in start...bytes.count {
                    let part = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
                    #expect(CRC32C.checksum(part, after: UInt32(end)) == CRC32C.checksumByTables(part, after: UInt32(end)))
                }
            }
            let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
            #expect(CRC32C.checksum(nothing, after: 7) == 7 && CRC32C.checksumByTables(nothing, after: 7) == 7)
        }
    }

    static let records: [(meaning: String, record: JournalRecord)] = {
        var partial = pumpBatch(StreamID(rawValue: 7), 42, presence: [0b011])
        partial.sequence = 3
        partial.epoch = 5
        partial.suppressedPolls = 2
        partial.quality = [QualityRun(count: 1, status: .good), QualityRun(count: 2, status: .badTimeout)]
        var stamped = pumpBatch(StreamID(rawValue: 7), 43)
        stamped.sequence = 4
        stamped.epoch = 5
        stamped.isTimeUncertain = true
        stamped.clockMapping = 1
        stamped.sourceTime = Timestamp(milliseconds: 1_699_999_999_000)
        var counts = StreamCounts()
        counts.add(partial, tagCount: 3)
        return [
            (
                "descriptor of stream 7: pump-1/fast, temperature int16 x0.1 Cel, isRunning bool, serial string(6)",
                .descriptor(StreamID(rawValue: 7), pump)
            ),
            (
                "batch: position 9, sequence 3, stream 7, 2 suppressed polls, Good then 2 x BadTimeout, tags 0 and 1",
                .batch(position: 9, partial)
            ),
            (
                "loss: positions 10 to 12, of stream 7 one partial batch after 2 suppressed polls",
                .loss(Loss(first: 10, last: 12, counts: [StreamID(rawValue: 7): counts]))
            ),
            (
                "batch with clock: position 13, sequence 4, stream 7, time uncertain and to be corrected, source time",
                .batch(position: 13, stamped)
            ),
            (
                "clock: from position 13 on, boot 0123456789abcdef-fedcba9876543210, offset 1 h, uncertain",
                .clock(
                    ClockStatement(
                        epoch: 5, boot: BootID(high: 0x0123_4567_89AB_CDEF, low: 0xFEDC_BA98_7654_3210), first: 13,
                        offset: 3_600_000_000_000, isCertain: false))
            ),
        ]
    }()
    static let header = SegmentHeader(epoch: 5, number: 2, base: 9, created: Timestamp(milliseconds: 1_700_000_000_000))

    @Test func goldenSegmentIsWrittenAndReadByteForByte() throws {
        var text = "# A whole segment: 16 bytes a line; a line that begins with # says what follows.\n"
        func add(_ bytes: [UInt8], _ meaning: String) {
            text += "# \(meaning)\n"
            for start in stride(from: 0, to: bytes.count, by: 16) {
                let line = bytes[start..<min(start + 16, bytes.count)].map { byte in
                    let digits = String(byte, radix: 16)
                    return digits.count == 1 ? "0" + digits : digits
                }
                text += line.joined(separator: " ") + "\n"
            }
        }
        var bytes: [UInt8] = []
        Self.header.encode(into: &bytes)
        add(bytes, "header: version 2, epoch 5, segment 2, base position 9, 2023-11-14T22:13:20Z")
        for (meaning, record) in Self.records {
            bytes = []
            record.encode(into: &bytes)
            add(bytes, meaning)
        }
        let path = goldenFolder + "/segment.hex"
        if getenv("INDUS_UPDATE_GOLDEN") != nil { try writeBytes(Array(text.utf8), to: path) }
        let stored = String(decoding: try readBytes(path), as: UTF8.self)
        #expect(stored == text)

        let segment = Self.bytes(ofHex: stored)
        let decoded = try segment.withUnsafeBytes { try SegmentHeader(decoding: $0) }
        #expect(decoded == Self.header)
        #expect(Self.decodeAll(segment, from: JournalFormat.segmentHeaderBytes) == Self.records.map(\.record))
    }

    @Test func goldenSegmentOfVersion1IsStillRead() throws {
        let segment = Self.bytes(ofHex: String(decoding: try readBytes(goldenFolder + "/segment-1.hex"), as: UTF8.self))
        #expect(segment[8] == 1)
        #expect(try segment.withUnsafeBytes { try SegmentHeader(decoding: $0) } == Self.header)
        #expect(Self.decodeAll(segment, from: JournalFormat.segmentHeaderBytes) == Self.records.prefix(3).map(\.record))
    }

    private static func bytes(ofHex text: String) -> [UInt8] {
        text.split(separator: "\n").filter { !$0.hasPrefix("#") }
            .flatMap { $0.split(separator: " ").compactMap { UInt8($0, radix: 16) } }
    }

    private static func decodeAll(_ bytes: [UInt8], from start: Int) -> [JournalRecord] {
        bytes.withUnsafeBytes { bytes in
            var records: [JournalRecord] = []
            var offset = start
            while offset < bytes.count,
                case .record(let kind, let payload) = RecordScanner.step(bytes, at: offset, remainingInFile: bytes.count - offset)
            {
                guard let record = JournalRecord(kind, payload: UnsafeRawBufferPointer(rebasing: bytes[payload]), epoch: 5) else { break }
                records.append(record)
                offset = payload.upperBound
            }
            return records
        }
    }

    @Test func noFlippedBitOfARecordGoesUnnoticed() {
        for (_, record) in Self.records {
            var bytes: [UInt8] = []
            record.encode(into: &bytes)
            for bit in 0..<(bytes.count * 8) {
                bytes[bit / 8] ^= 1 << (bit % 8)
                #expect(Self.decodeAll(bytes, from: 0) == [])
                bytes[bit / 8] ^= 1 << (bit % 8)
            }
            for count in 0..<bytes.count { #expect(Self.decodeAll(Array(bytes[..<count]), from: 0) == []) }
        }
    }

    @Test func noFlippedBitOfAHeaderGoesUnnoticed() {
        var bytes: [UInt8] = []
        Self.header.encode(into: &bytes)
        for bit in 0..<(bytes.count * 8) {
            bytes[bit / 8] ^= 1 << (bit % 8)
            #expect(throws: SegmentHeader.Refusal.self) { try bytes.withUnsafeBytes { try SegmentHeader(decoding: $0) } }
            bytes[bit / 8] ^= 1 << (bit % 8)
        }
    }

    @Test func mutatedPayloadsNeverTrapAndWhatDecodesEncodesAgain() {
        let seed = seedOfThisRun()
        var random = SeededGenerator(seed: seed)
        for _ in 0..<30_000 {
            guard let (_, record) = Self.records.randomElement(using: &random) else { continue }
            var bytes: [UInt8] = []
            record.encode(into: &bytes)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: JournalFormat.recordHeaderBytes..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[index] = 0xFF
                case 2: bytes.removeSubrange(index...)
                default: bytes.insert(contentsOf: [0, 0xFF, 0x7F, 1], at: index)
                }
                if bytes.count <= JournalFormat.recordHeaderBytes { break }
            }
            let kind = JournalRecord.Kind(rawValue: UInt32.random(in: 1...5, using: &random)) ?? .batch
            let payload = Array(bytes.dropFirst(JournalFormat.recordHeaderBytes))
            guard let decoded = payload.withUnsafeBytes({ JournalRecord(kind, payload: $0, epoch: 5) }) else { continue }
            var again: [UInt8] = []
            decoded.encode(into: &again)
            let reread = Self.decodeAll(again, from: 0)
            // A not-a-number scale is not equal to itself; its bytes are.
            var third: [UInt8] = []
            reread.first?.encode(into: &third)
            #expect(third == again, "seed \(seed)")
        }
    }
}
