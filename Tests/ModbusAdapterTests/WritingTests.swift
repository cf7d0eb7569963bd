import GatewayCore
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import ModbusAdapter

private let now = Timestamp(nanoseconds: 1_700_000_000_000_000_000)

private func target(
    _ type: DataType, _ area: UInt8, _ start: Int, order: ByteOrder = .abcd, bit: Int? = nil, capacity: Int = 0,
    function: WriteTarget.Function = .automatic, readModifyWrite: Bool = false
) -> WriteTarget {
    let count = type == .bool ? 1 : type == .string ? (capacity + 1) / 2 : max(1, type.width / 2)
    return WriteTarget(
        tag: Tag("t", type, stringCapacity: capacity),
        field: ReadField(tag: 0, area: area, start: start, count: count, dataType: type, byteOrder: order, bit: bit), function: function,
        allowsReadModifyWrite: readModifyWrite)
}

private func adapter(_ port: UInt16) -> ModbusAdapter {
    ModbusAdapter(
        name: "plc",
        line: ModbusLine(.tcp(host: "127.0.0.1", port: port), responseTimeout: .milliseconds(300), connectTimeout: .seconds(2)),
        unit: 1)
}

@Suite struct WritingTests {
    @Test func `every type is written and read back at a foreign server`() async throws {
        let peer = try await WritablePeer()
        let adapter = adapter(peer.port)
        try await adapter.connect()
        for (target, value) in [
            (target(.uint16, 3, 100), .uint(4711)), (target(.uint16, 3, 101, function: .multiple), .uint(9)),
            (target(.int16, 3, 102, order: .badc), .int(-5)), (target(.int32, 3, 104, order: .cdab), .int(-123_456)),
            (target(.uint64, 3, 108, order: .dcba), .uint(.max - 1)), (target(.float32, 3, 112), .float(1.25)),
            (target(.float64, 3, 116), .double(-2.5e100)), (target(.string, 3, 120, capacity: 9), .string("Motör 1")),
            (target(.bool, 1, 7), .bool(true)), (target(.bool, 1, 8, function: .multiple), .bool(false)),
            (target(.bool, 3, 130, bit: 3), .bool(true)), (target(.bool, 3, 131, order: .badc, bit: 3), .bool(true)),
        ] as [(WriteTarget, Variant)] {
            #expect(await adapter.write(value, to: target) == .written, "\(target)")
            #expect(await adapter.readNow(target, at: now).value == value, "\(target)")
        }
        // Of the register with the bit, only the bit changed: it was 130.
        #expect(await adapter.readNow(target(.uint16, 3, 130), at: now).value == .uint(130 | 8))
        #expect(await adapter.readNow(target(.uint16, 3, 131), at: now).value == .uint(131 | 0x0800))
        await adapter.disconnect()
        await peer.stop()
    }

    @Test func `the adapter keeps the contract of writing`() async throws {
        let peer = try await WritablePeer()
        let adapter = adapter(peer.port)
        try await adapter.connect()
        let violations = await TagWritingConformance.violations(
            of: adapter,
            subjects: [
                .init(target(.uint16, 3, 100), .uint(1), .uint(65_535)),
                .init(target(.int32, 3, 101, order: .dcba), .int(-1), .int(.init(Int32.min))),
                .init(target(.float32, 3, 103, order: .cdab), .float(0.5), .float(-1e30)),
                .init(target(.string, 3, 105, capacity: 6), .string("abcdef"), .string("")),
                .init(target(.bool, 3, 108, bit: 0), .bool(true), .bool(false)),
                .init(target(.bool, 3, 108, bit: 15), .bool(false), .bool(true)),
                .init(target(.bool, 1, 0), .bool(false), .bool(true)), .init(target(.bool, 1, 1), .bool(true), .bool(false)),
            ], absent: target(.uint16, 3, 60_000), at: now)
        #expect(violations.isEmpty, "\(violations)")
        await peer.stop()
    }

    @Test func `a refusal of the device is told, and a silence is no certainty`() async throws {
        let peer = try await WritablePeer()
        let adapter = adapter(peer.port)
        let unconnected = await adapter.readNow(target(.uint16, 3, 1), at: now)
        #expect(unconnected.status == .badNotConnected && unconnected.value == nil)
        try await adapter.connect()
        guard case .refused(let status, let reason) = await adapter.write(.uint(1), to: target(.uint16, 3, 20_000)) else {
            Issue.record("not refused")
            return
        }
        #expect(status == .badNodeIdUnknown && reason.contains("holding register 20000: exception 02"))
        try await peer.command("drop")
        guard case .unknown(.badTimeout, _) = await adapter.write(.uint(1), to: target(.uint16, 3, 1)) else {
            Issue.record("not unknown")
            return
        }
        await peer.stop()
        guard case .unknown = await adapter.write(.uint(1), to: target(.uint16, 3, 1)) else {
            Issue.record("not unknown")
            return
        }
    }

    @Test func `a bit without mask write is changed by its register only where that is allowed`() async throws {
        let peer = try await WritablePeer()
        let adapter = adapter(peer.port)
        try await adapter.connect()
        try await peer.command("mask")
        guard case .refused(.badServiceUnsupported, let reason) = await adapter.write(.bool(true), to: target(.bool, 3, 130, bit: 0)) else {
            Issue.record("not refused")
            return
        }
        #expect(reason.contains("readModifyWrite"))
        #expect(await adapter.readNow(target(.uint16, 3, 130), at: now).value == .uint(130))
        #expect(await adapter.write(.bool(true), to: target(.bool, 3, 130, bit: 0, readModifyWrite: true)) == .written)
        #expect(await adapter.readNow(target(.uint16, 3, 130), at: now).value == .uint(131))
        #expect(await adapter.write(.bool(false), to: target(.bool, 3, 130, bit: 1, readModifyWrite: true)) == .written)
        #expect(await adapter.readNow(target(.uint16, 3, 130), at: now).value == .uint(129))
        await adapter.disconnect()
        await peer.stop()
    }
}
