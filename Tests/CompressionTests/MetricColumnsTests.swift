import Sparkplug
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import Compression

@Suite struct MetricColumnsTests {
    static let time = Timestamp(nanoseconds: 1_800_000_000_123_000_000)

    /// A plant of one device with tags as controllers have them, and batches of it.
    struct Plant {
        var node: EdgeNode
        let descriptor: StreamDescriptor
        private var raw: [Int16]
        private var sequence: UInt64 = 0

        init(tags: Int, _ generator: inout SeededGenerator) throws {
            let kinds = [Scaling(scale: 0.1), Scaling(scale: 0.01), .identity]
            descriptor = StreamDescriptor(
                device: "plant", group: "fast",
                tags: (0..<tags).map { Tag("machine\($0 / 7)/value\($0 % 7)", .int16, scaling: kinds[$0 % 3]) })
            node = try EdgeNode(groupID: "plant", nodeID: "gateway-1")
            node.register(StreamID(rawValue: 1), descriptor)
            _ = node.connecting(at: time)
            raw = (0..<tags).map { _ in Int16.random(in: 0...3000, using: &generator) }
        }

        mutating func births() -> [SparkplugMessage] { node.births(at: time) }

        mutating func data(_ generator: inout SeededGenerator) -> [SparkplugMessage] {
            var values: [UInt8] = []
            for tag in raw.indices {
                raw[tag] &+= Int16.random(in: -9...9, using: &generator)
                withUnsafeBytes(of: raw[tag].littleEndian) { values += $0 }
            }
            sequence += 1
            var batch = SampleBatch(
                stream: StreamID(rawValue: 1), time: time.advanced(by: .seconds(Int(sequence))),
                quality: [QualityRun(count: raw.count, status: .good)], values: values)
            batch.epoch = 1
            batch.sequence = sequence
            return node.data(batch, isHistorical: sequence % 3 == 0, at: time.advanced(by: .seconds(Int(sequence))))
        }
    }

    @Test func `births and data come back to the byte`() throws {
        var generator = SeededGenerator()
        var plant = try Plant(tags: 200, &generator)
        for message in plant.births() + (0..<20).flatMap({ _ in plant.data(&generator) }) {
            let columns = try #require(MetricColumns.split(message.payload))
            let back = try MetricColumns.join(columns, atMost: 1 << 20)
            #expect(back == message.payload)
        }
    }

    @Test func `columns of a thousand tags need fewer than three bytes per sample`() throws {
        var generator = SeededGenerator()
        var plant = try Plant(tags: 1000, &generator)
        _ = plant.births()
        for message in plant.data(&generator) + plant.data(&generator) {
            let plain = try #require(Compressor(.zstd).compress(message.payload))
            let columns = try #require(Compressor(.columns).compress(message.payload))
            #expect(columns.count < 3000)
            #expect(columns.count < plain.count * 2 / 3)
            let back = try Decompressor.decompress(columns, .columns)
            #expect(back == message.payload)
        }
    }

    @Test func `doubles of every kind come back to the bit`() throws {
        let values: [Double] = [
            0, -0.0, 1, -1, 45.3, -17.25, 1e-7, .pi, 1e300, -2e9, 2_147_483_647, -2_147_483_648, .infinity, .nan, .leastNonzeroMagnitude,
            0.1 + 0.2,
        ]
        let metrics = values.enumerated().map {
            SparkplugMetric(alias: UInt64($0.offset) << 40, timestamp: .max - UInt64($0.offset), value: .double($0.element))
        }
        let payload = SparkplugPayload(timestamp: 5, metrics: metrics, sequence: 3, uuid: "1-2-3").encoded()
        let columns = try #require(MetricColumns.split(payload))
        let back = try MetricColumns.join(columns, atMost: 1 << 20)
        #expect(back == payload)
    }

    @Test func `whatever has columns comes back to the byte, whatever it is`() throws {
        var generator = SeededGenerator()
        var plant = try Plant(tags: 12, &generator)
        let payloads = (plant.births() + plant.data(&generator)).map { $0.payload }
        for _ in 0..<3000 {
            var payload = payloads[Int.random(in: 0..<payloads.count, using: &generator)]
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                payload[Int.random(in: 0..<payload.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            guard let columns = MetricColumns.split(payload) else { continue }
            let back = try MetricColumns.join(columns, atMost: 1 << 20)
            #expect(back == payload)
        }
    }

    @Test func `columns that do not fit each other are refused`() throws {
        var generator = SeededGenerator()
        var plant = try Plant(tags: 30, &generator)
        _ = plant.births()
        let payload = try #require(plant.data(&generator).last).payload
        let columns = try #require(MetricColumns.split(payload))
        for length in 0..<columns.count {
            #expect(throws: GatewayError.self) { try MetricColumns.join(Array(columns.prefix(length)), atMost: 1 << 20) }
        }
        let small = #expect(throws: GatewayError.self) { try MetricColumns.join(columns, atMost: 100) }
        #expect(small?.code == .limitExceeded)
        for _ in 0..<2000 {
            var damaged = columns
            damaged[Int.random(in: 0..<damaged.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            if let joined = try? MetricColumns.join(damaged, atMost: 1 << 16) { #expect(joined.count <= 1 << 16) }
        }
    }

    @Test func `a compressed payload is carried as Tahu carries it`() throws {
        var generator = SeededGenerator()
        var plant = try Plant(tags: 100, &generator)
        _ = plant.births()
        let payload = try #require(plant.data(&generator).last).payload
        let body = try #require(Compressor(.gzip).compress(payload))
        let outer = try CompressedPayload(algorithm: "GZIP", body: body).encoded(around: payload)
        let decoded = try SparkplugPayload(decoding: outer)
        let inner = try SparkplugPayload(decoding: payload)
        #expect(decoded.uuid == "SPBV1.0_COMPRESSED")
        #expect(decoded.sequence == inner.sequence)
        #expect(decoded.timestamp == inner.timestamp)
        #expect(decoded.metrics.first?.value == .string("GZIP"))
        let read = try CompressedPayload(decoding: outer)
        #expect(read == CompressedPayload(algorithm: "GZIP", body: body))
        let plain = try CompressedPayload(decoding: payload)
        #expect(plain == nil)
        var withoutBody = SparkplugPayload(uuid: "SPBV1.0_COMPRESSED").encoded()
        #expect(throws: GatewayError.self) { try CompressedPayload(decoding: withoutBody) }
        withoutBody.removeLast()
        #expect(throws: GatewayError.self) { try CompressedPayload(decoding: withoutBody) }
    }
}
