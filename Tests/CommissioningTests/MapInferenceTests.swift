import Telemetry
import TestKit
import Testing

@testable import Commissioning

@Suite("Plausibility of types and orders") struct MapInferenceTests {
    /// How often the proposal is the truth, over many random devices.
    private struct HitRate: CustomStringConvertible {
        var devices = 0
        var orders = 0
        var fields: [FieldKind: (right: Int, all: Int)] = [:]
        var clear = (right: 0, all: 0)

        mutating func count(_ device: SyntheticDevice, _ map: ProposedMap) {
            devices += 1
            if map.byteOrder == device.order { orders += 1 }
            let proposed = Dictionary(map.fields.map { ($0.address - 100, $0) }, uniquingKeysWith: { first, _ in first })
            for field in device.fields where !field.isBlank {
                let found = proposed[field.index]
                // Whether a number that never was negative could be is not on the wire.
                let isRight = found.map { Self.plain($0.kind) == Self.plain(field.kind) && map.byteOrder == device.order } ?? false
                fields[Self.plain(field.kind), default: (0, 0)].all += 1
                if isRight { fields[Self.plain(field.kind), default: (0, 0)].right += 1 }
                guard let found, found.certainty == .clear else { continue }
                clear.all += 1
                if isRight { clear.right += 1 }
            }
        }

        private static func plain(_ kind: FieldKind) -> FieldKind {
            switch kind {
            case .int16: .uint16
            case .int32: .uint32
            case .int64: .uint64
            default: kind
            }
        }

        var all: (right: Int, all: Int) { fields.values.reduce((0, 0)) { ($0.0 + $1.right, $0.1 + $1.all) } }

        var description: String {
            let kinds = fields.sorted { $0.key.rawValue < $1.key.rawValue }
                .map { "\($0.key.rawValue) \($0.value.right)/\($0.value.all)" }.joined(separator: ", ")
            return "orders \(orders)/\(devices); fields \(all.right)/\(all.all) (\(kinds)); called clear \(clear.right)/\(clear.all)"
        }
    }

    @Test(
        "scenario 21: the byte order of random devices is found from what they show, and most of their fields", arguments: ByteOrder.common)
    func hitRate(order: ByteOrder) {
        var generator = SeededGenerator()
        var rate = HitRate()
        for _ in 0..<15 {
            let device = SyntheticDevice(order: order, runs: 12, readings: 20, using: &generator)
            guard let readings = device.readings else { continue }
            rate.count(device, MapInference([readings]).map())
        }
        print("\(order.rawValue): \(rate)")
        #expect(Double(rate.orders) >= 0.85 * Double(rate.devices), "\(rate)")
        #expect(Double(rate.all.right) >= 0.70 * Double(rate.all.all), "\(rate)")
    }

    private func map(_ rows: [[UInt16]]) throws -> ProposedMap {
        MapInference([try #require(RegisterReadings(start: 0, rows: rows))]).map()
    }

    @Test("a float that changes slowly, with what it would be in other orders")
    func float() throws {
        let values: [Float] = (0..<20).map { 50 + Float($0 % 5) * 0.0071 }
        let map = try map(values.map { [UInt16(truncatingIfNeeded: $0.bitPattern), UInt16($0.bitPattern >> 16)] })
        #expect(map.byteOrder == .cdab && map.orderMarginBits > MapInference.orderMarginMin)
        #expect(map.fields.map(\.kind) == [.float32] && map.fields[0].certainty == .clear)
        #expect(map.fields[0].evidence.hasPrefix("50…50.0284 over 20 readings, changes slowly; as ABCD "), "\(map.fields[0].evidence)")
    }

    @Test("text, a state, a temperature around zero and a counter that carries")
    func kinds() throws {
        let text: [UInt16] = [0x4143, 0x4D45, 0x2050, 0x4D35, 0]
        let rows = (0..<20).map { reading -> [UInt16] in
            let counter = UInt32(196_500 + reading * 7)
            return text + [3, UInt16(bitPattern: Int16(reading % 7) - 3), UInt16(counter >> 16), UInt16(truncatingIfNeeded: counter)]
        }
        let map = try map(rows)
        #expect(map.fields.map(\.kind) == [.string, .uint16, .int16, .uint32], "\(map.fields)")
        #expect(map.fields[0].evidence == "text \"ACME PM5\"")
        #expect(map.fields[3].evidence.contains("only grows: a counter"))
    }

    @Test("registers that say nothing are not said to say something")
    func nothing() throws {
        let map = try map(Array(repeating: [UInt16](repeating: 0, count: 10), count: 5))
        let isBlank = map.fields.allSatisfy { $0.isBlank }
        #expect(isBlank && map.orderMarginBits == 0)
        #expect(RegisterReadings(start: 0, rows: [[1], [1, 2]]) == nil && RegisterReadings(start: 0, rows: []) == nil)
    }

    @Test("any registers are covered exactly once, whatever they hold")
    func coverage() throws {
        var generator = SeededGenerator()
        for _ in 0..<40 {
            let count = Int.random(in: 1...60, using: &generator)
            let isSparse = Bool.random(using: &generator)
            let rows = (0..<3).map { _ in
                (0..<count).map { _ in
                    isSparse
                        ? [0, 0xFFFF, 0x7F80, 0x4141].randomElement(using: &generator) ?? 0
                        : UInt16.random(in: 0...UInt16.max, using: &generator)
                }
            }
            var next = 0
            for field in try map(rows).fields {
                #expect(field.address == next)
                next += field.registerCount
            }
            #expect(next == count)
        }
    }
}
