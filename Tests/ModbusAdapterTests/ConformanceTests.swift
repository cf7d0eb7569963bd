import GatewayCore
import Synchronization
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import ModbusAdapter

@Suite("Modbus adapter: the contract of protocol adapters", .serialized)
struct ConformanceTests {
    private static let plan: ReadPlan = {
        let descriptor = StreamDescriptor(
            device: "plc", group: "fast", tags: [Tag("r10", .uint16), Tag("r11", .uint16), Tag("i3", .uint16), Tag("c4", .bool)])
        return ReadPlan(
            stream: StreamID(rawValue: 9), descriptor: descriptor,
            requests: [
                ReadRequest(area: 1, start: 4, count: 1, fields: 0..<1), ReadRequest(area: 3, start: 10, count: 2, fields: 1..<3),
                ReadRequest(area: 4, start: 3, count: 1, fields: 3..<4),
            ],
            fields: [
                ReadField(tag: 3, area: 1, start: 4, count: 1, dataType: .bool),
                ReadField(tag: 0, area: 3, start: 10, count: 1, dataType: .uint16),
                ReadField(tag: 1, area: 3, start: 11, count: 1, dataType: .uint16),
                ReadField(tag: 2, area: 4, start: 3, count: 1, dataType: .uint16),
            ])
    }()

    @Test("over TCP, with and without retries", arguments: [0, 2])
    func tcp(retries: Int) async throws {
        let first = try await ModbusPeer()
        let port = first.port
        let current = Mutex(first)
        let peer: @Sendable () -> ModbusPeer = { current.withLock { $0 } }
        let line = ModbusLine(.tcp(host: "127.0.0.1", port: port), responseTimeout: .milliseconds(200), connectTimeout: .seconds(2))
        let adapter = ModbusAdapter(name: "plc", line: line, unit: 1, retries: retries)
        let suite = ProtocolAdapterConformance(
            adapter, plan: ConformanceTests.plan, values: [.uint(10), .uint(11), .uint(30_003), .bool(true)],
            device: .init(
                fallSilent: { try await peer().command("drop") }, refuse: { try await peer().command("exception 4") },
                recover: { try await peer().command("clear") }, goAway: { await peer().stop() },
                comeBack: {
                    let next = try await ModbusPeer(port: port)
                    current.withLock { $0 = next }
                }))
        try await suite.run()
    }

    @Test("scenario 26: a request that the unit never answers is named, asked last, and does not take the others with it")
    func deafToOne() async throws {
        let peer = try await ModbusLinePeer(units: 1)
        let line = ModbusLine(.tcp(host: "127.0.0.1", port: peer.port), responseTimeout: .milliseconds(200))
        let adapter = ModbusAdapter(name: "plc", line: line, unit: 1, reading: ModbusReadSettings(maxRegistersPerRead: 1))
        let descriptor = StreamDescriptor(device: "plc", group: "g", tags: (0..<3).map { Tag("t\($0)", .uint16) })
        let plan = ReadPlan(
            stream: StreamID(rawValue: 4), descriptor: descriptor,
            requests: (0..<3).map { ReadRequest(area: 3, start: $0 * 30, count: 1, fields: $0..<$0 + 1) },
            fields: (0..<3).map { ReadField(tag: $0, area: 3, start: $0 * 30, count: 1, dataType: .uint16) })
        try await adapter.connect()
        try await peer.command("deaf 0")
        let first = try await adapter.read(plan, at: Timestamp(nanoseconds: 1))
        #expect(!first.isAnswered && first.batch.quality == [QualityRun(count: 3, status: .badTimeout)])
        for _ in 0..<3 {
            let result = try await adapter.read(plan, at: Timestamp(nanoseconds: 2))
            #expect(result.isAnswered && result.silence > .zero)
            #expect((0..<3).map { result.batch.status(of: $0) } == [.badTimeout, .good, .good])
            #expect(result.reasons == ["unit 1, holding registers 0…0: no answer in time"])
        }
        // A probe tries one request after the other.
        let probes = [try await adapter.probe(plan), try await adapter.probe(plan)]
        #expect(probes.map(\.isAnswered) == [false, true])
        try await peer.command("answer")
        #expect(try await adapter.read(plan, at: Timestamp(nanoseconds: 3)).batch.isGood)
        await adapter.disconnect()
        await peer.stop()
    }
}
