import Foundation
import TestKit
import Testing

@Suite("End to end", .serialized)
struct EndToEndTests {
    private let registers = (10..<20).map { "name: r\($0), address: \"holding:\($0)\", type: uint16" }
    private let typed = [
        "name: level, address: \"holding:1000\", type: int16, scale: 0.1, unit: Cel",
        "name: weight, address: \"holding:1030\", type: float32, byteOrder: CDAB",
        "name: label, address: \"holding:1020\", type: string, length: 16", "name: lamp, address: \"coil:6\", type: bool",
        "name: missing, address: \"holding:9990\", type: uint32",
    ]
    private let counter = ["name: counter, address: \"holding:2000\", type: uint32"]

    @Test("registers of a foreign device arrive at a foreign Sparkplug host through TLS 1.3, without a violation")
    func sparkplug() async throws {
        let site = try await TestSite()
        let device = try await ModbusPeer()
        try await device.command("exception 2 holding 9990 9991")
        let host = try ForeignProcess(
            Checkout.python,
            [
                Checkout.peer("sparkplug_decoder.py"), "--host", "localhost", "--port", String(site.broker.port), "--ca",
                site.identity + "/ca.crt",
                "--cert", site.identity + "/subscriber.crt", "--key", site.identity + "/subscriber.key", "--seconds", "60", "--count", "40",
            ])
        let ready = try await host.line { $0.contains("\"ready\"") }
        #expect(ready.contains("TLSv1.3"))
        let gateway = try site.run(try site.write([.init(name: "plc", port: device.port, tags: registers + typed)]))
        #expect(
            try await host.waitForExit(within: .seconds(60)) == 0, "\(host.lines.filter { $0.contains("violation") }) \(gateway.errorText)")
        try await host.drained()
        let messages = host.lines.compactMap { try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
        let data = messages.filter { $0["type"] as? String == "DDATA" && $0["device"] as? String == "plc" }
        var values: [String: Any] = [:]
        for message in data {
            for metric in message["metrics"] as? [[String: Any]] ?? [] {
                if let name = metric["name"] as? String, let value = metric["value"] { values[name] = value }
            }
        }
        for register in 10..<20 { #expect(values["r\(register)"] as? Int == register) }
        #expect(values["level"] as? Double == -123.4)
        #expect(values["weight"] as? Double == 3.5)
        #expect(values["label"] as? String == "IndusEdge test")
        #expect(values["lamp"] as? Bool == true)
        // The refused tag is there, without a value; its neighbours did not suffer.
        #expect(values["missing"] is NSNull)
        gateway.signal(SIGTERM)
        #expect(try await gateway.waitForExit() == 0, "\(gateway.errorText)")
        #expect(!gateway.errorText.contains("level=error"), "\(gateway.errorText)")
        #expect(try await TestSite.command(["ledger", site.logPath]).status == 0)
    }

    @Test("scenarios 02, 05, 07, 08: kill -9 under load: what was stored is delivered once by its key, in order, and the ledger balances")
    func killed() async throws {
        let site = try await TestSite()
        let device = try await ModbusPeer()
        let subscriber = try site.subscriber("plant/plc/fast")
        let document = try site.write([.init(name: "plc", port: device.port, tags: counter)], payload: "json", period: "10ms")
        var epoch = try #require(try await Self.firstMessage(of: subscriber, while: { try site.run(document) })).epoch
        for _ in 0..<3 {
            let gateway = try site.run(document)
            epoch = try await subscriber.epoch(after: epoch)
            try await Task.sleep(for: .milliseconds(700))
            await gateway.stop()
        }
        // The last start delivers what is left.
        let gateway = try site.run(document)
        _ = try await subscriber.epoch(after: epoch)
        try await Task.sleep(for: .seconds(1))
        gateway.signal(SIGTERM)
        #expect(try await gateway.waitForExit() == 0)
        try await Task.sleep(for: .milliseconds(500))

        let ledger = try await TestSite.command(["ledger", site.logPath])
        #expect(ledger.status == 0, "\(ledger.output.joined(separator: "\n")) \(ledger.errors)")
        let stored = try await TestSite.command([
            "query", site.logPath, "--device", "plc", "--tag", "counter", "--limit", "1000000", "--json",
        ])
        let storedCounters = stored.output.compactMap { line in
            (try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])?["value"] as? Int
        }
        #expect(storedCounters.count > 100)
        #expect(zip(storedCounters, storedCounters.dropFirst()).allSatisfy { $0 < $1 }, "stored out of order")
        let messages = subscriber.allLines.compactMap { Message($0) }.filter { $0.topic == "plant/plc/fast" }
        var seen: Set<[Int]> = []
        var delivered: [Int] = []
        for message in messages where seen.insert([message.epoch, message.sequence]).inserted {
            if let value = message.values["counter"] as? Int { delivered.append(value) }
        }
        #expect(zip(delivered, delivered.dropFirst()).allSatisfy { $0 < $1 }, "delivered out of order")
        #expect(
            Set(storedCounters).isSubset(of: Set(delivered)), "\(Set(storedCounters).subtracting(delivered).count) stored, not delivered")
        // A value that came twice under different keys would be a duplicate nobody can remove.
        #expect(Set(delivered).count == delivered.count)
    }

    /// Starts a gateway, waits for its first message, and kills it.
    private static func firstMessage(of subscriber: ForeignProcess, while start: () throws -> ForeignProcess) async throws -> Message? {
        // The subscriber says nothing when it is ready; its first message tells.
        let gateway = try start()
        let message = Message(try await subscriber.line { Message($0) != nil })
        await gateway.stop()
        return message
    }

    @Test("scenario 10: a device that is off at the start holds up nobody, and its tags are Bad")
    func deadDevice() async throws {
        let site = try await TestSite()
        let device = try await ModbusPeer()
        let dead = try MosquittoBroker.freePort()
        let subscriber = try site.subscriber("plant/#")
        let document = try site.write(
            [.init(name: "dead", port: dead, tags: registers), .init(name: "plc", port: device.port, tags: counter)], payload: "json")
        let gateway = try site.run(document)
        let bad = try await subscriber.line { $0.hasPrefix("plant/dead/fast ") }
        #expect(bad.contains("\"r10\":\"BadNotConnected\"") && Message(bad)?.values.isEmpty == true, "\(bad)")
        var last = -1
        for _ in 0..<20 {
            let message = Message(try await subscriber.line { $0.hasPrefix("plant/plc/fast ") })
            let value = try #require(message?.values["counter"] as? Int)
            #expect(value > last)
            last = value
        }
        #expect(gateway.errorText.contains("nothing listens at 127.0.0.1:\(dead)"), "\(gateway.errorText)")
        // It is tried for ever: once it is there, its values come.
        let late = try await ModbusPeer(port: dead)
        let good = try await subscriber.line(within: .seconds(60)) { $0.hasPrefix("plant/dead/fast ") && $0.contains("\"r10\":10") }
        #expect(!good.isEmpty)
        await late.stop()
        gateway.signal(SIGINT)
        #expect(try await gateway.waitForExit() == 0)
    }

    /// A file system of 4 MiB for the log; `nil` where this user may not mount one.
    private static func smallDisk(in site: TestSite) async throws -> String? {
        let mount = site.folder.path + "/small"
        try FileManager.default.createDirectory(atPath: mount, withIntermediateDirectories: true)
        let mounting = try ForeignProcess("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", mount])
        if try await mounting.waitForExit() == 0 { return mount }
        print("not run: this user may not mount a file system")
        return nil
    }

    /// Fills a file system with one file, whose path is returned.
    private static func fill(_ mount: String) throws -> String {
        let filler = mount + "/filler"
        #expect(FileManager.default.createFile(atPath: filler, contents: nil))
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: filler))
        while (try? handle.write(contentsOf: Data(repeating: 1, count: 4096))) != nil {}
        try handle.close()
        return filler
    }

    /// Live data that goes on for well over a commit interval.
    private static func expectLiveData(from subscriber: ForeignProcess) async throws {
        var last = -1
        for _ in 0..<100 {
            let value = try #require(Message(try await subscriber.line { Message($0) != nil })?.values["counter"] as? Int)
            #expect(value > last)
            last = value
        }
    }

    @Test("a full disk: live data keeps flowing, what could not be kept is counted, and the log goes on when there is room")
    func fullDisk() async throws {
        let site = try await TestSite()
        guard let mount = try await EndToEndTests.smallDisk(in: site) else { return }
        defer { umount2(mount, Int32(MNT_DETACH)) }
        site.logPath = mount + "/data"
        let device = try await ModbusPeer()
        let subscriber = try site.subscriber("plant/plc/fast")
        let document = try site.write([.init(name: "plc", port: device.port, tags: counter)], payload: "json", period: "20ms")
        let gateway = try site.run(document)
        _ = try await subscriber.line { Message($0) != nil }
        let filler = try EndToEndTests.fill(mount)
        try await EndToEndTests.expectLiveData(from: subscriber)
        #expect(gateway.isRunning)
        #expect(gateway.errorText.contains("level=error") && gateway.errorText.contains("No space left on device"), "\(gateway.errorText)")
        try FileManager.default.removeItem(atPath: filler)
        try await Task.sleep(for: .seconds(2))
        gateway.signal(SIGTERM)
        #expect(try await gateway.waitForExit() == 0, "\(gateway.errorText)")
        let ledger = try await TestSite.command(["ledger", site.logPath])
        #expect(ledger.status == 0, "\(ledger.output.joined(separator: "\n")) \(ledger.errors)")
    }

    @Test("a disk that is full at the start: live data flows, and the log begins when there is room", arguments: [false, true])
    func fullDiskAtTheStart(hasStore: Bool) async throws {
        let site = try await TestSite()
        guard let mount = try await EndToEndTests.smallDisk(in: site) else { return }
        defer { umount2(mount, Int32(MNT_DETACH)) }
        site.logPath = mount + "/data"
        let device = try await ModbusPeer()
        let subscriber = try site.subscriber("plant/plc/fast")
        let document = try site.write([.init(name: "plc", port: device.port, tags: counter)], payload: "json", period: "20ms")
        if hasStore {
            let gateway = try site.run(document)
            try await EndToEndTests.expectLiveData(from: subscriber)
            gateway.signal(SIGTERM)
            #expect(try await gateway.waitForExit() == 0, "\(gateway.errorText)")
        }
        let filler = try EndToEndTests.fill(mount)
        let gateway = try site.run(document)
        try await EndToEndTests.expectLiveData(from: subscriber)
        #expect(gateway.isRunning)
        #expect(gateway.errorText.contains("disk is full") && gateway.errorText.contains("free space"), "\(gateway.errorText)")
        try FileManager.default.removeItem(atPath: filler)
        try await gateway.errorLine { $0.contains("disk has room") }
        gateway.signal(SIGTERM)
        #expect(try await gateway.waitForExit() == 0, "\(gateway.errorText)")
        let ledger = try await TestSite.command(["ledger", site.logPath])
        #expect(ledger.status == 0, "\(ledger.output.joined(separator: "\n")) \(ledger.errors)")
        let kept = try await TestSite.command(["query", site.logPath, "--json"])
        #expect(
            kept.output.count >= 100, "\(kept.output.count) \(kept.errors) \(gateway.errorText) \(ledger.output.joined(separator: "\n"))")
    }
}
