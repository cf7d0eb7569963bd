import Foundation
import TestKit
import Testing

@Suite("Command line", .serialized)
struct CommandLineTests {
    @Test("--version and --help say what this is")
    func version() async throws {
        let version = try await TestSite.command(["--version"])
        #expect(version.status == 0 && version.output.first?.hasPrefix("IndusEdge ") == true)
        let help = try await TestSite.command(["--help"])
        for command in ["run", "check", "read", "tail", "query", "export", "ledger", "identity", "simulate", "diff", "status"] {
            #expect(help.output.contains { $0.contains("  \(command)") }, "\(command)")
        }
    }

    @Test("check names every problem with its place; exit status 1; JSON for programs")
    func check() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/site.yaml"
        try """
        apiVersion: edge.indusedge.io/v1
        kind: Site
        metadata: {name: plant}
        spec:
          devices:
            - {name: pump, definitoin: nothing, connection: {modbusTCP: {host: h, port: 70000}}}

        """.write(toFile: path, atomically: true, encoding: .utf8)
        let text = try await TestSite.command(["check", path])
        #expect(text.status == 1)
        let all = text.output.joined(separator: "\n")
        #expect(all.contains("\(path):6:") && all.contains("definition") && all.contains("70000"), "\(all)")
        let json = try await TestSite.command(["check", "--json", path])
        #expect(json.status == 1)
        let report = try #require(try JSONSerialization.jsonObject(with: Data(json.output.joined().utf8)) as? [String: Any])
        #expect(report["valid"] as? Bool == false)
        #expect((report["diagnostics"] as? [[String: Any]])?.isEmpty == false)
        // The same document does not start a gateway.
        let run = try await TestSite.command(["run", path])
        #expect(run.status == 1 && run.errors.contains("\(path):6:"), "\(run.errors)")
    }

    @Test("read gives a device, or one tag, now; a Bad tag has its reason and exit status 1")
    func read() async throws {
        let site = try await TestSite()
        let device = try await ModbusPeer()
        try await device.command("exception 2 holding 11 11")
        let document = try site.write([
            .init(
                name: "plc", port: device.port,
                tags: ["name: a, address: \"holding:10\", type: uint16", "name: b, address: \"holding:11\", type: uint16"])
        ])
        let one = try await TestSite.command(["read", document, "plc.a", "--json"])
        #expect(one.status == 0)
        #expect(one.output.first?.contains("\"value\":10") == true, "\(one.output)")
        let all = try await TestSite.command(["read", document, "plc"])
        #expect(all.status == 1)
        #expect(all.output.contains { $0.contains("BadNodeIdUnknown") && $0.contains("exception 02") }, "\(all.output)")
        let wrong = try await TestSite.command(["read", document, "plc.c"])
        #expect(wrong.status == 1 && wrong.errors.contains("there are: a, b"), "\(wrong.errors)")
        await device.stop()
        let gone = try await TestSite.command(["read", document, "plc"])
        #expect(gone.status == 1 && gone.errors.contains("because:") && gone.errors.contains("nothing listens"), "\(gone.errors)")
    }

    @Test("a second gateway on one store is refused, naming the first; tail and query work beside it")
    func oneStore() async throws {
        let site = try await TestSite()
        let device = try await ModbusPeer()
        let document = try site.write([
            .init(name: "plc", port: device.port, tags: ["name: counter, address: \"holding:2000\", type: uint32"])
        ])
        let first = try site.run(document)
        defer { first.signal(SIGKILL) }
        try await first.errorLine { $0.contains("gateway started") }
        let second = try await TestSite.command(["run", document])
        #expect(second.status == 1 && second.errors.contains(String(first.processIdentifier)), "\(second.errors)")
        let tail = try await TestSite.command(["tail", document, "--device", "plc", "--tag", "counter", "--count", "5", "--json"])
        #expect(tail.status == 0 && tail.output.count == 5, "\(tail.output) \(tail.errors)")
        let query = try await TestSite.command(["query", site.logPath, "--device", "plc", "--from", "1m", "--limit", "5"])
        #expect(query.status == 0 && query.output.count == 6, "\(query.output) \(query.errors)")
        let typo = try await TestSite.command(["query", site.logPath, "--device", "plcc"])
        #expect(typo.status == 1 && typo.errors.contains("did you mean plc?"), "\(typo.errors)")
        #expect(try await TestSite.command(["ledger", site.logPath]).status == 0)
    }

    @Test("a log folder that cannot be written is an error with the way out; a missing one is made")
    func logFolder() async throws {
        let site = try await TestSite()
        let device = try await ModbusPeer()
        // A file in the place of a folder stops root, too.
        let obstacle = site.folder.path + "/obstacle"
        try Data().write(to: URL(fileURLWithPath: obstacle))
        site.logPath = obstacle + "/data"
        let refused = try await TestSite.command([
            "run", try site.write([.init(name: "plc", port: device.port, tags: ["name: a, address: \"holding:1\", type: uint16"])]),
        ])
        #expect(refused.status == 1 && refused.errors.contains(obstacle), "\(refused.errors)")
        site.logPath = site.folder.path + "/deep/missing/data"
        let gateway = try site.run(
            try site.write([.init(name: "plc", port: device.port, tags: ["name: a, address: \"holding:1\", type: uint16"])]))
        try await gateway.errorLine { $0.contains("gateway started") }
        gateway.signal(SIGTERM)
        #expect(try await gateway.waitForExit() == 0)
        #expect(FileManager.default.fileExists(atPath: site.logPath + "/state.sqlite"))
    }

    @Test("simulate refuses what it does not know, and serves what it does")
    func simulate() async throws {
        let wrong = try await TestSite.command(["simulate", "feed-pumpe:0"])
        #expect(wrong.status != 0 && wrong.errors.contains("feed-pump, cnc-spindle, air-compressor"), "\(wrong.errors)")
        let plant = try ForeignProcess(TestSite.program, ["simulate", "feed-pump:0", "cnc-spindle:0", "--seed", "3"])
        let line = try await plant.line { $0.hasPrefix("feed-pump listens on") }
        #expect(line.contains("127.0.0.1:"))
        plant.signal(SIGTERM)
        #expect(try await plant.waitForExit() == 0)
    }
}
