import Foundation
import GatewayCore
import Telemetry
import TestKit
import Testing

@testable import Uplink

@Suite("Clusters that misbehave", .serialized, .timeLimit(.minutes(5)))
struct ClusterScenarioTests {
    @Test("scenario 17: a broker that restarts sees one connection at a time, and one when it is there again")
    func noFlood() async throws {
        let restarting = "{\"drop\": 0}"
        let broker = try await ScriptedBroker(restarting, restarting, restarting, restarting, "{}")
        let plant = try Plant(ports: [broker.port], .weighted, devices: 50)
        for _ in 0..<10 { plant.append() }
        try await plant.until("everything acknowledged") { $0.acknowledgedEntries == 500 }
        let connections = try await broker.all("connect", atLeast: 5)
        var open = 0
        var mostAtOnce = 0
        for line in broker.process.allLines {
            if line.contains("\"event\": \"connect\"") { open += 1 }
            if ["lost", "closed"].contains(where: { line.contains("\"event\": \"\($0)\"") }) { open -= 1 }
            mostAtOnce = max(mostAtOnce, open)
        }
        #expect(mostAtOnce == 1 && open == 1)
        #expect(connections.count == 5)
        await plant.stop()
    }

    @Test("scenario 18: a broker whose connection stands while nothing comes back is not called healthy, and data flows again by itself")
    func neverDeadForGood() async throws {
        let broker = try MosquittoBroker(.plain)
        let plant = try Plant([broker], .latencyAware, devices: 3)
        plant.append()
        try await plant.until("acknowledged") { $0.acknowledgedEntries == 3 && $0.clusters[0].health == .healthy }
        for round in 1...2 {
            broker.freeze()
            plant.append()
            try await plant.until("not healthy") { $0.clusters[0].health != .healthy }
            if round == 1 {
                try await plant.until("given up") { $0.state != .connected && !$0.lastError.isEmpty }
                #expect(plant.status.clusters[0].devices == 3, "there is no other cluster for them")
            }
            broker.thaw()
            try await plant.until("acknowledged") { $0.acknowledgedEntries == UInt64(3 + 3 * round) && $0.state == .connected }
        }
        broker.kill()
        plant.append()
        try await plant.until("lost") { $0.clusters[0].health == .down && $0.state != .connected }
        try broker.start()
        try await plant.until("acknowledged") { $0.acknowledgedEntries == 12 && $0.state == .connected }
        await plant.stop()
    }

    @Test("scenario 02: a first cluster that takes messages and never acknowledges them does not keep the data from the second")
    func acknowledgesNothing() async throws {
        let first = try await ScriptedBroker("{\"acknowledge\": \"never\"}")
        let second = try MosquittoBroker(.plain)
        let subscriber = try await subscriber(second, topic: "t/#", tls: nil)
        let plant = try Plant(ports: [first.port, second.port], .ordered, devices: 1)
        for _ in 0..<20 { plant.append() }
        try await plant.until("everything acknowledged") { $0.acknowledgedEntries == 20 }
        let attempts = try await first.all("connect", atLeast: 1)
        #expect(plant.status.cluster == "c1" && attempts.count == 1)
        var sequences: [Int] = []
        while sequences.count < 20 {
            let line = try await subscriber.line { $0.hasPrefix("t/") }
            let start = try #require(line.firstIndex(of: "{"))
            let document = try JSONSerialization.jsonObject(with: Data(line[start...].utf8)) as? [String: Any]
            sequences.append(try #require(document?["sequence"] as? Int))
        }
        #expect(sequences == Array(0..<20))
        await plant.stop()
    }

    @Test("the volume of the day counts on over a restart, and says what it holds back")
    func dailyLimit() async throws {
        let broker = try MosquittoBroker(.plain)
        let folder = try TemporaryFolder()
        let rules = DeliveryRules(bytesPerDay: 2_000)
        var plant = try Plant(ports: [broker.port], .ordered, devices: 1, delivery: rules, stateFolder: folder.path)
        for _ in 0..<5 { plant.append() }
        try await plant.until("acknowledged") { $0.acknowledgedEntries == 5 }
        let sent = try #require(plant.status.sentToday)
        #expect(sent > 0 && plant.status.holds.isEmpty && plant.status.dailyLimit == 2_000)
        await plant.stop()
        plant = try Plant(ports: [broker.port], .ordered, devices: 1, delivery: rules, stateFolder: folder.path)
        // The day may end between the two.
        let again = try #require(plant.status.sentToday)
        #expect(again == sent || again == 0)
        for _ in 0..<100 { plant.append() }
        try await plant.until("the volume is spent") { status in status.holds.contains { $0.lane == .live && $0.reason == .dailyLimit } }
        #expect(plant.status.acknowledgedEntries < 100)
        await plant.stop()
    }

    @Test func scanGroupsOfAlarmsGoFirstAsAlarmsDo() {
        let configuration = RouteConfiguration(
            name: "r", site: "s", clusters: [.init(name: "c", host: "h", port: 1, isTLS: false)], payload: .json(topicTemplate: "t"),
            tls: nil,
            clientID: "c", epoch: 1)
        let now = MonotonicInstant(nanoseconds: 0)
        var state = FeedState(
            window: DeliveryWindow(clusterCount: 1, limits: .init(messagesMax: 1, bytesMax: 1)),
            selection: ClusterSelection(configuration, members: [0], at: now), alarmGroups: ["trips"])
        func isAlarm(_ group: String) -> Bool {
            state.know(StreamID(rawValue: UInt32(group.count)), StreamDescriptor(device: "d", group: group, tags: []), at: now).isAlarm
        }
        #expect(isAlarm("trips") && !isAlarm("fast") && isAlarm(StreamDescriptor.healthGroup))
    }
}
