import Foundation
import TestKit
import Testing

/// A relay before a server that tells of every connection (`Tests/Peers/counting_relay.py`).
private final class CountingRelay {
    private let process: ForeignProcess
    let port: UInt16

    init(to server: UInt16) async throws {
        process = try ForeignProcess(Checkout.python, [Checkout.peer("counting_relay.py"), String(server)])
        let ready = try await process.line { $0.hasPrefix("READY ") }
        port = try #require(UInt16(ready.dropFirst(6)))
    }

    var opened: Int { process.allLines.count { $0.hasPrefix("OPEN") } }
    var closed: Int { process.allLines.count { $0.hasPrefix("CLOSED") } }
}

/// A site document that is edited while the gateway runs.
private struct Document {
    struct Device {
        var name: String
        var port: UInt16
        /// Where its register lies; `nil` for the counter of polls.
        var address: Int?
        var period = "50ms"
        var timeout = "1s"
        var unit = 1
    }
    var devices: [Device]
    var gate = "{within: 2s, goodTagsDropMax: 10%}"
    var head = ""
    var extra = ""
    /// Further keys of the route.
    var route = ""
    /// Whether the definitions are in a file of their own, `definitions.yaml`.
    var isDivided = false

    var definitions: String {
        devices.map { device in
            """
            apiVersion: edge.indusedge.io/v1
            kind: ProtocolDefinition
            metadata: {name: \(device.name)-definition, version: 1.0.0}
            spec:
              protocol: modbus
              scanGroups: {fast: \(device.period)}
              tags:
                - {name: counter, address: "holding:\(device.address ?? 2000)", type: uint32, scanGroup: fast}
            ---

            """
        }.joined()
    }

    /// Without the line that would begin another document.
    var definitionsFile: String { String(definitions.dropLast("---\n".count)) }

    func text(_ site: TestSite, payload: String, broker: UInt16) -> String {
        let named = isDivided ? "\n  definitions: [definitions.yaml]" : ""
        let list = devices.map {
            "    - {name: \($0.name), definition: \($0.name)-definition, responseTimeout: \($0.timeout), "
                + "connection: {modbusTCP: {host: 127.0.0.1, port: \($0.port), unit: \($0.unit)}}}"
        }
        return head + (isDivided ? "" : definitions) + """
            apiVersion: edge.indusedge.io/v1
            kind: Site
            metadata: {name: test-plant}
            spec:\(named)
              log: {path: "\(site.logPath)", diskLimit: 64MiB}
              healthGate: \(gate)
              devices:
            \(list.joined(separator: "\n"))
              routes:
                - name: central
            \(route.isEmpty ? "" : "      " + route)
                  payload: \(payload)
                  topic: "plant/{device}/{group}"
                  clusters: [{name: local, url: "mqtts://localhost:\(broker)"}]
                  tls: {ca: "\(site.identity)/ca.crt", certificate: "\(site.identity)/gateway.crt", key: "\(site.identity)/gateway.key"}

            """ + extra
    }
}

/// A site with its gateway, whose document is edited as a user would.
private final class EditedSite {
    let site: TestSite
    let path: String
    let payload: String
    let brokerPort: UInt16
    var document: Document

    init(_ site: TestSite, payload: String = "json", brokerPort: UInt16? = nil, _ document: Document) throws {
        self.site = site
        self.payload = payload
        self.brokerPort = brokerPort ?? site.broker.port
        self.document = document
        path = site.folder.path + "/site.yaml"
        try save()
    }

    func save() throws {
        if document.isDivided {
            try document.definitionsFile.write(toFile: site.folder.path + "/definitions.yaml", atomically: true, encoding: .utf8)
        }
        try document.text(site, payload: payload, broker: brokerPort).write(toFile: path, atomically: true, encoding: .utf8)
    }

    func run() throws -> ForeignProcess { try ForeignProcess(TestSite.program, ["run", "--log-level", "debug", path]) }

    /// What `indusedge status` says.
    func status() async throws -> [String: Any] {
        let result = try await TestSite.command(["status", "--json", site.logPath])
        return try #require(try JSONSerialization.jsonObject(with: Data(result.output.joined().utf8)) as? [String: Any])
    }

    /// Every stored value of a device's counter, in order.
    func counters(_ device: String) async throws -> [Int] {
        let stored = try await TestSite.command([
            "query", site.logPath, "--device", device, "--tag", "counter", "--limit", "1000000", "--json",
        ])
        return stored.output.compactMap { line in
            (try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])?["value"] as? Int
        }
    }

    /// The newest value of a tag of a device's diagnostics.
    func diagnostics(_ device: String, _ tag: String) async throws -> Any? {
        let stored = try await TestSite.command(["query", site.logPath, "--device", device, "--tag", tag, "--limit", "1000000", "--json"])
        return stored.output.compactMap { line in
            (try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])?["value"]
        }.last
    }
}

@Suite("Changing the configuration", .serialized, .timeLimit(.minutes(10)))
struct ChangingConfigurationTests {
    /// Whether every poll that the device counted was stored, once and in order.
    private func expectEveryPoll(_ counters: [Int], _ device: String, atLeast count: Int = 40) {
        #expect(counters.count >= count, "\(device): \(counters.count)")
        #expect(zip(counters, counters.dropFirst()).allSatisfy { $1 == $0 + 1 }, "\(device): \(counters)")
    }

    private func stop(_ gateway: ForeignProcess) async throws {
        gateway.signal(SIGTERM)
        #expect(try await gateway.waitForExit() == 0, "\(gateway.errorText)")
    }

    @Test(
        "scenario 25: an edit that changes nothing does nothing; an edit of one of three devices costs the others no poll and no connection"
    )
    func onlyTheDifference() async throws {
        let site = try await TestSite()
        var peers: [ModbusPeer] = []
        var relays: [CountingRelay] = []
        for _ in 0..<3 {
            let peer = try await ModbusPeer()
            peers.append(peer)
            relays.append(try await CountingRelay(to: peer.port))
        }
        let broker = try await CountingRelay(to: site.broker.port)
        let subscriber = try await site.readySubscriber("plant/#")
        let edited = try EditedSite(
            site, brokerPort: broker.port,
            Document(devices: (0..<3).map { .init(name: "plc-\($0)", port: relays[$0].port, period: "500ms") }))
        let gateway = try edited.run()
        for index in 0..<3 { _ = try await subscriber.line { $0.hasPrefix("plant/plc-\(index)/fast ") } }

        // The same in other words: comments, another order, another spelling.
        edited.document.head = "# edited by hand\n"
        edited.document.devices.reverse()
        for index in 0..<3 { edited.document.devices[index].period = "0.5s" }
        try edited.save()
        try await gateway.errorLine { $0.contains("means the same") }
        #expect(!gateway.errorText.contains("site document applied"))
        #expect(relays.map(\.opened) == [1, 1, 1] && relays.map(\.closed) == [0, 0, 0])

        // One device is another one now; the rest is left alone.
        let moved = try await ModbusPeer()
        let movedRelay = try await CountingRelay(to: moved.port)
        let index = try #require(edited.document.devices.firstIndex { $0.name == "plc-1" })
        edited.document.devices[index].port = movedRelay.port
        try edited.save()
        try await gateway.errorLine { $0.contains("site document applied") }
        try await gateway.errorLine {
            $0.contains("site document applied") && $0.contains("device plc-1") && $0.contains("\(movedRelay.port)")
        }
        for _ in 0..<4 { _ = try await subscriber.line { $0.hasPrefix("plant/plc-1/fast ") } }
        // Messages from before may have come late: the relays tell when the change has reached the devices.
        for _ in 0..<500 where movedRelay.opened == 0 || relays[1].closed == 0 { try await Task.sleep(for: .milliseconds(20)) }
        #expect(movedRelay.opened == 1)
        #expect(relays.map(\.opened) == [1, 1, 1] && relays.map(\.closed) == [0, 1, 0])
        #expect(broker.opened == 1 && broker.closed == 0)
        try await gateway.errorLine { $0.contains("site document is good") }
        try await stop(gateway)

        for device in ["plc-0", "plc-2"] {
            expectEveryPoll(try await edited.counters(device), device, atLeast: 8)
            #expect(try await edited.diagnostics(device, "missedPolls") as? Int == 0)
            #expect(try await edited.diagnostics(device, "connections") as? Int == 1)
            // What the broker's clients saw has no hole and no double either.
            let sequences = subscriber.allLines.compactMap { Message($0) }.filter { $0.topic == "plant/\(device)/fast" }.map(\.sequence)
            #expect(sequences == Array(1...max(1, sequences.count)) || sequences == Array(0..<sequences.count), "\(device): \(sequences)")
        }
        let ledger = try await TestSite.command(["ledger", site.logPath])
        #expect(ledger.status == 0, "\(ledger.output.joined(separator: "\n")) \(ledger.errors)")
        #expect(try await edited.status()["state"] as? String == "accepted")
    }

    @Test(
        "a document with errors changes nothing and is told of once; after a restart the last known good one runs, until the file is right")
    func brokenDocument() async throws {
        let site = try await TestSite()
        let peer = try await ModbusPeer()
        let subscriber = try await site.readySubscriber("plant/plc/fast")
        let edited = try EditedSite(site, Document(devices: [.init(name: "plc", port: peer.port)]))
        let gateway = try edited.run()
        let first = try #require(Message(try await subscriber.line { Message($0) != nil }))
        edited.document.extra = "  devises: []\n"
        try edited.save()
        try await gateway.errorLine { $0.contains("refused") && $0.contains("site.yaml:") && $0.contains("devises") }
        // Touched, and read again because somebody asks for it: still the same content.
        try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSinceNow: -60)], ofItemAtPath: edited.path)
        gateway.signal(SIGHUP)
        try await Task.sleep(for: .seconds(2))
        #expect(gateway.errorText.components(separatedBy: "changed site document refused").count == 2, "\(gateway.errorText)")
        #expect(try await edited.status()["state"] as? String == "refused")
        #expect(try await TestSite.command(["status", edited.path]).status == 1)
        try await stop(gateway)
        expectEveryPoll(try await edited.counters("plc"), "plc")

        // Broken beyond reading, over a reboot.
        edited.document.extra = "}}} not YAML\n"
        try edited.save()
        let restarted = try edited.run()
        try await restarted.errorLine {
            $0.contains("level=error") && $0.contains("the last known good one runs") && $0.contains("site.yaml:")
        }
        let epoch = try await subscriber.epoch(after: first.epoch)
        edited.document.extra = ""
        edited.document.devices[0].timeout = "900ms"
        try edited.save()
        try await restarted.errorLine { $0.contains("site document applied") && $0.contains("responseTimeout 1s → 900ms") }
        for _ in 0..<20 { _ = try await subscriber.line { Message($0)?.epoch == epoch } }
        try await stop(restarted)
    }

    @Test("a change by which tags go bad is taken back by itself, with the reason, and not tried again by a restart")
    func rolledBack() async throws {
        let site = try await TestSite()
        let peer = try await ModbusPeer()
        let other = try await ModbusPeer()
        try await peer.command("exception 2 holding 5000 5999")
        let subscriber = try await site.readySubscriber("plant/plc/fast")
        let edited = try EditedSite(
            site, Document(devices: [.init(name: "plc", port: peer.port), .init(name: "other", port: other.port)]))
        let gateway = try edited.run()
        let first = try #require(Message(try await subscriber.line { Message($0)?.values["counter"] != nil }))
        edited.document.devices[0].address = 5000
        try edited.save()
        _ = try await subscriber.line { Message($0)?.values.isEmpty == true }
        try await gateway.errorLine { $0.contains("level=error") && $0.contains("taken back") && $0.contains("plc lost 1 of 1") }
        _ = try await subscriber.line { Message($0)?.values["counter"] != nil }
        let status = try await edited.status()
        #expect(status["state"] as? String == "rolledBack")
        #expect((status["reasons"] as? [String])?.first?.contains("plc lost 1 of 1") == true, "\(status)")
        try await stop(gateway)
        expectEveryPoll(try await edited.counters("other"), "other")
        #expect(try await edited.diagnostics("gateway", "configurationState") as? String == "rolledBack")

        let restarted = try edited.run()
        try await restarted.errorLine { $0.contains("level=error") && $0.contains("taken back once") }
        let second = try #require(Message(try await subscriber.line { Message($0).map { $0.epoch > first.epoch } == true }))
        #expect(second.values["counter"] != nil)
        // Insisting: another content, and no gate.
        edited.document.gate = "{goodTagsDropMax: 100%}"
        try edited.save()
        try await restarted.errorLine { $0.contains("site document applied") }
        _ = try await subscriber.line { Message($0)?.epoch == second.epoch && Message($0)?.values.isEmpty == true }
        try await stop(restarted)
    }

    @Test(
        "a foreign Sparkplug host sees no alias it was not told of while devices are added, changed and removed, and the death of the removed"
    )
    func sparkplug() async throws {
        let site = try await TestSite()
        let peer = try await ModbusPeer()
        let host = try ForeignProcess(
            Checkout.python,
            [
                Checkout.peer("sparkplug_decoder.py"), "--host", "localhost", "--port", String(site.broker.port), "--ca",
                site.identity + "/ca.crt", "--cert", site.identity + "/subscriber.crt", "--key", site.identity + "/subscriber.key",
                "--seconds", "120",
            ])
        _ = try await host.line { $0.contains("\"ready\"") }
        let edited = try EditedSite(
            site, payload: "sparkplugB",
            Document(devices: [.init(name: "stays", port: peer.port), .init(name: "goes", port: peer.port)]))
        let gateway = try edited.run()
        func message(_ type: String, _ device: String) async throws {
            _ = try await host.line { $0.contains("\"\(type)\"") && $0.contains("\"device\": \"\(device)\"") }
        }
        try await message("DDATA", "goes")
        edited.document.devices[1].name = "comes"
        try edited.save()
        try await message("DDEATH", "goes")
        try await message("DDATA", "comes")
        // Another shape under the same name.
        edited.document.devices[1].address = 10
        edited.document.devices[1].period = "40ms"
        try edited.save()
        try await gateway.errorLine { $0.contains("site document applied") && $0.contains("period 50ms → 40ms") }
        for _ in 0..<20 { try await message("DDATA", "comes") }
        for _ in 0..<20 { try await message("DDATA", "stays") }
        try await stop(gateway)
        await host.stop()
        #expect(!host.allLines.contains { $0.contains("violation") }, "\(host.allLines.filter { $0.contains("violation") })")
        #expect(host.allLines.count { $0.contains("\"NBIRTH\"") } == 1)
        #expect(host.allLines.count { $0.contains("\"DBIRTH\"") && $0.contains("\"stays\"") } == 1)
    }

    @Test(
        "killed during a trial: the last known good document runs first and the trial begins anew; killed again, the document is taken back"
    )
    func interruptedTrial() async throws {
        let site = try await TestSite()
        let peer = try await ModbusPeer()
        try await peer.command("exception 2 holding 5000 5999")
        let subscriber = try await site.readySubscriber("plant/plc/fast")
        let edited = try EditedSite(site, Document(devices: [.init(name: "plc", port: peer.port)], gate: "{within: 2s}"))
        let gateway = try edited.run()
        let first = try #require(Message(try await subscriber.line { Message($0)?.values["counter"] != nil }))
        edited.document.devices[0].address = 5000
        try edited.save()
        try await gateway.errorLine { $0.contains("site document applied") }
        await gateway.stop()
        let second = try edited.run()
        try await second.errorLine { $0.contains("the trial begins anew") }
        let again = try #require(
            Message(try await subscriber.line { Message($0).map { $0.epoch > first.epoch && $0.values["counter"] != nil } == true }))
        try await second.errorLine { $0.contains("site document applied") }
        _ = try await subscriber.line { Message($0)?.epoch == again.epoch && Message($0)?.values.isEmpty == true }
        await second.stop()
        let third = try edited.run()
        try await third.errorLine { $0.contains("level=error") && $0.contains("taken back once") && $0.contains("ended twice") }
        _ = try await subscriber.line { Message($0).map { $0.epoch > again.epoch && $0.values["counter"] != nil } == true }
        try await stop(third)
        #expect(try await edited.status()["state"] as? String == "rolledBack")
    }

    @Test("units behind one connection: one that changes or goes leaves it open for the other")
    func sharedConnection() async throws {
        let site = try await TestSite()
        let peer = try await ModbusPeer(units: "1,2")
        let relay = try await CountingRelay(to: peer.port)
        let subscriber = try await site.readySubscriber("plant/#")
        let edited = try EditedSite(
            site, Document(devices: [.init(name: "one", port: relay.port), .init(name: "two", port: relay.port, unit: 2)], isDivided: true))
        let gateway = try edited.run()
        for device in ["one", "two"] { _ = try await subscriber.line { $0.hasPrefix("plant/\(device)/fast ") } }
        // Nothing but a file that the site document names.
        edited.document.devices[1].period = "40ms"
        try edited.document.definitionsFile.write(toFile: site.folder.path + "/definitions.yaml", atomically: true, encoding: .utf8)
        try await gateway.errorLine { $0.contains("site document applied") && $0.contains("device two") && !$0.contains("device one") }
        for _ in 0..<20 { _ = try await subscriber.line { $0.hasPrefix("plant/two/fast ") } }
        edited.document.devices.removeLast()
        try edited.save()
        try await gateway.errorLine { $0.contains("device two is removed") }
        for _ in 0..<20 { _ = try await subscriber.line { $0.hasPrefix("plant/one/fast ") } }
        try await stop(gateway)
        #expect(relay.opened == 1)
        expectEveryPoll(try await edited.counters("one"), "one")
        #expect(try await edited.diagnostics("one", "connections") as? Int == 1)
        #expect(try await edited.diagnostics("two", "online") as? Bool == false)
        #expect(try await edited.diagnostics("two", "reason") as? String == "removed from the site document")
    }

    @Test("a changed route goes on where it was: nothing is lost, no device notices; scoring comes and goes")
    func changedRoute() async throws {
        let site = try await TestSite()
        let peer = try await ModbusPeer()
        let relay = try await CountingRelay(to: peer.port)
        let broker = try await CountingRelay(to: site.broker.port)
        let subscriber = try await site.readySubscriber("plant/#")
        let edited = try EditedSite(site, brokerPort: broker.port, Document(devices: [.init(name: "plc", port: relay.port)]))
        let gateway = try edited.run()
        for _ in 0..<20 { _ = try await subscriber.line { $0.hasPrefix("plant/plc/fast ") } }
        edited.document.route = "keepAlive: 20s"
        edited.document.extra = "  scoring: {enabled: false}\n"
        try edited.save()
        try await gateway.errorLine {
            $0.contains("route central: keepAlive 30s → 20s") && $0.contains("site: scoring.isEnabled true → false")
        }
        for _ in 0..<20 { _ = try await subscriber.line { $0.hasPrefix("plant/plc/fast ") } }
        edited.document.extra = ""
        try edited.save()
        try await gateway.errorLine { $0.contains("site: scoring.isEnabled false → true") }
        while subscriber.lines.contains(where: { $0.hasPrefix("plant/plc/health ") }) { _ = try await subscriber.line() }
        _ = try await subscriber.line { $0.hasPrefix("plant/plc/health ") }
        try await stop(gateway)
        #expect(relay.opened == 1 && broker.opened == 2)
        #expect(!gateway.errorText.contains("level=error") && !gateway.errorText.contains("retry_count"), "\(gateway.errorText)")
        expectEveryPoll(try await edited.counters("plc"), "plc")
        // Whatever was not acknowledged when the route was stopped came again under its key.
        let sequences = subscriber.allLines.compactMap { Message($0) }.filter { $0.topic == "plant/plc/fast" }.map(\.sequence)
        let first = try #require(sequences.first)
        #expect(Set(sequences) == Set(first...(first + Set(sequences).count - 1)), "\(sequences)")
        let ledger = try await TestSite.command(["ledger", site.logPath])
        #expect(ledger.status == 0, "\(ledger.output.joined(separator: "\n")) \(ledger.errors)")
    }

    @Test("what cannot change while the gateway runs is refused with the reason, and diff says so before")
    func needsRestart() async throws {
        let site = try await TestSite()
        let peer = try await ModbusPeer()
        let edited = try EditedSite(site, Document(devices: [.init(name: "plc", port: peer.port)]))
        let before = site.folder.path + "/before.yaml"
        try FileManager.default.copyItem(atPath: edited.path, toPath: before)
        #expect(try await TestSite.command(["diff", before, edited.path]).status == 0)
        let gateway = try edited.run()
        try await gateway.errorLine { $0.contains("gateway started") }
        site.logPath = site.folder.path + "/elsewhere"
        try edited.save()
        try await gateway.errorLine { $0.contains("refused") && $0.contains("log.path") && $0.contains("restart") }
        let difference = try await TestSite.command(["diff", before, edited.path])
        #expect(difference.status == 1)
        #expect(difference.output.contains { $0.hasPrefix("refused while the gateway runs: log.path") }, "\(difference.output)")
        try await stop(gateway)
        #expect(!FileManager.default.fileExists(atPath: site.logPath))
    }
}
