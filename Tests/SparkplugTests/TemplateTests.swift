import SwiftProtobuf
import Telemetry
import Testing

@testable import Sparkplug

/// Devices as instances of their definitions.
@Suite struct TemplateTests {
    private static let twin = StreamID(rawValue: 30)
    private static let twinTags = StreamDescriptor(device: "pump-2", group: "fast", tags: Pump.fastTags.tags)

    private func node(_ templates: [String: TemplateName] = ConformanceRecord.templates) throws -> EdgeNode {
        try EdgeNode(groupID: "plant-a", nodeID: "line-1", templates: templates)
    }

    @Test(
        """
        tck-id-topics-nbirth-templates, tck-id-payloads-template-definition-nbirth-only, \
        tck-id-payloads-template-definition-is-definition, tck-id-payloads-template-definition-ref, \
        tck-id-payloads-template-definition-members, tck-id-payloads-template-definition-nbirth, \
        tck-id-payloads-template-instance-is-definition, tck-id-payloads-template-instance-ref, \
        tck-id-payloads-template-instance-members, tck-id-payloads-template-instance-members-birth, \
        tck-id-payloads-template-instance-members-data, tck-id-payloads-template-version, tck-id-payloads-template-ref-definition, \
        tck-id-payloads-template-ref-instance, tck-id-payloads-template-is-definition, \
        tck-id-payloads-template-is-definition-definition, tck-id-payloads-template-is-definition-instance: over a whole random life
        """)
    func life() throws {
        let record = try ConformanceRecord.templated.get()
        var instances = 0
        for session in record.sessions {
            var members: [String: [String]] = [:]
            var names: [UInt64: String] = [:]
            for message in session.messages {
                let type = try #require(SparkplugTopic(message.topic)).type
                for metric in try message.decoded.metrics {
                    guard let template = metric.template else { continue }
                    if type == .nodeBirth {
                        #expect(template.isDefinition == true && template.reference == nil && metric.alias == nil)
                        members[try #require(metric.name)] = template.metrics.compactMap(\.name)
                        #expect(template.metrics.allSatisfy { $0.name != nil })
                        #expect(template.metrics.allSatisfy { $0.datatype != nil })
                        continue
                    }
                    instances += 1
                    #expect(template.isDefinition == false)
                    let reference = try #require(template.reference)
                    let defined = try #require(members["_types_/\(reference)"], "no definition in the NBIRTH")
                    if type == .deviceBirth {
                        #expect(template.metrics.map(\.name) == defined)
                        for member in template.metrics { if let alias = member.alias { names[alias] = member.name } }
                    } else {
                        #expect(template.metrics.allSatisfy { $0.alias.flatMap { names[$0] }.map { defined.contains($0) } ?? false })
                    }
                }
            }
        }
        #expect(instances > 100)
    }

    @Test("Devices of one shape share a definition, others get their own; a shape that the NBIRTH lacks brings a new one")
    func shapes() throws {
        var node = try node()
        node.register(Pump.fast, Pump.fastTags)
        node.register(Self.twin, Self.twinTags)
        _ = node.connecting(at: noon)
        let births = node.births(at: noon)
        let definitions = try births[0].decoded.metrics.filter { $0.template != nil }
        // The versions differ, and so the definitions do.
        #expect(definitions.map(\.name) == ["_types_/feed-pump", "_types_/feed-pump 2"])
        #expect(definitions.map(\.template?.version) == ["1.2.0", nil])
        #expect(try births[1].decoded.metrics.map(\.name) == ["feed-pump"])
        #expect(try births[1].decoded.metrics[0].template?.metrics.map(\.name) == ["bearingTemperature", "running", "speed", "state"])
        node.register(Pump.slow, Pump.slowTags)
        let messages = node.data(Pump.batch(), isHistorical: false, at: noon)
        #expect(messages.map { SparkplugTopic($0.topic)?.type } == [.nodeBirth, .deviceBirth, .deviceBirth, .deviceData])
        #expect(try messages[3].decoded.metrics[0].template?.reference == "feed-pump 3")
        #expect(node.data(Pump.runHours(1), isHistorical: false, at: noon).count == 1)
        let same = ["pump-1": TemplateName(name: "p"), "pump-2": TemplateName(name: "p")]
        var twins = try EdgeNode(groupID: "g", nodeID: "n", templates: same)
        twins.register(Pump.fast, Pump.fastTags)
        twins.register(Self.twin, Self.twinTags)
        _ = twins.connecting(at: noon)
        #expect(try twins.births(at: noon)[0].decoded.metrics.filter { $0.template != nil }.count == 1)
    }

    @Test("Data is one instance with the members that the batch has, byte for byte as swift-protobuf writes it")
    func data() throws {
        var node = try node()
        node.register(Pump.fast, Pump.fastTags)
        node.register(Pump.health, Pump.healthTags)
        _ = node.connecting(at: noon)
        let births = node.births(at: noon)
        #expect(try births[1].decoded.metrics.map(\.name) == ["Health/score", "feed-pump"], "what is not of the definition stays flat")
        let message = try #require(node.data(Pump.batch(), isHistorical: true, at: noon).first)
        let payload = try message.decoded
        let again: [UInt8] = try ProtoPayload(serializedBytes: message.payload).serializedBytes()
        #expect(again == message.payload)
        let metric = try #require(payload.metrics.first)
        #expect(payload.metrics.count == 1 && metric.isHistorical && metric.timestamp == noon.sparkplugMilliseconds)
        #expect(metric.alias == (try births[1].decoded.metrics[1].alias))
        #expect(metric.template?.metrics.map(\.value) == [.double(23.5), .boolean(true), .int(1450), .string("läuft")])
        var large = StreamDescriptor(device: "pump-1", group: "large", tags: (0..<3000).map { Tag("x\($0)", .float64) })
        node.register(StreamID(rawValue: 40), large)
        let batch = SampleBatch(stream: StreamID(rawValue: 40), descriptor: large, time: noon, status: .good)
        let long = try #require(node.data(batch, isHistorical: false, at: noon).last)
        let longAgain: [UInt8] = try ProtoPayload(serializedBytes: long.payload).serializedBytes()
        #expect(longAgain == long.payload)
        #expect(try long.decoded.metrics.first?.template?.metrics.count == 3000)
        large = StreamDescriptor(device: "fan", group: "g", tags: [Tag("y", .int8)])
        node.register(StreamID(rawValue: 41), large)
        #expect(try node.births(at: noon)[2].decoded.metrics.map(\.name) == ["y"], "a device without definition is flat")
    }

    @Test("A subscriber gets the members under their names, and a host may write one by an instance that has only that")
    func bothEnds() throws {
        var node = try node()
        var reader = SparkplugReader()
        node.register(Pump.fast, Pump.fastTags)
        _ = node.connecting(at: noon)
        let messages = node.births(at: noon) + node.data(Pump.batch(), isHistorical: false, at: noon)
        let receptions = messages.map { reader.receive(topic: $0.topic, payload: $0.payload) }
        #expect(receptions.flatMap(\.violations) == [])
        #expect(receptions.last?.updates.map(\.name) == ["bearingTemperature", "running", "speed", "state"])
        #expect(receptions.last?.updates.first?.value.value == .double(23.5))
        let instance = SparkplugTemplate(
            metrics: [SparkplugMetric(name: "speed", value: .int(900))], reference: "feed-pump", isDefinition: false)
        let payload = SparkplugPayload(timestamp: 5, metrics: [SparkplugMetric(name: "feed-pump", value: .template(instance))])
        let command = node.command(topic: "spBv1.0/plant-a/DCMD/line-1/pump-1", payload: payload.encoded())
        #expect(
            command
                == .write(
                    EdgeWriteCommand(
                        device: "pump-1", sentAt: Timestamp(milliseconds: 5),
                        writes: [.init(metric: "speed", tag: "speed", value: .uint(900))])))
    }
}
