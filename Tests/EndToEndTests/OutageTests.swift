import Foundation
import TestKit
import Testing

@Suite("Outages, end to end", .serialized)
struct OutageTests {
    private let counter = ["name: counter, address: \"holding:2000\", type: uint32"]

    @Test("scenario 01: what is unsent survives a restart and a changed site document, and the ledger tells of the outage")
    func reconfigured() async throws {
        let site = try await TestSite()
        let device = try await ModbusPeer()
        let second = try await ModbusPeer()
        site.broker.kill()
        let first = try site.write([.init(name: "plc", port: device.port, tags: counter)], payload: "json", period: "20ms")
        var gateway = try site.run(first)
        try await gateway.errorLine { $0.contains("not connected") }
        try await Task.sleep(for: .seconds(2))
        // A device that is gone: the ledger tells of it from the diagnostics.
        await device.stop()
        try await gateway.errorLine { $0.contains("nothing listens") }
        try await Task.sleep(for: .milliseconds(1500))
        gateway.signal(SIGTERM)
        #expect(try await gateway.waitForExit() == 0)
        let open = try await TestSite.command(["ledger", site.logPath])
        #expect(open.status == 0 && open.output.contains { $0.contains("route central: since ") && $0.contains("not connected yet") })
        let stored = try await TestSite.command([
            "query", site.logPath, "--device", "plc", "--tag", "counter", "--limit", "100000", "--json",
        ])
        #expect(stored.output.count > 20)

        let devices = try await TestSite.command(["ledger", site.logPath, "--devices"])
        #expect(devices.status == 0 && devices.output.contains { $0.hasPrefix("device plc: not connected since ") }, "\(devices.output)")

        // Another device, another name for the cluster; the store and its unsent samples are the same.
        try site.broker.start()
        let subscriber = try await site.readySubscriber("plant/plc/fast")
        let back = try await ModbusPeer(port: device.port)
        let changed = try site.write(
            [.init(name: "plc", port: back.port, tags: counter), .init(name: "plc-2", port: second.port, tags: counter)], payload: "json",
            period: "20ms", cluster: "renamed")
        gateway = try site.run(changed)
        var next = 0
        var epoch: Int?
        while true {
            let message = try #require(Message(try await subscriber.line { Message($0) != nil }))
            if message.epoch > epoch ?? message.epoch { break }
            epoch = message.epoch
            #expect(message.sequence == next, "sequence \(message.sequence) after \(next - 1)")
            next = message.sequence + 1
        }
        #expect(next >= stored.output.count, "\(stored.output.count) batches were unsent, \(next) came")
        gateway.signal(SIGTERM)
        #expect(try await gateway.waitForExit() == 0)

        let text = try await TestSite.command(["ledger", site.logPath, "--outages"])
        #expect(text.status == 0, "\(text.output) \(text.errors)")
        #expect(text.output.contains { $0.contains("route central: ") && $0.contains("delivered late, 0 lost") }, "\(text.output)")
        #expect(text.output.contains { $0.hasPrefix("not sampled ") && $0.contains("stopped in order") }, "\(text.output)")
        let json = try await TestSite.command(["ledger", site.logPath, "--json", "--since", "1h"])
        let report = try #require(try JSONSerialization.jsonObject(with: Data(json.output.joined().utf8)) as? [String: Any])
        #expect(report["balanced"] as? Bool == true)
        let reader = try #require((report["outages"] as? [[String: Any]])?.first)
        let outage = try #require((reader["outages"] as? [[String: Any]])?.first)
        #expect(outage["samples"] as? Int == outage["delivered"] as? Int && outage["lost"] as? Int == 0 && outage["pending"] as? Int == 0)
        #expect((outage["gatewayOff"] as? [Any])?.count == 1 && outage["end"] is String, "\(outage)")
        let none = try await TestSite.command(["ledger", site.logPath, "--json", "--since", "2100-01-01T00:00:00Z"])
        #expect(none.status == 0 && none.output.joined().contains("\"outages\":[]"), "\(none.output)")
        await subscriber.stop()
    }
}
