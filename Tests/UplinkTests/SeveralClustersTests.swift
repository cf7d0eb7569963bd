import Foundation
import GatewayCore
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import Uplink

/// A gateway with many devices, a route to several brokers, and a subscriber at each.
final class Plant: Sendable {
    static let tags = [Tag("a", .int16), Tag("on", .bool)]
    let log = MemoryLog(epoch: 3)
    let records = Records()
    let route: Route
    let streams: [StreamID]
    private let task: Task<Void, any Error>

    convenience init(
        _ brokers: [MosquittoBroker], _ failover: RouteConfiguration.Failover, devices: Int = 12, weights: [Int]? = nil,
        payload: RouteConfiguration.Payload = .json(topicTemplate: "t/{device}"), backlog: Int = 0, liveLag: Duration = .seconds(10),
        delivery: DeliveryRules = DeliveryRules(), recovery: Duration = .milliseconds(700)
    ) throws {
        try self.init(
            ports: brokers.map(\.port), failover, devices: devices, weights: weights, payload: payload, backlog: backlog, liveLag: liveLag,
            delivery: delivery, recovery: recovery)
    }

    init(
        ports: [UInt16], _ failover: RouteConfiguration.Failover, devices: Int = 12, weights: [Int]? = nil,
        payload: RouteConfiguration.Payload = .json(topicTemplate: "t/{device}"), backlog: Int = 0, liveLag: Duration = .seconds(10),
        delivery: DeliveryRules = DeliveryRules(), recovery: Duration = .milliseconds(700), stateFolder: String? = nil
    ) throws {
        streams = (0..<devices).map { [log] in log.register(StreamDescriptor(device: "d\($0)", group: "fast", tags: Self.tags)) }
        let clusters = ports.enumerated().map {
            RouteConfiguration.Cluster(
                name: "c\($0.offset)", host: "127.0.0.1", port: $0.element, isTLS: false, weight: weights?[$0.offset] ?? 1)
        }
        var configuration = RouteConfiguration(
            name: "central", site: "plant", clusters: clusters, failover: failover, payload: payload, tls: nil,
            clientID: "gw-\(UInt32.random(in: 0 ... .max))", epoch: 3, connectTimeout: .seconds(2), backoffInitial: .milliseconds(50),
            backoffMaximum: .milliseconds(200), delivery: delivery, probeInterval: .milliseconds(300), recoveryTimeout: recovery,
            liveLagMax: liveLag)
        configuration.stateFolder = stateFolder
        let route = try Route(configuration: configuration, log: log, time: SystemTime(), logger: records.logger)
        route.register(streams: streams)
        self.route = route
        for _ in 0..<backlog { Self.append(to: log, streams, at: SystemTime().utc.advanced(by: .seconds(-3600))) }
        task = Task { try await route.run() }
    }

    deinit { task.cancel() }

    var status: RouteStatus { route.status }

    private static func append(to log: MemoryLog, _ streams: [StreamID], at time: Timestamp) {
        for (number, stream) in streams.enumerated() {
            let descriptor = StreamDescriptor(device: "d\(number)", group: "fast", tags: tags)
            log.append(SampleBatch(stream: stream, descriptor: descriptor, time: time, status: .good))
        }
    }

    func append() { Self.append(to: log, streams, at: SystemTime().utc) }

    func stop() async {
        task.cancel()
        _ = await task.result
    }

    func until(_ what: String, _ condition: (RouteStatus) -> Bool, location: SourceLocation = #_sourceLocation) async throws {
        for _ in 0..<6000 {
            if condition(status) { return }
            try await Task.sleep(for: .milliseconds(5))
        }
        Issue.record("not reached within 30 s: \(what); \(status); \(records.all.suffix(3))", sourceLocation: location)
        throw CancellationError()
    }
}

/// A batch as a subscriber saw it.
private struct Sight: Hashable {
    var stream: Int
    var sequence: Int
    var isHistorical: Bool

    init(_ line: String) throws {
        let start = try #require(line.firstIndex(of: "{"))
        let document = try #require(try JSONSerialization.jsonObject(with: Data(line[start...].utf8)) as? [String: Any])
        stream = try #require(document["stream"] as? Int)
        sequence = try #require(document["sequence"] as? Int)
        isHistorical = document["historical"] as? Bool ?? false
    }
}

/// What has arrived at one broker until now.
private func drain(_ subscriber: ForeignProcess, patience: Duration = .milliseconds(500)) async throws -> [Sight] {
    var sights: [Sight] = []
    while let line = try? await subscriber.line(within: patience, where: { $0.hasPrefix("t/") }) { sights.append(try Sight(line)) }
    return sights
}

/// First sights of each stream come in order.
private func checkOrder(_ sights: [Sight], _ what: String) {
    var newest: [Int: Int] = [:]
    var seen: Set<Sight> = []
    for sight in sights where seen.insert(sight).inserted {
        #expect(sight.sequence > newest[sight.stream] ?? -1, "\(what): stream \(sight.stream) has \(sight.sequence) late")
        newest[sight.stream] = max(sight.sequence, newest[sight.stream] ?? -1)
    }
}

@Suite("Several clusters", .serialized, .timeLimit(.minutes(5)))
struct SeveralClustersTests {
    private func brokers(_ count: Int) throws -> [MosquittoBroker] { try (0..<count).map { _ in try MosquittoBroker(.plain) } }

    @Test("weighted: each device has one cluster, as the placement says, and all clusters are used")
    func weighted() async throws {
        let brokers = try brokers(3)
        var subscribers: [ForeignProcess] = []
        for broker in brokers { subscribers.append(try await subscriber(broker, topic: "t/#", tls: nil)) }
        let plant = try Plant(brokers, .weighted, devices: 60, weights: [3, 2, 1])
        try await plant.until("all connected") { $0.clusters.allSatisfy { $0.state == .connected } }
        for _ in 0..<5 { plant.append() }
        try await plant.until("acknowledged") { $0.acknowledgedEntries == 300 }
        let placement = Placement([(0, "c0", 3), (1, "c1", 2), (2, "c2", 1)])
        var total = 0
        for (index, subscriber) in subscribers.enumerated() {
            let sights = try await drain(subscriber)
            checkOrder(sights, "c\(index)")
            total += sights.count
            #expect(!sights.isEmpty)
            #expect(sights.allSatisfy { placement.cluster(of: "d\($0.stream - 1)") == index })
        }
        #expect(total == 300, "nothing twice")
        #expect(plant.status.clusters.reduce(0) { $0 + $1.devices } == 60)
        await plant.stop()
    }

    @Test("scenario 08: a cluster that dies under load: the others take over, nothing is lost, duplicates have the same key")
    func deadCluster() async throws {
        let brokers = try brokers(3)
        var subscribers: [ForeignProcess] = []
        for broker in brokers { subscribers.append(try await subscriber(broker, topic: "t/#", tls: nil)) }
        let plant = try Plant(brokers, .weighted)
        try await plant.until("all connected") { $0.clusters.allSatisfy { $0.state == .connected } }
        for round in 0..<300 {
            plant.append()
            if round % 5 == 0 { try await Task.sleep(for: .milliseconds(1)) }
            if round == 150 { brokers[1].kill() }
        }
        try await plant.until("acknowledged") { $0.acknowledgedEntries == 3600 }
        #expect(plant.status.state == .connected && plant.status.clusters[1].state != .connected)
        #expect(plant.status.clusters[1].devices == 0 && !plant.status.clusters[1].lastError.isEmpty)
        var seen: Set<Sight> = []
        for (index, subscriber) in subscribers.enumerated() {
            let sights = try await drain(subscriber)
            checkOrder(sights, "c\(index)")
            for var sight in sights {
                sight.isHistorical = false
                seen.insert(sight)
            }
        }
        // What the dead broker had acknowledged and not passed on died with it, after it had taken the responsibility (MQTT 3.1.1, 4.3.2).
        let placement = Placement([(0, "c0", 1), (1, "c1", 1), (2, "c2", 1)])
        for stream in 1...12 where placement.cluster(of: "d\(stream - 1)") != 1 {
            #expect(seen.count { $0.stream == stream } == 300, "stream \(stream)")
        }
        for stream in 1...12 {
            let sequences = Set(seen.filter { $0.stream == stream }.map(\.sequence))
            #expect(sequences.isSuperset(of: 200..<300), "stream \(stream) goes on elsewhere")
            #expect(sequences.count >= 300 - 64)
        }
        await plant.stop()
    }

    @Test("scenario 02: a cluster that freezes: what it did not acknowledge goes through another, in order; devices come back later")
    func frozenCluster() async throws {
        let brokers = try brokers(2)
        var subscribers: [ForeignProcess] = []
        for broker in brokers { subscribers.append(try await subscriber(broker, topic: "t/#", tls: nil)) }
        let plant = try Plant(brokers, .weighted)
        try await plant.until("all connected") { $0.clusters.allSatisfy { $0.state == .connected } }
        let own = plant.status.clusters.map(\.devices)
        #expect(own.allSatisfy { $0 > 0 })
        for _ in 0..<20 { plant.append() }
        brokers[0].freeze()
        for _ in 0..<20 { plant.append() }
        try await plant.until("taken over") { $0.clusters[1].devices == 12 && $0.acknowledgedEntries == 480 }
        #expect(plant.status.clusters[0].health != .healthy)
        let elsewhere = try await drain(subscribers[1])
        checkOrder(elsewhere, "c1")
        brokers[0].thaw()
        try await plant.until("back") { $0.clusters.map(\.devices) == own && $0.clusters[0].health == .healthy }
        for _ in 0..<20 { plant.append() }
        try await plant.until("acknowledged") { $0.acknowledgedEntries == 720 }
        var seen: Set<Sight> = []
        for (index, subscriber) in subscribers.enumerated() {
            let sights = try await drain(subscriber)
            if index == 0 { checkOrder(sights, "c0") }
            for var sight in sights + (index == 1 ? elsewhere : []) {
                sight.isHistorical = false
                seen.insert(sight)
            }
        }
        #expect(seen.count == 720, "each batch arrived somewhere, under its one key")
        await plant.stop()
    }

    @Test("mirror: each cluster gets everything at its own pace, also what it missed")
    func mirror() async throws {
        let brokers = try brokers(2)
        let first = try await subscriber(brokers[0], topic: "t/#", tls: nil)
        brokers[1].kill()
        let plant = try Plant(brokers, .mirror, devices: 3)
        for _ in 0..<50 { plant.append() }
        try await plant.until("acknowledged by one") { $0.acknowledgedEntries == 150 }
        let sights = try await drain(first)
        #expect(sights.count == 150)
        #expect(plant.status.clusters[1].backlog?.samples == 300 && plant.status.clusters[0].backlog?.samples == 0)
        try brokers[1].start()
        let second = try await subscriber(brokers[1], topic: "t/#", tls: nil)
        plant.append()
        try await plant.until("acknowledged by both") { $0.acknowledgedEntries == 306 }
        var late = try await drain(second)
        // Connected before the subscriber was: what it had then is with the broker, not with the subscriber.
        late.removeAll { $0.sequence < 50 }
        #expect(late.count == 3)
        await plant.stop()
    }

    @Test("latencyAware: all devices on one cluster, on the other when it is lost, with the deaths and births that Sparkplug asks for")
    func latencyAware() async throws {
        let brokers = try brokers(2)
        var subscribers: [ForeignProcess] = []
        for broker in brokers { subscribers.append(try await subscriber(broker, topic: "spBv1.0/#", tls: nil, format: "%t")) }
        func next(_ broker: Int, _ what: String) async throws {
            _ = try await subscribers[broker].line { $0.hasPrefix("spBv1.0/plant/\(what)") }
        }
        let plant = try Plant(brokers, .latencyAware, devices: 2, payload: .sparkplugB(group: "plant", node: "gw"))
        try await plant.until("all connected") { $0.clusters.allSatisfy { $0.state == .connected } }
        plant.append()
        try await plant.until("acknowledged") { $0.acknowledgedEntries == 2 }
        let chosen = try #require(plant.status.clusters.firstIndex { $0.devices == 2 })
        let other = 1 - chosen
        try await next(chosen, "DDATA/gw/d1")
        try await next(other, "NBIRTH/gw")
        brokers[chosen].freeze()
        plant.append()
        try await next(other, "DBIRTH/gw/d0")
        try await next(other, "DDATA/gw/d0")
        try await plant.until("acknowledged") { $0.acknowledgedEntries == 4 && $0.clusters[other].devices == 2 }
        brokers[chosen].thaw()
        await plant.stop()
    }

    @Test("weighted Sparkplug: a device that goes back to its cluster dies where it was and is born where it goes")
    func sparkplugMove() async throws {
        let brokers = try brokers(2)
        let name = "d0"
        let home = try #require(Placement([(0, "c0", 1), (1, "c1", 1)]).cluster(of: name))
        let away = 1 - home
        brokers[home].kill()
        let other = try await subscriber(brokers[away], topic: "spBv1.0/#", tls: nil, format: "%t")
        let plant = try Plant(brokers, .weighted, devices: 1, payload: .sparkplugB(group: "plant", node: "gw"))
        plant.append()
        _ = try await other.line { $0 == "spBv1.0/plant/DBIRTH/gw/d0" }
        _ = try await other.line { $0 == "spBv1.0/plant/DDATA/gw/d0" }
        try brokers[home].start()
        let back = try await subscriber(brokers[home], topic: "spBv1.0/#", tls: nil, format: "%t")
        _ = try await other.line { $0 == "spBv1.0/plant/DDEATH/gw/d0" }
        plant.append()
        _ = try await back.line { $0 == "spBv1.0/plant/DDATA/gw/d0" }
        try await plant.until("acknowledged") { $0.acknowledgedEntries == 2 && $0.clusters[home].devices == 1 }
        await plant.stop()
    }
}

@Suite("Two lanes", .serialized, .timeLimit(.minutes(5)))
struct TwoLanesTests {
    @Test("scenario 07: live data does not wait for the backlog, which follows in order and marked as history")
    func liveFirst() async throws {
        let broker = try MosquittoBroker(.plain)
        let subscriber = try await subscriber(broker, topic: "t/#", tls: nil)
        // A backlog of 1,200 messages that would take minutes.
        let plant = try Plant(
            [broker], .ordered, devices: 3, backlog: 400, delivery: DeliveryRules(backlogBytesPerSecond: 2000))
        try await plant.until("connected") { $0.state == .connected }
        for _ in 0..<10 {
            plant.append()
            try await Task.sleep(for: .milliseconds(20))
        }
        var sights: [Sight] = []
        while sights.count(where: { !$0.isHistorical }) < 30 { sights.append(try Sight(try await subscriber.line { $0.hasPrefix("t/") })) }
        let status = plant.status
        #expect(status.backlog.samples > 1000 && status.backlog.age.map { $0 > .seconds(3500) } == true)
        #expect(status.live.publishedMessages == 30)
        while sights.count(where: { $0.isHistorical }) < 40 { sights.append(try Sight(try await subscriber.line { $0.hasPrefix("t/") })) }
        let live = sights.filter { !$0.isHistorical }
        let history = sights.filter { $0.isHistorical }
        checkOrder(live, "live")
        checkOrder(history, "backlog")
        #expect(live.allSatisfy { $0.sequence >= 400 } && history.allSatisfy { $0.sequence < 400 } && !history.isEmpty)
        #expect(Set(sights).count == sights.count, "nothing twice")
        await plant.stop()
    }

    @Test("scenario 07: a backlog drains completely, and then there is one lane of fresh data again")
    func drains() async throws {
        let broker = try MosquittoBroker(.plain)
        let subscriber = try await subscriber(broker, topic: "t/#", tls: nil)
        let plant = try Plant([broker], .ordered, devices: 3, backlog: 2000)
        for _ in 0..<20 { plant.append() }
        try await plant.until("everything acknowledged") { $0.acknowledgedEntries == 6060 }
        let sights = try await drain(subscriber)
        #expect(Set(sights.map { [$0.stream, $0.sequence] }).count == 6060)
        checkOrder(sights.filter { !$0.isHistorical }, "live")
        checkOrder(sights.filter { $0.isHistorical }, "backlog")
        #expect(plant.status.backlog.samples == 0)
        await plant.stop()
    }

    @Test("scenario 04: a route that may send less than comes in keeps live data fresh; the rest waits and nothing is lost")
    func slowerThanIntake() async throws {
        let broker = try MosquittoBroker(.plain)
        let subscriber = try await subscriber(broker, topic: "t/#", tls: nil)
        // About 40 messages a second; 600 come in within three seconds.
        let plant = try Plant(
            [broker], .ordered, devices: 2, liveLag: .milliseconds(300), delivery: DeliveryRules(bytesPerSecond: 4000))
        try await plant.until("connected") { $0.state == .connected }
        for _ in 0..<300 {
            plant.append()
            try await Task.sleep(for: .milliseconds(10))
        }
        try await plant.until("the live lane began anew") { $0.liveLaneRestarts > 1 && $0.backlog.samples > 0 }
        let newest = try await drain(subscriber, patience: .milliseconds(50)).filter { !$0.isHistorical }
        #expect(newest.contains { $0.sequence > 150 }, "fresh data overtook what had piled up")
        checkOrder(newest, "live")
        await plant.stop()
    }
}
