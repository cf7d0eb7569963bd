import Foundation
import GatewayCore
import Identity
import Logging
import Synchronization
import Telemetry
import TestKit
import Testing

@testable import Uplink

/// The machine's clock, moved, and known to be right or not.
private final class MovedTime: TimeSource {
    private let shift: Duration
    private let isUncertain: Bool
    init(by shift: Duration, isUncertain: Bool) {
        self.shift = shift
        self.isUncertain = isUncertain
    }

    var utc: Timestamp { SystemTime().utc.advanced(by: shift) }
    var stamp: ClockStamp { ClockStamp(time: utc, isUncertain: isUncertain) }
    var now: MonotonicInstant { SystemTime().now }
    func sleep(until deadline: MonotonicInstant) async throws { try await SystemTime().sleep(until: deadline) }
}

/// Certificates are exchanged under running routes, with a real broker.
@Suite(.serialized, .timeLimit(.minutes(5))) struct IdentityRotationTests {
    private static let year = Duration.seconds(365 * 86_400)
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        _ = try DevelopmentIdentity.create(in: folder.path, at: SystemTime().utc)
    }

    private func renew(at time: Timestamp = SystemTime().utc) throws { try DevelopmentIdentity.renew("gateway", in: folder.path, at: time) }
    private func file(_ name: String) -> String { "\(folder.path)/\(name)" }
    private func copy(_ name: String, from other: String, to target: String? = nil) throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: other))
        try data.write(to: URL(fileURLWithPath: file(target ?? name)), options: .atomic)
    }

    /// The sequences of each stream in the order in which a subscriber saw them.
    private func sequences(_ subscriber: ForeignProcess, _ count: Int) async throws -> [Int: [Int]] {
        var seen: [Int: [Int]] = [:]
        for _ in 0..<count {
            let line = try await subscriber.line { $0.hasPrefix("t/") }
            let start = try #require(line.firstIndex(of: "{"))
            let document = try #require(try JSONSerialization.jsonObject(with: Data(line[start...].utf8)) as? [String: Any])
            seen[try #require(document["stream"] as? Int), default: []].append(try #require(document["sequence"] as? Int))
        }
        return seen
    }

    @Test(arguments: [RouteConfiguration.Failover.ordered, .weighted])
    func newCertificatesTakeOverAndNothingIsLostOrSentTwice(failover: RouteConfiguration.Failover) async throws {
        let broker = try MosquittoBroker(.tls(folder: folder.path))
        let subscriber = try await subscriber(broker, topic: "t/#", tls: folder)
        let route = try RunningRoute([("localhost", broker.port)], tls: .client(in: folder), failover: failover)
        try await route.until("connected") { $0.state == .connected }
        let rotations = 3
        let perRotation = 200
        for rotation in 0..<rotations {
            for index in 0..<perRotation {
                route.append()
                if index % 10 == 0 { try await Task.sleep(for: .milliseconds(1)) }
                if index == perRotation / 2 { try renew() }
            }
            let wanted = UInt64(rotation + 2)
            try await route.until("a session with the new certificate") { $0.connections == wanted }
        }
        let total = 2 * rotations * perRotation
        let seen = try await sequences(subscriber, total)
        #expect(
            seen.count == 2 && seen.values.allSatisfy { $0 == Array(0..<(rotations * perRotation)) }, "a hole, a duplicate or a wrong order"
        )
        try await route.until("all acknowledged") { $0.acknowledgedEntries == UInt64(total) }
        let status = route.status
        #expect(status.identity?.renewals == UInt64(rotations) && status.identity?.trouble == [])
        let own = try CertificateInformation(pemFile: file("gateway.crt"))
        #expect(status.identity?.certificate?.fingerprint == own.fingerprint)
        #expect(status.clusters[0].health == .healthy, "a hand-over is no flaw of the cluster")
        #expect(route.records.all.allSatisfy { $0.level <= .notice }, "\(route.records.all.filter { $0.level > .notice })")
    }

    @Test func aFileThatIsOnlyTouchedIsNoNews() async throws {
        let broker = try MosquittoBroker(.tls(folder: folder.path))
        let route = try RunningRoute([("localhost", broker.port)], tls: .client(in: folder))
        try await route.until("connected") { $0.state == .connected }
        try copy("gateway.crt", from: file("gateway.crt"))
        // Several looks later.
        try await Task.sleep(for: .milliseconds(400))
        #expect(route.status.connections == 1 && route.status.identity?.renewals == 0)
    }

    @Test(arguments: ["garbage", "key", "missing", "expired", "foreign"])
    func badNewFilesAreReportedAndTheOldServeOn(kind: String) async throws {
        let broker = try MosquittoBroker(.tls(folder: folder.path))
        let route = try RunningRoute([("localhost", broker.port)], tls: .client(in: folder))
        try await route.until("connected") { $0.state == .connected }
        let keep = try TemporaryFolder()
        for name in ["gateway.crt", "gateway.key"] {
            try FileManager.default.copyItem(atPath: file(name), toPath: "\(keep.path)/\(name)")
        }
        let foreign = try Certificates.foreign.get()
        let words: String
        switch kind {
        case "garbage":
            try Data("-----BEGIN CERTIFICATE-----\nAAAA\n".utf8).write(to: URL(fileURLWithPath: file("gateway.crt")))
            words = "no certificate in PEM form"
        case "key":
            try copy("gateway.key", from: file("subscriber.key"))
            words = "the key does not match the certificate"
        case "missing":
            try FileManager.default.removeItem(atPath: file("gateway.crt"))
            words = "the file does not exist"
        case "expired":
            try renew(at: SystemTime().utc.advanced(by: .seconds(-100 * 86_400)))
            words = "expired on"
        default:
            for name in ["gateway.crt", "gateway.key"] { try copy(name, from: "\(foreign.path)/\(name)") }
            words = "is not signed by an authority in"
        }
        try await route.until("the trouble told") { $0.identity?.trouble.isEmpty == false }
        #expect(route.status.identity?.trouble.joined().contains(words) == true, "\(route.status.identity?.trouble ?? [])")
        #expect(route.status.state == .connected && route.status.connections == 1)
        // Also a new connection does with what was good.
        broker.kill()
        try await route.until("lost") { $0.state != .connected }
        try broker.start()
        route.append()
        try await route.until("acknowledged") { $0.acknowledgedEntries == 2 }
        let warnings = route.records.all.filter { $0.text.contains("new certificates are not taken") }
        #expect(warnings.count == 1 && warnings.allSatisfy { $0.text.contains(words) }, "\(warnings)")
        // And what is good again takes over, or is what is in use.
        for name in ["gateway.crt", "gateway.key"] { try copy(name, from: "\(keep.path)/\(name)") }
        try await route.until("no trouble any more") { $0.identity?.trouble.isEmpty == true }
        #expect(route.status.identity?.renewals == 0)
    }

    @Test func aBrokerThatRefusesTheNewCertificateIsShownTheOldOne() async throws {
        let foreign = try Certificates.foreign.get()
        // We trust both authorities, the broker only its own.
        let both =
            try Data(contentsOf: URL(fileURLWithPath: file("ca.crt"))) + Data(contentsOf: foreign.url.appendingPathComponent("ca.crt"))
        try both.write(to: folder.url.appendingPathComponent("both.crt"))
        let broker = try MosquittoBroker(.tls(folder: folder.path))
        let route = try RunningRoute([("localhost", broker.port)], tls: .client(in: folder, ca: file("both.crt")))
        try await route.until("connected") { $0.state == .connected }
        for name in ["gateway.key", "gateway.crt"] { try copy(name, from: "\(foreign.path)/\(name)") }
        try await route.until("connected again with the old one") { $0.connections == 2 && $0.state == .connected }
        route.append()
        try await route.until("acknowledged") { $0.acknowledgedEntries == 2 }
        let words = route.records.all.filter { $0.text.contains("the broker does not accept the new certificate") }
        #expect(words.count == 1 && words.allSatisfy { $0.level == .warning }, "\(route.records.all)")
        // What the broker takes is shown to it at once.
        try renew()
        try await route.until("the next certificate shown") { $0.connections == 3 && $0.state == .connected }
    }

    @Test("scenario 24: a certificate that expired while the box was offline comes back when new files appear")
    func expiredWhileOffline() async throws {
        let broker = try MosquittoBroker(.tls(folder: folder.path))
        try renew(at: SystemTime().utc.advanced(by: .seconds(-100 * 86_400)))
        let route = try RunningRoute([("localhost", broker.port)], tls: .client(in: folder))
        for _ in 0..<10 { route.append() }
        _ = try await route.trouble()
        try await route.until("several attempts") { $0.retryCount >= 2 }
        #expect(route.status.connections == 0)
        #expect(route.records.all.contains { $0.level == .warning && $0.text.contains("expired on") }, "\(route.records.all)")
        try renew()
        try await route.until("everything delivered, without a restart") { $0.acknowledgedEntries == 20 }
        #expect(route.status.identity?.trouble == [] && route.status.gapSamples == 0)
    }

    @Test("scenario 24: a clock that is not set yet declares no certificate expired or not yet valid", arguments: [-20, 20])
    func unsetClock(years: Int) async throws {
        let broker = try MosquittoBroker(.tls(folder: folder.path))
        let unset = MovedTime(by: Self.year * years, isUncertain: true)
        let credentials = try TLSCredentials(RouteConfiguration.TLS.client(in: folder).files)
        #expect(credentials.troubles(at: unset.stamp).isEmpty)
        #expect(
            credentials.troubles(at: ClockStamp(time: unset.utc)).contains { $0.kind == .dates }, "a clock that is known to be right does")
        // A clock ahead of the time makes the broker's certificate look expired, and nobody can know better; one that lags is known to lag.
        guard years < 0 else { return }
        let route = try RunningRoute([("localhost", broker.port)], tls: .client(in: folder), time: unset)
        route.append()
        try await route.until("acknowledged") { $0.acknowledgedEntries == 2 }
        #expect(route.records.all.allSatisfy { $0.level <= .info }, "\(route.records.all)")
    }

    @Test func anOldVersionOfTLSIsNamedAndWarnedOf() async throws {
        let broker = try MosquittoBroker(.tls(folder: folder.path, newestVersion: "TLSv1.2"))
        var tls = RouteConfiguration.TLS.client(in: folder)
        tls.minimumVersion = .tls12
        let route = try RunningRoute([("localhost", broker.port)], tls: tls)
        try await route.until("connected") { $0.state == .connected }
        #expect(route.status.tlsVersion == "TLSv1.2")
        let warnings = route.records.all.filter { $0.level == .warning }.map(\.text)
        #expect(warnings.contains { $0.contains("TLS 1.2 is accepted by this route") }, "\(warnings)")
        #expect(warnings.contains { $0.contains("an old version of TLS") && $0.contains("TLSv1.2") }, "\(warnings)")
    }

    @Test func sparkplugNodesDieAndAreBornInOrder() async throws {
        let broker = try MosquittoBroker(.tls(folder: folder.path))
        let host = try await subscriber(broker, topic: "spBv1.0/#", tls: folder, format: "%t")
        let route = try RunningRoute(
            [("localhost", broker.port)], tls: .client(in: folder), payload: .sparkplugB(group: "plant", node: "gw"))
        var kinds: [String] = []
        func read(until kind: String) async throws {
            repeat {
                let line = try await host.line { $0.hasPrefix("spBv1.0/") }
                kinds.append(String(line.split(separator: "/")[2]))
            } while kinds.last != kind
        }
        try await read(until: "NBIRTH")
        route.append()
        try await read(until: "DDATA")
        try renew()
        try await read(until: "NBIRTH")
        route.append()
        try await read(until: "DDATA")
        // With MQTT 5 the broker publishes the will besides (reason code 0x04): the same death, twice.
        let first = try #require(kinds.firstIndex(of: "NDEATH"))
        while kinds.count > first + 1, kinds[first + 1] == "NDEATH" { kinds.remove(at: first + 1) }
        #expect(kinds == ["NBIRTH", "DBIRTH", "DBIRTH", "DDATA", "DDATA", "NDEATH", "NBIRTH", "DBIRTH", "DBIRTH", "DDATA"], "\(kinds)")
    }
}
