import Definitions
import Telemetry
import TestKit
import Testing

@testable import DefinitionImport

@Suite("Readers of TOML, JSON and CSV")
struct ReaderTests {
    private func toml(_ text: String) throws -> ForeignValue { try TOMLReader.read(Array(text.utf8)) }
    private func json(_ text: String) throws -> ForeignValue { try JSONReader.read(Array(text.utf8)) }

    @Test(
        "TOML values",
        arguments: [
            ("1", ForeignValue.Content.integer(1)), ("-1_000", .integer(-1000)), ("0x1F", .integer(31)), ("0b101", .integer(5)),
            ("1.5", .number(1.5)),
            ("1e3", .number(1000)), ("true", .boolean(true)), ("\"a\\u00fcb\\n\"", .string("aüb\n")), ("'a\\b'", .string("a\\b")),
            ("\"\"\"\na\\\n   b\"\"\"", .string("ab")), ("'''x'y'''", .string("x'y")), ("1979-05-27", .other("1979-05-27")),
        ])
    func tomlValues(_ text: String, _ expected: ForeignValue.Content) throws {
        #expect(try toml("a = \(text) # remark\n")["a"]?.content == expected)
    }

    @Test("TOML tables, arrays of tables, dotted keys and inline tables, each with its place")
    func tomlTables() throws {
        let root = try toml(
            "[x.y]\na.b = 1\n[[x.z]]\nn = 1\n[[x.z]]\nn = 2\n  [x.z.sub]\n  c = [ 1, # one\n 2, ]\n'q q' = {d = 1, e = \"f\"}\n")
        #expect(root["x"]?["y"]?["a"]?["b"]?.content == .integer(1))
        guard case .list(let tables)? = root["x"]?["z"]?.content else {
            Issue.record("no array of tables")
            return
        }
        #expect(tables.count == 2 && tables[1]["n"]?.content == .integer(2))
        #expect(tables[1]["sub"]?["q q"]?["e"]?.content == .string("f"))
        #expect(tables[1]["n"]?.position == SourcePosition(line: 6, column: 5))
    }

    @Test(
        "TOML that is wrong is refused at its place",
        arguments: [
            ("a = ", 1), ("a 1", 1), ("a = 1 b", 1), ("\n[a", 2), ("[a]\n[a]", 2), ("a = 1\na = 2", 2), ("a = [1, 2", 1), ("a = {b = 1", 1),
            ("a = \"x\n\"", 1), ("a = maybe", 1), ("a = 1\n[a]", 2), ("[[a]]\n[a]", 2), ("a = ${PORT}", 1), ("= 1", 1),
        ])
    func tomlErrors(_ text: String, _ line: Int) throws {
        let error = #expect(throws: ImportError.self) { try toml(text) }
        #expect(error?.position?.line == line, "\(text): \(error?.description ?? "")")
    }

    @Test("JSON values and the places of keys")
    func jsonValues() throws {
        let root = try json("{\"a\": [1, -2.5, true, null, \"\\ud83d\\ude00\\\"\"],\n \"b\": {\"c\": 100000000000000000000}}")
        #expect(
            root["a"]?.content
                == .list([
                    ForeignValue(content: .integer(1), position: SourcePosition(line: 1, column: 8)),
                    ForeignValue(content: .number(-2.5), position: SourcePosition(line: 1, column: 11)),
                    ForeignValue(content: .boolean(true), position: SourcePosition(line: 1, column: 17)),
                    ForeignValue(content: .null, position: SourcePosition(line: 1, column: 23)),
                    ForeignValue(content: .string("😀\""), position: SourcePosition(line: 1, column: 29)),
                ]))
        #expect(root["b"]?["c"]?.content == .number(1e20))
        #expect(root.entries?[1].position == SourcePosition(line: 2, column: 2))
    }

    @Test(
        "JSON that is wrong is refused",
        arguments: [
            "", "{", "{\"a\"", "{\"a\":}", "{\"a\":1,}", "[1 2]", "{\"a\":1}x", "{\"a\":1,\"a\":2}", "\"\\x\"", "nul", "01x", "\"a\nb\"",
            "{a:1}",
        ])
    func jsonErrors(_ text: String) { #expect(throws: ImportError.self) { try json(text) } }

    @Test("CSV fields with quotes, delimiters and line ends in them")
    func csv() throws {
        let rows = try CSVReader.rows(Array("a,\"b \"\"c\"\", d\",\r\n\r\n\"e\nf\",g\n".utf8), delimiter: UInt8(ascii: ","))
        #expect(rows.map { $0.map(\.text) } == [["a", "b \"c\", d", ""], ["e\nf", "g"]])
        #expect(rows[1][1].position == SourcePosition(line: 4, column: 4))
        #expect(CSVReader.delimiter(of: "a;b,c;d") == UInt8(ascii: ";"))
        #expect(throws: ImportError.self) {
            try CSVReader.rows(Array(repeating: UInt8(ascii: ","), count: 300), delimiter: UInt8(ascii: ","))
        }
    }

    @Test(
        "durations as Telegraf writes them",
        arguments: [
            ("10s", 10.0), ("1m30s", 90), ("250ms", 0.25), ("1.5h", 5400), ("", nil), ("s", nil), ("10", nil), ("10 parsec", nil),
            ("-1s", nil),
        ])
    func durations(_ text: String, _ seconds: Double?) {
        let duration = TelegrafReader.duration(ForeignValue(content: .string(text), position: .start))
        #expect(duration == seconds.map { .seconds($0) })
    }

    @Test("metric style: each field names its table, and the unit is the metric's")
    func metricStyle() throws {
        let result = try imported(
            """
            [[inputs.modbus]]
              controller = "tcp://[fd00::1]:502"
              configuration_type = "metric"
              [[inputs.modbus.metric]]
                slave_id = 9
                byte_order = "CDAB"
                measurement = "boiler"
                fields = [ { register="input", address=7, name="t", type="FLOAT32" }, { register="coil", address=1, name="on" }, { register="odd", address=1, name="x" } ]
            """)
        #expect(result.definitions[0].tags.map(\.name) == ["boiler/t", "boiler/on"])
        #expect(result.definitions[0].tags[0].byteOrder == .cdab)
        #expect(result.devices[0].connection == .modbusTCP(ModbusTCPConnection(host: "fd00::1", port: 502, unit: 9)))
        #expect(result.notes.contains { $0.kind == .lost && $0.subject == "x" })
    }

    @Test("a bit of a register keeps the order of its bytes")
    func swappedBit() throws {
        let result = try imported(
            """
            [[inputs.modbus]]
              controller = "tcp://h:502"
              configuration_type = "request"
              [[inputs.modbus.request]]
                byte_order = "DCBA"
                register = "holding"
                fields = [ { address=1, name="flag", type="BIT", bit=3 } ]
            """)
        #expect(DraftWriter.text(of: result.definitions[0]).contains("type: bool, byteOrder: DCBA"))
    }
}
