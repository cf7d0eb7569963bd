import Foundation
import TestKit
import Testing

/// The real program, three real brokers with TLS 1.3 and client certificates, three foreign devices.
@Suite("Several clusters, end to end", .serialized, .timeLimit(.minutes(5)))
struct ClustersTests {
    private static let devices = ["d1", "d2", "d3"]

    private func write(_ site: TestSite, _ device: ModbusPeer, _ brokers: [MosquittoBroker], _ failover: String) throws -> String {
        let identity = site.identity
        let clusters = brokers.enumerated().map { "{name: c\($0.offset), url: \"mqtts://localhost:\($0.element.port)\"}" }
        let devices = Self.devices.enumerated().map {
            "    - {name: \($0.element), definition: counter, connection: {modbusTCP: {host: 127.0.0.1, port: \(device.port), unit: \($0.offset + 1)}}}"
        }
        let text = """
            apiVersion: edge.indusedge.io/v1
            kind: ProtocolDefinition
            metadata: {name: counter, version: 1.0.0}
            spec:
              protocol: modbus
              scanGroups: {fast: 20ms}
              tags:
                - {name: counter, address: "holding:2000", type: uint32, scanGroup: fast}
            ---
            apiVersion: edge.indusedge.io/v1
            kind: Site
            metadata: {name: test-plant}
            spec:
              log: {path: "\(site.logPath)", diskLimit: 64MiB}
              scoring: {enabled: false}
              devices:
            \(devices.joined(separator: "\n"))
              routes:
                - name: central
                  payload: json
                  topic: "plant/{device}/{group}"
                  failover: \(failover)
                  clusters: [\(clusters.joined(separator: ", "))]
                  probeInterval: 300ms
                  recoveryTimeout: 1s
                  tls: {ca: "\(identity)/ca.crt", certificate: "\(identity)/gateway.crt", key: "\(identity)/gateway.key"}

            """
        let path = site.folder.path + "/clusters.yaml"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    /// What the view says of the route, once it says this.
    @discardableResult
    private func view(
        _ site: TestSite, until what: String, _ condition: ([String: Any], [[String: Any]]) -> Bool
    ) async throws -> [[String: Any]] {
        var last = ""
        for _ in 0..<300 {
            last = try await TestSite.command(["route", site.logPath, "--json"]).output.joined()
            let routes = try? JSONSerialization.jsonObject(with: Data(last.utf8)) as? [[String: Any]]
            if let route = routes?.first, let clusters = route["clusters"] as? [[String: Any]], condition(route, clusters) {
                return clusters
            }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw ForeignProcess.Failure(description: "not reached: \(what); \(last)")
    }

    @Test(
        "scenarios 02, 08, 18: a cluster hangs and comes back: whatever the failover, nothing is lost, and the key removes what came twice",
        arguments: ["ordered", "weighted", "latencyAware", "mirror"])
    func hangs(failover: String) async throws {
        let site = try await TestSite()
        let device = try await ModbusPeer(units: "1,2,3")
        var brokers = [site.broker]
        for _ in 1...2 { brokers.append(try MosquittoBroker(.tls(folder: site.identity))) }
        var subscribers: [ForeignProcess] = []
        for broker in brokers { subscribers.append(try await site.readySubscriber("plant/#", port: broker.port)) }
        let gateway = try site.run(try write(site, device, brokers, failover))
        try await gateway.errorLine { $0.contains("connected") }
        func samples(_ route: [String: Any]) -> Int { route["acknowledgedSamples"] as? Int ?? 0 }
        func devices(_ cluster: [String: Any]) -> Int { cluster["devices"] as? Int ?? 0 }
        func waiting(_ cluster: [String: Any]) -> Int { (cluster["backlog"] as? [String: Any])?["samples"] as? Int ?? 0 }
        func isConnected(_ cluster: [String: Any]) -> Bool { cluster["state"] as? String == "connected" }

        let before = try await view(site, until: "connected, and data flows") { route, clusters in
            clusters.count(where: { isConnected($0) }) == (failover == "ordered" ? 1 : 3) && samples(route) > 100
        }
        let victim = try #require(before.indices.max { devices(before[$0]) < devices(before[$1]) })
        #expect(devices(before[victim]) > 0)
        brokers[victim].freeze()
        var reached = 0
        try await view(site, until: "the others have taken over") { route, clusters in
            reached = samples(route)
            guard clusters[victim]["health"] as? String != "healthy" else { return false }
            if failover == "mirror" { return waiting(clusters[victim]) > 50 }
            return devices(clusters[victim]) == 0 && clusters.contains { devices($0) > 0 && isConnected($0) }
        }
        try await view(site, until: "data flows") { route, _ in samples(route) > reached + 100 }
        brokers[victim].thaw()
        try await view(site, until: "the cluster is back") { _, clusters in
            switch failover {
            case "weighted": devices(clusters[victim]) > 0
            case "ordered": true
            default: isConnected(clusters[victim]) && clusters[victim]["health"] as? String == "healthy"
            }
        }
        try await view(site, until: "data flows still") { route, _ in
            if reached == 0 { reached = samples(route) }
            return samples(route) > reached + 300
        }
        await device.stop()
        try await view(site, until: "everything is acknowledged") { route, clusters in
            (route["backlog"] as? [String: Any])?["samples"] as? Int == 0 && clusters.allSatisfy { waiting($0) == 0 }
        }
        gateway.signal(SIGTERM)
        #expect(try await gateway.waitForExit() == 0, "\(gateway.errorText)")
        try await Task.sleep(for: .milliseconds(500))
        try await compare(site, subscribers, isMirrored: failover == "mirror")
        #expect(try await TestSite.command(["ledger", site.logPath]).status == 0)
        for subscriber in subscribers { await subscriber.stop() }
    }

    /// What the log has, and what the subscribers saw of it.
    private func compare(_ site: TestSite, _ subscribers: [ForeignProcess], isMirrored: Bool) async throws {
        for device in Self.devices {
            let stored = try await TestSite.command([
                "query", site.logPath, "--device", device, "--tag", "counter", "--limit", "1000000", "--json",
            ])
            let values = Set(
                stored.output.compactMap { (try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])?["value"] as? Int })
            #expect(values.count > 50, "\(device): \(values.count) values, \(stored.errors)")
            var everywhere: [Int: Int] = [:]
            for (index, subscriber) in subscribers.enumerated() {
                var here: Set<Int> = []
                var newest: [Bool: Int] = [:]
                for line in subscriber.allLines where line.hasPrefix("plant/\(device)/") {
                    guard let message = Message(line), let value = message.values["counter"] as? Int else { continue }
                    if let known = everywhere.updateValue(value, forKey: message.sequence) {
                        #expect(known == value, "one key, two values")
                    }
                    guard here.insert(message.sequence).inserted else { continue }
                    // Fresh data and history may go side by side; each of them is in order.
                    let isHistorical = line.contains("\"historical\":true")
                    #expect(message.sequence > newest[isHistorical] ?? -1, "\(device) at c\(index): \(message.sequence) is late")
                    newest[isHistorical] = message.sequence
                }
                if isMirrored { #expect(values.isSubset(of: Set(here.compactMap { everywhere[$0] })), "\(device) at c\(index)") }
            }
            let delivered = Set(everywhere.values)
            #expect(values.isSubset(of: delivered), "\(device): \(values.subtracting(delivered).count) of \(values.count) were lost")
            #expect(delivered.count == everywhere.count, "a value that came under two keys is a duplicate that nobody can remove")
        }
    }
}
