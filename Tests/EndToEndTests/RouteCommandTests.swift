import Foundation
import TestKit
import Testing

@Suite("The route view, end to end", .serialized)
struct RouteCommandTests {
    private func routes(_ site: TestSite, _ arguments: [String] = []) async throws -> (status: Int32, routes: [[String: Any]]) {
        let result = try await TestSite.command(["route", site.logPath] + arguments + ["--json"])
        let routes = try JSONSerialization.jsonObject(with: Data(result.output.joined().utf8)) as? [[String: Any]]
        return (result.status, try #require(routes, "\(result.errors)"))
    }

    @Test("scenario 18: the view says connected only while it is true, and why it is not")
    func view() async throws {
        let site = try await TestSite()
        let device = try await ModbusPeer()
        let document = try site.write([.init(name: "plc", port: device.port, tags: ["name: level, address: \"holding:1\", type: uint16"])])
        let nobody = try await TestSite.command(["route", site.logPath.replacing("/data", with: "")])
        #expect(nobody.status == 1 && nobody.errors.contains("no gateway runs"), "\(nobody.errors)")

        let gateway = try site.run(document)
        try await gateway.errorLine { $0.contains("connected") }
        var view = try await routes(site)
        while (view.routes.first?["acknowledgedSamples"] as? Int ?? 0) < 10 {
            try await Task.sleep(for: .milliseconds(50))
            view = try await routes(site)
        }
        let route = try #require(view.routes.first)
        #expect(view.status == 0 && view.routes.count == 1)
        #expect(route["name"] as? String == "central" && route["state"] as? String == "connected")
        let certificate = try #require(route["certificate"] as? [String: Any])
        #expect([89, 90].contains(certificate["daysLeft"] as? Int))
        #expect(route["bytesPerSample"] is Double && route["roundTripMilliseconds"] is Double && route["lastError"] == nil)
        let cluster = try #require((route["clusters"] as? [[String: Any]])?.first)
        #expect(cluster["name"] as? String == "local" && cluster["state"] as? String == "connected")
        #expect(cluster["tlsVersion"] as? String == "TLSv1.3")

        let text = try await TestSite.command(["route", document, "central"])
        #expect(text.status == 0 && text.output.first == "route central: connected, sparkplugB, ordered", "\(text.output)")
        #expect(text.output.contains { $0.hasPrefix("  local ") && $0.contains("TLSv1.3") }, "\(text.output)")
        let other = try await TestSite.command(["route", site.logPath, "elsewhere"])
        #expect(other.status == 1 && other.errors.contains("no route of this name"), "\(other.errors)")

        site.broker.kill()
        while view.routes.first?["state"] as? String == "connected" || view.routes.first?["lastError"] == nil {
            try await Task.sleep(for: .milliseconds(50))
            view = try await routes(site)
        }
        let chain = ((view.routes.first?["lastError"] as? [String: Any])?["chain"] as? [String]) ?? []
        #expect(view.status == 1 && !chain.isEmpty, "\(view.routes)")
        let broken = try await TestSite.command(["route", site.logPath])
        #expect(broken.status == 1 && broken.output.contains { $0.contains("last error") }, "\(broken.output)")

        gateway.signal(SIGTERM)
        #expect(try await gateway.waitForExit() == 0)
        let stored = try await TestSite.command([
            "query", site.logPath, "--device", "route-central", "--tag", "connected", "--limit", "100", "--json",
        ])
        #expect(stored.output.contains { $0.contains("true") } && stored.output.contains { $0.contains("false") }, "\(stored.output)")
    }
}
