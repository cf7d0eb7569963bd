import GatewayCore
import Telemetry
import Testing

import struct Telemetry.Tag

@testable import ModbusAdapter

@Suite("Register decoder")
struct RegisterDecoderTests {
    private func decode(_ tag: Tag, _ order: ByteOrder, bit: Int? = nil, _ registers: [UInt16]) -> (value: Variant, unusable: Bool) {
        let descriptor = StreamDescriptor(device: "d", group: "g", tags: [tag])
        let request = ReadRequest(area: 3, start: 0, count: registers.count, fields: 0..<1)
        let field = ReadField(tag: 0, area: 3, start: 0, count: registers.count, dataType: tag.dataType, byteOrder: order, bit: bit)
        let decoder = RegisterDecoder(request: request, fields: [field], descriptor: descriptor)
        var batch = SampleBatch(stream: StreamID(rawValue: 1), descriptor: descriptor, time: Timestamp(nanoseconds: 0), status: .good)
        var unusable = false
        registers.withUnsafeBufferPointer { registers in
            batch.values.withUnsafeMutableBytes { decoder.decode(registers: registers, into: $0) { _ in unusable = true } }
        }
        return (batch.raw(of: 0, in: descriptor), unusable)
    }

    @Test(
        "scenario 21: the four orders of 32 bits",
        arguments: [
            (ByteOrder.abcd, [0x1234, 0x5678]), (.cdab, [0x5678, 0x1234]), (.badc, [0x3412, 0x7856]), (.dcba, [0x7856, 0x3412]),
        ] as [(ByteOrder, [UInt16])])
    func longs(order: ByteOrder, registers: [UInt16]) {
        #expect(decode(Tag("t", .uint32), order, registers).value == .uint(0x1234_5678))
    }

    @Test(
        "scenario 21: the four orders of 64 bits",
        arguments: [
            (ByteOrder.abcd, [0x0123, 0x4567, 0x89AB, 0xCDEF]), (.cdab, [0xCDEF, 0x89AB, 0x4567, 0x0123]),
            (.badc, [0x2301, 0x6745, 0xAB89, 0xEFCD]), (.dcba, [0xEFCD, 0xAB89, 0x6745, 0x2301]),
        ] as [(ByteOrder, [UInt16])])
    func quads(order: ByteOrder, registers: [UInt16]) {
        #expect(decode(Tag("t", .uint64), order, registers).value == .uint(0x0123_4567_89AB_CDEF))
        #expect(decode(Tag("t", .int64), order, registers).value == .int(0x0123_4567_89AB_CDEF))
        #expect(decode(Tag("t", .float64), order, registers).value == .double(Double(bitPattern: 0x0123_4567_89AB_CDEF)))
    }

    @Test("signs, and swapped bytes of 16 bits")
    func words() {
        #expect(decode(Tag("t", .int16), .abcd, [0xFFFE]).value == .int(-2))
        #expect(decode(Tag("t", .int16), .badc, [0xFEFF]).value == .int(-2))
        #expect(decode(Tag("t", .uint16), .cdab, [0x0102]).value == .uint(0x0102))
        #expect(decode(Tag("t", .int32), .abcd, [0xFFFF, 0xFFFE]).value == .int(-2))
    }

    @Test("text ends at the first NUL, loses its padding, and is refused when it is not UTF-8")
    func text() {
        let tag = Tag("t", .string, stringCapacity: 8)
        #expect(decode(tag, .abcd, [0x4142, 0x4320, 0x2000, 0x4444]).value == .string("ABC"))
        #expect(decode(tag, .badc, [0x4241, 0x4443, 0x4645, 0x4847]).value == .string("ABCDEFGH"))
        #expect(decode(tag, .abcd, [0, 0, 0, 0]).value == .string(""))
        let broken = decode(tag, .abcd, [0xC3, 0xC341, 0, 0])
        #expect(broken.value == .string("") && !broken.unusable)
        #expect(decode(tag, .abcd, [0xFF41, 0x4141, 0, 0]).unusable)
    }

    @Test("a block of plain registers with one bit in its midst comes out register by register, whatever was merged")
    func block() {
        var tags = (0..<124).map { Tag("r\($0)", .uint16) }
        tags.insert(Tag("bit", .bool), at: 60)
        let descriptor = StreamDescriptor(device: "d", group: "g", tags: tags)
        var fields: [ReadField] = []
        var address = 0
        for (index, tag) in tags.enumerated() {
            fields.append(
                ReadField(tag: index, area: 3, start: address, count: 1, dataType: tag.dataType, bit: tag.dataType == .bool ? 15 : nil))
            address += 1
        }
        let registers = (0..<125).map { UInt16(truncatingIfNeeded: $0 * 521 + 40_000) }
        let decoder = RegisterDecoder(
            request: ReadRequest(area: 3, start: 0, count: 125, fields: 0..<125), fields: fields, descriptor: descriptor)
        var batch = SampleBatch(stream: StreamID(rawValue: 1), descriptor: descriptor, time: Timestamp(nanoseconds: 0), status: .good)
        registers.withUnsafeBufferPointer { registers in
            batch.values.withUnsafeMutableBytes { decoder.decode(registers: registers, into: $0) { _ in } }
        }
        for index in tags.indices {
            let expected: Variant = index == 60 ? .bool(registers[60] >> 15 == 1) : .uint(UInt64(registers[index]))
            #expect(batch.raw(of: index, in: descriptor) == expected)
        }
    }
}
