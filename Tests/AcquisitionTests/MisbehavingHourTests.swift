import Foundation
import GatewayCore
import Logging
import Telemetry
import TestKit
import Testing

@testable import Acquisition

/// Devices that are unplugged, replaced and misbehave for an hour, in simulated time.
@Suite("An hour of misbehaviour")
struct MisbehavingHourTests {
    private static let periods = [Duration.milliseconds(500), .seconds(5)]
    private static let timeout = Duration.milliseconds(200)

    /// What happens to a line that some devices share and to a device with a connection of its own; seconds apart, at random.
    private static func misbehave(_ plant: SimulatedPlant, _ shared: SimulatedLine, _ own: SimulatedLine, seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        let end = plant.simulation.now.advanced(by: .seconds(3600))
        while plant.simulation.now < end {
            plant.run(for: .milliseconds(Int64.random(in: 100...20_000, using: &generator)))
            let index = Int.random(in: 1..<plant.members.count, using: &generator)
            let streams = plant.members[index].streams
            let behaviours: [SimulatedUnit.Behaviour] = [
                .answer, .answer, .silent, .refuse, .lossy(0.2), .partial, .silentGroup(streams[Int.random(in: 0...1, using: &generator)]),
            ]
            switch Int.random(in: 0..<12, using: &generator) {
            case 0..<8:
                if let behaviour = behaviours.randomElement(using: &generator) { try await plant.set(behaviour, index) }
            case 8: try await plant.perform { await shared.hangUp() }
            default:
                let states: [SimulatedLine.State] = [.up, .up, .refusing, .blackHole]
                if let state = states.randomElement(using: &generator) { try await plant.perform { await own.set(state) } }
            }
        }
        try await plant.perform { await own.set(.up) }
        for index in plant.members.indices { try await plant.set(.answer, index) }
    }

    @Test("every change is explained once, the budget holds, quality tells the truth, and recovery needs nobody")
    func hour() async throws {
        let seed = seedOfThisRun()
        let plant = SimulatedPlant()
        let shared = plant.line(responseTimeout: MisbehavingHourTests.timeout)
        let own = plant.line(responseTimeout: MisbehavingHourTests.timeout)
        // The first of the shared line is always well: what the others do must not cost it more than their share.
        for number in 0..<6 {
            plant.add(to: shared, periods: MisbehavingHourTests.periods, keepsSamples: true, seed: seed &+ UInt64(number))
        }
        plant.add(to: own, periods: MisbehavingHourTests.periods, keepsSamples: true, seed: seed &+ 100)
        let start = plant.simulation.now
        plant.run(for: .seconds(60))
        try await MisbehavingHourTests.misbehave(plant, shared, own, seed: seed)
        let waited = try await plant.perform { await shared.silence }
        let elapsed = start.duration(to: plant.simulation.now)
        // Five devices may each be one demotion ahead of the budget.
        #expect(waited.inSeconds <= elapsed.inSeconds * 0.05 + 5 * 2 * MisbehavingHourTests.timeout.inSeconds, "seed \(seed): \(waited)")

        plant.run(for: .seconds(120))
        for member in plant.members {
            let status = member.monitor.status
            #expect(status.connection == .online, "seed \(seed): \(member.name) \(status.connection) \(status.reason)")
            #expect(status.transitions.count <= DeviceStatus.transitionsMax && status.reason.utf8.count < 2000)
            #expect(status.transitions.allSatisfy { !$0.reason.isEmpty && $0.from != $0.to }, "seed \(seed): \(status.transitions)")
            #expect(zip(status.transitions, status.transitions.dropFirst()).allSatisfy { $0.to == $1.from }, "seed \(seed)")
        }
        expectEveryDeadlineCounted(plant, since: start, seed)
        expectHonestSamples(plant, seed)
        expectExplanations(plant, seed)
        let well = plant.members[0].monitor.status
        #expect(Double(well.missedPolls) <= 0.05 * Double(well.polls + well.missedPolls), "seed \(seed): \(well)")
        #expect(await plant.end())
    }

    /// In a process of its own: other tests would be seen in its memory.
    @Test("hours of misbehaviour leave the memory as it was after the first")
    func memory() async {
        await #expect(processExitsWith: .success) {
            let seed = seedOfThisRun()
            let plant = SimulatedPlant(isRecorded: false)
            let shared = plant.line(responseTimeout: .milliseconds(200))
            let own = plant.line(responseTimeout: .milliseconds(200))
            for number in 0..<6 { plant.add(to: shared, periods: [.milliseconds(500), .seconds(5)], seed: seed &+ UInt64(number)) }
            plant.add(to: own, periods: [.milliseconds(500), .seconds(5)], seed: seed &+ 100)
            try await MisbehavingHourTests.misbehave(plant, shared, own, seed: seed)
            let before = try MisbehavingHourTests.residentBytes()
            for hour in 1...2 { try await MisbehavingHourTests.misbehave(plant, shared, own, seed: seed &+ UInt64(hour)) }
            let growth = try MisbehavingHourTests.residentBytes() - before
            // A hundred bytes kept of each poll would be 10 MiB.
            #expect(growth < 1 << 20, "seed \(seed): \(growth) bytes more after two hours")
            let (polls, transitions) = plant.members.map(\.monitor.status).reduce((0, 0)) { ($0.0 + $1.polls, $0.1 + $1.transitionCount) }
            #expect(polls > 50_000 && transitions > 100, "seed \(seed): \(polls) polls, \(transitions) changes")
            #expect(await plant.end())
        }
    }

    private static func residentBytes() throws -> Int {
        let statm = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
        let pages = try #require(statm.split(separator: " ").dropFirst().first.flatMap { Int($0) })
        return pages * Int(getpagesize())
    }

    /// Scenario 15: each deadline of the grid is a poll, a report that the device is not there, or a missed poll.
    private func expectEveryDeadlineCounted(_ plant: SimulatedPlant, since start: MonotonicInstant, _ seed: UInt64) {
        for (index, member) in plant.members.enumerated() {
            var deadlines: Int64 = 0
            for period in MisbehavingHourTests.periods {
                let phase = period.nanoseconds / 16 * Int64(index + 1)
                let elapsed = start.duration(to: plant.simulation.now).nanoseconds
                deadlines += 1 + (elapsed - phase) / period.nanoseconds + 1
            }
            let status = member.monitor.status
            let counted = Int64(status.polls + status.unavailablePolls + status.missedPolls)
            // A poll may be under way, or about to begin, for each of the groups.
            #expect(abs(counted - deadlines) <= 2, "seed \(seed): \(member.name) counted \(counted) of \(deadlines)")
        }
    }

    /// Scenario 16: a Good value was read after the time it carries, soon; a Bad one carries none.
    private func expectHonestSamples(_ plant: SimulatedPlant, _ seed: UInt64) {
        var last: [StreamID: Timestamp] = [:]
        for batch in plant.log.batches {
            guard let descriptor = plant.log.descriptor(of: batch.stream) else { continue }
            #expect(last[batch.stream].map { $0 < batch.time } ?? true, "seed \(seed): out of order at \(batch.time)")
            last[batch.stream] = batch.time
            if batch.isGood {
                guard case .uint(let readAt)? = batch.value(of: 0, in: descriptor)?.value else {
                    Issue.record("seed \(seed): a Good sample without a value")
                    continue
                }
                let delay = batch.time.nanoseconds.distance(to: Int64(readAt))
                #expect(delay >= 0 && delay < 5_000_000_000, "seed \(seed): read \(delay) ns after its time")
            } else {
                #expect(batch.values.allSatisfy { $0 == 0 }, "seed \(seed): a Bad sample carries something")
            }
        }
    }

    private func expectExplanations(_ plant: SimulatedPlant, _ seed: UInt64) {
        let loud = plant.recorder.lines.filter { $0.level >= .info }
        #expect(loud.count > 20, "seed \(seed)")
        var said: Set<String> = []
        for line in loud {
            let text = { (key: String) in line.metadata[key]?.description ?? "" }
            #expect(!text("reason").isEmpty && !text("device").isEmpty && text("trace_id").count == 32, "seed \(seed): \(line)")
            #expect(said.insert("\(text("device")) \(text("trace_id")) \(text("to"))").inserted, "seed \(seed): said twice: \(line)")
        }
    }

    /// A poll that is due may have to wait until the line has done with those before it.
    private static let queue = timeout * 2 * 3

    @Test("tags of a device that falls silent or is cut off are Bad within one period of each of its groups", arguments: [0, 1, 2])
    func badInTime(kind: Int) async throws {
        let seed = seedOfThisRun()
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<20 {
            let plant = SimulatedPlant()
            let line = plant.line(responseTimeout: MisbehavingHourTests.timeout)
            for _ in 0..<3 { plant.add(to: line, periods: MisbehavingHourTests.periods, keepsSamples: true) }
            plant.run(for: .milliseconds(Int64.random(in: 10_000...20_000, using: &generator)))
            switch kind {
            case 0: try await plant.set(.silent, 1)
            case 1: try await plant.perform { await line.set(.refusing) }
            default: try await plant.perform { await line.set(.blackHole) }
            }
            let fault = plant.simulation.now
            plant.run(for: .seconds(60))
            for (period, stream) in zip(MisbehavingHourTests.periods, plant.members[1].streams) {
                let batches = plant.log.batches.filter { $0.stream == stream }
                let bad = batches.first { !$0.isGood }
                let limit = Timestamp(nanoseconds: 1_700_000_000_000_000_000 + fault.nanoseconds).advanced(by: period + Self.queue)
                #expect(bad.map { $0.time <= limit } ?? false, "seed \(seed), \(kind), \(period)")
                #expect(batches.last?.isGood == false, "seed \(seed): nothing Good comes after it")
            }
            #expect(await plant.end())
        }
    }
}
