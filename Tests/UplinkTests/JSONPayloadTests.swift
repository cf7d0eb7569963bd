import Foundation
import Telemetry
import TestKit
import Testing

@testable import Uplink

/// A document as Foundation reads it. Not through `JSONSerialization`, whose numbers are not correctly rounded.
private struct Document: Decodable {
    var device: String
    var group: String
    var timestamp: Int64
    var values: [String: Field]
    var quality: [String: String]?

    /// A member whose type the test knows.
    struct Field: Decodable {
        var bool: Bool?
        var string: String?
        var int: Int64?
        var uint: UInt64?
        var float: Float?
        var double: Double?
        var isNull: Bool

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            isNull = container.decodeNil()
            bool = try? container.decode(Bool.self)
            string = try? container.decode(String.self)
            int = try? container.decode(Int64.self)
            uint = try? container.decode(UInt64.self)
            float = try? container.decode(Float.self)
            double = try? container.decode(Double.self)
        }
    }
}

private func document(_ payload: [UInt8]) throws -> Document { try JSONDecoder().decode(Document.self, from: Data(payload)) }

private func encoded(_ batch: SampleBatch, _ descriptor: StreamDescriptor) throws -> [UInt8] {
    var encoder = try JSONPayloadEncoder(topicTemplate: "{site}/{device}/{group}", site: "s", resource: "route r")
    return try encoder.message(for: batch, descriptor).payload
}

private func text(_ type: DataType, _ value: Variant, _ scaling: Scaling = .identity, capacity: Int = 0) throws -> String {
    let descriptor = StreamDescriptor(
        device: "d", group: "g", tags: [Tag("t", type, scaling: scaling, stringCapacity: capacity)])
    var batch = SampleBatch(stream: StreamID(rawValue: 1), descriptor: descriptor, time: Timestamp(milliseconds: 5), status: .good)
    batch.set(value, tag: 0, in: descriptor)
    let text = String(decoding: try encoded(batch, descriptor), as: UTF8.self)
    let start = try #require(text.range(of: #""values":{"t":"#)).upperBound
    return String(text[start...].dropLast(2))
}

@Suite struct JSONPayloadTests {
    @Test func isTheDocumentedDocument() throws {
        let descriptor = StreamDescriptor(
            device: "pump \"1\"", group: "fast",
            tags: [
                Tag("temperature", .int16, scaling: Scaling(scale: 0.1)), Tag("run", .bool), Tag("lost", .uint16), Tag("doubtful", .uint8),
            ])
        var batch = SampleBatch(
            stream: StreamID(rawValue: 7), time: Timestamp(milliseconds: 1_700_000_000_123),
            quality: [
                QualityRun(count: 2, status: .good), QualityRun(count: 1, status: .badTimeout), QualityRun(count: 1, status: .uncertain),
            ], values: [UInt8](repeating: 0, count: descriptor.valueBytes))
        batch.epoch = 3
        batch.sequence = 42
        batch.set(.int(235), tag: 0, in: descriptor)
        batch.set(.bool(true), tag: 1, in: descriptor)
        batch.set(.uint(9), tag: 3, in: descriptor)
        #expect(
            String(decoding: try encoded(batch, descriptor), as: UTF8.self)
                == #"{"device":"pump \"1\"","group":"fast","timestamp":1700000000123,"epoch":3,"stream":7,"sequence":42,"#
                + #""values":{"temperature":23.5,"run":true,"doubtful":9},"quality":{"lost":"BadTimeout","doubtful":"Uncertain"}}"#)
        batch.presence = [0b0010]
        #expect(String(decoding: try encoded(batch, descriptor), as: UTF8.self).hasSuffix(#""values":{"run":true},"quality":{}}"#))
    }

    @Test func anUncertainTimeAndTheTimeOfTheDeviceAreTold() throws {
        let descriptor = StreamDescriptor(device: "d", group: "g", tags: [Tag("a", .int16)])
        var batch = SampleBatch(stream: StreamID(rawValue: 1), descriptor: descriptor, time: Timestamp(milliseconds: 0), status: .good)
        batch.isTimeUncertain = true
        batch.sourceTime = Timestamp(nanoseconds: .min)
        let text = String(decoding: try encoded(batch, descriptor), as: UTF8.self)
        #expect(text.hasSuffix(#""sequence":0,"timeUncertain":true,"sourceTime":-9223372036855,"values":{"a":0}}"#))
    }

    @Test func aBadBatchHasNoValues() throws {
        let descriptor = StreamDescriptor(device: "d", group: "g", tags: [Tag("a", .int16), Tag("b", .int16)])
        let batch = SampleBatch(
            stream: StreamID(rawValue: 1), descriptor: descriptor, time: Timestamp(milliseconds: 0), status: .badTimeout)
        let text = String(decoding: try encoded(batch, descriptor), as: UTF8.self)
        #expect(text.hasSuffix(#""values":{},"quality":{"a":"BadTimeout","b":"BadTimeout"}}"#))
    }

    @Test func aStreamWithoutTagsIsAnEmptyObject() throws {
        let descriptor = StreamDescriptor(device: "d", group: "g", tags: [])
        let batch = SampleBatch(stream: StreamID(rawValue: 1), descriptor: descriptor, time: Timestamp(milliseconds: 0), status: .good)
        #expect(try document(encoded(batch, descriptor)).values.isEmpty)
    }

    @Test func numbersAreExact() throws {
        #expect(try text(.int64, .int(.min)) == "-9223372036854775808")
        #expect(try text(.uint64, .uint(.max)) == "18446744073709551615")
        #expect(try text(.uint64, .uint(10_000_000_000)) == "10000000000")
        #expect(try text(.int8, .int(-128)) == "-128")
        #expect(try text(.int16, .int(-5), Scaling(scale: 0.001)) == "-0.005")
        #expect(try text(.int16, .int(0), Scaling(scale: 0.1)) == "0")
        #expect(try text(.int16, .int(230), Scaling(scale: 0.1)) == "23")
        #expect(try text(.uint32, .uint(4_294_967_295), Scaling(scale: 1e-9)) == "4.294967295")
        #expect(try text(.int64, .int(.min), Scaling(scale: 1e-3)) == "-9223372036854775.808")
        #expect(try text(.float32, .float(0.1)) == "0.1")
        #expect(try text(.float64, .double(0.1 + 0.2)) == "0.30000000000000004")
        #expect(try text(.float64, .double(1e300)) == "1e+300")
        #expect(try text(.float64, .double(.nan)) == "null")
        #expect(try text(.float32, .float(-.infinity)) == "null")
        #expect(try text(.int16, .int(10), Scaling(scale: 2, offset: 0.5)) == "20.5")
    }

    @Test func everyWidthOfNumberIsWrittenAsSwiftDoes() throws {
        for digits in 1...19 {
            let power = (1..<digits).reduce(UInt64(1)) { value, _ in value * 10 }
            for value in [power - 1, power, power + 1, power &* 9] { #expect(try text(.uint64, .uint(value)) == String(value)) }
        }
    }

    @Test func stringsAreEscaped() throws {
        #expect(try text(.string, .string("a\"\\\n\u{1f}é"), capacity: 40) == #""a\"\\\u000a\u001fé""#)
        let descriptor = StreamDescriptor(device: "d", group: "g", tags: [Tag("t", .string, stringCapacity: 4)])
        // A slot whose bytes are no UTF-8, with a length beyond its capacity.
        let batch = SampleBatch(
            stream: StreamID(rawValue: 1), time: Timestamp(milliseconds: 0), quality: [QualityRun(count: 1, status: .good)],
            values: [0xFF, 0xFF, 0x61, 0xFF, 0xC3, 0x28])
        #expect(try document(encoded(batch, descriptor)).values["t"]?.string == "a\u{FFFD}\u{FFFD}(")
    }

    @Test func readsBackAsWhatFoundationWouldSay() throws {
        var generator = SeededGenerator()
        for _ in 0..<300 {
            let (batch, descriptor) = randomBatch(&generator)
            let document = try document(encoded(batch, descriptor))
            #expect(document.timestamp == batch.time.milliseconds)
            for (index, tag) in descriptor.tags.enumerated() {
                let expected = batch.value(of: index, in: descriptor)
                #expect(document.quality?[tag.name] == expected.flatMap { $0.status.isGood ? nil : $0.status.description }, "\(tag)")
                let field = document.values[tag.name]
                switch expected?.value {
                case nil: #expect(field == nil, "\(tag)")
                case .bool(let flag): #expect(field?.bool == flag, "\(tag)")
                case .string(let string): #expect(field?.string == string, "\(tag)")
                case .int(let number): #expect(field?.int == number, "\(tag)")
                case .uint(let number): #expect(field?.uint == number, "\(tag)")
                case .float(let number): #expect(number.isFinite ? field?.float == number : field?.isNull == true, "\(tag)")
                case .double(let number): #expect(number.isFinite ? field?.double == number : field?.isNull == true, "\(tag)")
                }
            }
        }
    }

    private func randomBatch(_ generator: inout some RandomNumberGenerator) -> (SampleBatch, StreamDescriptor) {
        let scalings = [Scaling.identity, Scaling(scale: 0.1), Scaling(scale: 0.001), Scaling(scale: 0.25, offset: -7)]
        let tags = (0..<Int.random(in: 1...40, using: &generator)).map { index in
            let type = DataType.allCases.randomElement(using: &generator) ?? .int16
            return Tag(
                "tag \(index) \u{e9}\"", type, scaling: type.isNumeric ? scalings.randomElement(using: &generator) ?? .identity : .identity,
                stringCapacity: type == .string ? 12 : 0)
        }
        let descriptor = StreamDescriptor(device: "d", group: "g", tags: tags)
        var batch = SampleBatch(
            stream: StreamID(rawValue: 1), descriptor: descriptor,
            time: Timestamp(milliseconds: Int64.random(in: -1_000_000...2_000_000_000_000, using: &generator)), status: .good)
        let statuses: [StatusCode] = [.good, .good, .badTimeout, .uncertain, StatusCode(rawValue: 0x8123_0000)]
        batch.quality = tags.map { _ in QualityRun(count: 1, status: statuses.randomElement(using: &generator) ?? .good) }
        if Bool.random(using: &generator) { batch.presence = [UInt64.random(in: 0..<(1 << UInt64(tags.count)), using: &generator)] }
        for (index, tag) in tags.enumerated() where !batch.quality[index].status.isBad {
            let bits = UInt64.random(in: 0 ... .max, using: &generator) >> UInt64.random(in: 0...63, using: &generator)
            // Scaled integers stay within 53 bits: beyond, the document is exact and the double is not.
            let value: Variant =
                switch tag.dataType {
                case .bool: .bool(bits & 1 == 1)
                case .int8: .int(Int64(Int8(truncatingIfNeeded: bits)))
                case .int16: .int(Int64(Int16(truncatingIfNeeded: bits)))
                case .int32: .int(Int64(Int32(truncatingIfNeeded: bits)))
                case .int64: .int(tag.scaling.isIdentity ? Int64(bitPattern: bits) : Int64(bitPattern: bits) >> 11)
                case .uint8: .uint(bits & 0xFF)
                case .uint16: .uint(bits & 0xFFFF)
                case .uint32: .uint(bits & 0xFFFF_FFFF)
                case .uint64: .uint(tag.scaling.isIdentity ? bits : bits >> 11)
                case .float32: .float(Float(bitPattern: UInt32(truncatingIfNeeded: bits)))
                case .float64: .double(bits & 1 == 0 ? Double(bitPattern: bits) : Double(bits % 1_000_000) / 1000)
                case .string: .string(String(String(bits, radix: 36).reversed()) + "\"")
                }
            batch.set(value, tag: index, in: descriptor)
        }
        return (batch, descriptor)
    }
}
