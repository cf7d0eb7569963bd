import Foundation
import Testing

@testable import Definitions

@Suite struct ClusterSettingsTests {
    private func route(_ keys: String) throws -> LoadedConfiguration {
        try load(
            site(
                "devices: [{name: p1, definition: pump, connection: {modbusTCP: {host: 192.0.2.1}}}]",
                "routes: [{name: r, clusters: [{name: east, url: \"mqtts://a\"}, {name: west, url: \"mqtts://b\"}], tls: {ca: a, certificate: b, key: c}\(keys)}]"
            ))
    }

    @Test func withoutAWordEverythingHasItsDefault() throws {
        let route = try #require(try route("").site?.routes.first)
        #expect(route.failover == .ordered && route.delivery == DeliverySettings() && route.delivery.liveWithin == .seconds(10))
        #expect(route.probeInterval == .seconds(10) && route.recoveryTimeout == .seconds(30))
        #expect(route.clusters.allSatisfy { $0.weight == 1 })
    }

    @Test func everyKeyIsUsed() throws {
        let loaded = try route(
            ", failover: mirror, probeInterval: 1s, recoveryTimeout: 5m, delivery: {liveWithin: 1m, alarmGroups: [fast]}")
        #expect(loaded.diagnostics.map { $0.message } == [])
        let route = try #require(loaded.site?.routes.first)
        #expect(route.probeInterval == .seconds(1) && route.recoveryTimeout == .seconds(300))
        #expect(route.delivery == DeliverySettings(liveWithin: .seconds(60), alarmGroups: ["fast"]))
    }

    @Test func theExampleWithSeveralClustersHasNothingToReport() throws {
        let file = repository.appendingPathComponent("firmware-config/several-clusters/site.yaml").path
        let loaded = ConfigurationLoader().load(files: [file], environment: [:])
        #expect(loaded.diagnostics == [])
        let routes = try #require(loaded.site?.routes)
        #expect(Set(routes.map { $0.failover }) == Set(Route.Failover.allCases), "each way is shown")
        #expect(routes.first?.clusters.map { $0.weight } == [70, 30, 0] && routes.first?.recoveryTimeout == .seconds(60))
        let radio = try #require(routes.first { $0.name == "radio" })
        #expect(
            radio.delivery
                == DeliverySettings(
                    rateLimit: 32 << 10, backlogRate: 8 << 10, backlogShare: 25,
                    quietHours: QuietHoursSettings(start: 360, end: 1200, allows: .live), dailyLimit: 200 << 20, liveWithin: .seconds(30),
                    alarmGroups: ["fast"]))
    }
}
