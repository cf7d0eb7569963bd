import Foundation
import TestKit
import Testing

@Suite("Import and discover commands", .serialized)
struct ImportCommandTests {
    private static func fixture(_ name: String) -> String {
        Checkout.root.appendingPathComponent("Tests/DefinitionImportTests/Fixtures/\(name)").path
    }

    @Test("import writes files that check accepts, says what was left out, and does not replace files unasked")
    func importing() async throws {
        let folder = try TemporaryFolder()
        let file = ImportCommandTests.fixture("thingsboard.json")
        let first = try await TestSite.command(["import", file, "--output", folder.path + "/plant"])
        #expect(first.status == 3, "\(first.errors)")
        #expect(first.errors.contains("\(file):29:16: lost: Boiler Room: rpc"), "\(first.errors)")
        #expect(first.errors.contains("thingsboard-json: 2 devices, 8 tags"), "\(first.errors)")
        let check = try await TestSite.command(["check", folder.path + "/plant/site.yaml"])
        #expect(check.status == 0, "\(check.output)")
        let again = try await TestSite.command(["import", file, "--output", folder.path + "/plant"])
        #expect(again.status == 1 && again.errors.contains("--force"), "\(again.errors)")
        let forced = try await TestSite.command(["import", file, "--output", folder.path + "/plant", "--force"])
        #expect(forced.status == 3)
    }

    @Test("import of a complete file has exit status 0 and writes one document; other files get a message")
    func oneDocument() async throws {
        let folder = try TemporaryFolder()
        let csv = folder.path + "/meter.csv"
        try "Tag Name,Address,Data Type\npower,400001,Float\n".write(toFile: csv, atomically: true, encoding: .utf8)
        let result = try await TestSite.command(["import", csv, "--byte-order", "ABCD"])
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.output.contains { $0.contains("name: power") } && result.output.contains("kind: Site"))
        let document = folder.path + "/meter.yaml"
        try (result.output.joined(separator: "\n") + "\n").write(toFile: document, atomically: true, encoding: .utf8)
        let check = try await TestSite.command(["check", document])
        #expect(check.status == 0, "\(check.output)")

        let wrong = try await TestSite.command(["import", "--format", "telegraf-toml", csv])
        #expect(wrong.status == 1 && wrong.errors.contains("\(csv):1:"), "\(wrong.errors)")
        let none = try await TestSite.command(["import", folder.path + "/nothing.csv"])
        #expect(none.status == 1 && none.errors.contains("cannot be opened"), "\(none.errors)")
        let foreign = try await TestSite.command(["import", Checkout.root.appendingPathComponent("README.md").path])
        #expect(foreign.status == 1 && foreign.errors.contains("none of"), "\(foreign.errors)")
    }

    @Test("discover writes a definition of a SunSpec device, with which it can be read at once")
    func discovering() async throws {
        let peer = try await ImagePeer(refusesUnknown: true)
        let fixture = URL(fileURLWithPath: ImportCommandTests.fixture("sunspec-inverter.txt"))
        for line in try String(contentsOf: fixture, encoding: .utf8).split(separator: "\n") where !line.hasPrefix("#") {
            let words = line.split(separator: " ")
            try await peer.set(try #require(Int(words[0])), words.dropFirst().compactMap { UInt16($0, radix: 16) })
        }
        let folder = try TemporaryFolder()
        let found = try await TestSite.command(
            ["discover", "127.0.0.1", "--port", "\(peer.port)", "--name", "roof", "--output", folder.path + "/roof"])
        #expect(found.status == 0, "\(found.errors)")
        #expect(found.errors.contains("model 64001"), "\(found.errors)")
        let read = try await TestSite.command(["read", folder.path + "/roof/site.yaml", "roof.inverter.W"])
        #expect(read.status == 0 && read.output.first?.contains("10500") == true, "\(read.output) \(read.errors)")
        let none = try await TestSite.command(["discover", "127.0.0.1", "--port", "\(peer.port)", "--base", "100"])
        #expect(none.status == 1 && none.errors.contains("no SunSpec map at 100"), "\(none.errors)")
        await peer.stop()
    }
}
