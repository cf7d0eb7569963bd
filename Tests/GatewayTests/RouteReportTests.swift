import Foundation
import Gateway
import GatewayCore
import Identity
import Telemetry
import TestKit
import Testing
import Uplink

@Suite("What is told of routes")
struct RouteReportTests {
    private let now = Timestamp(nanoseconds: 1_790_000_000_000_000_000)

    private var status: RouteStatus {
        var status = RouteStatus()
        status.state = .connected
        status.publishedBytes = 790
        status.publishedSamples = 100
        status.gapSamples = 3
        status.pendingSamples = 5_200
        status.backlog.samples = 5_000
        status.holds = [LaneHold(lane: .backlog, reason: .quietHours, until: now.advanced(by: .seconds(60)))]
        status.sentToday = 70
        status.dailyLimit = 1_000
        status.liveLaneRestarts = 2
        status.backlog.age = .seconds(90)
        status.backlog.drainRate = 250
        var east = ClusterStatus(name: "east", broker: "broker-east:8883", weight: 1)
        east.state = .connected
        east.health = .healthy
        east.devices = 4
        east.roundTrip = .microseconds(1500)
        east.tlsVersion = "TLSv1.3"
        var west = ClusterStatus(name: "west", broker: "broker-west:8883", weight: 1)
        west.lastError = ["connect: nothing listens there", "connection refused"]
        west.lastErrorTime = now
        west.retryCount = 7
        status.clusters = [east, west]
        return status
    }

    /// A certificate of 90 days that began `age` ago.
    private func report(_ status: RouteStatus, age: Duration, isUncertain: Bool = false) throws -> RouteReport {
        let folder = try TemporaryFolder()
        _ = try DevelopmentIdentity.create(in: folder.path, at: now.advanced(by: .zero - age))
        var status = status
        var identity = IdentityStatus()
        identity.certificate = try CertificateInformation(pemFile: folder.path + "/gateway.crt")
        identity.renewals = 2
        identity.trouble = ["new.crt: read: the file does not exist"]
        status.identity = identity
        return RouteReport(
            name: "central", failover: "latencyAware", payload: "sparkplugB", status: status,
            at: ClockStamp(time: now, isUncertain: isUncertain))
    }

    @Test("a report survives its way over the socket, and has the numbers of the status")
    func coding() throws {
        let report = try report(status, age: .seconds(86_400 - 5))
        let decoded = try JSONDecoder().decode(RouteReport.self, from: JSONEncoder().encode(report))
        #expect(decoded == report)
        #expect(decoded.state == "connected" && decoded.evictedSamples == 3 && decoded.bytesPerSample == 7.9)
        #expect(decoded.pendingSamples == 5_200)
        let backlog = decoded.backlog
        #expect(backlog.samples == 5_000 && backlog.ageSeconds == 90 && backlog.drainPerSecond == 250 && backlog.goneInSeconds == 20)
        #expect(decoded.certificate?.daysLeft == 89 && decoded.certificate?.state == "valid")
        #expect(decoded.certificate?.renewals == 2 && decoded.certificate?.trouble.count == 1)
        #expect(decoded.holds == [.init(lane: "backlog", reason: "quietHours", until: now.advanced(by: .seconds(60)).description)])
        #expect(decoded.sentToday == 70 && decoded.dailyLimit == 1_000 && decoded.liveLaneRestarts == 2)
        let clusters = decoded.clusters
        #expect(clusters.map { $0.name } == ["east", "west"] && clusters.map { $0.health } == ["healthy", "down"])
        #expect(clusters[0].roundTripMilliseconds == 1.5 && clusters[0].lastError == nil)
        #expect(clusters[1].lastError?.chain.count == 2 && clusters[1].lastError?.attempts == 7)
    }

    @Test("a certificate that has ended an hour ago has less than no day left, unless nobody knows what time it is")
    func expired() throws {
        let days = Duration.seconds(90 * 86_400)
        let late = try report(status, age: days + .seconds(3600)).certificate
        #expect(late?.daysLeft == -1 && late?.state == "expired")
        let soon = try report(status, age: days - .seconds(3600)).certificate
        #expect(soon?.daysLeft == 0 && soon?.state == "expiring")
        let unknown = try report(status, age: days + .seconds(3600), isUncertain: true).certificate
        #expect(unknown?.daysLeft == nil && unknown?.state == "unknown")
    }

    @Test("the diagnostics of a route have what is known, and mark what is not")
    func diagnostics() throws {
        let descriptor = RouteDiagnosticsStream.descriptor(route: "central")
        var status = status
        status.lastError = [String(repeating: "x", count: 500)]
        let stamp = ClockStamp(time: now)
        let batch = RouteDiagnosticsStream.batch(status, stream: StreamID(rawValue: 1), descriptor: descriptor, at: stamp)
        #expect(batch.quality.reduce(0) { $0 + $1.count } == descriptor.tags.count)
        func value(_ name: String) throws -> DataValue {
            let tag = try #require(descriptor.tags.firstIndex { $0.name == name })
            return try #require(batch.value(of: tag, in: descriptor))
        }
        #expect(try value("backlog").value == .uint(5_000))
        #expect(try value("bytesPerSample").value == .double(7.9))
        #expect(try value("healthyClusters").value == .uint(1))
        // No message has been acknowledged yet: there is no round trip, not one of 0 ms.
        #expect(try value("roundTrip").status == .badNoData)
        #expect(try value("reason").status == .good)
    }
}
