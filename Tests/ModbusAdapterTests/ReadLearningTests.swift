import GatewayCore
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import ModbusAdapter

private let now = Timestamp(nanoseconds: 1_700_000_000_000_000_000)

/// A tag per register, planned as a site would be.
private func plan(_ addresses: [Int]) throws -> ReadPlan {
    try ReadPlanner.plan(
        stream: StreamID(rawValue: 1),
        descriptor: StreamDescriptor(device: "plc", group: "fast", tags: addresses.map { Tag("r\($0)", .uint16) }),
        fields: addresses.enumerated().map { ReadField(tag: $0.offset, area: 3, start: $0.element, count: 1, dataType: .uint16) },
        limits: ModbusAdapter.limits)
}

private func adapter(
    port: UInt16, reading: ModbusReadSettings = ModbusReadSettings(), remembered: LearnedReads? = nil, monitor: PlanMonitor? = nil,
    time: any TimeSource = SystemTime()
) -> ModbusAdapter {
    ModbusAdapter(
        name: "plc", line: ModbusLine(.tcp(host: "127.0.0.1", port: port), responseTimeout: .seconds(5)), unit: 1, reading: reading,
        remembered: remembered, monitor: monitor, time: time)
}

/// Whether every tag is Good and has its register's value.
private func isWhole(_ result: PollResult, _ plan: ReadPlan, _ addresses: [Int]) -> Bool {
    result.batch.isGood
        && addresses.indices.allSatisfy { result.batch.value(of: $0, in: plan.descriptor)?.value == .uint(UInt64(addresses[$0])) }
}

@Suite("Learning from a foreign server with holes", .serialized)
struct ReadLearningTests {
    @Test("scenario 13: 1,000 neighbouring registers are read in 8 requests")
    func eightRequests() async throws {
        let peer = try await ModbusMapPeer(registers: 0..<1000)
        let adapter = adapter(port: peer.port)
        let plan = try plan(Array(0..<1000))
        try await adapter.connect()
        let result = try await adapter.read(plan, at: now)
        #expect(isWhole(result, plan, Array(0..<1000)))
        let count = try await peer.count()
        #expect(count == (read: 8, refused: 0))
    }

    @Test("scenario 14: 30 holes in the map: every poll is whole, and soon each takes no more than the ideal requests, after a restart too")
    func holes() async throws {
        var generator = SeededGenerator()
        let seed = generator.seed
        let addresses = (0..<1000).filter { _ in Int.random(in: 0..<10, using: &generator) < 6 }
        let forbidden = Set(Set(0..<1000).subtracting(addresses).sorted().shuffled(using: &generator).prefix(30))
        let peer = try await ModbusMapPeer(registers: (0..<1000).filter { !forbidden.contains($0) })
        let monitor = PlanMonitor()
        // On a clock that stands the line is fast, however busy the machine: searches are not put off to later polls.
        let first = adapter(port: peer.port, monitor: monitor, time: ManualTime())
        let plan = try plan(addresses)
        try await first.connect()
        var polls = 0
        var learning = 0
        while true {
            polls += 1
            let result = try await first.read(plan, at: now)
            #expect(isWhole(result, plan, addresses), "seed \(seed): \(result.reasons)")
            let count = try await peer.count()
            if count.refused == 0 { break }
            learning += count.read + count.refused
            try #require(polls < 60, "seed \(seed)")
        }
        _ = try await first.read(plan, at: now)
        let steady = try await peer.count()
        // From each value on as far as possible: nobody can do with fewer.
        var ideal = 0
        var start: Int?
        for address in addresses {
            if let begun = start, address - begun < 125, !(begun...address).contains(where: forbidden.contains) { continue }
            start = address
            ideal += 1
        }
        print("30 holes: \(steady.read) requests per poll instead of \(ideal), learned in \(polls) polls with \(learning) requests")
        #expect(Double(steady.read) <= 1.5 * Double(ideal), "seed \(seed): \(steady.read) instead of \(ideal)")
        await first.disconnect()

        let learned = try #require(monitor.learned)
        let second = adapter(port: peer.port, remembered: learned.reads, time: ManualTime())
        try await second.connect()
        #expect(isWhole(try await second.read(plan, at: now), plan, addresses))
        let again = try await peer.count()
        #expect(again == (read: steady.read, refused: 0), "seed \(seed)")
    }

    @Test("scenario 26: one missing register blocks no other tag, the reason names its tag and address, and it comes back by itself")
    func badTag() async throws {
        let peer = try await ModbusPeer()
        let time = ManualTime()
        let adapter = adapter(port: peer.port, time: time)
        let addresses = Array(10..<60)
        let plan = try plan(addresses)
        try await adapter.connect()
        try await peer.command("exception 2 holding 33 33")
        for poll in 0..<4 {
            let result = try await adapter.read(plan, at: now)
            let bad = addresses.indices.filter { result.batch.status(of: $0).isBad }
            #expect(bad.map { addresses[$0] } == [33])
            #expect(result.batch.status(of: 23) == .badNodeIdUnknown)
            let reason = try #require(result.reasons.first)
            #expect(result.reasons.count == 1)
            #expect(
                reason.contains("tag r33") && reason.contains("holding registers 33") && reason.contains("exception 02"),
                "\(poll): \(reason)")
            time.advance(by: .seconds(1))
        }
        try await peer.command("clear")
        time.advance(by: .seconds(60))
        // The first poll asks for it again, the second plans with it.
        _ = try await adapter.read(plan, at: now)
        #expect(isWhole(try await adapter.read(plan, at: now), plan, addresses))
    }

    @Test("a device that refuses everything is asked for little, and is back with the second poll after it has come to its senses")
    func refusesAll() async throws {
        let peer = try await ModbusPeer()
        let time = ManualTime()
        let adapter = adapter(port: peer.port, time: time)
        let addresses = Array(100..<110)
        let plan = try plan(addresses)
        try await adapter.connect()
        try await peer.command("exception 2")
        for _ in 0..<5 {
            let result = try await adapter.read(plan, at: now)
            #expect(addresses.indices.allSatisfy { result.batch.status(of: $0) == .badNodeIdUnknown })
        }
        try await peer.command("clear")
        for _ in 0..<6 { _ = try await adapter.read(plan, at: now) }
        #expect(isWhole(try await adapter.read(plan, at: now), plan, addresses))
    }

    @Test("settings of the device are kept: short requests, aligned ones, none across holes")
    func settings() async throws {
        let peer = try await ModbusMapPeer(registers: 0..<200)
        let addresses = Array(3..<23) + [40, 41]
        let plan = try plan(addresses)
        for (settings, expected) in [
            (ModbusReadSettings(), 1), (ModbusReadSettings(maxRegistersPerRead: 10), 3), (ModbusReadSettings(readsAcrossHoles: false), 2),
            (ModbusReadSettings(maxRegistersPerRead: 8, alignment: 4), 4),
        ] {
            let adapter = adapter(port: peer.port, reading: settings)
            try await adapter.connect()
            #expect(isWhole(try await adapter.read(plan, at: now), plan, addresses))
            let count = try await peer.count()
            #expect(count == (read: expected, refused: 0), "\(settings)")
            await adapter.disconnect()
        }
    }

    @Test("predicted and achieved times of polls are there to be seen")
    func times() async throws {
        let peer = try await ModbusMapPeer(registers: 0..<200)
        let monitor = PlanMonitor()
        let adapter = adapter(port: peer.port, monitor: monitor)
        let plan = try plan(Array(0..<200))
        try await adapter.connect()
        for _ in 0..<200 { _ = try await adapter.read(plan, at: now) }
        let times = try #require(monitor.times.first)
        #expect(times.group == "fast" && times.requests == 2 && times.polls == PlanMonitor.pollsMax)
        #expect(times.predictedSeconds > 0 && times.meanSeconds > 0 && times.p95Seconds >= times.meanSeconds / 2)
        // A new prediction for the same requests leaves the measured times; another number of requests does not.
        monitor.planned(stream: times.stream, group: "fast", requests: 2, predictedSeconds: 7)
        #expect(monitor.times.first?.polls == PlanMonitor.pollsMax && monitor.times.first?.predictedSeconds == 7)
        monitor.planned(stream: times.stream, group: "fast", requests: 3, predictedSeconds: 7)
        #expect(monitor.times.first?.polls == 0)
    }
}
