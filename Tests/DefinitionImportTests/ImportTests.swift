import Definitions
import Foundation
import Telemetry
import TestKit
import Testing

@testable import DefinitionImport

@Suite("Import")
struct ImportTests {
    @Test(
        "an export becomes documents that the loader accepts, and a report of everything else",
        arguments: [
            ("kepware.csv", ImportFormat.kepwareCSV), ("telegraf-register.toml", .telegrafTOML), ("telegraf-request.toml", .telegrafTOML),
            ("thingsboard.json", .thingsboardJSON),
        ])
    func golden(_ name: String, _ format: ImportFormat) throws {
        let result = try DefinitionImport.read(try fixture(name), options: .init(name: String(name.prefix { $0 != "." })))
        #expect(result.format == format)
        let document = result.document(site: "imported")
        let folder = try TemporaryFolder()
        let loaded = try check(document, in: folder)
        #expect(loaded.diagnostics.filter { $0.severity == .error }.isEmpty, "\(loaded.diagnostics)")
        #expect(loaded.site?.devices.count == result.devices.count)
        #expect(!result.isComplete)
        try expectGolden(result.notes.map { "# \($0)\n" }.joined() + document, name + ".yaml")
    }

    @Test("the files of a folder name each other and load as a whole")
    func files() throws {
        let result = try DefinitionImport.read(try fixture("thingsboard.json"), options: .init())
        let folder = try TemporaryFolder()
        for file in result.files(site: "plant") {
            try file.text.write(toFile: "\(folder.path)/\(file.name)", atomically: true, encoding: .utf8)
        }
        let loaded = ConfigurationLoader().load(files: [folder.path + "/site.yaml"], environment: [:])
        #expect(!loaded.hasErrors, "\(loaded.diagnostics)")
        #expect(loaded.site?.devices.map(\.name) == ["Boiler_Room", "Fan"])
    }

    @Test("a device that is called site does not take the place of the site document")
    func deviceCalledSite() throws {
        let result = try DefinitionImport.read(Array(ImportTests.small.utf8), options: .init(name: "site"))
        #expect(result.files(site: "plant").map { $0.name } == ["site-device.yaml", "site.yaml"])
    }

    // MARK: - Encodings

    private static let small = "Tag Name,Address,Data Type,Client Access,Scan Rate\nflow,400001,Word,RO,1000\n"

    @Test("byte order marks, UTF-16, carriage returns, semicolons and tabs are read like the plain file")
    func encodings() throws {
        let plain = try imported(ImportTests.small)
        let utf16 = ImportTests.small.utf16
        let variants: [(String, [UInt8])] = [
            ("UTF-8 with mark", [0xEF, 0xBB, 0xBF] + Array(ImportTests.small.utf8)),
            ("UTF-16 LE", [0xFF, 0xFE] + utf16.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }),
            ("UTF-16 BE", [0xFE, 0xFF] + utf16.flatMap { [UInt8($0 >> 8), UInt8(truncatingIfNeeded: $0)] }),
            ("CR LF", Array(ImportTests.small.replacingOccurrences(of: "\n", with: "\r\n").utf8)),
            ("semicolons", Array(ImportTests.small.replacingOccurrences(of: ",", with: ";").utf8)),
            ("tabs", Array(ImportTests.small.replacingOccurrences(of: ",", with: "\t").utf8)),
            ("no line end at the end", Array(ImportTests.small.dropLast().utf8)),
        ]
        for (name, bytes) in variants {
            let result = try DefinitionImport.read(bytes, options: .init(name: "test"))
            #expect(result.definitions == plain.definitions, "\(name)")
        }
    }

    @Test("Latin-1 is read and said")
    func latin() throws {
        let text = "Tag Name,Address,Data Type,Description\nflow,400001,Word,Zulauf K\u{FC}hler\n"
        let result = try DefinitionImport.read(text.unicodeScalars.map { UInt8($0.value) }, options: .init(name: "test"))
        #expect(result.definitions[0].tags[0].description == "Zulauf K\u{FC}hler")
        #expect(result.notes.contains { $0.kind == .assumed && $0.reason.contains("Latin-1") })
    }

    // MARK: - Files that are none

    @Test(
        "what is no such file gets a message that says what it is",
        arguments: [
            ("", "empty"), (" \n ", "empty"), ("PK\u{3}\u{4}", "no text"), ("hello world\n", "none of"), ("<xml/>\n", "none of"),
            ("Name,Register\na,1\n", "none of"), ("{", "cut off"), ("{}", "no 'master'"), ("{\"server\": {}}", "before 3.0"),
            ("{\"master\": {}}", "no list"),
            ("{\"master\": {\"slaves\": []}}", "no tag"), ("[[inputs.modbus]]\nname = \"x", "text that begins here"),
            ("[[inputs.modbus]]\nname = \"x\"\n", "no tag"), ("[inputs.modbus]\nname = 1\n", "no [[inputs.modbus]]"),
            ("Tag Name,Address\n", "no tag"), ("Tag Name,Address\n\"abc", "does not end"),
            ("[[inputs.modbus]]\nname = 1\nname = 2\n", "stands twice"),
        ])
    func notSuchAFile(_ text: String, _ words: String) throws {
        let error = #expect(throws: ImportError.self) { try imported(text) }
        #expect(error?.description.contains(words) == true, "\(text) → \(error?.description ?? "")")
    }

    @Test(
        "the beginnings of a file are read or refused with a message",
        arguments: ["kepware.csv", "telegraf-request.toml", "thingsboard.json"])
    func truncated(_ name: String) throws {
        let bytes = try fixture(name)
        let end = bytes.lastIndex { $0 > 0x20 } ?? 0
        for end in Array(stride(from: 0, to: end, by: 7)) + [end] {
            do throws(ImportError) {
                let result = try DefinitionImport.read(Array(bytes[..<end]), options: .init(name: "cut"))
                #expect(name != "thingsboard.json", "a document that is cut off at \(end) was read")
                #expect(!result.definitions.isEmpty)
            } catch {
                #expect(!error.message.isEmpty)
            }
        }
    }

    @Test("a file beyond the limit is not looked at")
    func tooLarge() {
        let bytes = [UInt8](repeating: UInt8(ascii: "a"), count: DefinitionImport.fileBytesMax + 1)
        #expect(throws: ImportError.self) { try DefinitionImport.read(bytes, options: .init()) }
    }

    @Test("levels beyond the limit are refused, not followed")
    func depth() {
        let json = "{\"master\":" + String(repeating: "[", count: 100_000)
        #expect(throws: ImportError.self) { try imported(json) }
        let toml = "[[inputs.modbus]]\nname = " + String(repeating: "[", count: 100_000)
        #expect(throws: ImportError.self) { try imported(toml) }
        let keys = "[[inputs.modbus]]\n" + Array(repeating: "a", count: 10_000).joined(separator: ".") + " = 1"
        #expect(throws: ImportError.self) { try imported(keys) }
    }

    @Test("whatever is changed in a file, what comes out of it is accepted by the loader")
    func mutations() throws {
        let seed = seedOfThisRun()
        var generator = SeededGenerator(seed: seed)
        let folder = try TemporaryFolder()
        for name in ["kepware.csv", "telegraf-register.toml", "telegraf-request.toml", "thingsboard.json"] {
            let original = try fixture(name)
            for round in 0..<100 {
                var bytes = original
                for _ in 0..<Int.random(in: 1...6, using: &generator) where !bytes.isEmpty {
                    let place = Int.random(in: 0..<bytes.count, using: &generator)
                    switch Int.random(in: 0..<5, using: &generator) {
                    case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
                    case 1: bytes[place] = Array("0123456789.-\"'[]{},;=\\$#".utf8).randomElement(using: &generator) ?? 48
                    case 2: bytes.remove(at: place)
                    case 3: bytes.insert(contentsOf: bytes[place..<min(place + 40, bytes.count)], at: place)
                    default: bytes.removeSubrange(place..<min(place + 40, bytes.count))
                    }
                }
                guard let result = try? DefinitionImport.read(bytes, options: .init(name: "mutated")) else { continue }
                let loaded = try check(result.document(site: "imported"), in: folder)
                #expect(
                    !loaded.hasErrors,
                    "seed \(seed), \(name), round \(round): \(loaded.diagnostics.filter { $0.severity == .error }.prefix(2))")
                if loaded.hasErrors { return }
            }
        }
    }

    @Test("texts of any kind survive being written")
    func quoting() throws {
        let folder = try TemporaryFolder()
        for text in [
            "${HOME}", "$${x}", "a \"b\" \\ c", "tab\tnew\nline", "# no comment: {}", "ü €", "$", "$$", "100 %", "\u{7F}\u{85}x", "'",
        ] {
            var definition = DraftDefinition(name: "a", description: text, source: text)
            definition.scanGroups = [ScanGroup(name: "g", period: .seconds(1))]
            definition.tags = [
                DraftTag(
                    name: "true", address: ModbusAddress(table: .holding, offset: 0), dataType: .int16, scanGroup: "g", description: text)
            ]
            let loaded = try check(DraftWriter.text(of: definition), in: folder)
            #expect(loaded.diagnostics.isEmpty, "\(text): \(loaded.diagnostics)")
            let expected = String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value == 0x7F || $0.value == 0x85 ? " " : $0 }))
            #expect(loaded.definitions.first?.description == expected)
        }
    }
}
