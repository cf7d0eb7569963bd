import Foundation
import GatewayCore
import Logging
import Telemetry
import TestKit
import Testing

@testable import Uplink

/// Key of a JSON document: what a subscriber removes duplicates by.
private struct Key: Hashable {
    var stream: Int
    var sequence: Int
}

private func key(of line: String) throws -> Key {
    let start = try #require(line.firstIndex(of: "{"))
    let document = try #require(try JSONSerialization.jsonObject(with: Data(line[start...].utf8)) as? [String: Any])
    #expect(document["epoch"] as? Int == 3)
    return Key(stream: try #require(document["stream"] as? Int), sequence: try #require(document["sequence"] as? Int))
}

/// What subscribers saw: each stream's sequences from 0 on, whose first sights must come in order and without a hole.
private struct Received {
    private var next: [Int: Int]
    private(set) var duplicates = 0
    /// Sequences below this were acknowledged by a broker that was then killed: what it had not passed on yet died with it, after it had
    /// taken the responsibility (MQTT 3.1.1, 4.3.2), and nobody can send it again.
    var acknowledgedByTheDead = 0

    init(_ streams: [StreamID]) { next = Dictionary(uniqueKeysWithValues: streams.map { (Int($0.rawValue), 0) }) }

    mutating func take(_ line: String) throws {
        let key = try key(of: line)
        let expected = try #require(next[key.stream])
        if key.sequence < expected {
            duplicates += 1
        } else {
            #expect(
                key.sequence == expected || key.sequence <= acknowledgedByTheDead,
                "a hole or a wrong order in stream \(key.stream): \(key.sequence) after \(expected - 1)")
        }
        next[key.stream] = max(expected, key.sequence + 1)
    }

    /// Reads on until each stream has `count` batches.
    mutating func take(_ count: Int, from subscriber: ForeignProcess) async throws {
        while next.values.contains(where: { $0 < count }) { try take(try await subscriber.line { $0.hasPrefix("t/") }) }
    }
}

@Suite(.serialized, .timeLimit(.minutes(10))) struct RouteTests {
    private let certificates: TemporaryFolder

    init() throws { certificates = try Certificates.shared.get() }

    @Test func documentsArriveThroughTLS13WithClientCertificates() async throws {
        let broker = try MosquittoBroker(.tls(folder: certificates.path))
        let subscriber = try await subscriber(broker, topic: "t/#", tls: certificates)
        let route = try RunningRoute([("localhost", broker.port)], tls: .client(in: certificates))
        for _ in 0..<50 { route.append() }
        var received = Received(route.streams)
        try await received.take(50, from: subscriber)
        #expect(received.duplicates == 0)
        try await route.until("all acknowledged") { $0.acknowledgedSamples == 300 && $0.acknowledgedEntries == 100 }
        let status = route.status
        #expect(status.state == .connected)
        #expect(status.tlsVersion == "TLSv1.3")
        #expect(status.cipher?.hasPrefix("TLS_") == true)
        #expect(status.publishedMessages == 100 && status.inFlight == 0 && status.reconnects == 0)
        #expect(status.roundTrip.map { $0 > .zero } == true)
        #expect(await route.stop() is CancellationError)
        #expect(route.status.state == .stopped)
        #expect(route.records.all.allSatisfy { $0.level <= .info }, "\(route.records.all)")
    }

    @Test func aBrokerThatIsAbsentAtFirstIsFoundLater() async throws {
        let broker = try MosquittoBroker(.plain)
        broker.kill()
        let route = try RunningRoute([("127.0.0.1", broker.port)], tls: nil)
        for _ in 0..<10 { route.append() }
        #expect(try await route.trouble().contains("nothing listens there (connection refused)"))
        try await route.until("a second failure") { $0.retryCount >= 2 }
        #expect(route.records.all.count { $0.level >= .warning } == 1, "one warning, however often it is tried")
        try broker.start()
        try await route.until("everything acknowledged") { $0.acknowledgedEntries == 20 }
        #expect(route.status.lastError.isEmpty)
    }

    @Test func nothingIsLostOrReorderedWhenTheBrokerIsKilledUnderLoad() async throws {
        let broker = try MosquittoBroker(.tls(folder: certificates.path))
        var current = try await subscriber(broker, topic: "t/#", tls: certificates)
        // The route waits for at least half of this, so that a subscriber is back before it.
        let route = try RunningRoute([("localhost", broker.port)], tls: .client(in: certificates), backoff: .seconds(4))
        try await route.until("connected") { $0.state == .connected }
        var received = Received(route.streams)
        let rounds = 3
        let perRound = 300
        for round in 0..<rounds {
            for index in 0..<perRound {
                route.append()
                if index % 10 == 0 { try await Task.sleep(for: .milliseconds(1)) }
                guard round < rounds - 1, index == perRound / 2 else { continue }
                let connections = route.status.connections
                broker.kill()
                try await route.until("the loss noticed") { $0.state != .connected }
                // Each round of appending makes an entry for each of the two streams.
                received.acknowledgedByTheDead = Int(route.status.acknowledgedEntries + 1) / 2
                try broker.start()
                // mosquitto_sub may give up when TLS breaks off: what it saw until then counts, another one goes on.
                let next = try await subscriber(broker, topic: "t/#", tls: certificates)
                while let line = try? await current.line(within: .seconds(1), where: { $0.hasPrefix("t/") }) { try received.take(line) }
                await current.stop()
                current = next
                try await route.until("connected again") { $0.connections > connections }
            }
        }
        try await received.take(rounds * perRound, from: current)
        try await route.until("everything acknowledged") { $0.acknowledgedEntries == UInt64(2 * rounds * perRound) }
        #expect(route.status.reconnects == UInt64(rounds - 1))
        #expect(route.status.acknowledgedSamples == UInt64(6 * rounds * perRound))
    }

    @Test func aFrozenBrokerBoundsWhatIsInFlight() async throws {
        let broker = try MosquittoBroker(.plain)
        let subscriber = try await subscriber(broker, topic: "t/#", tls: nil)
        let route = try RunningRoute([("127.0.0.1", broker.port)], tls: nil, inFlight: 16)
        try await route.until("connected") { $0.state == .connected }
        broker.freeze()
        for _ in 0..<500 { route.append() }
        try await route.until("a full window") { $0.inFlight == 16 }
        for _ in 0..<500 { route.append() }
        try await Task.sleep(for: .milliseconds(200))
        #expect(route.status.publishedMessages == 16)
        broker.thaw()
        var received = Received(route.streams)
        try await received.take(1000, from: subscriber)
        #expect(received.duplicates == 0)
        try await route.until("everything acknowledged") { $0.acknowledgedEntries == 2000 }
    }

    @Test func aBrokerThatHangsForLongIsGivenUpAndEverythingIsSentAgain() async throws {
        let broker = try MosquittoBroker(.plain)
        let route = try RunningRoute([("127.0.0.1", broker.port)], tls: nil, keepAlive: .seconds(5), connectTimeout: .seconds(1))
        try await route.until("connected") { $0.state == .connected }
        broker.freeze()
        for _ in 0..<10 { route.append() }
        #expect(try await route.trouble().contains("did not answer a ping for 5 s"))
        try await route.until("a connection attempt that times out") { $0.lastError.first?.contains("no connection after") == true }
        broker.thaw()
        try await route.until("everything acknowledged") { $0.acknowledgedEntries == 20 }
    }

    @Test func theNextClusterIsTriedInOrder() async throws {
        let first = try MosquittoBroker(.plain)
        let second = try MosquittoBroker(.plain)
        first.kill()
        let route = try RunningRoute([("127.0.0.1", first.port), ("127.0.0.1", second.port)], tls: nil)
        route.append()
        try await route.until("acknowledged") { $0.acknowledgedEntries == 2 }
        #expect(route.status.cluster == "c1" && route.status.broker == "127.0.0.1:\(second.port)")
        second.kill()
        try first.start()
        route.append()
        try await route.until("acknowledged by the first") { $0.acknowledgedEntries == 4 }
        #expect(route.status.cluster == "c0")
    }

    @Test func aTakenOverClientIDIsNamed() async throws {
        let broker = try MosquittoBroker(.plain)
        let route = try RunningRoute([("127.0.0.1", broker.port)], tls: nil, backoff: .seconds(20), clientID: "twin")
        try await route.until("connected") { $0.state == .connected }
        let twin = try ForeignProcess("mosquitto_sub", ["-h", "127.0.0.1", "-p", "\(broker.port)", "-i", "twin", "-t", "x"])
        #expect(try await route.trouble().contains("another client took over the client ID “twin”"))
        await twin.stop()
    }

    @Test func sparkplugArrivesAndDiesInOrder() async throws {
        let broker = try MosquittoBroker(.tls(folder: certificates.path))
        let subscriber = try await subscriber(broker, topic: "spBv1.0/#", tls: certificates, format: "%t %x")
        let route = try RunningRoute(
            [("localhost", broker.port)], tls: .client(in: certificates), payload: .sparkplugB(group: "plant", node: "gw"))
        func next(_ kind: String) async throws -> String {
            let line = try await subscriber.line { $0.hasPrefix("spBv1.0/") }
            #expect(line.hasPrefix("spBv1.0/plant/\(kind)/gw"), "\(line)")
            return line
        }
        _ = try await next("NBIRTH")
        _ = try await next("DBIRTH")
        _ = try await next("DBIRTH")
        route.append()
        #expect(try await next("DDATA").contains("/gw/pump-1"))
        #expect(try await next("DDATA").contains("/gw/pump-2"))
        try await route.until("acknowledged") { $0.acknowledgedSamples == 6 }

        // Node Control/Rebirth = true, as bytes of a Sparkplug payload: metric {name, datatype 11, boolean_value}.
        let name = Array("Node Control/Rebirth".utf8)
        let metric: [UInt8] = [0x0A, UInt8(name.count)] + name + [0x20, 11, 0x70, 1]
        let command = [0x12, UInt8(metric.count)] + metric
        let file = certificates.url.appendingPathComponent("rebirth")
        try Data(command).write(to: file)
        for _ in 0..<2 {
            let publisher = try ForeignProcess(
                "mosquitto_pub",
                [
                    "-h", "localhost", "-p", "\(broker.port)", "-t", "spBv1.0/plant/NCMD/gw", "-q", "1", "-f", file.path, "--cafile",
                    "\(certificates.path)/ca.crt", "--cert", "\(certificates.path)/subscriber.crt", "--key",
                    "\(certificates.path)/subscriber.key",
                ])
            #expect(try await publisher.waitForExit() == 0)
        }
        func nextFromNode(_ kind: String) async throws {
            let line = try await subscriber.line { $0.hasPrefix("spBv1.0/") && !$0.contains("/NCMD/") }
            #expect(line.hasPrefix("spBv1.0/plant/\(kind)/gw"), "\(line)")
        }
        for kind in ["NBIRTH", "DBIRTH", "DBIRTH"] { try await nextFromNode(kind) }
        #expect(route.status.rebirths == 1, "two commands within a second are obeyed once")
        #expect(await route.stop() is CancellationError)
        try await nextFromNode("NDEATH")
        #expect(!broker.logText.contains("socket error"), "the node left in order: \(broker.logText)")
    }

    @Test func theBrokerPublishesTheDeathOfANodeThatVanishes() async throws {
        let broker = try MosquittoBroker(.plain)
        let subscriber = try await subscriber(broker, topic: "spBv1.0/#", tls: nil, format: "%t %x")
        let route = try RunningRoute(
            [("127.0.0.1", broker.port)], tls: nil, payload: .sparkplugB(group: "plant", node: "gw"), clientID: "twin")
        _ = try await subscriber.line { $0.contains("/NBIRTH/") }
        let twin = try ForeignProcess("mosquitto_sub", ["-h", "127.0.0.1", "-p", "\(broker.port)", "-i", "twin", "-t", "x"])
        _ = try await subscriber.line { $0.contains("/NDEATH/") }
        await twin.stop()
        _ = try await subscriber.line { $0.contains("/NBIRTH/") }
        #expect(await route.stop() is CancellationError)
    }
}

/// Something a test switches under a running route.
private final class Flag: @unchecked Sendable {
    private let lock = NSLock()
    private var flag: Bool
    init(_ value: Bool) { flag = value }
    var value: Bool {
        get { lock.withLock { flag } }
        set { lock.withLock { flag = newValue } }
    }
}
