import Foundation
import Telemetry
import Testing

@testable import Sparkplug

/// The edge node against the assertions of the Sparkplug 3.0.0 TCK; the tests are named after them where one matches.
@Suite struct EdgeNodeTests {
    /// A node with births out, and those births.
    private func born(_ streams: [(StreamID, StreamDescriptor)] = [(Pump.fast, Pump.fastTags)]) throws -> (EdgeNode, [SparkplugMessage]) {
        var node = try EdgeNode.plant()
        for (stream, descriptor) in streams { node.register(stream, descriptor) }
        _ = node.connecting(at: noon)
        let births = node.births(at: noon)
        return (node, births)
    }

    @Test(
        """
        tck-id-topic-structure-namespace-valid-group-id, tck-id-topic-structure-namespace-valid-edge-node-id, \
        tck-id-intro-group-id-string, tck-id-intro-group-id-chars, tck-id-intro-edge-node-id-string, tck-id-intro-edge-node-id-chars
        """, arguments: ["", "a+b", "a/b", "#", "a\0"])
    func invalidIDs(_ id: String) {
        let node = #expect(throws: GatewayError.self) { try EdgeNode(groupID: "g", nodeID: id) }
        #expect(node?.code == .configurationInvalid)
        let group = #expect(throws: GatewayError.self) { try EdgeNode(groupID: id, nodeID: "n") }
        #expect(group?.code == .configurationInvalid)
        #expect(group?.message.contains("group id") == true)
    }

    @Test("tck-id-message-flow-edge-node-ncmd-subscribe, …-device-dcmd-subscribe")
    func commandTopics() throws {
        #expect(try EdgeNode.plant().commandTopics == ["spBv1.0/plant-a/NCMD/line-1", "spBv1.0/plant-a/DCMD/line-1/#"])
    }

    @Test("tck-id-topics-ndeath-payload, tck-id-payloads-ndeath-seq, …-will-message-qos, …-will-message-retain")
    func death() throws {
        var node = try EdgeNode.plant()
        let will = node.connecting(at: noon)
        #expect(will.topic == "spBv1.0/plant-a/NDEATH/line-1")
        #expect(will.qualityOfService == 1)
        #expect(!will.retain)
        let payload = try will.decoded
        #expect(payload.sequence == nil)
        #expect(payload.metrics.map(\.name) == ["bdSeq"])
        #expect(payload.metrics.first?.datatype == SparkplugDataType.int64.rawValue)
        #expect(payload.metrics.first?.value == .long(0))
    }

    @Test("tck-id-topics-nbirth-bdseq-increment, tck-id-payloads-nbirth-bdseq-repeat, …-commands-rebirth-action-3")
    func birthDeathSequence() throws {
        var node = try EdgeNode(groupID: "g", nodeID: "n", lastBirthDeathSequence: 253)
        for expected: UInt64 in [254, 255, 0, 1] {
            #expect(try node.connecting(at: noon).decoded.metric("bdSeq").value == .long(expected))
            for _ in 0..<2 {
                let birth = try #require(node.births(at: noon).first)
                #expect(try birth.decoded.metric("bdSeq").value == .long(expected))
            }
        }
    }

    @Test("tck-id-topics-nbirth-mqtt, …-seq-num, …-timestamp, …-rebirth-metric, …-commands-rebirth-name-aliases")
    func nodeBirth() throws {
        let (_, births) = try born()
        let birth = try #require(births.first)
        #expect(birth.topic == "spBv1.0/plant-a/NBIRTH/line-1")
        #expect(birth.qualityOfService == 0)
        #expect(!birth.retain)
        let payload = try birth.decoded
        #expect(payload.sequence == 0)
        #expect(payload.timestamp == noon.sparkplugMilliseconds)
        let rebirth = try payload.metric("Node Control/Rebirth")
        #expect(rebirth.datatype == SparkplugDataType.boolean.rawValue)
        #expect(rebirth.value == .boolean(false))
        #expect(rebirth.alias == nil)
        #expect(try payload.metric("Properties/Gateway").value == .string("IndusEdge"))
        #expect(try payload.metric("Properties/Gateway Version").value == .string("1.2.3"))
        #expect(payload.metrics.allSatisfy { $0.timestamp != nil && $0.datatype != nil && $0.name != nil })
    }

    @Test("tck-id-topics-dbirth-mqtt, …-seq, …-metrics, tck-id-payloads-dbirth-order, …-data-publish-dbirth-values")
    func deviceBirths() throws {
        let other = StreamDescriptor(device: "pump-2", group: "fast", tags: [Tag("flow", .float32, unit: "m3/h")])
        let (_, births) = try born([(Pump.fast, Pump.fastTags), (StreamID(rawValue: 20), other), (Pump.slow, Pump.slowTags)])
        #expect(
            births.map(\.topic) == [
                "spBv1.0/plant-a/NBIRTH/line-1", "spBv1.0/plant-a/DBIRTH/line-1/pump-1", "spBv1.0/plant-a/DBIRTH/line-1/pump-2",
            ])
        #expect(births.allSatisfy { $0.qualityOfService == 0 && !$0.retain })
        #expect(try births.map { try $0.decoded.sequence } == [0, 1, 2])
        let pump = try births[1].decoded
        #expect(pump.metrics.map(\.name) == ["bearingTemperature", "running", "speed", "state", "runHours"])
        #expect(pump.metrics.map(\.datatype) == [10, 11, 6, 12, 7])
        // No value is known yet: each is null, and its quality says why.
        #expect(pump.metrics.allSatisfy { $0.isNull && $0.value == nil && $0.quality == .bad })
        #expect(pump.metrics.allSatisfy { $0.timestamp == noon.sparkplugMilliseconds })
        #expect(pump.metrics.map(\.unit) == ["Cel", nil, "1/min", nil, "h"])
    }

    @Test("tck-id-payloads-alias-uniqueness, tck-id-payloads-alias-birth-requirement")
    func aliases() throws {
        let other = StreamDescriptor(device: "pump-2", group: "fast", tags: Pump.fastTags.tags)
        var (node, births) = try born([(Pump.fast, Pump.fastTags), (StreamID(rawValue: 20), other)])
        func all(_ births: [SparkplugMessage]) throws -> [String: UInt64] {
            var aliases: [String: UInt64] = [:]
            for birth in births {
                for metric in try birth.decoded.metrics { aliases["\(birth.topic) \(metric.name ?? "")"] = metric.alias }
            }
            return aliases
        }
        let first = try all(births)
        #expect(first.count == 10)
        #expect(Set(first.values).count == first.count)
        node.register(Pump.slow, Pump.slowTags)
        _ = node.connecting(at: noon)
        births = node.births(at: noon)
        let second = try all(births)
        #expect(second.count == 11)
        #expect(second.merging(first) { $1 } == second, "an alias changed")
    }

    @Test("tck-id-payloads-alias-data-cmd-requirement, …-metric-datatype-not-req, …-name-birth-data-requirement, tck-id-topics-ddata-topic")
    func data() throws {
        var (node, births) = try born()
        _ = node.data(Pump.batch(), isHistorical: false, at: noon)
        let messages = node.data(Pump.batch(at: noon.adding(milliseconds: 100)), isHistorical: false, at: noon.adding(milliseconds: 103))
        #expect(messages.count == 1)
        let message = try #require(messages.first)
        #expect(message.topic == "spBv1.0/plant-a/DDATA/line-1/pump-1")
        #expect(message.qualityOfService == 1)
        #expect(!message.retain)
        let payload = try message.decoded
        #expect(payload.timestamp == noon.sparkplugMilliseconds + 103)
        #expect(payload.sequence == 3)
        #expect(payload.uuid == "3-7-41")
        #expect(payload.metrics.allSatisfy { $0.name == nil && $0.datatype == nil && $0.properties.isEmpty && !$0.isHistorical })
        #expect(payload.metrics.allSatisfy { $0.timestamp == noon.sparkplugMilliseconds + 100 })
        births.removeFirst()
        #expect(try payload.metrics.map(\.alias) == births.first?.decoded.metrics.map(\.alias))
        #expect(payload.metrics.map(\.value) == [.double(23.5), .boolean(true), .int(1450), .string("läuft")])
    }

    @Test("tck-id-payloads-sequence-num-incrementing, tck-id-topics-ddata-seq-num")
    func sequenceWraps() throws {
        var (node, _) = try born()
        var sequences: [UInt64?] = []
        for _ in 0..<600 {
            for message in node.data(Pump.batch(), isHistorical: false, at: noon) { sequences.append(try message.decoded.sequence) }
        }
        #expect(sequences == (2..<602).map { UInt64($0 % 256) })
        #expect(try node.births(at: noon).map { try $0.decoded.sequence } == [0, 1])
        #expect(try node.data(Pump.batch(), isHistorical: false, at: noon).map { try $0.decoded.sequence } == [2])
    }

    @Test("tck-id-payloads-ddata-order: data before the births brings them out first")
    func dataBeforeBirths() throws {
        var node = try EdgeNode.plant()
        node.register(Pump.fast, Pump.fastTags)
        _ = node.connecting(at: noon)
        let types = node.data(Pump.batch(), isHistorical: false, at: noon).map { SparkplugTopic($0.topic)?.type }
        #expect(types == [.nodeBirth, .deviceBirth, .deviceData])
        _ = node.connecting(at: noon)
        #expect(node.data(Pump.batch(), isHistorical: false, at: noon).count == 3, "a new session needs new births")
    }

    @Test("A stream or device met later is preceded by a birth, once")
    func lateRegistration() throws {
        var (node, _) = try born()
        node.register(Pump.slow, Pump.slowTags)
        node.register(Pump.slow, Pump.slowTags)
        let first = node.data(Pump.batch(), isHistorical: false, at: noon)
        #expect(first.map { SparkplugTopic($0.topic)?.type } == [.deviceBirth, .deviceData])
        #expect(try first.map { try $0.decoded.sequence } == [2, 3])
        #expect(try first[0].decoded.metrics.map(\.name).last == "runHours")
        #expect(node.data(Pump.runHours(5), isHistorical: false, at: noon).count == 1)
    }

    @Test("Births repeat the latest live values, also when batches are partial")
    func birthsRepeatValues() throws {
        var (node, _) = try born([(Pump.fast, Pump.fastTags), (Pump.slow, Pump.slowTags)])
        _ = node.data(Pump.batch(), isHistorical: false, at: noon)
        var partial = Pump.batch(-17, at: noon.adding(milliseconds: 200))
        partial.presence = [0b0001]
        let data = node.data(partial, isHistorical: false, at: noon)
        #expect(try data.first?.decoded.metrics.count == 1)
        _ = node.data(Pump.batch(900, at: noon.adding(milliseconds: -5000)), isHistorical: true, at: noon)
        let birth = try node.births(at: noon.adding(milliseconds: 900))[1].decoded
        let temperature = try birth.metric("bearingTemperature")
        #expect(temperature.value == .double(-1.7))
        #expect(temperature.timestamp == noon.sparkplugMilliseconds + 200)
        #expect(temperature.quality == .good)
        #expect(try birth.metric("state").value == .string("läuft"))
        #expect(try birth.metric("state").timestamp == noon.sparkplugMilliseconds)
        #expect(try birth.metric("runHours").isNull)
        #expect(birth.timestamp == noon.sparkplugMilliseconds + 900)
    }

    @Test("A partial first batch leaves the other tags without value")
    func partialFirst() throws {
        var (node, _) = try born()
        var partial = Pump.batch()
        partial.presence = [0b0110]
        _ = node.data(partial, isHistorical: false, at: noon)
        let birth = try node.births(at: noon)[1].decoded
        #expect(birth.metrics.map(\.isNull) == [true, false, false, true])
        _ = node.data(Pump.batch(), isHistorical: false, at: noon)
        #expect(try node.births(at: noon)[1].decoded.metrics.map(\.isNull) == [false, false, false, false])
    }

    @Test(
        """
        tck-id-principles-rbe-recommended, tck-id-operational-behavior-data-publish-dbirth-change: a batch in which nothing changed gives no \
        message and uses no sequence number
        """)
    func emptyBatch() throws {
        var (node, _) = try born()
        var empty = Pump.batch()
        empty.presence = [0]
        #expect(node.data(empty, isHistorical: false, at: noon).isEmpty)
        #expect(try node.data(Pump.batch(), isHistorical: false, at: noon).first?.decoded.sequence == 2)
    }

    @Test("tck-id-payloads-propertyset-quality-value-type, …-value: told when not good, and once when good again")
    func quality() throws {
        var (node, _) = try born()
        // The births told Bad, since there was no value: the first values tell that they are good.
        func qualities(_ batch: SampleBatch, historical: Bool = false) throws -> [SparkplugQuality?] {
            try node.data(batch, isHistorical: historical, at: noon).first?.decoded.metrics.map(\.quality) ?? []
        }
        #expect(try qualities(Pump.batch()) == [.good, .good, .good, .good])
        #expect(try qualities(Pump.batch()) == [nil, nil, nil, nil])
        var mixed = Pump.batch()
        mixed.quality = [
            QualityRun(count: 1, status: .good), QualityRun(count: 1, status: .badTimeout),
            QualityRun(count: 2, status: .uncertainLastUsableValue),
        ]
        let metrics = try node.data(mixed, isHistorical: false, at: noon).first?.decoded.metrics ?? []
        #expect(metrics.map(\.quality) == [nil, .bad, .stale, .stale])
        #expect(metrics.map(\.isNull) == [false, true, false, false])
        #expect(metrics.map(\.value) == [.double(23.5), nil, .int(1450), .string("läuft")])
        #expect(metrics.allSatisfy { $0.properties.allSatisfy { $0.type == 3 } })
        #expect(try qualities(Pump.batch(), historical: true) == [nil, nil, nil, nil], "history says nothing about now")
        var partial = Pump.batch()
        partial.presence = [0b0111]
        #expect(try qualities(partial) == [nil, .good, .good])
        #expect(try qualities(Pump.batch()) == [nil, nil, nil, .good])
        #expect(try qualities(Pump.batch()) == [nil, nil, nil, nil])
        let birth = try node.births(at: noon)[1].decoded
        #expect(birth.metrics.map(\.quality) == [.good, .good, .good, .good])
        #expect(try qualities(Pump.batch()) == [nil, nil, nil, nil], "the births told it already")
    }

    @Test("A device that fails is null and Bad in data and births")
    func badDevice() throws {
        var (node, _) = try born()
        _ = node.data(Pump.batch(), isHistorical: false, at: noon)
        let bad = try #require(node.data(Pump.batch(status: .badTimeout), isHistorical: false, at: noon).first).decoded
        #expect(bad.metrics.allSatisfy { $0.isNull && $0.value == nil && $0.quality == .bad })
        let birth = try node.births(at: noon)[1].decoded
        #expect(birth.metrics.allSatisfy { $0.isNull && $0.value == nil && $0.quality == .bad })
    }

    @Test("Replayed batches carry is_historical and their own time")
    func historical() throws {
        var (node, _) = try born()
        let old = Pump.batch(at: noon.adding(milliseconds: -3_600_000), epoch: 2, sequence: UInt64.max)
        let payload = try #require(node.data(old, isHistorical: true, at: noon).first).decoded
        #expect(payload.metrics.allSatisfy { $0.isHistorical && $0.timestamp == noon.sparkplugMilliseconds - 3_600_000 })
        #expect(payload.uuid == "2-7-18446744073709551615")
        #expect(try node.births(at: noon)[1].decoded.metrics.allSatisfy { $0.isNull })
    }

    @Test("An uncertain time is told in data and births, and to readers, as long as the value has it")
    func timeUncertain() throws {
        var (node, births) = try born()
        var reader = SparkplugReader()
        func read(_ messages: [SparkplugMessage]) -> [Bool] {
            messages.flatMap { reader.receive(topic: $0.topic, payload: $0.payload).updates }.filter { $0.device != nil }
                .map(\.value.isTimeUncertain)
        }
        #expect(!read(births).contains(true))
        var batch = Pump.batch()
        batch.isTimeUncertain = true
        let data = read(node.data(batch, isHistorical: false, at: noon))
        #expect(!data.isEmpty && !data.contains(false))
        births = node.births(at: noon)
        #expect(read(births).contains(true))
        var partial = Pump.batch()
        partial.presence = [1]
        #expect(read(node.data(partial, isHistorical: false, at: noon)) == [false])
        #expect(read(node.births(at: noon)).first == false)
        #expect(!read(node.data(Pump.batch(), isHistorical: false, at: noon)).contains(true))
        #expect(!read(node.births(at: noon)).contains(true))
    }

    @Test("Names: health in its folder, the group on a clash, the same metric for a stream that was configured anew")
    func names() throws {
        let clash = StreamDescriptor(device: "pump-1", group: "slow", tags: [Tag("speed", .uint16), Tag("runHours", .uint32)])
        let anew = StreamDescriptor(
            device: "pump-1", group: "fast", tags: [Tag("speed", .uint16), Tag("pressure", .float32), Tag("running", .int32)])
        var (node, births) = try born([
            (Pump.fast, Pump.fastTags), (Pump.health, Pump.healthTags), (StreamID(rawValue: 30), clash), (StreamID(rawValue: 31), anew),
        ])
        let birth = try births[1].decoded
        #expect(
            birth.metrics.map(\.name) == [
                "bearingTemperature", "running", "speed", "state", "Health/score", "slow/speed", "runHours", "pressure", "fast/running",
            ])
        births.removeAll()
        _ = node.data(Pump.batch(), isHistorical: false, at: noon)
        var batch = SampleBatch(stream: StreamID(rawValue: 31), descriptor: anew, time: noon.adding(milliseconds: 5), status: .good)
        batch.set(.uint(99), tag: 0, in: anew)
        let payload = try #require(node.data(batch, isHistorical: false, at: noon).first).decoded
        #expect(try payload.metrics.first?.alias == birth.metric("speed").alias)
        #expect(try node.births(at: noon)[1].decoded.metric("speed").value == .int(99), "the newer stream's value counts")
    }

    @Test("Equal names within one stream stay separate metrics")
    func doubleName() throws {
        let tags = StreamDescriptor(device: "d", group: "g", tags: [Tag("x", .int8), Tag("x", .int8), Tag("x", .int8), Tag("x", .int8)])
        let (_, births) = try born([(StreamID(rawValue: 1), tags)])
        #expect(try births[1].decoded.metrics.map(\.name) == ["x", "g/x", "g/x/Int8", "g/x/Int8/2"])
    }

    @Test(
        """
        tck-id-topic-structure-namespace-valid-device-id, tck-id-intro-device-id-string, tck-id-intro-device-id-chars: \
        reserved characters of a device's name are replaced
        """)
    func deviceID() throws {
        let (_, births) = try born([(Pump.fast, StreamDescriptor(device: "hall/1+#", group: "g", tags: [Tag("x", .int8)]))])
        #expect(births[1].topic == "spBv1.0/plant-a/DBIRTH/line-1/hall_1__")
    }

    @Test("A string slot that holds what it should not is cut and repaired, never sent as it is")
    func damagedString() throws {
        let tags = StreamDescriptor(device: "d", group: "g", tags: [Tag("x", .string, stringCapacity: 4096), Tag("y", .uint8)])
        var (node, _) = try born([(StreamID(rawValue: 1), tags)])
        var batch = SampleBatch(stream: StreamID(rawValue: 1), descriptor: tags, time: noon, status: .good)
        for index in batch.values.indices { batch.values[index] = 0xFF }
        let payload = try #require(node.data(batch, isHistorical: false, at: noon).first).decoded
        let text = String(repeating: "\u{FFFD}", count: 4096)
        #expect(payload.metrics.map(\.value) == [.string(text), .int(255)])
        #expect(try node.births(at: noon)[1].decoded.metrics.count == 2)
    }

    @Test("The example of docs/sparkplug.md is what the node sends")
    func documentedExample() throws {
        let tags = StreamDescriptor(
            device: "feed-pump", group: "fast",
            tags: [Tag("bearingTemperature", .int16, scaling: Scaling(scale: 0.1), unit: "Cel"), Tag("speed", .uint16, unit: "1/min")])
        let stream = StreamID(rawValue: 1)
        var (node, _) = try born([(stream, tags)])
        var batch = SampleBatch(stream: stream, descriptor: tags, time: noon, status: .good)
        batch.set(.int(235), tag: 0, in: tags)
        _ = node.data(batch, isHistorical: false, at: noon)
        batch.time = noon.adding(milliseconds: 350)
        batch.quality = [QualityRun(count: 1, status: .good), QualityRun(count: 1, status: .badTimeout)]
        (batch.epoch, batch.sequence) = (3, 42)
        let message = try #require(node.data(batch, isHistorical: false, at: noon.adding(milliseconds: 351)).first)
        let hexadecimal = message.payload.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        let page = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/sparkplug.md")
        let text = try String(contentsOf: page.standardizedFileURL, encoding: .utf8)
        #expect(text.contains("\n    \(hexadecimal)\n"), "\(hexadecimal)")
        #expect(text.contains("Its \(message.payload.count) bytes"))
    }
}
