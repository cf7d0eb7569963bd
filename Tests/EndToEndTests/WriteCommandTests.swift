import Foundation
import TestKit
import Testing

@Suite("Writing through the running gateway", .serialized)
struct WriteCommandTests {
    /// A site with one device, and no routes.
    private func document(_ folder: TemporaryFolder, port: UInt16, writes: String = "allowed") throws -> String {
        let path = folder.path + "/site.yaml"
        try """
        apiVersion: edge.indusedge.io/v1
        kind: ProtocolDefinition
        metadata: {name: pump, version: 1.0.0}
        spec:
          protocol: modbus
          scanGroups: {fast: 20ms}
          tags:
            - {name: speed, address: "holding:100", type: uint16, access: readWrite, limits: {min: 0, max: 3000, maxStep: 200}, unit: 1/min}
            - {name: start, address: "coil:4", type: bool, access: readWrite, write: {confirm: twoStep, interlock: "this.speed < 250"}}
        ---
        apiVersion: edge.indusedge.io/v1
        kind: Site
        metadata: {name: plant}
        spec:
          writes: \(writes)
          log: {path: data, diskLimit: 64MiB}
          scoring: {enabled: false}
          devices: [{name: pump-1, definition: pump, connection: {modbusTCP: {host: 127.0.0.1, port: \(port)}}}]
        """.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    private func started(_ site: String, _ folder: TemporaryFolder) async throws -> ForeignProcess {
        let gateway = try ForeignProcess(TestSite.program, ["run", site])
        let socket = folder.path + "/data/control.sock"
        for _ in 0..<1000 {
            // The device has to be there, too: a dry run says so.
            if FileManager.default.fileExists(atPath: socket),
                try await TestSite.command(["write", site, "pump-1.speed=100", "--dry-run"]).status == 0
            {
                return gateway
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw ForeignProcess.Failure(description: "no gateway: \(gateway.errorText)")
    }

    @Test("a value is written, read back, recorded and seen by the next polls; what a rule forbids is not")
    func write() async throws {
        let folder = try TemporaryFolder()
        let peer = try await WritablePeer()
        let site = try document(folder, port: peer.port)
        let without = try await TestSite.command(["write", site, "pump-1.speed=200"])
        #expect(without.status == 1 && without.errors.contains("no gateway runs"), "\(without)")
        let gateway = try await started(site, folder)

        let done = try await TestSite.command(["write", site, "pump-1.speed=200"])
        #expect(done.status == 0 && done.output.first == "done: pump-1.speed: 100 1/min → 200 1/min, read back", "\(done)")
        #expect(try await peer.command("get holding 100") == "200")

        let step = try await TestSite.command(["write", site, "pump-1.speed=401"])
        #expect(step.status == 1 && step.errors.contains("at most 200 1/min"), "\(step)")
        let limit = try await TestSite.command(["write", site, "pump-1.speed=3001", "--json"])
        #expect(limit.status == 1 && limit.output.joined().contains(#""code":"limits""#), "\(limit)")
        #expect(try await peer.command("get holding 100") == "200")

        let asked = try await TestSite.command(["write", site, "pump-1.start=false", "--json"])
        #expect(asked.status == 3)
        let answer = try #require(try JSONSerialization.jsonObject(with: Data(asked.output.joined().utf8)) as? [String: Any])
        let token = try #require(answer["token"] as? String)
        #expect(try await peer.command("get coil 4") == "1")
        let confirmed = try await TestSite.command(["write", site, "pump-1.start=false", "--confirm", token])
        #expect(confirmed.status == 0, "\(confirmed)")
        #expect(try await peer.command("get coil 4") == "0")
        #expect(try await peer.command("writes") == "2 6 5")

        await gateway.stop()
        // The polls went on, and saw the new value.
        let last = try await TestSite.command(["query", site, "pump-1/speed", "--from", "-1m", "--csv"])
        #expect(last.output.contains { $0.contains("200") }, "\(last)")

        let head = try #require(confirmed.output.last?.split(separator: " ").last.map(String.init))
        let whole = try await TestSite.command(["audit", "verify", site, "--head", head])
        #expect(whole.status == 0 && whole.output.last?.hasSuffix("head \(head)") == true, "\(whole)")
        let shown = try await TestSite.command(["audit", "show", site, "--last", "2"])
        #expect(shown.output.count == 2 && shown.output[1].contains("true → false  done  by uid"), "\(shown)")

        let file = folder.path + "/data/audit/00000001.audit"
        let text = try String(contentsOfFile: file, encoding: .utf8)
        try text.replacingOccurrences(of: #""wanted":"200""#, with: #""wanted":"100""#).write(
            toFile: file, atomically: true, encoding: .utf8)
        let broken = try await TestSite.command(["audit", "verify", site])
        #expect(broken.status == 1 && broken.errors.contains("the audit trail is broken"), "\(broken)")
        await peer.stop()
    }

    @Test("killed at any moment, the trail is whole, and tells of every write that reached the device")
    func killed() async throws {
        let folder = try TemporaryFolder()
        let peer = try await WritablePeer()
        let site = try document(folder, port: peer.port)
        var generator = SeededGenerator()
        for round in 0..<4 {
            let gateway = try await started(site, folder)
            let writers = Task {
                await withTaskGroup(of: Void.self) { group in
                    for writer in 0..<3 {
                        group.addTask {
                            for step in 0..<20 where !Task.isCancelled {
                                _ = try? await TestSite.command(["write", site, "pump-1.speed=\(100 + (step + writer) % 3)"])
                            }
                        }
                    }
                }
            }
            try await Task.sleep(for: .milliseconds(Int.random(in: 50...400, using: &generator)))
            gateway.signal(SIGKILL)
            _ = try await gateway.waitForExit()
            writers.cancel()
            await writers.value
            let trail = try await TestSite.command(["audit", "verify", site])
            #expect(trail.status == 0, "round \(round): \(trail)")
            let shown = try await TestSite.command(["audit", "show", site, "--last", "100000", "--json"])
            let intents = shown.output.count { $0.contains(#""kind":"intent""#) }
            let writes = try await peer.command("writes").split(separator: " ").first.flatMap { Int($0) } ?? .max
            #expect(writes <= intents, "round \(round): \(writes) writes at the device, \(intents) intents in the trail")
        }
        let gateway = try await started(site, folder)
        #expect(try await TestSite.command(["write", site, "pump-1.speed=150"]).status == 0)
        #expect(try await TestSite.command(["audit", "verify", site]).status == 0)
        await gateway.stop()
        await peer.stop()
    }

    @Test("a site that does not allow writes refuses them all, and says how it would")
    func refused() async throws {
        let folder = try TemporaryFolder()
        let peer = try await WritablePeer()
        let site = try document(folder, port: peer.port, writes: "refused")
        let gateway = try ForeignProcess(TestSite.program, ["run", site])
        let socket = folder.path + "/data/control.sock"
        for _ in 0..<500 where !FileManager.default.fileExists(atPath: socket) { try await Task.sleep(for: .milliseconds(20)) }
        let outcome = try await TestSite.command(["write", site, "pump-1.speed=200"])
        #expect(outcome.status == 1 && outcome.errors.contains("writes: allowed"), "\(outcome)")
        #expect(try await peer.command("writes") == "0")
        await gateway.stop()
        await peer.stop()
    }
}
