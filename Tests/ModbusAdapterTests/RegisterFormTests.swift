import GatewayCore
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import ModbusAdapter

/// A device's way of putting bytes into registers, made from the letters of the order alone: what the decoder is held against.
private func registers(_ bytes: [UInt8], _ letters: String) -> [UInt16] {
    let ordered = letters.utf8.map { bytes[Int($0) - 65] }
    return stride(from: 0, to: ordered.count, by: 2).map { UInt16(ordered[$0]) << 8 | UInt16(ordered[$0 + 1]) }
}

private func bytes(_ bits: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: bits >> UInt64(8 * (count - 1 - $0))) }
}

private let orders16: [(ByteOrder, String)] = [(.abcd, "AB"), (.badc, "BA")]
private let orders32: [(ByteOrder, String)] = [(.abcd, "ABCD"), (.cdab, "CDAB"), (.badc, "BADC"), (.dcba, "DCBA")]
private let orders64: [(ByteOrder, String)] = [
    (.abcd, "ABCDEFGH"), (.cdab, "GHEFCDAB"), (.badc, "BADCFEHG"), (.dcba, "HGFEDCBA"), (.efghabcd, "EFGHABCD"), (.cdabghef, "CDABGHEF"),
]

private func encoder(
    _ tag: Tag, raw: DataType? = nil, count: Int, _ order: ByteOrder = .abcd, bit: Int? = nil, _ encoding: RegisterEncoding = .plain,
    _ rules: ValueRules? = nil
) -> RegisterEncoder {
    RegisterEncoder(
        tag: tag,
        field: ReadField(
            tag: 0, area: 3, start: 40, count: count, dataType: raw ?? tag.dataType, byteOrder: order, bit: bit, encoding: encoding,
            rules: rules))
}

@Suite("Register forms") struct RegisterFormTests {
    /// Bits → value, for whole values.
    private struct Whole: Sendable {
        var type: DataType
        var encoding: RegisterEncoding = .plain
        var byteCount: Int
        var value: @Sendable (UInt64) -> Variant?
    }

    private static let wholes: [Whole] = [
        Whole(type: .int16, byteCount: 2) { .int(Int64(Int16(truncatingIfNeeded: $0))) },
        Whole(type: .uint16, byteCount: 2) { .uint($0) },
        Whole(type: .int32, byteCount: 4) { .int(Int64(Int32(truncatingIfNeeded: $0))) },
        Whole(type: .uint32, byteCount: 4) { .uint($0) },
        Whole(type: .int64, byteCount: 8) { .int(Int64(bitPattern: $0)) },
        Whole(type: .uint64, byteCount: 8) { .uint($0) },
        Whole(type: .float32, byteCount: 4) { bits in
            let value = Float(bitPattern: UInt32(truncatingIfNeeded: bits))
            return value.isFinite ? .float(value) : nil
        },
        Whole(type: .float64, byteCount: 8) { Double(bitPattern: $0).isFinite ? .double(Double(bitPattern: $0)) : nil },
        Whole(type: .float32, encoding: .half, byteCount: 2) { bits in
            let value = Float16(bitPattern: UInt16(truncatingIfNeeded: bits))
            return value.isFinite ? .float(Float(value)) : nil
        },
        Whole(type: .uint16, encoding: .decimal, byteCount: 2) { decimal($0, digits: 4) },
        Whole(type: .uint32, encoding: .decimal, byteCount: 4) { decimal($0, digits: 8) },
        Whole(type: .uint64, encoding: .decimal, byteCount: 8) { decimal($0, digits: 16) },
    ]

    private static func decimal(_ bits: UInt64, digits: Int) -> Variant? {
        let text = String(bits, radix: 16)
        return UInt64(text).map { .uint($0) }
    }

    @Test("scenario 21: every type in every order is read as it was written, and written as it is read; any registers do no harm")
    func roundTrip() {
        var generator = SeededGenerator()
        for whole in Self.wholes {
            let orders = whole.byteCount == 2 ? orders16 : whole.byteCount == 4 ? orders32 : orders64
            for (order, letters) in orders {
                let encoder = encoder(Tag("t", whole.type), count: whole.byteCount / 2, order, whole.encoding)
                for round in 0..<300 {
                    var bits = UInt64.random(in: 0...(UInt64.max >> UInt64(64 - 8 * whole.byteCount)), using: &generator)
                    if whole.encoding == .decimal, round % 3 != 0 { bits &= 0x7777_7777_7777_7777 }
                    let written = registers(bytes(bits, whole.byteCount), letters)
                    let (value, flaw) = encoder.decode(written)
                    let expected = whole.value(bits)
                    guard value == expected, (flaw == nil) == (expected != nil) else {
                        Issue.record(
                            "\(whole.type) \(whole.encoding) \(letters) 0x\(String(bits, radix: 16)): \(String(describing: value)), expected \(String(describing: expected))"
                        )
                        return
                    }
                    guard let expected else { continue }
                    guard let encoded = try? encoder.encode(expected), encoded.registers == written, encoded.value == expected else {
                        Issue.record("\(whole.type) \(whole.encoding) \(letters) \(expected) is not written as it was read")
                        return
                    }
                }
            }
        }
    }

    @Test("parts of a register: signs, masks, and swapped bytes")
    func parts() throws {
        var generator = SeededGenerator()
        for width in 1...16 {
            for bit in 0...(16 - width) {
                for (order, letters) in orders16 {
                    let word = UInt16.random(in: 0...UInt16.max, using: &generator)
                    let written = registers(bytes(UInt64(word), 2), letters)
                    let part = UInt64(word >> UInt16(bit)) & (1 << UInt64(width) - 1)
                    let unsigned = encoder(Tag("t", .uint16), count: 1, order, bit: bit, .bitField(width: width))
                    #expect(unsigned.decode(written).value == .uint(part))
                    let signed = encoder(Tag("t", .int16), count: 1, order, bit: bit, .bitField(width: width))
                    let number = part >> UInt64(width - 1) == 1 ? Int64(part) - 1 << Int64(width) : Int64(part)
                    #expect(signed.decode(written).value == .int(number))
                    for encoder in [unsigned, signed] {
                        let encoded = try encoder.encode(try #require(encoder.decode(written).value))
                        let mask = try #require(encoded.mask)
                        #expect(mask.nonzeroBitCount == width && encoded.registers[0] == written[0] & mask)
                    }
                }
            }
        }
        let half = encoder(Tag("t", .int8), count: 1, bit: 8, .bitField(width: 8))
        #expect(half.decode([0xFE12]).value == .int(-2))
        #expect(throws: GatewayError.self) { try half.encode(.int(128)) }
    }

    @Test("what is written is rounded to the nearest raw value; what does not fit is refused with the range")
    func writing() throws {
        let scaled = encoder(Tag("t", .int16, scaling: Scaling(scale: 0.1, offset: -20)), count: 1)
        #expect(try scaled.encode(.double(3.54)).registers == [235])
        #expect(try scaled.encode(.double(3.55)).value == .double(235.5.rounded() * 0.1 - 20))
        let high = #expect(throws: GatewayError.self) { try scaled.encode(.double(5000)) }
        #expect(high?.message.contains("-32768…32767") == true && high?.isRetryable == false)
        #expect(throws: GatewayError.self) { try scaled.encode(.double(.nan)) }
        #expect(throws: GatewayError.self) { try scaled.encode(.bool(true)) }
        #expect(throws: GatewayError.self) { try scaled.encode(.string("3")) }
        #expect(throws: GatewayError.self) { try encoder(Tag("t", .float32), count: 2).encode(.double(1e39)) }
        #expect(throws: GatewayError.self) { try encoder(Tag("t", .uint64), count: 4).encode(.int(-1)) }
        #expect(try encoder(Tag("t", .uint64), count: 4).encode(.uint(.max)).registers == [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF])
        #expect(throws: GatewayError.self) { try encoder(Tag("t", .uint16), count: 1, .abcd, .decimal).encode(.uint(10_000)) }
        let bit = encoder(Tag("t", .bool), count: 1, .badc, bit: 3)
        #expect(try bit.encode(.bool(true)) == EncodedValue(registers: [0x0800], mask: 0x0800, value: .bool(true)))
        let coil = RegisterEncoder(tag: Tag("t", .bool), field: ReadField(tag: 0, area: 1, start: 0, count: 1, dataType: .bool))
        #expect(try coil.encode(.uint(1)) == EncodedValue(registers: [], coil: true, value: .bool(true)))
        let guarded = encoder(
            Tag("t", .int16), count: 1, .abcd, .plain,
            ValueRules(
                notAvailable: [0x8000], valid: .init(minimum: -100, maximum: 100, isRaw: false, statusOutside: .badOutOfRange)))
        #expect(try guarded.encode(.int(100)).registers == [100])
        #expect(throws: GatewayError.self) { try guarded.encode(.int(101)) }
        #expect(throws: GatewayError.self) { try guarded.encode(.int(-32768)) }
    }

    @Test("tables: straight lines, exact at their points, nothing outside, and back")
    func tables() throws {
        let table = try #require(ConversionTable([.init(raw: 100, value: 10), .init(raw: 0, value: 0), .init(raw: -50, value: -20)]))
        let encoder = encoder(Tag("t", .float64), raw: .int16, count: 1, .abcd, .plain, ValueRules(table: table))
        #expect(encoder.decode([0xFFCE]).value == .double(-20))
        #expect(encoder.decode([25]).value == .double(2.5))
        #expect(encoder.decode([101]).flaw?.kind == .outsideTable(101, -50...100))
        #expect(encoder.decode([101]).value == nil)
        #expect(try encoder.encode(.double(2.5)).registers == [25])
        #expect(throws: GatewayError.self) { try encoder.encode(.double(10.1)) }
        #expect(ConversionTable([.init(raw: 1, value: 0), .init(raw: 1, value: 2)]) == nil)
        #expect(ConversionTable([.init(raw: 1, value: 0)]) == nil)
        let bent = try #require(ConversionTable([.init(raw: 0, value: 0), .init(raw: 1, value: 5), .init(raw: 2, value: 0)]))
        #expect(bent.raw(of: 2) == nil && bent.value(at: 1.5) == 2.5)
    }

    @Test("a missing, invalid or impossible value is Bad, with a reason that names it")
    func flaws() {
        let missing = encoder(Tag("t", .float32), count: 2, .cdab, .plain, ValueRules(notAvailable: [0xC61C_3C00]))
        #expect(missing.decode([0x3C00, 0xC61C]).flaw?.status == .badNoData)
        #expect(missing.decode([0, 0x7FC0]).flaw?.description == "the value is not a number (NaN)")
        #expect(encoder(Tag("t", .float64), count: 4).decode([0xFFF0, 0, 0, 0]).flaw?.status == .badOutOfRange)
        let bcd = encoder(Tag("t", .uint32), count: 2, .abcd, .decimal).decode([0x12, 0x3A56]).flaw
        #expect(bcd?.description == "0x00123A56 is no BCD number: each digit must be 0…9")
        let doubtful = encoder(
            Tag("t", .int16, scaling: Scaling(scale: 0.5)), count: 1, .abcd, .plain,
            ValueRules(valid: .init(minimum: -.infinity, maximum: 10, isRaw: false, statusOutside: .uncertainEngineeringUnitsExceeded)))
        #expect(doubtful.decode([20]).flaw == nil)
        let outside = doubtful.decode([21])
        #expect(outside.value == .double(10.5) && outside.flaw?.status.isUncertain == true)
        #expect(outside.flaw?.description == "value 10.5 is above the valid maximum 10")
        let raw = encoder(
            Tag("t", .int16, scaling: Scaling(scale: 0.5)), count: 1, .abcd, .plain,
            ValueRules(valid: .init(minimum: 0, maximum: 20, isRaw: true, statusOutside: .badOutOfRange)))
        #expect(raw.decode([20]).value == .double(10) && raw.decode([21]).flaw?.status == .badOutOfRange)
    }

    @Test("text: fill bytes, ASCII, and its length in bytes")
    func text() throws {
        let tag = Tag("t", .string, stringCapacity: 6)
        let ascii = encoder(tag, count: 3, .badc, .text(isASCII: true, fill: 0xFF))
        #expect(ascii.decode([0x4241, 0xFF43, 0xFFFF]).value == .string("ABC"))
        #expect(ascii.decode([0x4241, 0xC3A9, 0xFFFF]).flaw?.kind == .notASCII)
        #expect(try ascii.encode(.string("ABC")).registers == [0x4241, 0xFF43, 0xFFFF])
        #expect(throws: GatewayError.self) { try ascii.encode(.string("é")) }
        #expect(throws: GatewayError.self) { try ascii.encode(.string("ABCDEFG")) }
        #expect(try encoder(tag, count: 3).encode(.string("Aé")).registers == [0x41C3, 0xA900, 0])
    }

    @Test("a Bad value leaves its slot empty, and its neighbours alone")
    func neighbours() {
        let tags = [Tag("a", .uint16), Tag("b", .int16), Tag("c", .uint16)]
        let descriptor = StreamDescriptor(device: "d", group: "g", tags: tags)
        let fields = tags.indices.map {
            ReadField(
                tag: $0, area: 3, start: $0, count: 1, dataType: tags[$0].dataType,
                rules: $0 == 1 ? ValueRules(notAvailable: [0x8000]) : nil)
        }
        let decoder = RegisterDecoder(
            request: ReadRequest(area: 3, start: 0, count: 3, fields: 0..<3), fields: fields, descriptor: descriptor)
        var batch = SampleBatch(stream: StreamID(rawValue: 1), descriptor: descriptor, time: Timestamp(nanoseconds: 0), status: .good)
        var flaws: [ValueFlaw] = []
        [UInt16(7), 0x8000, 9].withUnsafeBufferPointer { registers in
            batch.values.withUnsafeMutableBytes { decoder.decode(registers: registers, into: $0) { flaws.append($0) } }
        }
        #expect(batch.values == [7, 0, 0, 0, 9, 0])
        #expect(flaws == [ValueFlaw(tag: 1, kind: .notAvailable(0x8000))])
        #expect(flaws.summary(of: descriptor) == "b: the device marks the value as not available (0x8000)")
    }
}

extension RegisterFormTests {
    @Test("no registers, whatever they hold and whatever the rules are, do any harm: a value is Good, or flawed and named")
    func anything() {
        var generator = SeededGenerator()
        let forms: [(DataType, RegisterEncoding, Int)] = [
            (.int8, .bitField(width: 8), 1), (.uint16, .bitField(width: 5), 1), (.int16, .plain, 1), (.uint32, .plain, 2),
            (.int64, .plain, 4),
            (.float32, .half, 1), (.float32, .plain, 2), (.float64, .plain, 4), (.uint64, .decimal, 4), (.string, .plain, 3),
            (.string, .text(isASCII: true, fill: 32), 3),
        ]
        for _ in 0..<3000 {
            let (type, encoding, count) = forms[Int.random(in: 0..<forms.count, using: &generator)]
            var rules: ValueRules?
            if type != .string, Bool.random(using: &generator) {
                let table = ConversionTable([
                    .init(raw: -100, value: 1), .init(raw: Double.random(in: -99...1e6, using: &generator), value: 7),
                    .init(raw: 1e7, value: -3),
                ])
                rules = ValueRules(
                    notAvailable: [UInt64.random(in: 0...0xFFFF, using: &generator)],
                    valid: .init(
                        minimum: -1000, maximum: Double.random(in: 0...1e5, using: &generator), isRaw: Bool.random(using: &generator),
                        statusOutside: Bool.random(using: &generator) ? .badOutOfRange : .uncertainEngineeringUnitsExceeded),
                    table: Bool.random(using: &generator) ? table : nil)
            }
            let tag =
                rules?.table != nil ? Tag("t", .float64) : Tag("t", type, stringCapacity: type == .string ? 6 : 0)
            let encoder = encoder(
                tag, raw: type, count: count, ByteOrder.common.randomElement(using: &generator) ?? .abcd,
                bit: Int.random(in: 0...8, using: &generator), encoding, rules)
            let registers = (0..<count).map { _ in
                Bool.random(using: &generator)
                    ? UInt16.random(in: 0...UInt16.max, using: &generator)
                    : [0, 0xFFFF, 0x8000, 0x7FF0].randomElement(using: &generator) ?? 0
            }
            let (value, flaw) = encoder.decode(registers)
            #expect((value == nil) == (flaw?.status.isBad == true) && flaw?.description.isEmpty != true)
            // What was read and is good can be written, and reads back the same.
            if let value, flaw == nil, rules?.table == nil, let again = try? encoder.encode(value) { #expect(again.value == value) }
        }
    }
}
