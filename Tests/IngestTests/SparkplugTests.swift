import GatewayCore
import Sparkplug
import Telemetry
import TestKit
import Testing

@testable import Ingest

@Suite struct SparkplugIngestTests {
    private static let values = [
        "pump-1/temperature=23.5 Good @1767268800000", "pump-1/speed=1500.0 Good @1767268800000", "pump-1/running=true Good @1767268800000",
        "pump-1/state=on Good @1767268800000", "pump-1/total=9223372036854775813 Good @1767268800000",
        "pump-1/ratio=0.1 Good @1767268800000",
    ]

    @Test func dataIsReadWithTheNamesOfItsBirth() throws {
        var bench = try Bench()
        var plant = try Plant(epoch: 3)
        for message in plant.births() { bench.receive(message) }
        #expect(bench.chunk.samples.isEmpty)
        bench.receive(plant.data(235))
        #expect(bench.words == Self.values)
        #expect(bench.chunk.batches.map(\.key) == [BatchKey(gateway: 0, epoch: 3, stream: 1, sequence: 1)])
        #expect(bench.decoder.catalog.gateways == ["plant/line-1"])
        #expect(bench.decoder.catalog.units.contains("Cel"))
        // Births and data, each once.
        #expect(bench.chunk.messages.map(\.number) == [1, 2, 3])
        #expect(bench.effects.refused.isEmpty)
    }

    @Test("scenario 08: what comes again is known by its key, live or historical")
    func duplicates() throws {
        var bench = try Bench()
        var plant = try Plant(epoch: 3)
        for message in plant.births() { bench.receive(message) }
        let batch = plant.poll(235)
        for isHistorical in [false, true, true] { bench.receive(plant.node.data(batch, isHistorical: isHistorical, at: noon)[0]) }
        #expect(bench.words == Self.values)
        #expect(bench.decoder.counters.duplicateMessages == 2)
        // Duplicates are acknowledged with the chunk of the first, or a later one.
        #expect(bench.chunk.messages.count == 5)
    }

    @Test func badQualityAndUncertainTimesAreKept() throws {
        var bench = try Bench()
        var plant = try Plant(epoch: 3)
        for message in plant.births() { bench.receive(message) }
        let runs = [
            QualityRun(count: 1, status: .badTimeout), QualityRun(count: 1, status: .uncertain), QualityRun(count: 4, status: .good),
        ]
        let batch = plant.poll(235, quality: runs, isTimeUncertain: true)
        bench.receive(plant.node.data(batch, isHistorical: false, at: noon)[0])
        #expect(
            bench.words.prefix(3) == [
                "pump-1/temperature=nothing Bad @1767268800000 uncertain",
                "pump-1/speed=1500.0 UncertainLastUsableValue @1767268800000 uncertain",
                "pump-1/running=true Good @1767268800000 uncertain",
            ])
    }

    @Test func dataWaitsForItsBirthWhichIsAskedForOnce() throws {
        var bench = try Bench()
        var plant = try Plant(epoch: 3)
        let births = plant.births()
        for temperature: Int16 in 235..<240 { bench.receive(plant.data(temperature)) }
        #expect(bench.chunk.isEmpty)
        #expect(bench.decoder.counters.heldMessages == 5)
        #expect(bench.effects.publications.map(\.topic) == ["spBv1.0/plant/NCMD/line-1"])
        let command = try #require(bench.effects.publications.first)
        #expect(plant.node.command(topic: command.topic, payload: command.payload) == .rebirth)
        for message in births { bench.receive(message) }
        #expect(bench.decoder.counters.heldMessages == 0)
        #expect(bench.chunk.batches.map(\.key.sequence) == [1, 2, 3, 4, 5])
        #expect(bench.chunk.messages.count == 7)
        // Nothing waits, so nothing is asked for.
        bench.advance(.seconds(100))
        #expect(bench.effects.publications.count == 1)
        #expect(bench.effects.refused.isEmpty)
    }

    @Test func aBirthThatDoesNotComeIsAskedForAgainAndThenGivenUp() throws {
        var bench = try Bench()
        var plant = try Plant(epoch: 3)
        bench.receive(plant.data(235))
        var requests: [Int] = []
        for _ in 0..<25 {
            bench.advance(.seconds(1))
            requests.append(bench.effects.publications.count)
        }
        // At once, then after 1, 2, 4, 8 seconds.
        #expect(requests[0] == 2 && requests[1] == 2 && requests[2] == 3 && requests[6] == 4 && requests[14] == 5)
        #expect(bench.effects.refused.map(\.reason) == ["no birth of plant/line-1 came within 20 s"])
        #expect(bench.decoder.counters.heldMessages == 0)
        #expect(bench.decoder.nextDeadline == nil)
    }

    @Test("Births of another start of the gateway explain nothing: aliases differ")
    func startsAreKeptApart() throws {
        var bench = try Bench()
        var old = try Plant(epoch: 3)
        var new = try Plant(epoch: 4, before: ["fan-1"])
        for message in new.births() { bench.receive(message) }
        // Sent by the start before, and delivered late.
        bench.receive(old.data(235))
        #expect(bench.chunk.samples.isEmpty)
        for message in old.births() { bench.receive(message) }
        #expect(bench.words == Self.values)
        bench.receive(new.data(111))
        #expect(bench.words.suffix(6).first == "pump-1/temperature=11.1 Good @1767268800000")
    }

    @Test("A gateway's sessions at two brokers have aliases of their own, and the data of each is read with its own")
    func brokersAreKeptApart() throws {
        var bench = try Bench()
        var east = try Plant(epoch: 3)
        // At the other broker the same start of the gateway told of another device first.
        var west = try Plant(epoch: 3, before: ["fan-1"])
        for message in east.births() { bench.receive(message, from: 0) }
        // A birth at one broker explains nothing at the other, where it is asked for.
        let early = west.data(111)
        bench.receive(early, from: 1)
        #expect(bench.decoder.counters.heldMessages == 1)
        #expect(bench.effects.publications.map(\.source) == [1])
        for message in west.births() { bench.receive(message, from: 1) }
        _ = east.poll(0)
        bench.receive(east.data(235), from: 0)
        #expect(bench.words.count == 12)
        #expect(bench.words.first == "pump-1/temperature=11.1 Good @1767268800000")
        #expect(Array(bench.words.suffix(6)) == Self.values)
        // What the gateway had sent over the one and sends again over the other is known.
        let again = west.data(235)
        bench.receive(again, from: 1)
        #expect(bench.decoder.counters.duplicateMessages == 1)
        #expect(bench.effects.refused.isEmpty)
        #expect(bench.decoder.catalog.gateways == ["plant/line-1"])
    }

    @Test func anotherMakersNodeIsReadByBestEffort() throws {
        var bench = try Bench()
        func metric(_ name: String?, _ alias: UInt64?, _ value: SparkplugValue?, type: SparkplugDataType?) -> SparkplugMetric {
            SparkplugMetric(name: name, alias: alias, timestamp: 1000, datatype: type?.rawValue, isNull: value == nil, value: value)
        }
        let birth = SparkplugPayload(
            timestamp: 1000,
            metrics: [
                metric("bdSeq", nil, .long(0), type: .int64), metric("Node Control/Rebirth", nil, .boolean(false), type: .boolean),
                metric("level", 1 << 40, .int(0xFFFF_FFFE), type: .int32),
            ], sequence: 0)
        bench.receive("spBv1.0/g/NBIRTH/n", birth.encoded())
        #expect(bench.words == ["/level=-2.0 Good @1000"])
        var stale = metric(nil, 1 << 40, .int(7), type: nil)
        stale.properties = [.quality(.stale)]
        let data = [stale, metric(nil, 1 << 40, .int(8), type: nil), metric("level", nil, nil, type: nil)]
        for (index, metric) in data.enumerated() {
            let payload = SparkplugPayload(timestamp: 1001, metrics: [metric], sequence: UInt64(index + 1))
            // Twice: the time and the number tell that it is the same.
            for _ in 0..<2 { bench.receive("spBv1.0/g/NDATA/n", payload.encoded()) }
        }
        // Quality holds until it is told anew.
        #expect(
            bench.words.dropFirst() == [
                "/level=7.0 UncertainLastUsableValue @1000", "/level=8.0 UncertainLastUsableValue @1000", "/level=nothing Bad @1000",
            ])
        // What happened while nobody listened is unknown.
        bench.decoder.didReconnect()
        bench.receive("spBv1.0/g/NDATA/n", SparkplugPayload(timestamp: 1009, metrics: [data[1]], sequence: 9).encoded())
        #expect(bench.decoder.counters.heldMessages == 1)
    }

    @Test func foreignBytesAreRefusedAndNeverTrap() throws {
        var generator = SeededGenerator()
        var bench = try Bench()
        var plant = try Plant(epoch: 3)
        for message in plant.births() { bench.receive(message) }
        for round in 0..<1500 {
            var message = round % 3 == 0 ? plant.births()[1] : plant.data(Int16(truncatingIfNeeded: round))
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                message.payload[Int.random(in: message.payload.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            if Bool.random(using: &generator) { message.payload.removeLast(Int.random(in: 0..<message.payload.count, using: &generator)) }
            bench.receive(message)
            bench.advance(.milliseconds(100))
        }
        bench.advance(.seconds(60))
        // Every message ended somewhere.
        let tokens = bench.chunk.messages.map(\.number) + bench.effects.refused.compactMap { $0.message.token?.number }
        #expect(tokens.count == Int(bench.nextToken))
        #expect(Set(tokens).count == tokens.count)
        #expect(bench.chunk.batches.reduce(0) { $0 + $1.samples.count } == bench.chunk.samples.count)
    }

    @Test func waitingIsBounded() throws {
        var bench = try Bench()
        var plant = try Plant(epoch: 3)
        let message = plant.data(1)
        for _ in 0..<IngestDecoder.heldMessagesMax + 3 { bench.receive(message) }
        #expect(bench.decoder.counters.heldMessages == UInt64(IngestDecoder.heldMessagesMax))
        #expect(bench.effects.refused.count == 3)
    }
}
