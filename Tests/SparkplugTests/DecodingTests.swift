import Telemetry
import Testing

@testable import Sparkplug

/// Bytes that are no payload: each is refused with the place where it goes wrong.
@Suite struct DecodingTests {
    struct Damage: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var bytes: [UInt8]
        var message: String
        init(_ name: String, _ bytes: [UInt8], _ message: String) {
            testDescription = name
            self.bytes = bytes
            self.message = message
        }
    }

    static let damages: [Damage] = [
        Damage("varint without end", [0x08, 0x80], "varint at byte 1 ends after 1 bytes"),
        Damage("varint of 11 bytes", [0x08] + [UInt8](repeating: 0xFF, count: 10) + [1], "varint at byte 1 is longer than 10 bytes"),
        Damage("field number 0", [0x00, 0x00], "field tag is 0 at byte 0"),
        Damage("wire type 6", [0x0E], "field tag is 14 at byte 0"),
        Damage("tag beyond 32 bits", [0x88, 0x80, 0x80, 0x80, 0x10, 0x01], "at byte 0"),
        Damage("metric longer than the payload", [0x12, 0x05, 0x08], "length at byte 1 is 5, but 1 bytes are left"),
        Damage("length near the end of the number range", [0x12] + [UInt8](repeating: 0xFF, count: 9) + [1], "length at byte 1"),
        Damage("string that leaves its metric", [0x12, 0x03, 0x0A, 0x04, 0x41, 0x41, 0x41], "length at byte 3 is 4, but 1 bytes are left"),
        Damage("name that is not UTF-8", [0x12, 0x04, 0x0A, 0x02, 0xC3, 0x28], "string of 2 bytes at byte 3 is not UTF-8"),
        Damage("double cut short", [0x12, 0x04, 0x69, 1, 2, 3], "value at byte 3 needs 8 bytes, but 3 are left"),
        Damage("more keys than values", [0x12, 0x05, 0x4A, 0x03, 0x0A, 0x01, 0x51], "has 1 keys, but 0 values"),
        Damage("more values than keys", [0x12, 0x04, 0x4A, 0x02, 0x12, 0x00], "has 0 keys, but 1 values"),
        Damage("end of a group that never began", [0x3C], "end of group 7"),
        Damage("group without end", [0x3B, 0x08, 0x01], "group 7 that began before byte 1 has no end"),
        Damage("group that ends as another", [0x3B, 0x44], "group 7 ends as group 8"),
        Damage("groups within groups", [UInt8](repeating: 0x3B, count: 100_000), "nested more than 64 deep"),
    ]

    @Test(arguments: damages)
    func refused(_ damage: Damage) throws {
        let error = try #require(throws: GatewayError.self) { try SparkplugPayload(decoding: damage.bytes) }
        #expect(error.code == .protocolViolation)
        #expect(error.message.contains(damage.message), "\(error.message)")
    }

    @Test func emptyPayload() throws { #expect(try SparkplugPayload(decoding: []) == SparkplugPayload()) }

    @Test("Unknown fields, groups and known fields of another wire type are skipped")
    func skipped() throws {
        let known: [UInt8] = [0x12, 0x04, 0x10, 0x05, 0x50, 0x07, 0x18, 0x03]
        // Field 9 as varint, 10 as a group with a field in it, 11 as fixed32, 12 as fixed64, 1 as string.
        let unknown: [UInt8] = [
            0x48, 0x01, 0x53, 0x08, 0x01, 0x54, 0x5D, 1, 2, 3, 4, 0x61, 1, 2, 3, 4, 5, 6, 7, 8, 0x0A, 0x01, 0x41,
        ]
        let payload = try SparkplugPayload(decoding: unknown + known + unknown)
        #expect(payload == SparkplugPayload(metrics: [SparkplugMetric(alias: 5, value: .int(7))], sequence: 3))
    }

    @Test func limits() throws {
        let metrics = [UInt8]([0x12, 0x00].cycled(SparkplugPayload.metricsMax))
        #expect(try SparkplugPayload(decoding: metrics).metrics.count == SparkplugPayload.metricsMax)
        func refusal(_ bytes: [UInt8]) throws -> GatewayError {
            try #require(throws: GatewayError.self) { try SparkplugPayload(decoding: bytes) }
        }
        let many = try refusal(metrics + [0x12, 0x00])
        #expect(many.code == .limitExceeded)
        #expect(many.message.contains("more metrics than the 200000"))
        #expect(try refusal([UInt8](repeating: 0, count: SparkplugPayload.payloadBytesMax + 1)).code == .limitExceeded)

        var long = ProtobufWriter()
        long.write(4, text: String(repeating: "x", count: SparkplugPayload.stringBytesMax + 1))
        #expect(try refusal(long.bytes).message.contains("at most 1048576 are accepted"))

        var properties = ProtobufWriter()
        let pairs = [UInt8]([0x0A, 0x00, 0x12, 0x00].cycled(SparkplugPayload.propertiesMax + 1))
        properties.write(2) { $0.write(9, bytes: pairs) }
        #expect(try refusal(properties.bytes).code == .limitExceeded)
        var values = ProtobufWriter()
        let valuesOnly = [UInt8]([0x12, 0x00].cycled(SparkplugPayload.propertiesMax + 1))
        values.write(2) { $0.write(9, bytes: valuesOnly) }
        #expect(try refusal(values.bytes).code == .limitExceeded)
    }

    @Test("Signed integers arrive sign-extended or cut to their width")
    func signedIntegers() {
        #expect(SparkplugValue.int(0xFFFF_FFA9).variant(as: 2) == .int(-87))
        #expect(SparkplugValue.int(0xFFA9).variant(as: 2) == .int(-87))
        #expect(SparkplugValue.int(0xA9).variant(as: 1) == .int(-87))
        #expect(SparkplugValue.long(UInt64(bitPattern: -87)).variant(as: 3) == .int(-87))
        #expect(SparkplugValue.long(UInt64(bitPattern: -87)).variant(as: 4) == .int(-87))
        #expect(SparkplugValue.long(4_000_000_000).variant(as: 7) == .uint(4_000_000_000))
        #expect(SparkplugValue.int(256).variant(as: 5) == nil)
        #expect(SparkplugValue.double(1).variant(as: 5) == nil)
        #expect(SparkplugValue.int(1).variant(as: 11) == nil)
        #expect(SparkplugValue.int(9).variant(as: nil) == .uint(9))
        #expect(SparkplugValue.int(9).variant(as: 29) == nil)
    }

    @Test("Every value of every type comes back", arguments: SparkplugDataType.allCases.filter(\.isBasic))
    func valuesReturn(_ type: SparkplugDataType) throws {
        let values: [Variant] =
            switch type {
            case .int8: [.int(-128), .int(0), .int(127)]
            case .int16: [.int(-32768), .int(32767)]
            case .int32: [.int(Int64(Int32.min)), .int(Int64(Int32.max))]
            case .int64: [.int(.min), .int(.max)]
            case .uint8: [.uint(0), .uint(255)]
            case .uint16: [.uint(65535)]
            case .uint32: [.uint(UInt64(UInt32.max))]
            case .uint64, .dateTime: [.uint(0), .uint(.max)]
            case .float: [.float(-0.0), .float(1.5), .float(.infinity)]
            case .double: [.double(0.1), .double(-.greatestFiniteMagnitude)]
            case .boolean: [.bool(false), .bool(true)]
            default: [.string(""), .string("Ω")]
            }
        for value in values {
            let encoded = try #require(SparkplugValue(value, as: type))
            let payload = SparkplugPayload(metrics: [SparkplugMetric(datatype: type.rawValue, value: encoded)])
            let decoded = try SparkplugPayload(decoding: payload.encoded())
            #expect(decoded == payload)
            #expect(decoded.metrics.first?.value?.variant(as: type.rawValue) == value)
        }
        #expect(SparkplugValue(type == .boolean ? .double(1) : .bool(true), as: type) == nil)
    }

    @Test func times() {
        #expect(Timestamp(milliseconds: -1).sparkplugMilliseconds == 0)
        #expect(Timestamp(sparkplugMilliseconds: noon.sparkplugMilliseconds) == noon)
        #expect(Timestamp(sparkplugMilliseconds: .max).nanoseconds > noon.nanoseconds)
    }
}

extension [UInt8] {
    func cycled(_ times: Int) -> [UInt8] { (0..<times).flatMap { _ in self } }
}
