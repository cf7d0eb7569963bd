import Telemetry
import Testing

@testable import Sparkplug

@Suite struct ReaderTests {
    private var node: EdgeNode
    private var reader = SparkplugReader()

    init() throws {
        node = try EdgeNode.plant()
        node.register(Pump.fast, Pump.fastTags)
        node.register(Pump.slow, Pump.slowTags)
    }

    private mutating func receive(_ messages: [SparkplugMessage]) -> [SparkplugReception] {
        messages.map { reader.receive(topic: $0.topic, payload: $0.payload) }
    }

    private mutating func receive(_ topic: String, _ payload: SparkplugPayload) -> SparkplugReception {
        reader.receive(topic: topic, payload: payload.encoded())
    }

    @Test("A whole session arrives as it was, without violations")
    mutating func session() throws {
        let will = node.connecting(at: noon)
        var receptions = receive(node.births(at: noon))
        receptions += receive(node.data(Pump.batch(), isHistorical: false, at: noon))
        receptions += receive(node.data(Pump.runHours(12), isHistorical: false, at: noon))
        var bad = Pump.batch()
        bad.quality = [QualityRun(count: 2, status: .badTimeout), QualityRun(count: 2, status: .uncertain)]
        receptions += receive(node.data(bad, isHistorical: false, at: noon))
        receptions += receive(node.data(Pump.batch(100), isHistorical: true, at: noon))
        receptions += receive(node.data(Pump.batch(-5), isHistorical: false, at: noon))
        receptions += receive(node.births(at: noon))
        receptions += receive([will])
        #expect(receptions.flatMap(\.violations) == [])
        #expect(
            receptions.map(\.topic?.type) == [
                .nodeBirth, .deviceBirth, .deviceData, .deviceData, .deviceData, .deviceData, .deviceData, .nodeBirth, .deviceBirth,
                .nodeDeath,
            ])

        let live = receptions[2]
        #expect(live.uuid == "3-7-41")
        #expect(live.updates.map(\.name) == ["bearingTemperature", "running", "speed", "state"])
        #expect(live.updates.map(\.value.value) == [.double(23.5), .bool(true), .uint(1450), .string("läuft")])
        #expect(live.updates.allSatisfy { $0.device == "pump-1" && $0.value.status == .good && $0.value.time == noon && !$0.isHistorical })
        #expect(live.updates.map(\.unit) == ["Cel", "", "1/min", ""])
        #expect(receptions[4].updates.map(\.value.status) == [.bad, .bad, .uncertainLastUsableValue, .uncertainLastUsableValue])
        #expect(receptions[4].updates.map(\.value.value) == [nil, nil, .uint(1450), .string("läuft")])
        #expect(receptions[5].updates.allSatisfy { $0.isHistorical && $0.value.status == .good })
        #expect(receptions[6].updates.allSatisfy { $0.value.status == .good })
        #expect(receptions[8].updates.first?.value == DataValue(value: .double(-0.5), status: .good, time: noon))
    }

    @Test mutating func lostMessage() {
        _ = node.connecting(at: noon)
        _ = receive(node.births(at: noon))
        _ = node.data(Pump.batch(), isHistorical: false, at: noon)
        let gap = receive(node.data(Pump.batch(), isHistorical: false, at: noon))
        #expect(gap.flatMap(\.violations) == ["DDATA has sequence number 3 after 1, expected 2"])
        #expect(receive(node.data(Pump.batch(), isHistorical: false, at: noon)).flatMap(\.violations) == [])
    }

    @Test mutating func dataBeforeBirth() {
        _ = node.connecting(at: noon)
        _ = node.births(at: noon)
        let data = receive(node.data(Pump.runHours(1), isHistorical: false, at: noon))
        #expect(data.flatMap(\.violations) == ["DDATA before the node's NBIRTH", "DDATA has unknown alias 7"])
        #expect(data.flatMap(\.updates) == [])
        var births = node.births(at: noon)
        _ = receive([births.removeFirst()])
        let early = receive(node.data(Pump.runHours(1), isHistorical: false, at: noon))
        #expect(early.flatMap(\.violations).contains("DDATA of device 'pump-1' before its DBIRTH"))
    }

    @Test mutating func deaths() {
        let first = node.connecting(at: noon)
        _ = receive(node.births(at: noon))
        let second = node.connecting(at: noon)
        _ = receive(node.births(at: noon))
        let late = receive([first])
        #expect(late[0].violations.first?.contains("bdSeq 0, but the node was born with 1") == true)
        #expect(receive(node.data(Pump.batch(), isHistorical: false, at: noon)).flatMap(\.violations) == [])
        #expect(receive([second]).flatMap(\.violations) == [])
        #expect(receive(node.data(Pump.batch(), isHistorical: false, at: noon)).flatMap(\.violations) == ["DDATA before the node's NBIRTH"])
        let payload = SparkplugPayload(timestamp: 1, metrics: [], sequence: 5)
        let wrong = receive("spBv1.0/plant-a/NDEATH/line-1", payload)
        #expect(wrong.violations == ["NDEATH has a sequence number", "NDEATH has no bdSeq"])
        let device = receive("spBv1.0/plant-a/DDEATH/line-1/pump-7", SparkplugPayload(timestamp: 1, sequence: 4))
        #expect(device.violations == ["DDEATH of device 'pump-7', which was not born"])
    }

    @Test("A foreign node's sins are all named")
    mutating func sins() throws {
        let birth = SparkplugPayload(
            metrics: [SparkplugMetric(name: "a", alias: 1, datatype: 3, value: .int(1)), SparkplugMetric(alias: 2, value: .int(1))],
            sequence: 9)
        let reception = receive("spBv1.0/g/NBIRTH/n", birth)
        #expect(
            reception.violations == [
                "NBIRTH: the payload has no timestamp", "NBIRTH has sequence number 9, expected 0", "NBIRTH has no bdSeq",
                "NBIRTH has no 'Node Control/Rebirth' of type Boolean with the value false", "NBIRTH has metric 'a' without timestamp",
                "NBIRTH has a metric without name or datatype",
            ])
        let device = SparkplugPayload(
            timestamp: 1, metrics: [SparkplugMetric(name: "b", alias: 1, timestamp: 1, datatype: 3, value: .int(1))], sequence: 10)
        #expect(receive("spBv1.0/g/DBIRTH/n/d", device).violations == ["DBIRTH gives alias 1 of 'a' to 'b' as well"])
        let data = SparkplugPayload(
            timestamp: 1,
            metrics: [
                SparkplugMetric(timestamp: 1, value: .int(1)), SparkplugMetric(name: "zz", timestamp: 1, value: .int(1)),
                SparkplugMetric(alias: 1, timestamp: 1, value: .string("x")),
            ], sequence: 300)
        let wrong = receive("spBv1.0/g/DDATA/n/d", data)
        #expect(
            wrong.violations == [
                "DDATA has sequence number 300, expected one of 0 to 255", "DDATA has a metric without name and alias",
                "DDATA has metric 'zz', which no birth told of", "DDATA has metric 'b' with a value that is not of its type Int32",
            ])
        #expect(wrong.updates.map(\.value.status) == [.badDecodingError])
        let node = SparkplugPayload(timestamp: 1, metrics: [SparkplugMetric(alias: 1, timestamp: 1, value: .int(1))])
        #expect(
            receive("spBv1.0/g/NDATA/n", node).violations == [
                "NDATA has no sequence number, expected one of 0 to 255", "NDATA has metric 'b' of another device",
            ])
    }

    @Test mutating func endlessViolations() {
        let metrics = (0..<100).map { SparkplugMetric(alias: $0, timestamp: 1, value: .int(1)) }
        let reception = receive("spBv1.0/g/NDATA/n", SparkplugPayload(timestamp: 1, metrics: metrics, sequence: 0))
        #expect(reception.violations.count == SparkplugReader.violationsMax + 1)
        #expect(reception.violations.last == "and 81 more")
    }

    @Test mutating func foreignTopics() {
        #expect(reader.receive(topic: "spBv1.0/STATE/host", payload: []).violations.count == 1)
        #expect(reader.receive(topic: "spBv1.0/g/NDATA/n", payload: [0xFF]).violations.first?.contains("byte 0") == true)
        #expect(receive("spBv1.0/g/NCMD/n", SparkplugPayload(timestamp: 1)).violations == [])
    }

    @Test("The number of edge nodes that are followed is bounded")
    mutating func nodeLimit() {
        let birth = SparkplugPayload(timestamp: 1, sequence: 0).encoded()
        for node in 0..<SparkplugReader.nodesMax { _ = reader.receive(topic: "spBv1.0/g/NBIRTH/\(node)", payload: birth) }
        #expect(reader.receive(topic: "spBv1.0/g/NBIRTH/more", payload: birth).violations.first?.contains("10000") == true)
    }
}
