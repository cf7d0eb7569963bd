import Definitions
import Foundation
import Testing

@Suite struct ReportingTests {
    @Test func allProblemsAreReportedAtOnce() throws {
        let loaded = try load(
            definition(
                tags: "{name: a, address: \"holding:0\", type: int61, unit: degC, scale: 0}",
                "{nam: b, address: 5, type: uint32, scanGroup: quick}",
                "{name: c, name: d, type: string, address: \"holding:9\"}"))
        #expect(
            loaded.diagnostics.map { "\($0.line) \($0.path): \($0.message.prefix(28))" } == [
                "8 spec.tags[0].type: 'int61' is not one of bool, ",
                "8 spec.tags[0].unit: 'degC' is not a UCUM unit",
                "8 spec.tags[0].scale: scale is 0, which makes ever",
                "9 spec.tags[1].nam: unknown key 'nam' in tag",
                "9 spec.tags[1].address: expected text, got the numbe",
                "9 spec.tags[1].scanGroup: scan group 'quick' is not de",
                "10 : key 'name' is given more tha",
                "10 spec.tags[2].type: a string needs its length in",
            ])
        #expect(loaded.definitions == [])
    }

    @Test func rendersLikeACompiler() {
        let diagnostic = Diagnostic(
            .error, file: "site.yaml", at: SourcePosition(line: 12, column: 9), path: "spec.devices[0].port",
            "70000 is out of range 1…65535",
            value: "70000", allowed: "1…65535", suggestion: "check the port")
        #expect(
            diagnostic.description == """
                site.yaml:12:9: error: 70000 is out of range 1…65535
                    at: spec.devices[0].port
                    allowed: 1…65535
                    hint: check the port
                """)
        let plain = Diagnostic(.warning, file: "a.yaml", at: .start, path: "", "careful")
        #expect(plain.description == "a.yaml:1:1: warning: careful")
    }

    @Test func diagnosticsAreJSONBothWays() throws {
        let loaded = try load(definition(tags: "{name: a, address: \"holding:0\", type: int61}"))
        let data = try JSONEncoder().encode(loaded.diagnostics)
        #expect(try JSONDecoder().decode([Diagnostic].self, from: data) == loaded.diagnostics)
        let objects = try #require(try JSONSerialization.jsonObject(with: data) as? [[String: Any]])
        #expect(objects.first?["severity"] as? String == "error")
        #expect(objects.first?["value"] as? String == "int61")
        #expect(objects.first?["line"] as? Int == 8)
    }

    @Test func repeatedKeysAreAllReported() throws {
        let loaded = try load(
            definition(
                tags: "{name: a, address: \"holding:0\", type: int16, \"unit\": K, 'unit': Cel, unit: bar}",
                "{name: b, address: \"holding:1\", type: int16, access: read, access: read}"))
        #expect(
            loaded.diagnostics.map { "\($0.line):\($0.column) \($0.value ?? "")" } == ["8:63 unit", "8:76 unit", "9:66 access"])
    }

    @Test func missingFilesFoldersAndWrongBytes() throws {
        let folder = try TemporaryFolder()
        let good = try folder.file("site.yaml", LoadingTests.example)
        func messages(_ file: String) -> [String] {
            ConfigurationLoader().load(files: [file], environment: [:]).diagnostics.map {
                "\($0.line):\($0.column) \($0.message) | \($0.suggestion ?? "")".replacing(folder.url.path, with: "F")
            }
        }
        #expect(messages(folder.url.path + "/sit.yaml") == ["1:1 cannot read 'F/sit.yaml': no such file | did you mean 'site.yaml'?"])
        #expect(messages(folder.url.path) == ["1:1 cannot read 'F': it is a folder | name a YAML file in it"])
        #expect(
            messages(try folder.file("latin.yaml", bytes: Array("a: 1\nb: ".utf8) + [0xE9, 0x0A])) == [
                "2:4 the file is not valid UTF-8 | save it as UTF-8"
            ])
        #expect(
            messages(try folder.file("utf16.yaml", bytes: [0xFF, 0xFE, 0x61, 0])) == [
                "1:1 the file is UTF-16, but must be UTF-8 | save it as UTF-8"
            ])
        let huge = try folder.file("huge.yaml", bytes: [UInt8](repeating: 0x23, count: 8 * 1024 * 1024 + 1))
        #expect(messages(huge) == ["1:1 'F/huge.yaml' is larger than 8MiB | divide it into several definition files"])
        #expect(messages(good) == [])
    }

    @Test func documentsBeforeASyntaxErrorAreStillChecked() throws {
        let loaded = try load(definition(tags: "{name: a, address: \"holding:0\", type: int61}") + "---\nkind: [\n")
        #expect(loaded.diagnostics.map(\.line) == [8, 11])
        #expect(loaded.diagnostics.last?.message.hasPrefix("this is not YAML") == true)
    }

    @Test(.timeLimit(.minutes(10))) func thousandsOfWrongNamesAreReportedInTime() throws {
        let tags = (0..<5000).map { "    - {name: tag\($0), address: \"holding:\($0)\", type: int16}\n" }.joined()
        let wrong = (0..<5000).map { "gat\($0)" }.joined(separator: ", ")
        let references = (0..<5000).map { "p1.gat\($0)" }.joined(separator: ", ")
        let loaded = try load(
            definition() + tags + """
                ---
                apiVersion: edge.indusedge.io/v1
                kind: Site
                metadata: {name: plant}
                spec:
                  devices: [{name: p1, definition: pump, connection: {modbusTCP: {host: a}}, disabledTags: [\(wrong)]}]
                  assets: [{name: a, tags: [\(references)]}]
                """)
        #expect(loaded.diagnostics.count == 1001)
    }

    @Test func twoSitesAreOneTooMany() throws {
        let folder = try TemporaryFolder()
        let first = try folder.file("a.yaml", LoadingTests.example)
        let second = try folder.file("b.yaml", site(oneDevice))
        let loaded = ConfigurationLoader().load(files: [first, second], environment: [:])
        #expect(loaded.site == nil)
        let error = try #require(loaded.diagnostics.first { $0.severity == .error })
        #expect(error.message == "there is already a site at \(first):13")
    }

    @Test(.timeLimit(.minutes(10))) func aliasBombsEndWithAnError() throws {
        var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...12 { bomb += "a\(level): &a\(level) [\((0..<10).map { _ in "*a\(level - 1)" }.joined(separator: ", "))]\n" }
        let loaded = try load(bomb)
        #expect(loaded.diagnostics.map(\.message) == ["more than 500000 values in one file, aliases written out"])

        let keyed = try load(bomb + "? *a12\n: 1\n{[*a12]: 1}: 2\n")
        #expect(keyed.diagnostics.map(\.message) == ["a key must be a plain name in a file that uses aliases (*name)"])
    }

    @Test func nestingIsLimited() throws {
        let loaded = try load("kind: " + String(repeating: "[", count: 200) + String(repeating: "]", count: 200))
        #expect(loaded.diagnostics.map(\.message) == ["lists and mappings are nested more than 32 deep"])
        let deeper = try load("kind: " + String(repeating: "[", count: 100_000))
        #expect(deeper.hasErrors)
    }

    @Test func reportsAreLimited() throws {
        let tags = (0..<3000).map { _ in "{x: 1}" }.joined(separator: ", ")
        let loaded = try load("apiVersion: edge.indusedge.io/v1\nkind: ProtocolDefinition\nspec: {tags: [\(tags)]}\n")
        #expect(loaded.diagnostics.count == 1001)
        #expect(loaded.diagnostics.contains { $0.message == "more than 1000 problems; the others are not shown" })
    }

    @Test func manyTagsAtOneAddressAreFoundInTime() throws {
        let tags = (0..<5000).map { "    - {name: t\($0), address: \"holding:0\", type: int16}\n" }.joined()
        let loaded = try load(definition(tags: "{name: z, address: \"coil:0\", type: bool}") + tags)
        #expect(loaded.diagnostics.count == 1001)
    }
}
