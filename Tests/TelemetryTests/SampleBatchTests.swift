import Telemetry
import Testing

import struct Telemetry.Tag

@Suite("Sample batch")
struct SampleBatchTests {
    private let descriptor = StreamDescriptor(
        device: "d", group: "g",
        tags: [
            Tag("bool", .bool), Tag("i8", .int8), Tag("u8", .uint8), Tag("i16", .int16), Tag("u16", .uint16), Tag("i32", .int32),
            Tag("u32", .uint32),
            Tag("i64", .int64), Tag("u64", .uint64), Tag("f32", .float32), Tag("f64", .float64), Tag("text", .string, stringCapacity: 5),
            Tag("scaled", .int16, scaling: Scaling(scale: 0.1)), Tag("offset", .uint16, scaling: Scaling(scale: 2, offset: -5)),
        ])
    private let values: [Variant] = [
        .bool(true), .int(-128), .uint(255), .int(-32_768), .uint(65_535), .int(.init(Int32.min)), .uint(.init(UInt32.max)), .int(.min),
        .uint(.max),
        .float(1.5), .double(-2.25), .string("äöü"), .int(235), .uint(7),
    ]

    private func filled() -> SampleBatch {
        var batch = SampleBatch(stream: StreamID(rawValue: 1), descriptor: descriptor, time: Timestamp(nanoseconds: 5), status: .good)
        for (tag, value) in values.enumerated() { batch.set(value, tag: tag, in: descriptor) }
        return batch
    }

    @Test("every type comes out of its slot as it went in")
    func roundTrip() {
        let batch = filled()
        for tag in values.indices.dropLast(3) { #expect(batch.raw(of: tag, in: descriptor) == values[tag]) }
        // Six bytes of UTF-8 do not fit five: cut before the character that would be torn.
        #expect(batch.raw(of: 11, in: descriptor) == .string("äö"))
        #expect(descriptor.valueBytes == batch.values.count)
    }

    @Test("scaling gives the exact decimal, an offset is added, a Bad tag has no value")
    func engineering() {
        var batch = filled()
        #expect(batch.value(of: 12, in: descriptor)?.value == .double(23.5))
        #expect(batch.value(of: 13, in: descriptor)?.value == .double(9))
        #expect(descriptor.tags[12].engineeringType == .float64)
        batch.quality = [
            QualityRun(count: 12, status: .good), QualityRun(count: 1, status: .badTimeout), QualityRun(count: 1, status: .good),
        ]
        #expect(batch.value(of: 12, in: descriptor) == DataValue(value: nil, status: .badTimeout, time: Timestamp(nanoseconds: 5)))
        #expect(batch.value(of: 13, in: descriptor)?.status == .good)
    }

    @Test("presence tells which tags the batch has")
    func presence() {
        var batch = filled()
        #expect(batch.isComplete && batch.sampleCount(of: 14) == 14)
        batch.presence = [0b10_0000_0000_0001]
        #expect(batch.sampleCount(of: 14) == 2)
        #expect(batch.has(0) && batch.has(13) && !batch.has(1))
        #expect(batch.value(of: 1, in: descriptor) == nil)
    }

    @Test("neighbours of equal status share a run")
    func runs() {
        #expect(
            QualityRun.runs(of: [.good, .good, .badTimeout]) == [
                QualityRun(count: 2, status: .good), QualityRun(count: 1, status: .badTimeout),
            ])
        #expect(QualityRun.runs(of: []).isEmpty)
    }

    @Test("only powers of ten print as decimals")
    func decimals() {
        #expect(Scaling(scale: 0.1).decimals == 1)
        #expect(Scaling(scale: 0.001).decimals == 3)
        #expect(Scaling(scale: 0.25).decimals == nil)
        #expect(Scaling(scale: 0.1, offset: 1).decimals == nil)
        #expect(Scaling.identity.decimals == nil)
    }
}
