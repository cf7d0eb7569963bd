import Foundation
import Testing

@testable import Definitions

/// A site with one route to two clusters that has these further keys.
private func route(_ keys: String) throws -> LoadedConfiguration {
    try load(
        site(
            "devices: [{name: p1, definition: pump, connection: {modbusTCP: {host: 192.0.2.1}}}]",
            "routes: [{name: r, clusters: [{name: east, url: \"mqtts://a\"}, {name: west, url: \"mqtts://b\"}], tls: {ca: a, certificate: b, key: c}, \(keys)}]"
        ))
}

@Suite struct EnvelopeSettingsTests {
    @Test func everyKeyIsUsed() throws {
        let loaded = try route(
            "compression: zstd, envelope: {suite: sm, signingKey: /k/gw.key, rotate: 1h, recipients: "
                + "[{cluster: east, key: /k/east.pub}, {cluster: west, key: /k/west.pub}, {key: /k/all.pub}]}")
        #expect(loaded.diagnostics.map { $0.message } == [])
        let route = try #require(loaded.site?.routes.first)
        #expect(route.compression == .zstd)
        #expect(
            route.envelope
                == RouteEnvelope(
                    suite: .sm, signingKey: "/k/gw.key",
                    recipients: ["east": ["/k/east.pub", "/k/all.pub"], "west": ["/k/west.pub", "/k/all.pub"]], rotate: .seconds(3600)))
    }

    @Test func nothingIsDoneUnlessAskedFor() throws {
        let plain = try #require(try route("payload: json").site?.routes.first)
        #expect(plain.compression == .none)
        #expect(plain.envelope == nil)
        let sealed = try #require(try route("envelope: {signingKey: gw.key, recipients: [{key: all.pub}]}").site?.routes.first?.envelope)
        #expect(sealed.suite == .aes256gcm)
        #expect(sealed.rotate == .seconds(86_400))
        #expect(sealed.signingKey.hasPrefix("/"))
    }

    @Test(
        arguments: [
            ("compression: lzma", "error: 'lzma' is not one of none, gzip, zstd"),
            ("envelope: {recipients: [{key: k}]}", "error: envelope has no 'signingKey'"),
            ("envelope: {signingKey: s, recipients: []}", "error: 'spec.routes[0].envelope.recipients' is empty, but needs at least 1"),
            (
                "envelope: {signingKey: s, suite: rot13, recipients: [{key: k}]}",
                "error: 'rot13' is not one of aes256gcm, chacha20poly1305, sm"
            ),
            (
                "envelope: {signingKey: s, recipients: [{cluster: east, key: k}]}",
                "error: cluster 'west' has no recipient, and nobody behind it could read anything"
            ),
            ("envelope: {signingKey: s, recipients: [{cluster: wets, key: l}, {key: k}]}", "error: the route has no cluster 'wets'"),
            ("envelope: {signingKey: s, recipients: [{key: k}, {cluster: east, key: k}]}", "error: cluster 'east' has this key already"),
            ("envelope: {signingKey: s, rotate: 1s, recipients: [{key: k}]}", "error: 1s is out of range 1m…30d"),
            (
                "envelope: {signingKey: s, recipients: [{key: k}]}, commands: allowed",
                "warning: commands has no effect on a route with an envelope, which takes none but the rebirth"
            ),
        ]) func whatCannotBeIsReportedWithItsPlace(_ keys: String, _ problem: String) throws
    {
        let loaded = try route(keys)
        #expect(loaded.diagnostics.map { "\($0.severity.rawValue): \($0.message)" } == [problem])
        #expect(loaded.diagnostics.allSatisfy { $0.line == 16 && $0.column > 100 })
    }
}
