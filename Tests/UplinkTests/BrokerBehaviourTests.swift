import Foundation
import GatewayCore
import Logging
import Telemetry
import TestKit
import Testing

@testable import Uplink

/// Brokers that refuse, hesitate, lie and break off: nothing counts as delivered that they did not take, and people read why.
@Suite(.serialized, .timeLimit(.minutes(2))) struct BrokerBehaviourTests {
    private func run(_ broker: ScriptedBroker, inFlight: Int = 64, mqtt: MQTTSettings = MQTTSettings()) throws -> RunningRoute {
        try RunningRoute([("127.0.0.1", broker.port)], tls: nil, inFlight: inFlight, mqtt: mqtt)
    }

    @Test func everyRefusalOfAConnectionIsTold() async throws {
        for code in ReasonCodeTests.codes[.connectAnswer] ?? [] where code != 0x84 {
            let broker = try await ScriptedBroker("{\"connack\": \(code), \"properties\": {\"reasonString\": \"ask Bob\"}}", "{}")
            let route = try run(broker)
            route.append()
            let trouble = try await route.trouble()
            #expect(trouble.contains(ReasonCode(rawValue: code).words(in: .connectAnswer, clientID: route.route.configuration.clientID)))
            #expect(trouble.contains("“ask Bob”"))
            try await route.until("sent when the broker takes us") { $0.acknowledgedEntries == 2 }
            _ = await route.stop()
        }
    }

    @Test func everyEndingByTheBrokerIsTold() async throws {
        for code in ReasonCodeTests.codes[.disconnect] ?? [] {
            let broker = try await ScriptedBroker("{\"disconnect\": {\"after\": 1, \"reason\": \(code)}}", "{}")
            let route = try run(broker)
            route.append()
            #expect(
                try await route.trouble().contains(
                    ReasonCode(rawValue: code).words(in: .disconnect, clientID: route.route.configuration.clientID)))
            try await route.until("sent again") { $0.acknowledgedEntries == 2 }
            _ = await route.stop()
        }
    }

    @Test func everyRefusedMessageIsHeldOrCounted() async throws {
        for code in ReasonCodeTests.codes[.publishAnswer] ?? [] {
            let reason = ReasonCode(rawValue: code)
            let broker = try await ScriptedBroker("{\"puback\": [\(code), 0], \"pubackText\": \"see rule 7\"}", "{}")
            let route = try run(broker)
            route.append()
            try await route.until("both entries are done with") { $0.acknowledgedEntries == 2 }
            let isGivenUp = reason.remedy(in: .publishAnswer) == .messageRefused
            #expect(route.status.refusedBatches == (isGivenUp ? 1 : 0), "\(reason)")
            #expect(route.status.refusedSamples == (isGivenUp ? 3 : 0), "\(reason)")
            let told = route.records.all.filter { $0.level >= .warning && $0.text.contains("see rule 7") }
            #expect(told.count == 1, "\(reason): \(route.records.all)")
            #expect(told.first?.text.contains(reason.number) == true)
            _ = await route.stop()
        }
    }

    @Test func acknowledgementsThatComeTwiceOrForNothingChangeNothing() async throws {
        for manner in ["twice", "unknown", "late"] {
            let broker = try await ScriptedBroker("{\"acknowledge\": \"\(manner)\"}")
            let route = try run(broker)
            for _ in 0..<20 { route.append() }
            try await route.until("all acknowledged, \(manner)") { $0.acknowledgedEntries == 40 && $0.inFlight == 0 }
            #expect(route.status.acknowledgedSamples == 120)
            #expect(route.status.reconnects == 0)
            _ = await route.stop()
        }
    }

    @Test func whatIsNeverAcknowledgedIsNeverDelivered() async throws {
        let broker = try await ScriptedBroker("{\"acknowledge\": \"never\", \"drop\": 8}", "{}")
        let route = try run(broker)
        for _ in 0..<5 { route.append() }
        try await route.until("given to the next connection") { $0.acknowledgedEntries == 10 }
        let sent = try await broker.all("publish", atLeast: 18)
        #expect(sent.filter { $0["connection"] as? Int == 1 }.count >= 8)
        #expect(sent.filter { $0["connection"] as? Int == 2 }.count == 10, "everything is sent again")
    }

    @Test func theBrokersReceiveMaximumBoundsWhatIsInFlight() async throws {
        let broker = try await ScriptedBroker("{\"properties\": {\"receiveMaximum\": 3}, \"acknowledge\": \"never\"}")
        let route = try run(broker)
        try await route.until("connected") { $0.state == .connected }
        for _ in 0..<20 { route.append() }
        try await route.until("a full window") { $0.inFlight == 3 }
        for _ in 0..<3 { _ = try await broker.next("publish") }
        #expect(route.status.publishedMessages == 3)
        #expect(route.status.connection?.receiveMaximum == 3)
    }

    @Test func aMessageBeyondTheBrokersPacketSizeIsLeftOutAndCounted() async throws {
        let broker = try await ScriptedBroker("{\"properties\": {\"maximumPacketSize\": 60}}")
        let route = try run(broker)
        route.append()
        try await route.until("both left out") { $0.refusedBatches == 2 && $0.acknowledgedEntries == 2 }
        #expect(route.status.refusedSamples == 6)
        #expect(route.status.reconnects == 0)
        #expect(broker.all("publish").isEmpty)
        #expect(route.records.all.contains { $0.level == .error && $0.text.contains("but the broker takes at most 60") })
    }

    @Test func theSizeOfAPacketIsKnownToTheByte() async throws {
        let free = try await ScriptedBroker("{}")
        let first = try run(free)
        // What is older than its connection says so, and is larger.
        try await first.until("connected") { $0.state == .connected }
        first.append()
        let length = try #require(try await free.next("publish")["packet"] as? Int)
        _ = await first.stop()
        // Fixed header: one byte and the length's own, one below 128.
        let whole = length + (length < 128 ? 2 : 3)
        for (limit, isTaken) in [(whole, true), (whole - 1, false)] {
            let broker = try await ScriptedBroker("{\"properties\": {\"maximumPacketSize\": \(limit)}}")
            let route = try run(broker)
            try await route.until("connected") { $0.state == .connected }
            route.append()
            try await route.until("done with") { $0.acknowledgedEntries == 2 }
            #expect((route.status.refusedBatches == 0) == isTaken, "at most \(limit), the packet has \(whole)")
            _ = await route.stop()
        }
    }

    @Test func topicsAreSentAsNumbersWhereTheBrokerAllowsIt() async throws {
        let broker = try await ScriptedBroker("{\"properties\": {\"topicAliasMaximum\": 1}}")
        let route = try run(broker)
        for _ in 0..<10 { route.append() }
        try await route.until("all acknowledged") { $0.acknowledgedEntries == 20 }
        let sent = try await broker.all("publish", atLeast: 20)
        #expect(sent.count == 20)
        #expect(sent.filter { $0["topic"] as? String == "t/pump-1" }.count == 10)
        #expect(sent.filter { $0["said"] as? String == "t/pump-1" }.count == 1, "said once, a number from then on")
        #expect(sent.filter { $0["said"] as? String == "t/pump-2" }.count == 10, "the broker allows one number only")
        #expect(route.status.reconnects == 0)
    }

    @Test func expiryAndKeysGoWithTheMessages() async throws {
        var mqtt = MQTTSettings()
        mqtt.sessionExpiry = .seconds(60)
        mqtt.messageExpiry = .seconds(3600)
        mqtt.sendsKeys = true
        let broker = try await ScriptedBroker("{}")
        let route = try run(broker, mqtt: mqtt)
        route.append()
        let connect = try await broker.next("connect")
        #expect(connect["level"] as? Int == 5)
        #expect((connect["properties"] as? [String: Int])?["11"] == 60)
        let message = try await broker.next("publish")
        let properties = try #require(message["properties"] as? [String: Any])
        #expect(properties["02"] as? Int == 3600)
        #expect(properties["03"] as? String == "application/json")
        #expect(message["user"] as? [[String]] == [["key", "plant/3-1-0"]], "\(message)")
    }

    @Test(arguments: ["[4]", "[3]"]) func aBrokerThatKnowsNoMQTT5IsSpokenToInMQTT311(versions: String) async throws {
        let broker = try await ScriptedBroker("{\"versions\": \(versions)}", "{\"versions\": [4]}")
        let route = try run(broker)
        route.append()
        try await route.until("acknowledged") { $0.acknowledgedEntries == 2 }
        #expect(route.status.connection?.version == .v311 && route.status.connection?.didFallBack == true)
        let connections = try await broker.all("connect", atLeast: 2)
        #expect(connections.map { $0["level"] as? Int } == [5, 4])
        #expect(route.records.all.contains { $0.level == .info && $0.text.contains("the broker refuses MQTT 5") })
    }

    @Test func mqtt311IsSpokenWhereItIsAskedFor() async throws {
        var mqtt = MQTTSettings()
        mqtt.version = .v311
        let broker = try await ScriptedBroker("{}")
        let route = try run(broker, mqtt: mqtt)
        route.append()
        try await route.until("acknowledged") { $0.acknowledgedEntries == 2 }
        #expect(route.status.connection?.version == .v311 && route.status.connection?.didFallBack == false)
        let connections = try await broker.all("connect", atLeast: 1)
        #expect(connections.map { $0["level"] as? Int } == [4])
    }

    @Test func aBrokerThatTakesQoS0OnlyIsOfNoUse() async throws {
        let broker = try await ScriptedBroker("{\"properties\": {\"maximumQoS\": 0}}")
        let route = try run(broker)
        route.append()
        #expect(try await route.trouble().contains("the broker takes QoS 0 only"))
        #expect(broker.all("publish").isEmpty)
    }

    @Test func garbageEndsTheConnectionAndNothingElse() async throws {
        let garbage = [
            "{\"raw\": \"ffffffffffffffff\"}", "{\"raw\": \"00000000\"}", "{\"raw\": \"4003000180\"}", "{\"raw\": \"40020000\"}",
            "{\"raw\": \"30050003616263\"}", "{\"raw\": \"3005ffff616263\"}", "{\"raw\": \"9003000100\"}", "{\"raw\": \"20\"}",
            "{\"rawFirst\": \"485454502f312e3120343030\"}", "{\"rawFirst\": \"2003000026\"}", "{\"rawFirst\": \"200500000321ffff\"}",
            "{\"raw\": \"e0\", \"drop\": 0}", "{\"drop\": 0}", "{\"endless\": true}",
        ]
        for script in garbage {
            let broker = try await ScriptedBroker(script, "{}")
            let route = try RunningRoute([("127.0.0.1", broker.port)], tls: nil, keepAlive: .seconds(5), connectTimeout: .seconds(2))
            route.append()
            try await route.until("sent, after \(script)") { $0.acknowledgedEntries == 2 }
            _ = await route.stop()
        }
    }

    @Test func aBrokerThatNeverAnswersIsGivenUp() async throws {
        let broker = try await ScriptedBroker("{\"silent\": true}", "{}")
        let route = try RunningRoute([("127.0.0.1", broker.port)], tls: nil, connectTimeout: .seconds(1))
        route.append()
        #expect(try await route.trouble().contains("no connection after"))
        try await route.until("sent") { $0.acknowledgedEntries == 2 }
    }

    @Test func refusedSubscriptionsAreTold() async throws {
        for code in ReasonCodeTests.codes[.subscribeAnswer] ?? [] {
            let broker = try await ScriptedBroker("{\"suback\": \(code)}")
            let subscriber = Subscriber(
                cluster: .init(name: "c", host: "127.0.0.1", port: broker.port, isTLS: false), tls: nil, clientID: "me", topics: ["a/#"],
                time: SystemTime())
            let error = await #expect(throws: GatewayError.self) { try await subscriber.run { _ in [] } }
            #expect(error?.message == ReasonCode(rawValue: code).words(in: .subscribeAnswer, clientID: "me"))
        }
    }

    @Test(arguments: [true, false]) func whatNobodyHearsIsHeldWhereThatIsAskedFor(holds: Bool) async throws {
        var mqtt = MQTTSettings()
        mqtt.holdsUnheard = holds
        let broker = try await ScriptedBroker("{\"puback\": [16]}", "{}")
        let route = try run(broker, mqtt: mqtt)
        route.append()
        try await route.until("acknowledged") { $0.acknowledgedEntries == 2 }
        #expect(route.status.reconnects == (holds ? 1 : 0))
        #expect(route.records.all.contains { $0.text.contains("nobody subscribes to this topic") } == holds)
    }

    @Test func mosquittoSaysWhatItsAccessListForbids() async throws {
        let broker = try MosquittoBroker(.plain, configuration: ["max_queued_messages 1000"], accessList: "topic read t/#\n")
        let route = try RunningRoute([("127.0.0.1", broker.port)], tls: nil, backoff: .seconds(20))
        route.append()
        let trouble = try await route.trouble()
        #expect(trouble.contains("its access list must allow writing there (PUBACK 0x87)"), "\(trouble)")
        #expect(route.status.acknowledgedEntries == 0, "a broker of 3.1.1 would have acknowledged it, and dropped it")
    }
}
