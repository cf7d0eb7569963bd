import Telemetry
import Testing

import struct Telemetry.Tag

@testable import Acquisition

private let stream = StreamID(rawValue: 1)

@Suite("Report filter")
struct ReportFilterTests {
    private let descriptor = StreamDescriptor(
        device: "d", group: "g",
        tags: [Tag("a", .int16, scaling: Scaling(scale: 0.1)), Tag("b", .uint16), Tag("c", .float32)])

    private func batch(_ a: Int64, _ b: UInt64 = 0, _ c: Float = 0, status: StatusCode = .good) -> SampleBatch {
        var batch = SampleBatch(stream: stream, descriptor: descriptor, time: Timestamp(nanoseconds: 0), status: status)
        guard !status.isBad else { return batch }
        batch.set(.int(a), tag: 0, in: descriptor)
        batch.set(.uint(b), tag: 1, in: descriptor)
        batch.set(.float(c), tag: 2, in: descriptor)
        return batch
    }

    private func present(_ filter: inout ReportFilter, _ batch: SampleBatch) -> [Int]? {
        var batch = batch
        guard filter.apply(to: &batch) else { return nil }
        return descriptor.tags.indices.filter { batch.has($0) }
    }

    @Test("without deadbands every sample is stored")
    func none() {
        var filter = ReportFilter(descriptor: descriptor, deadbands: [nil, nil, nil])
        for _ in 0..<3 { #expect(present(&filter, batch(1)) == [0, 1, 2]) }
    }

    @Test("a deadband compares with the last stored value, in engineering units")
    func absolute() {
        var filter = ReportFilter(descriptor: descriptor, deadbands: [0.5, nil, nil])
        #expect(present(&filter, batch(100)) == [0, 1, 2])
        #expect(present(&filter, batch(104)) == [1, 2])
        #expect(present(&filter, batch(105)) == [1, 2])
        // Two small steps make a large one: 10.6 is more than 0.5 from 10.0, which is what was stored.
        #expect(present(&filter, batch(106)) == [0, 1, 2])
        #expect(present(&filter, batch(101)) == [1, 2])
    }

    @Test("a poll of which nothing is stored is refused as a whole, and absent slots are empty")
    func suppressedPolls() {
        var filter = ReportFilter(descriptor: descriptor, deadbands: [1, 1, 1])
        #expect(present(&filter, batch(100, 5, 1)) == [0, 1, 2])
        #expect(present(&filter, batch(101, 5, 1)) == nil)
        #expect(present(&filter, batch(102, 5, 1.5)) == nil)
        var third = batch(100, 9, 1)
        let isStored = filter.apply(to: &third)
        #expect(isStored)
        #expect(descriptor.tags.indices.filter { third.has($0) } == [1])
        #expect(third.raw(of: 0, in: descriptor) == .int(0))
        #expect(third.raw(of: 1, in: descriptor) == .uint(9))
    }

    @Test("a change of quality is always stored; Bad for the same reason again is not")
    func quality() {
        var filter = ReportFilter(descriptor: descriptor, deadbands: [1, 1, nil])
        #expect(present(&filter, batch(100)) == [0, 1, 2])
        #expect(present(&filter, batch(0, status: .badTimeout)) == [0, 1, 2])
        #expect(present(&filter, batch(0, status: .badTimeout)) == nil)
        #expect(present(&filter, batch(0, status: .badNotConnected)) == [0, 1, 2])
        #expect(present(&filter, batch(100)) == [0, 1, 2])
    }

    @Test("NaN is a value of its own: entering and leaving it is stored, staying is not")
    func nan() {
        var filter = ReportFilter(descriptor: descriptor, deadbands: [nil, nil, 1])
        #expect(present(&filter, batch(0, 0, .nan)) == [0, 1, 2])
        #expect(present(&filter, batch(0, 0, .nan)) == [0, 1])
        #expect(present(&filter, batch(0, 0, 3)) == [0, 1, 2])
        #expect(present(&filter, batch(0, 0, .nan)) == [0, 1, 2])
    }
}
