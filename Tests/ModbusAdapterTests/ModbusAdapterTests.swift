import GatewayCore
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import ModbusAdapter

private let now = Timestamp(nanoseconds: 1_700_000_000_000_000_000)

/// A plan over the given tags, one request per run of neighbours, as the planner would make it.
private func plan(
    stream: UInt32 = 1, _ tags: [(tag: Tag, area: UInt8, start: Int, order: ByteOrder, bit: Int?)],
    requests: [(UInt8, Int, Int, Range<Int>)]
) -> ReadPlan {
    let descriptor = StreamDescriptor(device: "plc", group: "fast", tags: tags.map(\.tag))
    let fields = tags.enumerated().map { index, field in
        let tag = field.tag
        let count = tag.dataType == .bool ? 1 : tag.dataType == .string ? (tag.stringCapacity + 1) / 2 : max(1, tag.dataType.width / 2)
        return ReadField(
            tag: index, area: field.area, start: field.start, count: count, dataType: tag.dataType, byteOrder: field.order, bit: field.bit)
    }
    return ReadPlan(
        stream: StreamID(rawValue: stream), descriptor: descriptor,
        requests: requests.map { ReadRequest(area: $0.0, start: $0.1, count: $0.2, fields: $0.3) }, fields: fields)
}

/// Ten plain registers 10…19 in one request.
private let tenRegisters = plan(
    (10..<20).map { (Tag("r\($0)", .uint16), 3, $0, .abcd, nil) }, requests: [(3, 10, 10, 0..<10)])

/// The typed block of the foreign server.
private let typed = plan(
    [
        (Tag("int16", .int16), 3, 1000, .abcd, nil), (Tag("int32", .int32), 3, 1002, .abcd, nil),
        (Tag("uint32", .uint32), 3, 1004, .abcd, nil), (Tag("float32", .float32), 3, 1006, .abcd, nil),
        (Tag("float64", .float64), 3, 1008, .abcd, nil), (Tag("int64", .int64), 3, 1012, .abcd, nil),
        (Tag("uint64", .uint64), 3, 1016, .abcd, nil), (Tag("text", .string, stringCapacity: 16), 3, 1020, .abcd, nil),
        (Tag("cdab", .float32), 3, 1030, .cdab, nil), (Tag("badc", .float32), 3, 1032, .badc, nil),
        (Tag("dcba", .float32), 3, 1034, .dcba, nil),
    ], requests: [(3, 1000, 36, 0..<11)])

private let typedValues: [Variant] = [
    .int(-1234), .int(-123_456_789), .uint(4_000_000_000), .float(3.5), .double(-2.25e10), .int(-1_234_567_890_123_456_789),
    .uint(18_000_000_000_000_000_000), .string("IndusEdge test"), .float(3.5), .float(3.5), .float(3.5),
]

private func adapter(_ peer: ModbusPeer, timeout: Duration = .milliseconds(300)) -> ModbusAdapter {
    ModbusAdapter(
        name: "plc", line: ModbusLine(.tcp(host: "127.0.0.1", port: peer.port), responseTimeout: timeout, connectTimeout: .seconds(2)),
        unit: 1)
}

private func values(_ result: PollResult, _ plan: ReadPlan) -> [Variant?] {
    plan.descriptor.tags.indices.map { result.batch.value(of: $0, in: plan.descriptor)?.value }
}

private func statuses(_ result: PollResult, _ plan: ReadPlan) -> [StatusCode] {
    plan.descriptor.tags.indices.map { result.batch.status(of: $0) }
}

private func isAllBad(_ result: PollResult, _ plan: ReadPlan) -> Bool { statuses(result, plan).allSatisfy { $0.isBad } }

private let goodRegisters: [Variant?] = (10..<20).map { .uint($0) }

@Suite("Modbus adapter against a foreign server", .serialized)
struct ModbusAdapterTests {
    @Test("every type and byte order over TCP")
    func types() async throws {
        let peer = try await ModbusPeer()
        let adapter = adapter(peer)
        try await adapter.connect()
        let result = try await adapter.read(typed, at: now)
        #expect(values(result, typed) == typedValues)
        #expect(result.batch.time == now)
        #expect(result.reasons.isEmpty)
        await adapter.disconnect()
    }

    @Test("every type over RTU on a serial line")
    func serial() async throws {
        let peer = try await ModbusPeer(rtu: true)
        let path = try #require(peer.serialPath)
        let line = ModbusLine(
            .rtu(path: path, baudRate: 19200, parity: .none, dataBits: 8, stopBits: 1), responseTimeout: .milliseconds(500))
        let adapter = ModbusAdapter(name: "plc", line: line, unit: 1)
        try await adapter.connect()
        #expect(values(try await adapter.read(typed, at: now), typed) == typedValues)
        // A corrupt frame fails its checksum; the tags are Bad and the next poll is whole again.
        try await peer.command("corrupt times 1")
        let broken = try await adapter.read(typed, at: now)
        #expect(isAllBad(broken, typed))
        #expect(values(try await adapter.read(typed, at: now), typed) == typedValues)
    }

    @Test("a late serial reply is never the answer to the next request")
    func lateSerialReply() async throws {
        let peer = try await ModbusPeer(rtu: true)
        let path = try #require(peer.serialPath)
        let line = ModbusLine(
            .rtu(path: path, baudRate: 19200, parity: .none, dataBits: 8, stopBits: 1), responseTimeout: .milliseconds(400))
        let adapter = ModbusAdapter(name: "plc", line: line, unit: 1)
        try await adapter.connect()
        try await peer.command("delay 450 times 1")
        #expect(statuses(try await adapter.read(tenRegisters, at: now), tenRegisters).allSatisfy { $0 == .badTimeout })
        let other = plan(stream: 2, (30..<40).map { (Tag("r\($0)", .uint16), 3, $0, .abcd, nil) }, requests: [(3, 30, 10, 0..<10)])
        #expect(values(try await adapter.read(other, at: now), other) == (30..<40).map { .uint($0) })
    }

    @Test("coils, discrete inputs, input registers and bits of registers")
    func tables() async throws {
        let peer = try await ModbusPeer()
        let tables = plan(
            [
                (Tag("coil6", .bool), 1, 6, .abcd, nil), (Tag("coil7", .bool), 1, 7, .abcd, nil),
                (Tag("discrete9", .bool), 2, 9, .abcd, nil),
                (Tag("discrete10", .bool), 2, 10, .abcd, nil), (Tag("bit0of5", .bool), 3, 5, .abcd, 0),
                (Tag("bit1of5", .bool), 3, 5, .abcd, 1),
                (Tag("bit8of5swapped", .bool), 3, 5, .badc, 8), (Tag("input4", .uint16), 4, 4, .abcd, nil),
            ], requests: [(1, 6, 2, 0..<2), (2, 9, 2, 2..<4), (3, 5, 1, 4..<7), (4, 4, 1, 7..<8)])
        let adapter = adapter(peer)
        try await adapter.connect()
        let result = try await adapter.read(tables, at: now)
        #expect(
            values(result, tables) == [
                .bool(true), .bool(false), .bool(true), .bool(false), .bool(true), .bool(false), .bool(true), .uint(30_004),
            ])
    }

    @Test("each exception code is the status of the tags concerned", arguments: [1, 2, 3, 4, 6, 10, 11])
    func exceptions(code: Int) async throws {
        let peer = try await ModbusPeer()
        let adapter = adapter(peer)
        try await adapter.connect()
        try await peer.command("exception \(code) holding 14 14")
        // Only 02 and 03 speak of an address or a value, so only they are split down to the tag; the others concern the whole request.
        let result = try await adapter.read(tenRegisters, at: now)
        let status = ModbusException(UInt8(code)).status
        #expect(status.isBad)
        if code == 2 || code == 3 {
            var expected = goodRegisters
            expected[4] = nil
            #expect(values(result, tenRegisters) == expected)
            #expect(statuses(result, tenRegisters)[4] == status)
        } else {
            #expect(statuses(result, tenRegisters) == Array(repeating: status, count: 10))
        }
        #expect(result.reasons.count == 1)
        // The line is fine: the next poll is whole as soon as the device is.
        try await peer.command("clear")
        #expect(values(try await adapter.read(tenRegisters, at: now), tenRegisters) == goodRegisters)
    }

    @Test(
        "a reply that is not the answer is never taken for one, and poisons nothing after it",
        arguments: ["truncated", "oversized", "transaction", "length", "function", "trailing", "drop"])
    func brokenReplies(fault: String) async throws {
        let peer = try await ModbusPeer()
        let adapter = adapter(peer)
        try await adapter.connect()
        try await peer.command("\(fault) times 1")
        let broken = try await adapter.read(tenRegisters, at: now)
        for (value, good) in zip(values(broken, tenRegisters), goodRegisters) { #expect(value == nil || value == good) }
        if fault != "trailing" { #expect(isAllBad(broken, tenRegisters), "\(broken.reasons)") }
        // At most one further poll may suffer from what the fault left on the line; then all is well again.
        _ = try await adapter.read(tenRegisters, at: now)
        let later = try await adapter.read(tenRegisters, at: now)
        #expect(values(later, tenRegisters) == goodRegisters, "\(later.reasons)")
    }

    @Test("scenario 20: a late TCP reply is never the answer to the next request")
    func lateReply() async throws {
        let peer = try await ModbusPeer()
        let adapter = adapter(peer)
        try await adapter.connect()
        try await peer.command("delay 450 times 1")
        let late = try await adapter.read(tenRegisters, at: now)
        #expect(statuses(late, tenRegisters).allSatisfy { $0 == .badTimeout })
        let other = plan(stream: 2, (30..<40).map { (Tag("r\($0)", .uint16), 3, $0, .abcd, nil) }, requests: [(3, 30, 10, 0..<10)])
        var wholePolls = 0
        for _ in 0..<3 {
            let result = try await adapter.read(other, at: now)
            let read = values(result, other)
            #expect(read == (30..<40).map { .uint($0) } || read.allSatisfy { $0 == nil }, "\(read) \(result.reasons)")
            if read.first != .some(nil) { wholePolls += 1 }
        }
        #expect(wholePolls >= 2)
    }

    @Test("a server that never answers is told of, with the time it cost, and its connection stays for the others")
    func silence() async throws {
        let peer = try await ModbusPeer()
        let adapter = adapter(peer, timeout: .milliseconds(50))
        try await adapter.connect()
        try await peer.command("drop")
        for _ in 0..<5 {
            let result = try await adapter.read(tenRegisters, at: now)
            #expect(!result.isAnswered && result.silence > .zero && result.retries == 0)
            #expect(statuses(result, tenRegisters).allSatisfy { $0 == .badTimeout })
        }
        let probe = try await adapter.probe(tenRegisters)
        #expect(!probe.isAnswered && probe.silence > .zero && probe.reason.contains("no answer in time"))
        try await peer.command("exception 2")
        #expect(try await adapter.probe(tenRegisters).isAnswered, "an exception is an answer")
        try await peer.command("clear")
        #expect(values(try await adapter.read(tenRegisters, at: now), tenRegisters) == goodRegisters)
    }

    @Test("a request that was lost is sent again, and only to a device that answers")
    func retries() async throws {
        let peer = try await ModbusPeer()
        let line = ModbusLine(.tcp(host: "127.0.0.1", port: peer.port), responseTimeout: .milliseconds(100))
        let adapter = ModbusAdapter(name: "plc", line: line, unit: 1, retries: 2)
        try await adapter.connect()
        _ = try await adapter.read(tenRegisters, at: now)
        try await peer.command("drop times 2")
        let saved = try await adapter.read(tenRegisters, at: now)
        #expect(values(saved, tenRegisters) == goodRegisters && saved.retries == 2 && saved.silence > .zero && saved.reasons.isEmpty)
        try await peer.command("drop")
        #expect(try await adapter.read(tenRegisters, at: now).retries == 2)
        #expect(try await adapter.read(tenRegisters, at: now).retries == 0, "a silent device gets no second chance")
    }

    @Test("a closed connection is an error that may be retried, and connecting again heals it")
    func closed() async throws {
        let peer = try await ModbusPeer()
        let adapter = adapter(peer)
        try await adapter.connect()
        try await peer.command("close times 1")
        let error = await #expect(throws: GatewayError.self) { try await adapter.read(tenRegisters, at: now) }
        #expect(error?.code == .connectionLost)
        try await adapter.connect()
        #expect(values(try await adapter.read(tenRegisters, at: now), tenRegisters) == goodRegisters)
    }

    @Test("nobody listening is named with the address and what to look at")
    func unreachable() async throws {
        let peer = try await ModbusPeer()
        let adapter = adapter(peer)
        await peer.stop()
        let error = await #expect(throws: GatewayError.self) { try await adapter.connect() }
        let chain = error?.chain.joined(separator: " / ") ?? ""
        #expect(chain.contains("device plc") && chain.contains("nothing listens at 127.0.0.1:\(peer.port)"), "\(chain)")
    }

    @Test("a missing serial port is named")
    func missingSerialPort() async throws {
        let line = ModbusLine(.rtu(path: "/dev/ttyMISSING7", baudRate: 9600, parity: .even, dataBits: 8, stopBits: 1))
        let error = await #expect(throws: GatewayError.self) { try await ModbusAdapter(name: "plc", line: line, unit: 1).connect() }
        #expect(error?.chain.joined().contains("there is no serial port at /dev/ttyMISSING7") == true, "\(error?.chain ?? [])")
    }

    @Test("two units share a line")
    func units() async throws {
        let peer = try await ModbusPeer(units: "1,17")
        let line = ModbusLine(.tcp(host: "localhost", port: peer.port))
        let first = ModbusAdapter(name: "a", line: line, unit: 1)
        let second = ModbusAdapter(name: "b", line: line, unit: 17)
        try await first.connect()
        try await second.connect()
        async let one = first.read(tenRegisters, at: now)
        async let two = second.read(tenRegisters, at: now)
        #expect(values(try await one, tenRegisters) == goodRegisters)
        #expect(values(try await two, tenRegisters) == goodRegisters)
    }
}
