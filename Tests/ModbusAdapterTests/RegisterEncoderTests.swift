import GatewayCore
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import ModbusAdapter

@Suite struct RegisterEncoderTests {
    private let adapter = ModbusAdapter(name: "plc", line: ModbusLine(.tcp(host: "127.0.0.1", port: 1)), unit: 1)

    private func target(_ type: DataType, order: ByteOrder = .abcd, scaling: Scaling = .identity, capacity: Int = 0) -> WriteTarget {
        let count = type == .string ? (capacity + 1) / 2 : max(1, type.width / 2)
        return WriteTarget(
            tag: Tag("t", type, scaling: scaling, stringCapacity: capacity),
            field: ReadField(tag: 0, area: 3, start: 0, count: count, dataType: type, byteOrder: order))
    }

    @Test func `values lie in registers as the orders say`() throws {
        for (order, expected) in [
            (ByteOrder.abcd, [0x0A0B, 0x0C0D]), (.cdab, [0x0C0D, 0x0A0B]), (.badc, [0x0B0A, 0x0D0C]), (.dcba, [0x0D0C, 0x0B0A]),
        ] as [(ByteOrder, [UInt16])] {
            #expect(try RegisterEncoder.registers(for: .uint(0x0A0B_0C0D), as: .uint32, byteOrder: order) == expected)
        }
        #expect(try RegisterEncoder.registers(for: .int(-2), as: .int16, byteOrder: .abcd) == [0xFFFE])
        #expect(try RegisterEncoder.registers(for: .double(3.5), as: .float32, byteOrder: .cdab) == [0, 0x4060])
        #expect(try RegisterEncoder.registers(for: .string("abc"), as: .string, byteOrder: .abcd, capacity: 5) == [0x6162, 0x6300, 0])
        #expect(try RegisterEncoder.registers(for: .uint(.max), as: .uint64, byteOrder: .abcd) == [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF])
        let tenth = Scaling(scale: 0.1)
        #expect(try RegisterEncoder.registers(for: .double(23.5), as: .int16, byteOrder: .abcd, scaling: tenth) == [235])
        #expect(try RegisterEncoder.registers(for: .double(23.46), as: .int16, byteOrder: .abcd, scaling: tenth) == [235])
    }

    @Test func `what does not fit is refused with the reason`() {
        func refusal(_ value: Variant, _ type: DataType, scaling: Scaling = .identity, capacity: Int = 0) -> String {
            do throws(GatewayError) {
                return "\(try RegisterEncoder.registers(for: value, as: type, byteOrder: .abcd, scaling: scaling, capacity: capacity))"
            } catch {
                return error.message
            }
        }
        #expect(refusal(.int(65_536), .uint16).contains("0…65535"))
        #expect(refusal(.int(-1), .uint16).contains("0…65535"))
        #expect(refusal(.double(1.5), .uint16).contains("whole numbers"))
        #expect(refusal(.double(1e300), .float32).contains("float32"))
        #expect(refusal(.double(.nan), .int32).contains("more than"))
        #expect(refusal(.double(.nan), .float64).contains("more than"))
        #expect(refusal(.double(1e19), .int64).contains("outside"))
        #expect(refusal(.double(7000), .int16, scaling: Scaling(scale: 0.1)).contains("-32768…32767"))
        #expect(refusal(.string("12"), .int16).contains("a number"))
        #expect(refusal(.bool(true), .int16).contains("a number"))
        #expect(refusal(.double(1), .string, capacity: 4).contains("a text"))
        #expect(refusal(.string("abcde"), .string, capacity: 4).contains("5 bytes"))
        #expect(refusal(.string("a\u{0}b"), .string, capacity: 4).contains("NUL"))
    }

    @Test func `what is encoded is decoded to the nearest step`() throws {
        var generator = SeededGenerator()
        let types: [DataType] = [.int16, .uint16, .int32, .uint32, .int64, .uint64, .float32, .float64]
        let scales: [Double] = [1, 0.1, 0.001, 0.25, 3, -0.5]
        let offsets: [Double] = [0, 0, 10, -273.15]
        for _ in 0..<2000 {
            let type = types.randomElement(using: &generator) ?? .int16
            let order = ByteOrder.allCases.randomElement(using: &generator) ?? .abcd
            let scale = scales.randomElement(using: &generator) ?? 1
            let offset = offsets.randomElement(using: &generator) ?? 0
            let target = target(type, order: order, scaling: Scaling(scale: scale, offset: offset))
            let raw = Double.random(in: 0...30_000, using: &generator)
            let wanted = (target.tag.scaling.isIdentity && !type.isFloatingPoint ? raw.rounded() : raw) * scale + offset
            let shown = try adapter.representable(.double(wanted), as: target)
            let number = try #require(shown.number)
            let tolerance = type == .float32 ? abs(raw * scale) * 1e-6 + 1e-4 : abs(scale) / 2 * (1 + 1e-6)
            #expect(abs(number - wanted) <= tolerance, "\(type) \(order) \(scale) \(offset): \(wanted) became \(number)")
            #expect(try adapter.representable(shown, as: target) == shown, "what is shown is written as it is")
        }
    }
}
