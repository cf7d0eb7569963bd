import Foundation
import Telemetry
import TestKit
import Testing

@testable import Historian

@Suite("Output formats")
struct ExportTests {
    private static let streams: [StreamID: StreamDescriptor] = [
        StreamID(rawValue: 1): StreamDescriptor(
            device: "pump-1", group: "fast",
            tags: [
                Tag("temperature", .int16, scaling: Scaling(scale: 0.1), unit: "Cel"), Tag("isRunning", .bool),
                Tag("flow", .float32, unit: "m3/h"),
                Tag("energy", .uint64, unit: "W.h"), Tag("note", .string, stringCapacity: 40),
            ]),
        StreamID(rawValue: 2): StreamDescriptor(device: "pump-1", group: "health", tags: [Tag("score", .uint8)]),
    ]

    /// Rows with everything that formats have to escape or to leave out.
    private static func rows() -> [OutputRow] {
        func row(_ nanoseconds: Int64, _ entries: [(Int, StatusCode, Cell?)]) -> OutputRow {
            var row = OutputRow(time: Timestamp(nanoseconds: nanoseconds))
            row.entries = entries.map { .init(series: $0.0, status: $0.1) }
            row.cells = entries.map { $0.2 }
            return row
        }
        let start: Int64 = 1_700_000_000_000_000_000
        var unsure = row(start + 6_000_000, [(0, .good, .decimal(236, digits: 1)), (1, .good, .bool(false))])
        unsure.isTimeUncertain = true
        unsure.sourceTime = Timestamp(nanoseconds: start + 5_999_000)
        return [
            row(
                start,
                [
                    (0, .good, .decimal(235, digits: 1)), (1, .good, .bool(true)), (2, .good, .float(0.1)), (3, .good, .unsigned(.max)),
                    (4, .good, .text("plain")),
                ]),
            row(start + 1, [(0, .badTimeout, nil), (4, .good, .text(""))]),
            row(
                start + 1000,
                [(0, .uncertain, .decimal(-5, digits: 1)), (2, .good, .float(.infinity)), (4, .good, .text("a,b \"c\" \\ d=e\r\nf"))]),
            row(start - 86_400_000_000_000, [(5, .badNotConnected, nil)]),
            row(start + 5_000_000, [(2, .good, .float(.nan)), (3, .good, .unsigned(0)), (5, .good, .integer(100))]),
            row(-1, [(1, .good, .bool(false)), (4, .good, .text("früh"))]), unsure,
        ]
    }

    private static let shape = OutputShape(series: Series.all(in: streams))

    private static func written(_ writer: some RowWriter) -> (text: String, leftOut: Int) {
        var writer = writer
        var text = TextBuffer()
        writer.begin(into: &text)
        for row in rows() { writer.write(row, into: &text) }
        return (String(decoding: text.take(), as: UTF8.self), writer.valuesLeftOut)
    }

    private static func compareWithGolden(_ text: String, _ name: String) throws {
        let url = Checkout.root.appendingPathComponent("Tests/HistorianTests/Golden/\(name)")
        if ProcessInfo.processInfo.environment["INDUS_UPDATE_GOLDEN"] == "1" { try Data(text.utf8).write(to: url) }
        let golden = String(decoding: try Data(contentsOf: url), as: UTF8.self)
        #expect(text == golden, "\(name)")
    }

    /// What a foreign parser makes of a file, as JSON.
    private static func foreign(_ script: String, _ text: String) async throws -> Any {
        let folder = try TestKit.TemporaryFolder()
        let path = folder.path + "/data"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        let peer = try ForeignProcess(Checkout.python, ["-c", script, path])
        let status = try await peer.waitForExit()
        try await peer.drained()
        try #require(status == 0, "\(peer.errorText)")
        return try JSONSerialization.jsonObject(with: Data(peer.allLines.joined().utf8))
    }

    @Test func csv() async throws {
        let wide = Self.written(CSVWriter(Self.shape, layout: .wide)).text
        try Self.compareWithGolden(wide, "wide.csv")
        try Self.compareWithGolden(Self.written(CSVWriter(Self.shape, layout: .long)).text, "long.csv")
        let script =
            "import csv,json,sys; print(json.dumps(list(csv.reader(open(sys.argv[1], newline='', encoding='utf-8'), strict=True))))"
        let parsed = try #require(try await Self.foreign(script, wide) as? [[String]])
        #expect(parsed.count == 8 && parsed.allSatisfy { $0.count == 10 })
        #expect(parsed[0][1] == "pump-1/temperature [Cel]" && parsed[0][6] == "pump-1/Health/score")
        #expect(parsed[1] == ["2023-11-14T22:13:20.000Z", "23.5", "true", "0.1", "18446744073709551615", "plain", "", "Good", "", ""])
        #expect(parsed[2][0] == "2023-11-14T22:13:20.000000001Z" && parsed[2][7] == "pump-1/temperature=BadTimeout")
        #expect(parsed[3][1] == "-0.5" && parsed[3][5] == "a,b \"c\" \\ d=e\r\nf")
        #expect(parsed[6][0] == "1969-12-31T23:59:59.999999999Z")
        #expect(parsed[7][8...] == ["true", "2023-11-14T22:13:20.005999Z"])
    }

    @Test func lineProtocol() async throws {
        let (text, leftOut) = Self.written(LineProtocolWriter(Self.shape))
        try Self.compareWithGolden(text, "export.line")
        #expect(leftOut == 2)
        // A line end within a text would be cut by reading line by line: the parser gets whole points.
        let script = """
            import json, re, sys
            from line_protocol_parser import parse_line
            points = re.findall(r'(?:"(?:\\\\.|[^"\\\\])*"|[^\\n"])+', open(sys.argv[1], newline='', encoding='utf-8').read(), re.S)
            print(json.dumps([parse_line(point) for point in points]))
            """
        let points = try #require(try await Self.foreign(script, text) as? [[String: Any]])
        #expect(points.count == 8)
        #expect(points.allSatisfy { $0["measurement"] as? String == "pump-1" })
        let first = try #require(points[0]["fields"] as? [String: Any])
        #expect(first["temperature"] as? Double == 23.5 && first["isRunning"] as? Bool == true && first["note"] as? String == "plain")
        #expect((first["energy"] as? NSNumber)?.uint64Value == .max && first["temperature.quality"] as? String == "Good")
        #expect(points[0]["time"] as? Int64 == 1_700_000_000_000_000_000)
        #expect(points[0]["tags"] as? [String: String] == ["group": "fast"])
        let bad = try #require(points[1]["fields"] as? [String: Any])
        #expect(bad["temperature"] == nil && bad["temperature.quality"] as? String == "BadTimeout")
        #expect((points[2]["fields"] as? [String: Any])?["note"] as? String == "a,b \"c\" \\ d=e\r\nf")
        // One row with two groups is two points of one time.
        #expect(points[4]["time"] as? Int64 == points[5]["time"] as? Int64)
        #expect(points[5]["tags"] as? [String: String] == ["group": "health"])
        let unsure = try #require(points[7]["fields"] as? [String: Any])
        #expect(unsure["timeUncertain"] as? Bool == true && (unsure["sourceTime"] as? NSNumber)?.int64Value == 1_700_000_000_005_999_000)
    }

    @Test func namesThatFormatsMustEscape() async throws {
        let odd = StreamDescriptor(device: "a b,c", group: "g=h i", tags: [Tag("x y,z=1", .int8), Tag("back\\", .int8)])
        let shape = OutputShape(series: Series.all(in: [StreamID(rawValue: 1): odd]))
        var row = OutputRow(time: Timestamp(nanoseconds: 7))
        row.entries = [.init(series: 0, status: .good), .init(series: 1, status: .good)]
        row.cells = [.integer(-1), .integer(2)]
        var writer = LineProtocolWriter(shape)
        var text = TextBuffer()
        writer.write(row, into: &text)
        let script = "import json,sys; from line_protocol_parser import parse_line; print(json.dumps(parse_line(open(sys.argv[1]).read())))"
        let point = try #require(try await Self.foreign(script, String(decoding: text.take(), as: UTF8.self)) as? [String: Any])
        #expect(point["measurement"] as? String == "a b,c" && point["tags"] as? [String: String] == ["group": "g=h i"])
        let fields = try #require(point["fields"] as? [String: Any])
        #expect(fields["x y,z=1"] as? Int == -1 && fields["back"] as? Int == 2)
    }

    @Test func jsonLines() throws {
        let lines = Self.written(JSONLinesWriter(Self.shape)).text.split(separator: "\n")
        let objects = try lines.map { try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]) }
        #expect(objects.count == 18)
        #expect(
            objects[0]["value"] as? Double == 23.5 && objects[0]["unit"] as? String == "Cel" && objects[0]["status"] as? String == "Good")
        #expect(objects[5]["value"] == nil && objects[5]["status"] as? String == "BadTimeout")
        #expect(objects[8]["value"] as? String == "Infinity" && objects[9]["value"] as? String == "a,b \"c\" \\ d=e\r\nf")
    }

    @Test func tablesForPeople() {
        let wide = Self.written(TextTableWriter(Self.shape, layout: .wide)).text.split(separator: "\n")
        #expect(wide.count == 8 && wide[0].hasPrefix("time") && wide[0].contains("pump-1/flow [m3/h]"))
        let long = Self.written(TextTableWriter(Self.shape, layout: .long)).text.split(separator: "\n")
        #expect(long.count == 19)
        #expect(long[1].contains("pump-1/temperature") && long[1].hasSuffix("23.5  Cel"))
        #expect(long[6].hasSuffix("-  Cel  BadTimeout"))
    }

    @Test func decimalsPrintLikeTheNumbersTheyAre() {
        var generator = SeededGenerator()
        for _ in 0..<2000 {
            let digits = Int.random(in: 1...9, using: &generator)
            let raw = Int64.random(in: -999_999_999_999...999_999_999_999, using: &generator) >> Int64.random(in: 0...38, using: &generator)
            var text = TextBuffer()
            text.append(.decimal(raw, digits: digits))
            let printed = String(decoding: text.take(), as: UTF8.self)
            let number = Variant.int(raw).scaled(by: Scaling(scale: 1 / Double((0..<digits).reduce(1) { power, _ in power * 10 })))
            #expect(.double(Double(printed) ?? .nan) == number, "\(raw) \(digits) \(printed)")
        }
    }

    @Test func timesPrintAsTheyAre() {
        var generator = SeededGenerator()
        var text = TextBuffer()
        for _ in 0..<2000 {
            let time = Timestamp(nanoseconds: Int64.random(in: -9_000_000_000_000_000_000...9_000_000_000_000_000_000, using: &generator))
            text.append(.time(time))
            let printed = String(decoding: text.take(), as: UTF8.self)
            #expect(Timestamp(printed) == time, "\(printed)")
        }
    }
}
