import Telemetry
import Testing

import struct Telemetry.Tag

@testable import Definitions

@Suite("Value forms") struct ValueFormTests {
    private func tags(_ lines: String...) throws -> [TagDefinition] {
        let text = definition(tags: lines[0]).split(separator: "\n").dropLast().joined(separator: "\n") + "\n"
        let loaded = try load(
            text + lines.map { "    - \($0)\n" }.joined()
                + "---\napiVersion: edge.indusedge.io/v1\nkind: Site\nmetadata: {name: s}\nspec: {devices: [{name: d, definition: pump, connection: {modbusTCP: {host: h}}}]}\n"
        )
        #expect(loaded.diagnostics.map(\.description) == [])
        return try #require(loaded.site?.devices.first?.tags)
    }

    @Test("types are what the registers hold, and what they are widened to")
    func types() throws {
        let tags = try tags(
            "{name: a, address: \"holding:0\", type: uint8, byte: high}", "{name: b, address: \"holding:0\", type: int8, byte: low}",
            "{name: c, address: \"holding:1\", type: float16}", "{name: d, address: \"holding:2\", type: bcd32}",
            "{name: e, address: \"holding:4.3\", type: uint8, bitCount: 4}",
            "{name: f, address: \"holding:5\", type: int32, fractionBits: 8, scale: 10}",
            "{name: g, address: \"holding:7\", type: string, length: 4, encoding: ascii, fill: 0xFF}",
            "{name: h, address: \"holding:9\", type: int16, table: [[10, 1], [0, 3]]}",
            "{name: i, address: \"holding:10\", type: uint64, byteOrder: CDABGHEF}")
        #expect(tags.map { $0.tag.dataType } == [.uint8, .int8, .float32, .uint32, .uint8, .int32, .string, .float64, .uint64])
        #expect(tags.map(\.unitCount) == [1, 1, 1, 2, 1, 2, 2, 1, 4])
        #expect(tags.map { $0.address.bit } == [8, 0, nil, nil, 3, nil, nil, nil, nil])
        #expect(
            tags.map { $0.form.encoding } == [
                .bitField(width: 8), .bitField(width: 8), .half, .decimal, .bitField(width: 4), .plain, .text(isASCII: true, fill: 255),
                .plain, .plain,
            ])
        #expect(tags[5].scaling == Scaling(scale: 10.0 / 256))
        #expect(tags[7].form.rules?.table?.points.map(\.raw) == [0, 10])
        #expect(tags[8].byteOrder == .cdabghef)
    }

    @Test("marks of a missing value become the bits of the type")
    func notAvailable() throws {
        let tags = try tags(
            "{name: a, address: \"holding:0\", type: int16, notAvailable: 0x8000}",
            "{name: b, address: \"holding:1\", type: int16, notAvailable: [-1, 32767]}",
            "{name: c, address: \"holding:2\", type: uint64, notAvailable: 0xFFFFFFFFFFFFFFFF}",
            "{name: d, address: \"holding:6\", type: float32, notAvailable: [-9999, 0x7FC00000]}",
            "{name: e, address: \"holding:8\", type: bcd16, notAvailable: [9999, 0xFFFF]}",
            "{name: f, address: \"holding:9\", type: uint64, notAvailable: 18446744073709551615}",
            "{name: g, address: \"holding:13\", type: int64, notAvailable: -9223372036854775808}")
        #expect(
            tags.map { $0.form.rules?.notAvailable } == [
                [0x8000], [0xFFFF, 0x7FFF], [.max], [UInt64(Float(-9999).bitPattern), 0x7FC0_0000], [0x9999, 0xFFFF], [.max], [1 << 63],
            ])
    }

    @Test("arrays and named bits become tags of their own")
    func expansion() throws {
        let tags = try tags(
            "{name: x, address: \"holding:0\", type: float32, count: 3}",
            "{name: y, address: \"holding:10\", type: int16, count: 3, stride: 4}",
            "{name: z, address: \"holding:30\", type: uint8, byte: high, count: 4}",
            "{name: s, address: \"holding:40\", type: uint32, byteOrder: CDAB, bits: {0: ready, 17: fault}}",
            "{name: c, address: \"coil:5\", type: bool, count: 2}",
            "{name: n, address: \"holding:50.8\", type: uint8, bitCount: 4, count: 3}",
            "{name: q, address: \"holding:60.14\", type: bool, count: 3}")
        #expect(
            tags.map { "\($0.name) \($0.address)" } == [
                "x.0 holding:0", "x.1 holding:2", "x.2 holding:4", "y.0 holding:10", "y.1 holding:14", "y.2 holding:18",
                "z.0 holding:30.8", "z.1 holding:30.0", "z.2 holding:31.8", "z.3 holding:31.0", "s holding:40", "s.ready holding:40.0",
                "s.fault holding:41.1", "c.0 coil:5", "c.1 coil:6", "n.0 holding:50.8", "n.1 holding:50.12", "n.2 holding:51.0",
                "q.0 holding:60.14", "q.1 holding:60.15", "q.2 holding:61.0",
            ])
    }

    @Test("labels name the values of integers and booleans")
    func labels() throws {
        let tags = try tags(
            "{name: a, address: \"holding:0\", type: int16, labels: {-1: fault, 0: stopped, 0x10: running}}",
            "{name: b, address: \"coil:0\", type: bool, labels: {0: open, 1: closed}}")
        #expect(tags[0].label(for: .int(-1)) == "fault" && tags[0].label(for: .int(16)) == "running" && tags[0].label(for: .int(3)) == nil)
        #expect(tags[1].label(for: .bool(true)) == "closed")
    }

    @Test("a problem of a value form is reported where it is", arguments: problems)
    func reports(_ document: BadDocument) throws {
        let loaded = try load(document.text)
        #expect(loaded.diagnostics.map { "\($0.line):\($0.column): \($0.severity.rawValue): \($0.message)" } == [document.problem])
        if let suggestion = document.suggestion { #expect(loaded.diagnostics.first?.suggestion == suggestion) }
    }

    private static let h = "name: t, address: \"holding:0\""

    // One row per line reads best, however long.
    // swift-format-ignore
    static let problems: [BadDocument] = [
        BadDocument(tag: "{\(h), type: uint8}", "8:45: error: a uint8 is half a register, and which half is not said", hint: "add byte: high or byte: low; uint16 is the whole register"),
        BadDocument(tag: "{\(h), type: int16, byte: high}", "8:58: error: 'byte' means nothing for a int16"),
        BadDocument(tag: "{\(h), type: uint16, bitCount: 4}", "8:63: error: a bit field needs its first bit", hint: "write holding:0.0 for the least significant bit"),
        BadDocument(tag: "{name: t, address: \"holding:0.14\", type: uint8, bitCount: 4}", "8:65: error: 4 bits from bit 14 on do not fit uint8 in one register"),
        BadDocument(tag: "{name: t, address: \"holding:0.0\", type: uint8, bitCount: 9}", "8:64: error: 9 bits from bit 0 on do not fit uint8 in one register"),
        BadDocument(tag: "{name: t, address: \"holding:0.0\", type: int32, bitCount: 4}", "8:64: error: 'bitCount' is for parts of one register, not for a int32"),
        BadDocument(tag: "{\(h), type: float32, fractionBits: 4}", "8:68: error: 'fractionBits' means nothing for a float32"),
        BadDocument(tag: "{\(h), type: int16, fractionBits: 17}", "8:66: error: int16 has 16 bits, not 17 behind the point"),
        BadDocument(tag: "{\(h), type: int16, table: [[0, 0], [10, 5], [10, 7]]}", "8:77: error: the raw values of a table must go one way, but 10 comes after 10", hint: "sort the rows by their first number and remove repeated ones"),
        BadDocument(tag: "{\(h), type: int16, table: [[0, 0], [10, 5], [3, 7]]}", "8:77: error: the raw values of a table must go one way, but 3 comes after 10"),
        BadDocument(tag: "{\(h), type: uint16, table: [[-1, 0], [10, 5]]}", "8:61: error: raw value -1 does not fit uint16"),
        BadDocument(tag: "{\(h), type: uint16, table: [[1, 0]]}", "8:60: error: 'spec.tags[0].table' has 1 elements"),
        BadDocument(tag: "{\(h), type: uint16, table: [[1, 0, 2], [2, 3]]}", "8:61: error: 'spec.tags[0].table[0]' has 3 elements"),
        BadDocument(tag: "{\(h), type: uint16, scale: 2, table: [[1, 0], [2, 3]]}", "8:60: error: 'scale' means nothing beside a table"),
        BadDocument(tag: "{\(h), type: uint16, access: readWrite, table: [[1, 0], [2, 3], [3, 1]]}", "8:79: error: the engineering values of the table do not go one way, so that a value to write has no single raw value"),
        BadDocument(tag: "{\(h), type: uint16, valid: {}}", "8:60: error: a valid range needs min, max or both"),
        BadDocument(tag: "{\(h), type: uint16, valid: {min: 5, max: 3}}", "8:66: error: valid min 5 is above max 3", hint: "swap them"),
        BadDocument(tag: "{\(h), type: uint16, valid: {min: 70000, of: raw}}", "8:66: error: no raw value of uint16 is valid with min 70000"),
        BadDocument(tag: "{\(h), type: string, length: 4, valid: {min: 5}}", "8:71: error: 'valid' means nothing for a string"),
        BadDocument(tag: "{\(h), type: int16, notAvailable: 32768}", "8:66: error: '32768' is not representable as int16", hint: "write 0x8000 for the bits"),
        BadDocument(tag: "{\(h), type: uint16, notAvailable: -1}", "8:67: error: '-1' is not representable as uint16"),
        BadDocument(tag: "{\(h), type: uint16, notAvailable: [0, 0x10000]}", "8:71: error: '0x10000' is not representable as uint16"),
        BadDocument(tag: "{\(h), type: uint16, notAvailable: [0, 1.5]}", "8:71: error: '1.5' is not representable as uint16"),
        BadDocument(tag: "{\(h), type: float16, notAvailable: 70000}", "8:68: error: '70000' is not representable as float16"),
        BadDocument(tag: "{\(h), type: bcd16, notAvailable: 10000}", "8:66: error: '10000' is not representable as bcd16"),
        BadDocument(tag: "{\(h), type: uint16, notAvailable: none}", "8:67: error: expected a number, or 0x and the hexadecimal digits of its bits, got 'none'"),
        BadDocument(tag: "{\(h), type: uint16, notAvailable: []}", "8:67: error: 'spec.tags[0].notAvailable' is empty, but needs at least 1"),
        BadDocument(tag: "{\(h), type: float32, labels: {0: off}}", "8:62: error: 'labels' means nothing for a float32"),
        BadDocument(tag: "{\(h), type: uint16, labels: {65536: off}}", "8:62: error: label 65536 is not a value of uint16"),
        BadDocument(tag: "{name: t, address: \"coil:0\", type: bool, labels: {2: off}}", "8:57: error: label 2 is not a value of bool"),
        BadDocument(tag: "{\(h), type: uint16, labels: {1: off, 0x1: on}}", "8:70: error: value 1 has two labels"),
        BadDocument(tag: "{\(h), type: uint16, labels: {x: off}}", "8:62: error: 'x' is not an integer"),
        BadDocument(tag: "{\(h), type: uint16, scale: 2, labels: {1: off}}", "8:60: error: 'scale' means nothing beside labels"),
        BadDocument(tag: "{\(h), type: int16, bits: {1: off}}", "8:58: error: 'bits' names the bits of a uint16, uint32 or uint64"),
        BadDocument(tag: "{\(h), type: uint16, bits: {16: off}}", "8:60: error: a uint16 has no bit 16"),
        BadDocument(tag: "{\(h), type: uint16, bits: {1: off, 2: off}}", "8:68: error: bit 2 or its name 'off' is given twice"),
        BadDocument(tag: "{\(h), type: float32, count: 3, stride: 1}", "8:72: error: elements of 2 registers would overlap with a stride of 1"),
        BadDocument(tag: "{\(h), type: uint16, stride: 2}", "8:61: error: 'stride' means nothing without 'count'"),
        BadDocument(tag: "{name: t, address: \"holding:65530\", type: float32, count: 4}", "8:65: error: 4 elements from holding:65530 on end at 65537, beyond 65535"),
        BadDocument(tag: "{name: t, address: \"holding:0.1\", type: uint8, bitCount: 4, count: 4}", "8:74: error: elements of 4 bits from bit 1 on do not divide a register evenly"),
        BadDocument(tag: "{\(h), type: uint16, encoding: ascii}", "8:63: error: 'encoding' means nothing for a uint16"),
        BadDocument(tag: "{\(h), type: string, length: 4, fill: 256}", "8:70: error: 256 is out of range 0…255"),
        BadDocument(tag: "{\(h), type: float32, byteOrder: EFGHABCD}", "8:65: error: EFGHABCD is an order of 64 bits, and a float32 is none of those"),
        BadDocument(tag: "{\(h), type: float32, byteOrder: CDBA}", "8:65: error: 'CDBA' is not one of bigEndian, littleEndian, ABCD, CDAB, BADC, DCBA, ABCDEFGH, GHEFCDAB, BADCFEHG, HGFEDCBA, EFGHABCD, CDABGHEF"),
        BadDocument(tag: "{name: t, address: \"coil:0\", type: bool, byteOrder: ABCD}", "8:59: error: 'byteOrder' means nothing for a coil, which is one bit"),
        BadDocument(tag: "{\(h), type: int16, byteOrder: CDAB}", "8:63: warning: CDAB has no effect: one register has no order of registers"),
        BadDocument(tag: "{\(h), type: bcd16, access: readWrite, limits: {max: 10000}}", "8:85: error: limits max 10000 does not fit bcd16"),
        BadDocument(tags: ["{name: a, address: \"holding:0\", type: uint16, count: 2}", "{name: a.1, address: \"holding:7\", type: uint16}"], "9:14: error: tag 'a.1' is already defined at line 8"),
        BadDocument(tags: ["{name: a.1, address: \"holding:7\", type: uint16}", "{name: a, address: \"holding:0\", type: uint16, count: 2}"], "9:14: error: tag 'a.1', which this one makes, is already defined at line 8"),
        BadDocument(tags: ["{name: a, address: \"holding:0\", type: uint16, count: 3}", "{name: b, address: \"holding:2\", type: int16}"], "9:26: error: 'b' (holding:2) overlaps 'a.2' (holding:2, line 8)"),
        BadDocument(tags: ["{name: a, address: \"holding:0\", type: uint8, byte: low}", "{name: b, address: \"holding:0.6\", type: uint8, bitCount: 4}"], "9:26: error: 'b' (holding:0.6) overlaps 'a' (holding:0.0, line 8)"),
    ]
}
