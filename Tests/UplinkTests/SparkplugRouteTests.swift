import Foundation
import GatewayCore
import Sparkplug
import Telemetry
import TestKit
import Testing

@testable import Uplink

/// Routes against a real broker and a host application that shares no code with them.
@Suite(.serialized) struct SparkplugRouteTests {
    /// INDUS_SPARKPLUG_STEPS makes the run as long as one likes.
    @Test(
        """
        scenario 07: a random run with cut cables, half-open connections, restarts of the broker and rebirths shows a host neither gap nor \
        unknown alias nor data before a birth, and every batch
        """, arguments: [true, false])
    func randomRun(isFlat: Bool) async throws {
        var random = SeededGenerator()
        let steps = ProcessInfo.processInfo.environment["INDUS_SPARKPLUG_STEPS"].flatMap { Int($0) } ?? 60
        let broker = try MosquittoBroker(.plain)
        let host = try await SparkplugHost(broker)
        let route = try SparkplugRoute(ports: [host.relay], isFlat: isFlat)
        try await route.until("connected") { route.route.status.state == .connected }
        var appended = 0
        for step in 0..<steps {
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                route.append()
                appended += 1
            }
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...40, using: &random)))
            switch Int.random(in: 0..<30, using: &random) {
            case 0, 1: try host.send("cut")
            case 2: try host.send("halfopen")
            case 3, 4, 5: try host.send("rebirth plant-a line-1")
            case 6 where step % 3 == 0:
                // Nothing of the node goes to a broker that the host does not listen to.
                try host.send("block")
                _ = try await host.process.line { $0.contains("blocked") }
                broker.kill()
                try broker.start()
                _ = try await host.process.line(within: .seconds(60)) { $0.contains("\"subscribed\"") }
                try host.send("unblock")
            default: break
            }
        }
        let total = UInt64(appended * 2 * 4)
        try await route.until("all acknowledged") { route.route.status.acknowledgedSamples >= total }
        var report = try await host.report()
        for _ in 0..<200 where report.streams.values.contains(where: { $0.count < appended }) || report.streams.count < 2 {
            try await Task.sleep(for: .milliseconds(20))
            report = try await host.report()
        }
        let violations = host.process.allLines.filter { $0.contains("\"violation\"") }
        #expect(violations == [])
        #expect(report.violations == 0)
        #expect(report.streams.count == 2)
        #expect(report.streams.values.allSatisfy { $0.count == appended && $0.first == 0 && $0.last == appended - 1 && $0.ordered })
        #expect(report.online == ["plant-a/line-1"])
        await route.stop()
        await host.process.stop()
    }

    @Test(
        """
        tck-id-principles-persistence-clean-session-311, tck-id-principles-persistence-clean-session-50, \
        tck-id-message-flow-edge-node-birth-publish-connect, tck-id-message-flow-edge-node-birth-publish-will-message, \
        tck-id-payloads-ndeath-will-message, tck-id-message-flow-edge-node-ncmd-subscribe, tck-id-message-flow-device-dcmd-subscribe, \
        tck-id-payloads-ndeath-will-message-publisher, tck-id-payloads-ndeath-will-message-publisher-disconnect-mqtt311, \
        tck-id-payloads-ndeath-will-message-publisher-disconnect-mqtt50, \
        tck-id-operational-behavior-edge-node-intentional-disconnect-ndeath, \
        tck-id-operational-behavior-edge-node-intentional-disconnect-packet: what the broker saw of a session, in its order
        """, arguments: [MQTTSettings.Version.v311, .v5])
    func session(_ version: MQTTSettings.Version) async throws {
        let broker = try MosquittoBroker(.plain, configuration: ["log_type all"])
        let route = try SparkplugRoute(ports: [broker.port], version: version)
        let client = route.route.configuration.clientID
        route.append()
        try await route.until("acknowledged") { route.route.status.acknowledgedSamples == 8 }
        await route.stop()
        // The broker may write its log a moment later.
        for _ in 0..<1000 where !broker.logText.contains("Received DISCONNECT") { try await Task.sleep(for: .milliseconds(10)) }
        let log = broker.logText.split(separator: "\n").map(String.init)
        func place(_ parts: String...) throws -> Int {
            try #require(
                log.firstIndex { line in parts.allSatisfy { line.contains($0) } }, "\(parts) not in \(log.joined(separator: "\n"))")
        }
        let connect = try place("New client connected", client, version == .v5 ? "p5" : "p2", "c1")
        let will = try place("Will message specified", "r0, q1")
        let nodeCommands = try place("spBv1.0/plant-a/NCMD/line-1", "(QoS 1)")
        let deviceCommands = try place("spBv1.0/plant-a/DCMD/line-1/#", "(QoS 1)")
        let birth = try place("Received PUBLISH", "q0, r0", "spBv1.0/plant-a/NBIRTH/line-1")
        let deviceBirth = try place("Received PUBLISH", "q0, r0", "spBv1.0/plant-a/DBIRTH/line-1/pump-1")
        let data = try place("Received PUBLISH", "q1, r0", "spBv1.0/plant-a/DDATA/line-1/pump-1")
        let death = try place("Received PUBLISH", "r0", "spBv1.0/plant-a/NDEATH/line-1")
        let disconnect = try place("Received DISCONNECT", client)
        #expect(connect < nodeCommands && will < nodeCommands)
        #expect(max(nodeCommands, deviceCommands) < birth && birth < deviceBirth && deviceBirth < data && data < death)
        #expect(death < disconnect)
        #expect(route.route.configuration.mqtt.sessionExpiry == .zero)
    }

    @Test(
        """
        tck-id-operational-behavior-edge-node-termination-host-offline-reconnect, \
        tck-id-operational-behavior-primary-application-state-with-multiple-servers-single-server: births wait for the primary host, and \
        its end leads to the next broker
        """)
    func primaryHost() async throws {
        let brokers = [try MosquittoBroker(.plain, configuration: ["log_type all"]), try MosquittoBroker(.plain)]
        let hosts = [try await SparkplugHost(brokers[0]), try await SparkplugHost(brokers[1])]
        try hosts[1].send("state online 2000")
        try hosts[0].send("state online 1000")
        let route = try SparkplugRoute(ports: hosts.map(\.relay), options: SparkplugOptions(primaryHost: "scada"))
        try await route.until("connected to the first") { route.route.status.cluster == "c0" && route.route.status.state == .connected }
        route.append()
        try await route.until("acknowledged") { route.route.status.acknowledgedSamples == 8 }
        try hosts[0].send("state offline 999")
        try await route.until("the late message is passed over") {
            route.records.all.contains { $0.text.contains("older than the last online") }
        }
        #expect(route.route.status.clusters[0].state == .connected)
        try hosts[0].send("state offline 1000")
        try await route.until("connected to the next") { route.route.status.clusters[1].state == .connected }
        #expect(route.route.status.clusters[0].state != .connected)
        route.append()
        try await route.until("acknowledged") { route.route.status.acknowledgedSamples == 16 }
        let first = try await hosts[0].report()
        #expect(first.deaths >= 1 && first.online == [])
        let second = try await hosts[1].report()
        #expect(second.online == ["plant-a/line-1"] && second.violations + first.violations == 0)
        await route.stop()
        for host in hosts { await host.process.stop() }
    }

    @Test("Without a word of the primary host nothing is published; with the only broker the route waits for it")
    func waiting() async throws {
        let broker = try MosquittoBroker(.plain)
        let host = try await SparkplugHost(broker)
        let route = try SparkplugRoute(
            ports: [host.relay], connectTimeout: .milliseconds(300), options: SparkplugOptions(primaryHost: "scada"))
        route.append()
        try await route.until("waiting") { route.records.all.contains { $0.text.contains("waits for the primary host") } }
        try await Task.sleep(for: .milliseconds(700))
        #expect(route.route.status.publishedMessages == 0)
        try host.send("state online 5")
        try await route.until("acknowledged") { route.route.status.acknowledgedSamples == 8 }
        #expect(route.route.status.connections == 1)
        #expect(try await host.report().violations == 0)
        await route.stop()
        await host.process.stop()
    }

    @Test(
        "scenario 24: commands reach who decides, by name and alias; late, repeated, unknown and malformed ones are refused, counted, recorded"
    )
    func commands() async throws {
        let broker = try MosquittoBroker(.plain)
        let host = try await SparkplugHost(broker)
        let route = try SparkplugRoute(ports: [host.relay], options: SparkplugOptions(allowsCommands: true))
        try await route.until("connected") { route.route.status.state == .connected }
        // A command of the same millisecond as the route's start would be one from before it.
        try await Task.sleep(for: .milliseconds(20))
        try host.send("write plant-a line-1 pump-1 temperature Double 12.5")
        let sent = try await host.process.line { $0.contains("\"sent\"") }
        try await route.until("obeyed") { route.route.status.obeyedCommands == 1 }
        try await Task.sleep(for: .milliseconds(5))
        try host.send("alias plant-a line-1 pump-2 on Boolean true")
        try await route.until("obeyed") { route.route.status.obeyedCommands == 2 }
        #expect(route.recorder.commands.map { "\($0.device).\($0.tag)=\($0.value)" } == ["pump-1.temperature=12.5", "pump-2.on=true"])
        #expect(route.recorder.commands.first?.topic == "spBv1.0/plant-a/DCMD/line-1/pump-1")
        let again = sent.split(separator: "\"").last { $0.count > 8 } ?? ""
        try host.send("raw spBv1.0/plant-a/DCMD/line-1/pump-1 \(again)")
        try host.send("write plant-a line-1 pump-1 temperature Double 13 90000")
        try host.send("write plant-a line-1 pump-9 temperature Double 13")
        try host.send("write plant-a line-1 pump-1 pressure Double 13")
        try host.send("write plant-a line-1 pump-1 temperature String warm")
        try host.send("raw spBv1.0/plant-a/DCMD/line-1/pump-1 ffffff")
        try host.send("write plant-a line-1 pump-1 locked UInt16 1")
        try await route.until("all refused") { route.route.status.refusedCommands == 7 }
        try await route.until("all recorded") { route.recorder.refusals.count == 6 }
        let reasons = route.recorder.refusals
        #expect(reasons[0].contains("twice, or late") && reasons[1].contains("was sent") && reasons[2].contains("no device 'pump-9'"))
        #expect(reasons[3].contains("no metric 'pressure'") && reasons[4].contains("not of its type") && reasons[5].contains("byte"))
        #expect(route.recorder.commands.count == 3 && route.route.status.obeyedCommands == 2)
        for _ in 0..<60 { try host.send("write plant-a line-1 pump-9 x Double 1") }
        try await route.until("all counted") { route.route.status.refusedCommands == 67 }
        #expect(route.recorder.refusals.count <= CommandDesk.recordsPerMinute, "nobody fills the trail from afar")
        await route.stop()
        await host.process.stop()
    }

    @Test("A route that takes no commands refuses each, and asks nobody")
    func commandsOff() async throws {
        let broker = try MosquittoBroker(.plain)
        let host = try await SparkplugHost(broker)
        let route = try SparkplugRoute(ports: [host.relay])
        try await route.until("connected") { route.route.status.state == .connected }
        try host.send("write plant-a line-1 pump-1 temperature Double 12.5")
        try await route.until("refused") { route.route.status.refusedCommands == 1 }
        #expect(route.recorder.commands.isEmpty)
        #expect(route.records.all.contains { $0.text.contains("commands: allowed") })
        await route.stop()
        await host.process.stop()
    }

    @Test("bdSeq goes on over restarts; a damaged file begins anew, a folder that cannot be made is told of")
    func sequenceFile() throws {
        let folder = try TemporaryFolder()
        let file = BirthDeathSequenceFile(folder: folder.path + "/sparkplug", route: "central", cluster: "a/b")
        #expect(file.load() == nil)
        try file.save(255)
        #expect(file.load() == 255)
        #expect(FileManager.default.fileExists(atPath: folder.path + "/sparkplug/central.a_b.bdseq"))
        for text in ["", "256", "-1", "x", "9999999999999999"] {
            try text.write(toFile: file.path, atomically: true, encoding: .utf8)
            #expect(file.load() == nil, "\(text)")
        }
        #expect(throws: GatewayError.self) {
            try BirthDeathSequenceFile(folder: "/proc/nowhere", route: "r", cluster: "c").save(1)
        }
        var configuration = RouteConfiguration(
            name: "central", site: "s", clusters: [.init(name: "a", host: "h", port: 1)], payload: .sparkplugB(group: "g", node: "n"),
            tls: nil, clientID: "c", epoch: 1)
        configuration.sparkplug.stateFolder = folder.path + "/kept"
        var numbers: [[UInt8]] = []
        for _ in 0..<3 {
            var encoder = try PayloadEncoder(configuration, cluster: "a")
            let will = encoder.connecting(at: Timestamp(milliseconds: 1))
            numbers.append(try #require(will).payload)
            try encoder.keepSequence()
        }
        let told = try numbers.map { try SparkplugPayload(decoding: $0).metrics.first?.value }
        #expect(told == [.long(0), .long(1), .long(2)])
    }
}
