import SwiftProtobuf
import Telemetry
import Testing

@testable import Sparkplug

/// The assertions of the standard on what an edge node publishes, each against a whole random life of one, flat and with templates.
@Suite struct ConformanceTests {
    private func records() throws -> [ConformanceRecord] {
        [try ConformanceRecord.flat.get(), try ConformanceRecord.templated.get()]
    }

    private func type(of message: ConformanceRecord.Published) throws -> SparkplugMessageType {
        try #require(SparkplugTopic(message.topic), "\(message.topic)").type
    }

    @Test(
        """
        tck-id-topic-structure, tck-id-topic-structure-namespace-a, \
        tck-id-topic-structure-namespace-device-id-associated-message-types, \
        tck-id-topic-structure-namespace-device-id-non-associated-message-types, tck-id-topics-nbirth-topic, tck-id-topics-dbirth-topic, \
        tck-id-topics-ddata-topic, tck-id-topics-ddeath-topic, tck-id-topics-ndeath-topic, \
        tck-id-message-flow-edge-node-birth-publish-nbirth-topic, tck-id-message-flow-edge-node-birth-publish-will-message-topic, \
        tck-id-message-flow-device-birth-publish-dbirth-topic, \
        tck-id-message-flow-device-birth-publish-dbirth-match-edge-node-topic: the topics
        """)
    func topics() throws {
        for record in try records() {
            #expect(record.sessions.allSatisfy { $0.will.topic == "spBv1.0/plant-a/NDEATH/line-1" })
            var seen: Set<String> = []
            for message in record.messages {
                let levels = message.topic.split(separator: "/", omittingEmptySubsequences: false)
                #expect(levels[0] == "spBv1.0" && levels[1] == "plant-a" && levels[3] == "line-1")
                seen.insert(String(levels[2]))
                #expect(levels.count == (levels[2].hasPrefix("D") ? 5 : 4), "\(message.topic)")
            }
            #expect(seen == ["NBIRTH", "DBIRTH", "DDATA", "DDEATH"], "the run has all kinds")
        }
    }

    @Test(
        """
        tck-id-topics-nbirth-mqtt, tck-id-topics-dbirth-mqtt, tck-id-topics-ddeath-mqtt, tck-id-payloads-nbirth-qos, \
        tck-id-payloads-nbirth-retain, tck-id-payloads-dbirth-qos, tck-id-payloads-dbirth-retain, tck-id-payloads-ddata-retain, \
        tck-id-message-flow-edge-node-birth-publish-nbirth-qos, tck-id-message-flow-edge-node-birth-publish-nbirth-retained, \
        tck-id-message-flow-device-birth-publish-dbirth-qos, tck-id-message-flow-device-birth-publish-dbirth-retained: \
        QoS 0 for all but data, nothing retained
        """)
    func qualityOfService() throws {
        for message in try records().flatMap(\.messages) {
            #expect(!message.retain)
            // The deviation that decisions/0005 explains.
            #expect(message.qualityOfService == (try type(of: message) == .deviceData ? 1 : 0), "\(message.topic)")
        }
    }

    @Test(
        """
        tck-id-payloads-ndeath-will-message-qos, tck-id-payloads-ndeath-will-message-retain, \
        tck-id-message-flow-edge-node-birth-publish-will-message-qos, \
        tck-id-message-flow-edge-node-birth-publish-will-message-will-retained, tck-id-topics-ndeath-payload, tck-id-topics-ndeath-seq, \
        tck-id-payloads-ndeath-seq, tck-id-message-flow-edge-node-birth-publish-will-message-payload: the will
        """)
    func will() throws {
        for session in try records().flatMap(\.sessions) {
            #expect(session.will.qualityOfService == 1 && !session.will.retain)
            let payload = try session.will.decoded
            #expect(payload.sequence == nil)
            #expect(payload.metrics.map(\.name) == ["bdSeq"])
            #expect(payload.metrics.first?.datatype == SparkplugDataType.int64.rawValue)
        }
    }

    @Test(
        """
        tck-id-topics-nbirth-bdseq-included, tck-id-topics-nbirth-bdseq-matching, tck-id-payloads-nbirth-bdseq, \
        tck-id-payloads-nbirth-bdseq-repeat, tck-id-payloads-ndeath-bdseq, \
        tck-id-message-flow-edge-node-birth-publish-nbirth-payload-bdSeq, tck-id-operational-behavior-data-commands-rebirth-action-3: \
        each NBIRTH of a session has the bdSeq of its will
        """)
    func birthDeathSequenceOfSession() throws {
        for session in try records().flatMap(\.sessions) {
            let told = try session.will.decoded.metric("bdSeq").value
            let births = try session.messages.filter { try type(of: $0) == .nodeBirth }
            #expect(!births.isEmpty)
            for birth in births {
                let metric = try birth.decoded.metric("bdSeq")
                #expect(metric.value == told && metric.datatype == SparkplugDataType.int64.rawValue && metric.alias == nil)
            }
        }
    }

    @Test(
        """
        tck-id-topics-nbirth-bdseq-increment, tck-id-message-flow-edge-node-birth-publish-will-message-payload-bdSeq: \
        from 0 on, one more with each CONNECT also over restarts, and 0 after 255
        """)
    func birthDeathSequence() throws {
        var last: UInt8?
        var told: [SparkplugValue?] = []
        for run in 0..<3 {
            var node = try EdgeNode(groupID: "g", nodeID: "n", lastBirthDeathSequence: last)
            for _ in 0..<(run == 1 ? 255 : 3) { told.append(try node.connecting(at: noon).decoded.metric("bdSeq").value) }
            last = node.birthDeathSequence
        }
        #expect(told == (0..<261).map { .long(UInt64($0 % 256)) })
    }

    @Test(
        """
        tck-id-payloads-sequence-num-always-included, tck-id-payloads-sequence-num-req-nbirth, \
        tck-id-payloads-sequence-num-incrementing, tck-id-topics-nbirth-seq-num, tck-id-topics-dbirth-seq, tck-id-topics-ddata-seq-num, \
        tck-id-topics-ddeath-seq-num, tck-id-payloads-nbirth-seq, tck-id-payloads-dbirth-seq, tck-id-payloads-dbirth-seq-inc, \
        tck-id-payloads-ddata-seq, tck-id-payloads-ddata-seq-inc, tck-id-payloads-ddeath-seq, tck-id-payloads-ddeath-seq-inc, \
        tck-id-payloads-ddeath-seq-number, tck-id-message-flow-edge-node-birth-publish-nbirth-payload-seq, \
        tck-id-message-flow-device-birth-publish-dbirth-payload-seq: one number after the other
        """)
    func sequence() throws {
        for session in try records().flatMap(\.sessions) {
            var next: UInt64 = 0
            for message in session.messages {
                if try type(of: message) == .nodeBirth { next = 0 }
                #expect(try message.decoded.sequence == next, "\(message.topic)")
                next = (next + 1) % 256
            }
        }
    }

    @Test(
        """
        tck-id-principles-birth-certificates-order, tck-id-payloads-dbirth-order, tck-id-payloads-ddata-order, \
        tck-id-message-flow-device-birth-publish-nbirth-wait, tck-id-operational-behavior-data-commands-rebirth-action-1, \
        tck-id-operational-behavior-data-commands-rebirth-action-2, tck-id-topic-structure-namespace-unique-device-id: \
        NBIRTH, then the DBIRTHs, then data
        """)
    func order() throws {
        for session in try records().flatMap(\.sessions) {
            #expect(try type(of: #require(session.messages.first)) == .nodeBirth)
            var devices: Set<String> = []
            for message in session.messages {
                let topic = try #require(SparkplugTopic(message.topic))
                switch topic.type {
                case .nodeBirth: devices = []
                case .deviceBirth: devices.insert(try #require(topic.device))
                case .deviceDeath: #expect(devices.remove(try #require(topic.device)) != nil)
                default: #expect(devices.contains(try #require(topic.device)), "data of a device that is not born")
                }
            }
            for (birth, following) in zip(session.messages, session.messages.dropFirst()) where try type(of: birth) == .nodeBirth {
                #expect(try type(of: following) == .deviceBirth, "no device birth right after the NBIRTH")
            }
        }
    }

    @Test(
        """
        tck-id-payloads-timestamp-in-UTC, tck-id-payloads-metric-timestamp-in-UTC, tck-id-topics-nbirth-timestamp, \
        tck-id-topics-dbirth-timestamp, tck-id-topics-ddata-timestamp, tck-id-payloads-nbirth-timestamp, \
        tck-id-payloads-dbirth-timestamp, tck-id-payloads-ddata-timestamp, tck-id-payloads-ddeath-timestamp, \
        tck-id-payloads-name-birth-data-requirement: when it was sent, and when each value was taken
        """)
    func timestamps() throws {
        for record in try records() {
            var last = noon.sparkplugMilliseconds
            for message in record.messages {
                let payload = try message.decoded
                let sent = try #require(payload.timestamp)
                #expect(sent >= last && sent < noon.sparkplugMilliseconds + 1_000_000)
                last = sent
                #expect(payload.leaves.allSatisfy { ($0.timestamp ?? .max) <= sent })
                #expect(payload.metrics.allSatisfy { ($0.timestamp ?? .max) <= sent })
            }
        }
    }

    @Test(
        """
        tck-id-topics-nbirth-metric-reqs, tck-id-topics-nbirth-metrics, tck-id-topics-dbirth-metric-reqs, tck-id-topics-dbirth-metrics, \
        tck-id-payloads-name-requirement, tck-id-payloads-alias-uniqueness, tck-id-payloads-alias-birth-requirement, \
        tck-id-payloads-alias-data-cmd-requirement, tck-id-payloads-metric-datatype-req, tck-id-payloads-metric-datatype-not-req, \
        tck-id-payloads-metric-datatype-value, tck-id-payloads-metric-datatype-value-type, \
        tck-id-operational-behavior-data-publish-nbirth, tck-id-operational-behavior-data-publish-dbirth, \
        tck-id-operational-behavior-data-publish-nbirth-values, tck-id-operational-behavior-data-publish-dbirth-values, \
        tck-id-topics-ddata-payload: births name everything, data refers to it by alias
        """)
    func metrics() throws {
        for record in try records() {
            for session in record.sessions {
                var aliases: [UInt64: String] = [:]
                for message in session.messages {
                    let topic = try #require(SparkplugTopic(message.topic))
                    let payload = try message.decoded
                    if topic.type == .nodeBirth { aliases = [:] }
                    for metric in payload.metrics.filter({ $0.template?.isDefinition != true }).flatMap({
                        [$0] + ($0.template?.metrics ?? [])
                    }) {
                        if topic.type == .deviceData {
                            #expect(metric.name == nil && metric.datatype == nil)
                            #expect(aliases[try #require(metric.alias)]?.hasPrefix("\(topic.device ?? "")/") == true, "not in the births")
                            continue
                        }
                        let name = try #require(metric.name)
                        #expect(SparkplugDataType(rawValue: try #require(metric.datatype)) != nil)
                        #expect(metric.isNull == (metric.value == nil), "\(name)")
                        guard let alias = metric.alias else {
                            #expect(topic.type == .nodeBirth && ["bdSeq", "Node Control/Rebirth"].contains(name))
                            continue
                        }
                        let owner = "\(topic.device ?? "")/\(name)"
                        #expect(aliases.updateValue(owner, forKey: alias) ?? owner == owner, "alias \(alias) has two owners")
                    }
                }
            }
        }
    }

    @Test(
        """
        tck-id-topics-nbirth-rebirth-metric, tck-id-payloads-nbirth-rebirth-req, \
        tck-id-operational-behavior-data-commands-rebirth-name, tck-id-operational-behavior-data-commands-rebirth-name-aliases, \
        tck-id-operational-behavior-data-commands-rebirth-datatype, tck-id-operational-behavior-data-commands-rebirth-value
        """)
    func rebirthMetric() throws {
        let births = try records().flatMap { try $0.payloads(.nodeBirth) }
        for birth in births {
            let metric = try birth.metric("Node Control/Rebirth")
            #expect(metric.datatype == SparkplugDataType.boolean.rawValue && metric.value == .boolean(false) && metric.alias == nil)
        }
        #expect(births.count > 8)
    }

    @Test(
        """
        tck-id-payloads-propertyset-keys-array-size, tck-id-payloads-propertyset-values-array-size, \
        tck-id-payloads-metric-propertyvalue-type-type, tck-id-payloads-metric-propertyvalue-type-value, \
        tck-id-payloads-metric-propertyvalue-type-req, tck-id-payloads-propertyset-quality-value-type, \
        tck-id-payloads-propertyset-quality-value-value: the properties
        """)
    func properties() throws {
        var qualities: Set<UInt32> = []
        for metric in try records().flatMap({ try $0.payloads(.nodeBirth, .deviceBirth, .deviceData) }).flatMap(\.leaves) {
            for property in metric.properties {
                let type = try #require(property.type.flatMap { SparkplugDataType(rawValue: $0) })
                #expect(type.isBasic)
                #expect(property.value?.variant(as: type.rawValue) != nil)
                guard property.key == "Quality" else { continue }
                guard case .int(let code)? = property.value else {
                    Issue.record("\(metric) has no int_value")
                    continue
                }
                #expect(property.type == 3)
                qualities.insert(code)
            }
        }
        #expect(qualities == [0, 192, 500])
    }

    @Test(
        """
        tck-id-operational-behavior-data-publish-dbirth-order, tck-id-operational-behavior-data-publish-nbirth-order: \
        values of one metric that are not historical come in the order of their times
        """)
    func chronology() throws {
        for session in try records().flatMap(\.sessions) {
            var last: [UInt64: UInt64] = [:]
            for message in session.messages where try type(of: message) == .deviceData {
                for metric in try message.decoded.leaves where !metric.isHistorical {
                    let (alias, time) = (try #require(metric.alias), try #require(metric.timestamp))
                    #expect(last.updateValue(time, forKey: alias) ?? 0 <= time)
                }
            }
        }
    }

    @Test(
        """
        tck-id-message-flow-edge-node-birth-publish-nbirth-payload, tck-id-message-flow-device-birth-publish-dbirth-payload: \
        swift-protobuf, which knows only the schema, reads every message
        """)
    func protobuf() throws {
        for message in try records().flatMap(\.messages) {
            let theirs = try ProtoPayload(serializedBytes: message.payload)
            #expect(try message.decoded == SparkplugPayload(theirs))
        }
    }

    @Test(
        """
        tck-id-operational-behavior-device-ddeath: a device that the gateway has no more dies, one whose machine is silent says so by its \
        qualities
        """)
    func deviceDeath() throws {
        var node = try EdgeNode.plant()
        node.register(Pump.fast, Pump.fastTags)
        let fan = StreamDescriptor(device: "fan", group: "fast", tags: [Tag("flow", .float32)])
        node.register(StreamID(rawValue: 20), fan)
        _ = node.connecting(at: noon)
        _ = node.births(at: noon)
        node.retain([StreamID(rawValue: 20)])
        let batch = SampleBatch(stream: StreamID(rawValue: 20), descriptor: fan, time: noon, status: .good)
        #expect(
            node.data(batch, isHistorical: false, at: noon).map(\.topic) == [
                "spBv1.0/plant-a/DDEATH/line-1/pump-1", "spBv1.0/plant-a/DDATA/line-1/fan",
            ])
        let silent = SampleBatch(stream: StreamID(rawValue: 20), descriptor: fan, time: noon, status: .badTimeout)
        let metrics = try #require(node.data(silent, isHistorical: false, at: noon).first).decoded.metrics
        #expect(metrics.allSatisfy { $0.isNull && $0.quality == .bad })
    }

    @Test(
        """
        tck-id-case-sensitivity-metric-names: names that differ only in the case of their letters are told apart by their group
        """)
    func caseOfNames() throws {
        var node = try EdgeNode.plant()
        node.register(
            Pump.fast, StreamDescriptor(device: "d", group: "g", tags: [Tag("Speed", .int8), Tag("speed", .int8), Tag("SPEED", .int16)]))
        _ = node.connecting(at: noon)
        let names = try node.births(at: noon)[1].decoded.metrics.compactMap(\.name)
        #expect(names == ["Speed", "g/speed", "g/SPEED/Int16"])
        #expect(Set(names.map { $0.lowercased() }).count == 3)
    }
}
