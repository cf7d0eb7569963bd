import Acquisition
import GatewayCore
import Logging
import ModbusAdapter
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

/// Devices behind one foreign Modbus gateway, polled as the gateway polls them.
private final class PolledLine {
    let log = MemoryLog()
    let recorder = LogRecorder()
    let line: ModbusLine
    private(set) var monitors: [DeviceMonitor] = []
    private var tasks: [Task<Void, any Error>] = []

    init(port: UInt16, units: Int, period: Duration, responseTimeout: Duration = .milliseconds(250)) throws {
        line = ModbusLine(.tcp(host: "127.0.0.1", port: port), responseTimeout: responseTimeout, connectTimeout: .seconds(2))
        for unit in 1...units {
            let descriptor = StreamDescriptor(device: "d\(unit)", group: "fast", tags: [Tag("r7", .uint16)])
            let plan = try ReadPlanner.plan(
                stream: log.register(descriptor), descriptor: descriptor,
                fields: [ReadField(tag: 0, area: 3, start: 7, count: 1, dataType: .uint16)], limits: ModbusAdapter.limits)
            let phase = Duration.nanoseconds(period.nanoseconds / Int64(units) * Int64(unit))
            let monitor = DeviceMonitor()
            let runner = DeviceRunner(
                name: "d\(unit)", adapter: ModbusAdapter(name: "d\(unit)", line: line, unit: UInt8(unit), retries: 1),
                groups: [ScanGroup(plan: plan, period: period, phase: phase, deadbands: [nil])], log: log, time: SystemTime(),
                logger: recorder.logger,
                patience: DevicePatience(backoffInitial: .milliseconds(50), backoffMaximum: .milliseconds(500)), monitor: monitor)
            monitors.append(monitor)
            tasks.append(Task { try await runner.run() })
        }
    }

    func status(_ unit: Int) -> DeviceStatus { monitors[unit - 1].status }

    /// Waits for a state of all these units, or gives up.
    func until(_ units: some Sequence<Int>, _ state: DeviceStatus.Connection) async throws {
        for _ in 0..<4000 {
            if units.allSatisfy({ status($0).connection == state }) { return }
            try await Task.sleep(for: .milliseconds(5))
        }
        Issue.record("not \(state): \(units.map { "\($0): \(status($0).connection) \(status($0).reason)" })")
    }

    /// Waits until a unit has passed so many deadlines more.
    func pass(_ deadlines: UInt64, of unit: Int) async throws {
        let end = passed(unit) + deadlines
        while passed(unit) < end { try await Task.sleep(for: .milliseconds(5)) }
    }

    private func passed(_ unit: Int) -> UInt64 {
        let status = status(unit)
        return status.polls + status.missedPolls + status.unavailablePolls
    }

    func end() async {
        for task in tasks { task.cancel() }
        for task in tasks { _ = await task.result }
    }
}

@Suite("Devices behind one foreign Modbus gateway", .serialized)
struct SharedLineTests {
    /// For each line the share of their deadlines that the good units' polls were counted at the server, in the same time.
    private func pollShares(_ lines: [(plant: PolledLine, peer: ModbusLinePeer)], deadlines: UInt64) async throws -> [Double] {
        let good = (1...10).filter { $0 != 5 }
        var before: [(counts: [Int], statuses: [DeviceStatus])] = []
        for line in lines { before.append((try await line.peer.command("counts"), good.map { line.plant.status($0) })) }
        try await lines[0].plant.pass(deadlines, of: 1)
        var shares: [Double] = []
        for (line, old) in zip(lines, before) {
            let counts = try await line.peer.command("counts")
            var polls = 0
            var due: UInt64 = 0
            for (unit, status) in zip(good, old.statuses) {
                polls += counts[unit - 1] - old.counts[unit - 1]
                let new = line.plant.status(unit)
                due += new.polls + new.missedPolls - status.polls - status.missedPolls
            }
            shares.append(Double(polls) / Double(due))
        }
        return shares
    }

    @Test("scenario 09: one dead unit of ten: the other nine keep 95 % of their polls, counted at the server")
    func oneDead() async throws {
        let peer = try await ModbusLinePeer(units: 10)
        let plant = try PolledLine(port: peer.port, units: 10, period: .milliseconds(100))
        // A line of its own on which all are well: what a busy machine costs, it costs both at the same time.
        let wellPeer = try await ModbusLinePeer(units: 10)
        let wellPlant = try PolledLine(port: wellPeer.port, units: 10, period: .milliseconds(100))
        try await plant.until(1...10, .online)
        try await wellPlant.until(1...10, .online)
        try await peer.command("silent 5")
        try await plant.until([5], .demoted)
        // The first probe is had on credit; from then on they follow the budget's beat.
        while plant.status(5).probes == 0 { try await Task.sleep(for: .milliseconds(5)) }
        var (well, withDead) = (0.0, 0.0)
        // Where even the well line loses polls, the machine is too busy for the comparison to say anything.
        for _ in 0..<4 where well < 0.97 {
            let shares = try await pollShares([(plant, peer), (wellPlant, wellPeer)], deadlines: 80)
            (withDead, well) = (shares[0], shares[1])
        }
        print("share of polls: \(well) when all are well, \(withDead) with a dead unit")
        #expect(withDead >= 0.95 * well)
        await wellPlant.end()
        await wellPeer.stop()
        let connections = try await peer.command("connections")
        #expect(connections == [1, 1, 1], "one connection for all of them, and it stays: \(connections)")
        #expect(plant.log.batches.last { plant.log.descriptor(of: $0.stream)?.device == "d5" }?.isGood == false)
        for unit in (1...10) where unit != 5 { #expect(plant.status(unit).connection == .online) }
        try await peer.command("answer")
        try await plant.until(1...10, .online)
        await plant.end()
        let loud = plant.recorder.lines.filter { $0.level >= .info && $0.metadata["device"] == "d5" }
        let told = loud.compactMap { $0.metadata["to"]?.description }
        #expect(told == ["degraded", "demoted", "online"])
        await peer.stop()
    }

    @Test("scenarios 17 and 18: fifty units of a server that restarts: one session, data again by itself, never called online meanwhile")
    func restart() async throws {
        let first = try await ModbusLinePeer(units: 50)
        let plant = try PolledLine(port: first.port, units: 50, period: .milliseconds(200))
        try await plant.until(1...50, .online)
        await first.stop()
        try await plant.until(1...50, .waiting)
        let statuses = (1...50).map { plant.status($0) }
        #expect(statuses.allSatisfy { !$0.reason.isEmpty })
        let second = try await ModbusLinePeer(port: first.port, units: 50)
        try await plant.until(1...50, .online)
        let connections = try await second.command("connections")
        #expect(connections == [1, 1, 1], "open, most at once, accepted: \(connections)")
        #expect(try await second.command("counts").allSatisfy { $0 > 0 })
        for unit in 1...50 { try await plant.pass(2, of: unit) }
        await plant.end()
        // Bad while it was away, for every device, and no Good sample with a value that was not read.
        for unit in 1...50 {
            let batches = plant.log.batches.filter { plant.log.descriptor(of: $0.stream)?.device == "d\(unit)" }
            #expect(batches.contains { !$0.isGood } && batches.last?.isGood == true)
        }
        await second.stop()
    }

    @Test("scenarios 16 and 18: a server that freezes with its connection open: Bad, not the old value; then data again")
    func frozen() async throws {
        let peer = try await ModbusLinePeer(units: 3)
        let plant = try PolledLine(port: peer.port, units: 3, period: .milliseconds(50), responseTimeout: .milliseconds(60))
        try await plant.until(1...3, .online)
        peer.freeze()
        try await plant.until(1...3, .waiting)
        // A connection to a frozen server can be made, by its kernel; it proves nothing.
        let frozen = plant.log.batches.count
        func timesOnline() -> [Int] { plant.monitors.map { $0.status.transitions.count { $0.to == .online } } }
        let before = timesOnline()
        try await plant.pass(20, of: 1)
        #expect(plant.log.batches.dropFirst(frozen).allSatisfy { !$0.isGood })
        let bad = plant.log.batches.filter { !$0.isGood }
        #expect(bad.allSatisfy { $0.values.allSatisfy { $0 == 0 } })
        #expect(timesOnline() == before)
        peer.thaw()
        try await plant.until(1...3, .online)
        await plant.end()
        let times = Dictionary(grouping: plant.log.batches, by: \.stream).values
        #expect(times.allSatisfy { batches in zip(batches, batches.dropFirst()).allSatisfy { $0.time < $1.time } })
        await peer.stop()
    }

    @Test("a unit with many requests per poll gives way to the others between them")
    func fairness() async throws {
        let peer = try await ModbusLinePeer(units: 2)
        let line = ModbusLine(.tcp(host: "127.0.0.1", port: peer.port))
        let long = ModbusAdapter(name: "long", line: line, unit: 1, reading: ModbusReadSettings(maxRegistersPerRead: 1))
        let short = ModbusAdapter(name: "short", line: line, unit: 2)
        try await long.connect()
        func plan(_ requests: Int) -> ReadPlan {
            let descriptor = StreamDescriptor(device: "d", group: "g", tags: (0..<requests).map { Tag("t\($0)", .uint16) })
            return ReadPlan(
                stream: StreamID(rawValue: UInt32(requests)), descriptor: descriptor,
                requests: (0..<requests).map { ReadRequest(area: 3, start: $0 % 100, count: 1, fields: $0..<$0 + 1) },
                fields: (0..<requests).map { ReadField(tag: $0, area: 3, start: $0 % 100, count: 1, dataType: .uint16) })
        }
        let now = Timestamp(nanoseconds: 1)
        let many = plan(100)
        let task = Task {
            var areGood = true
            for _ in 0..<30 { areGood = try await long.read(many, at: now).batch.isGood && areGood }
            return areGood
        }
        var shortPolls = 0
        // While the long poll goes on, the short ones come through.
        while try await peer.command("counts")[0] < 2900 {
            _ = try await short.read(plan(1), at: now)
            shortPolls += 1
        }
        #expect(shortPolls >= 20, "\(shortPolls)")
        #expect(try await task.value)
        await long.disconnect()
        await peer.stop()
    }
}
