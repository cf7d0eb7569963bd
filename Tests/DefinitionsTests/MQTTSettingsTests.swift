import Testing

@testable import Definitions

/// A site with one route that has these further keys.
private func route(_ keys: String, tls: String = "tls: {ca: a, certificate: b, key: c}") throws -> LoadedConfiguration {
    try load(
        site(
            "devices: [{name: p1, definition: pump, connection: {modbusTCP: {host: 192.0.2.1}}}]",
            "routes: [{name: r, clusters: [{name: east, url: \"mqtts://a\"}], \(tls), \(keys)}]"))
}

@Suite struct MQTTSettingsTests {
    @Test func everyKeyIsUsed() throws {
        let loaded = try route(
            "payload: json, mqtt: {version: \"5\", sessionExpiry: 1h, messageExpiry: 2d, willDelay: 10s, topicAliases: false, keys: true, unheard: hold}"
        )
        #expect(loaded.diagnostics.map { $0.message } == [])
        let mqtt = try #require(loaded.site?.routes.first?.mqtt)
        #expect(mqtt.version == .v5 && mqtt.sessionExpiry == .seconds(3600) && mqtt.messageExpiry == .seconds(2 * 86_400))
        #expect(mqtt.willDelay == .seconds(10) && !mqtt.topicAliases && mqtt.keys && mqtt.unheard == .hold)
        #expect(try route("payload: json").site?.routes.first?.mqtt == MQTTSettings())
        #expect(try route("payload: json, mqtt: {}").site?.routes.first?.mqtt == MQTTSettings())
    }

    @Test(arguments: [
        ("mqtt: {version: \"4\"}", "error: '4' is not one of 5, 3.1.1"), ("mqtt: {messageExpiry: 0s}", "error: 0s is out of range"),
        ("mqtt: {unheard: drop}", "error: 'drop' is not one of acknowledge, hold"),
        ("mqtt: {version: \"3.1.1\", keys: true}", "warning: keys has no effect with MQTT 3.1.1"),
        ("mqtt: {sessionExpiry: 1m}", "warning: Sparkplug 3.0 wants sessions that end with their connection"),
        ("payload: json, mqtt: {willDelay: 1m}", "warning: the broker publishes the will at the latest when the session ends"),
    ])
    func whatCannotWorkIsTold(keys: String, problem: String) throws {
        let told = try route(keys).diagnostics.map { "\($0.severity): \($0.message)" }
        #expect(told.count == 1 && told.allSatisfy { $0.hasPrefix(problem) }, "\(told)")
    }

    @Test func anOldVersionOfTLSIsAWarning() throws {
        let loaded = try route("payload: json", tls: "tls: {ca: a, certificate: b, key: c, minimumVersion: \"1.2\"}")
        #expect(loaded.diagnostics.map { $0.message } == ["TLS 1.2 is accepted: do so only for brokers that know nothing newer"])
        #expect(loaded.diagnostics.allSatisfy { $0.severity == .warning } && loaded.site?.routes.first?.tls?.minimumVersion == .tls12)
        let older = try route("payload: json", tls: "tls: {ca: a, certificate: b, key: c, minimumVersion: \"1.1\"}")
        #expect(older.hasErrors)
    }

    @Test func aKeyInATokenIsNoPath() throws {
        let key = "pkcs11:token=gw;object=tls?pin-source=/run/pin"
        let loaded = try route("payload: json", tls: "tls: {ca: a, certificate: b, key: \"\(key)\"}")
        #expect(loaded.diagnostics.map { $0.message } == [] && loaded.site?.routes.first?.tls?.key == key)
    }
}
