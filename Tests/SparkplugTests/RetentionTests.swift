import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import Sparkplug

/// Streams that come and go while the node is born.
@Suite struct RetentionTests {
    private let other = StreamDescriptor(device: "pump-2", group: "fast", tags: [Tag("flow", .uint16)])
    private let flow = StreamID(rawValue: 20)

    private func flowBatch() -> SampleBatch { SampleBatch(stream: flow, descriptor: other, time: noon, status: .good) }

    private func born() throws -> EdgeNode {
        var node = try EdgeNode.plant()
        node.register(Pump.fast, Pump.fastTags)
        node.register(Pump.slow, Pump.slowTags)
        node.register(flow, other)
        _ = node.connecting(at: noon)
        _ = node.births(at: noon)
        return node
    }

    private func kinds(_ messages: [SparkplugMessage]) -> [String] {
        messages.map { message in
            let levels = message.topic.split(separator: "/")
            return levels.count > 4 ? "\(levels[2]) \(levels[4])" : "\(levels[2])"
        }
    }

    @Test("tck-id-payloads-ddeath-seq, …-seq-inc, …-timestamp: a device without streams dies before the next live data of another, once")
    func death() throws {
        var node = try born()
        node.retain([Pump.fast, Pump.slow])
        // Old data says nothing of what is now.
        #expect(kinds(node.data(Pump.batch(), isHistorical: true, at: noon)) == ["DDATA pump-1"])
        let messages = node.data(Pump.batch(), isHistorical: false, at: noon)
        #expect(kinds(messages) == ["DDEATH pump-2", "DDATA pump-1"])
        let death = try messages[0].decoded
        #expect(death.metrics.isEmpty && death.timestamp == noon.sparkplugMilliseconds && messages[0].qualityOfService == 0)
        #expect(try messages[1].decoded.sequence == death.sequence.map { $0 + 1 })
        #expect(kinds(node.data(Pump.batch(), isHistorical: false, at: noon)) == ["DDATA pump-1"])
        #expect(kinds(node.births(at: noon)) == ["NBIRTH", "DBIRTH pump-1"])
    }

    @Test("what a device left behind is sent all the same: it is born for it, and dies again")
    func leftBehind() throws {
        var node = try born()
        node.retain([Pump.fast, Pump.slow])
        // Not dead yet: its last birth still holds.
        #expect(kinds(node.data(flowBatch(), isHistorical: false, at: noon)) == ["DDATA pump-2"])
        #expect(kinds(node.data(Pump.batch(), isHistorical: false, at: noon)) == ["DDEATH pump-2", "DDATA pump-1"])
        #expect(kinds(node.data(flowBatch(), isHistorical: true, at: noon)) == ["DBIRTH pump-2", "DDATA pump-2"])
        #expect(kinds(node.data(flowBatch(), isHistorical: true, at: noon)) == ["DDATA pump-2"])
        #expect(kinds(node.data(Pump.batch(), isHistorical: false, at: noon)) == ["DDEATH pump-2", "DDATA pump-1"])
        // And back for good, under its old aliases.
        node.retain([Pump.fast, Pump.slow, flow])
        #expect(kinds(node.data(flowBatch(), isHistorical: false, at: noon)) == ["DBIRTH pump-2", "DDATA pump-2"])
        #expect(kinds(node.data(Pump.batch(), isHistorical: false, at: noon)) == ["DDATA pump-1"])
    }

    @Test("a device that lost a stream is born anew without its metrics, and with them again for what is left of it")
    func lostStream() throws {
        var node = try born()
        node.retain([Pump.fast, flow])
        let messages = node.data(Pump.batch(), isHistorical: false, at: noon)
        #expect(kinds(messages) == ["DBIRTH pump-1", "DDATA pump-1"])
        #expect(try messages[0].decoded.metrics.contains { $0.name == "runHours" } == false)
        let rest = node.data(Pump.runHours(7), isHistorical: true, at: noon)
        #expect(kinds(rest) == ["DBIRTH pump-1", "DDATA pump-1"])
        #expect(try rest[0].decoded.metrics.contains { $0.name == "runHours" })
        #expect(kinds(node.data(Pump.batch(), isHistorical: false, at: noon)) == ["DDATA pump-1"])
    }

    @Test("whatever comes and goes in whatever order, a host sees no violation, and a rebirth tells of what there is")
    func property() throws {
        var random = SeededGenerator()
        let descriptors = (0..<8).map { index in
            StreamDescriptor(
                device: "d\(index / 3)", group: "g\(index % 3)",
                tags: (0...index % 2).map { Tag("t\($0)", index % 2 == 0 ? .uint16 : .int32) })
        }
        for round in 0..<150 {
            var node = try EdgeNode.plant()
            var reader = SparkplugReader()
            var retained: Set<Int> = []
            func host(_ messages: [SparkplugMessage], _ what: String) {
                for message in messages {
                    let violations = reader.receive(topic: message.topic, payload: message.payload).violations
                    #expect(violations.isEmpty, "seed \(random.seed), round \(round), \(what): \(message.topic) \(violations)")
                }
            }
            _ = node.connecting(at: noon)
            host(node.births(at: noon), "first births")
            for _ in 0..<60 {
                switch Int.random(in: 0..<10, using: &random) {
                case 0...5:
                    let index = Int.random(in: 0..<descriptors.count, using: &random)
                    let stream = StreamID(rawValue: UInt32(index + 1))
                    node.register(stream, descriptors[index])
                    let batch = SampleBatch(stream: stream, descriptor: descriptors[index], time: noon, status: .good)
                    host(node.data(batch, isHistorical: random.chance(40), at: noon), "data of stream \(index)")
                case 6, 7:
                    retained = Set(descriptors.indices.filter { _ in random.chance(60) })
                    for index in retained { node.register(StreamID(rawValue: UInt32(index + 1)), descriptors[index]) }
                    node.retain(Set(retained.map { StreamID(rawValue: UInt32($0 + 1)) }))
                case 8: host(node.births(at: noon), "rebirth")
                default:
                    _ = node.connecting(at: noon)
                    host(node.births(at: noon), "births after a reconnection")
                }
            }
            node.retain(Set(retained.map { StreamID(rawValue: UInt32($0 + 1)) }))
            for index in retained { node.register(StreamID(rawValue: UInt32(index + 1)), descriptors[index]) }
            let devices = Set(retained.map { "d\($0 / 3)" })
            let births = Set(kinds(node.births(at: noon)).dropFirst().map { String($0.dropFirst(7)) })
            #expect(births == devices, "seed \(random.seed), round \(round)")
        }
    }
}
