import GatewayCore
import Logging
import Telemetry
import TestKit
import Testing

@testable import Acquisition

@Suite("Units that share a line, in simulated time")
struct LineSharingTests {
    private func silence(of plant: SimulatedPlant, _ line: SimulatedLine) async throws -> Duration {
        try await plant.perform { await line.silence }
    }

    @Test(
        "scenario 09: one silent unit of ten leaves the other nine 95 % of their polls, and costs the line 5 % at most",
        arguments: [100, 1000])
    func oneSilent(periodMilliseconds: Int) async throws {
        let plant = SimulatedPlant()
        let line = plant.line()
        for _ in 0..<10 { plant.add(to: line, periods: [.milliseconds(periodMilliseconds)]) }
        plant.run(for: .seconds(60))
        var before: [Int] = []
        for index in 0..<10 { before.append(try await plant.answered(index)) }
        plant.run(for: .seconds(600))
        var well: [Int] = []
        for index in 0..<10 { well.append(try await plant.answered(index) - before[index]) }
        try await plant.set(.silent, 4)
        var start: [Int] = []
        for index in 0..<10 { start.append(try await plant.answered(index)) }
        plant.run(for: .seconds(600))
        for index in 0..<10 where index != 4 {
            let polls = try await plant.answered(index) - start[index]
            #expect(Double(polls) >= 0.95 * Double(well[index]), "device \(index): \(polls) of \(well[index])")
        }
        let waited = try await silence(of: plant, line)
        #expect(waited <= .seconds(30), "of 600 s")
        #expect(waited >= .seconds(15), "it must be probed all the same")
        #expect(plant.members[4].monitor.status.connection == .demoted)
        #expect(plant.members[4].monitor.status.silence == waited)
        #expect(try await plant.perform { await line.connections } == 1, "the connection stays")
        // It comes back by itself, with the first probe that is answered.
        try await plant.set(.answer, 4)
        plant.run(for: .seconds(70))
        #expect(plant.members[4].monitor.status.connection == .online)
        #expect(await plant.end())
    }

    @Test("scenario 11: half of the devices of a line are broken, and polling goes on; it waits no longer for five than for one")
    func manySilent() async throws {
        let plant = SimulatedPlant()
        let line = plant.line()
        for _ in 0..<10 { plant.add(to: line, periods: [.seconds(1), .seconds(600)]) }
        plant.run(for: .seconds(10))
        for index in 0..<5 { try await plant.set(.silent, index) }
        plant.run(for: .seconds(200))
        let waitedBefore = try await silence(of: plant, line)
        var start: [Int] = []
        for index in 0..<10 { start.append(try await plant.answered(index)) }
        plant.run(for: .seconds(3600))
        for index in 5..<10 {
            let polls = try await plant.answered(index) - start[index]
            #expect(polls >= 3606 * 95 / 100, "device \(index): \(polls)")
        }
        let waited = try await silence(of: plant, line) - waitedBefore
        #expect(waited <= .seconds(180), "5 % of an hour, for all of them together")
        for index in 0..<5 { #expect(plant.members[index].monitor.status.probes >= 10, "each has its turn") }
        for index in 0..<5 { try await plant.set(.answer, index) }
        plant.run(for: .seconds(300))
        #expect(plant.members.allSatisfy { $0.monitor.status.connection == .online })
        #expect(await plant.end())
    }

    @Test("scenario 12: a unit that is demoted on one line says nothing about the same one on another")
    func otherLine() async throws {
        let plant = SimulatedPlant()
        let lines = [plant.line(), plant.line()]
        for line in lines { for _ in 0..<2 { plant.add(to: line) } }
        plant.run(for: .seconds(5))
        try await plant.set(.silent, 0)
        plant.run(for: .seconds(60))
        #expect(plant.members.map { $0.monitor.status.connection } == [.demoted, .online, .online, .online])
        #expect(await plant.end())
    }

    @Test("scenario 10: an address that nobody is at blocks nobody else")
    func unreachable() async throws {
        let plant = SimulatedPlant()
        let dead = plant.line()
        let good = plant.line()
        try await plant.perform { await dead.set(.blackHole) }
        for line in [dead, good] { for _ in 0..<3 { plant.add(to: line) } }
        plant.run(for: .seconds(100))
        for index in 3..<6 {
            #expect(try await plant.answered(index) >= 100)
            #expect(plant.members[index].monitor.status.missedPolls == 0)
        }
        let states = plant.members.prefix(3).map { $0.monitor.status.connection }
        #expect(states.allSatisfy { $0 == .waiting || $0 == .connecting }, "\(states)")
        #expect(await plant.end())
    }

    @Test("a unit that refuses everything answers: it is never demoted")
    func refusal() async throws {
        let plant = SimulatedPlant()
        let line = plant.line()
        for _ in 0..<2 { plant.add(to: line) }
        try await plant.set(.refuse, 0)
        plant.run(for: .seconds(300))
        #expect(plant.members[0].monitor.status.connection == .online)
        #expect(plant.members[0].monitor.status.faultyPolls >= 299)
        #expect(try await silence(of: plant, line) == .zero)
        #expect(await plant.end())
    }

    @Test("scenario 17: a server that restarts sees one connection for fifty units, and one attempt at a time while it is away")
    func restart() async throws {
        let plant = SimulatedPlant()
        let line = plant.line(answerTime: .milliseconds(1))
        for _ in 0..<50 { plant.add(to: line) }
        plant.run(for: .seconds(10))
        try await plant.perform { await line.set(.refusing) }
        plant.run(for: .seconds(120))
        let attempts = try await plant.perform { await line.attempts }
        #expect(attempts.count >= 5 && attempts.count <= 16, "\(attempts.count) attempts in two minutes")
        #expect(plant.members.allSatisfy { $0.monitor.status.connection != .online })
        try await plant.perform { await line.set(.up) }
        plant.run(for: .seconds(32))
        #expect(try await plant.perform { await line.connections } == 2)
        #expect(plant.members.allSatisfy { $0.monitor.status.connection == .online })
        #expect(await plant.end())
    }

    @Test("fifty connections to one server that restarts come back spread, and none tries more often than its backoff lets it")
    func manyConnections() async throws {
        let plant = SimulatedPlant()
        let lines = (0..<50).map { _ in plant.line(answerTime: .milliseconds(1)) }
        for line in lines { plant.add(to: line) }
        plant.run(for: .seconds(10))
        for line in lines { try await plant.perform { await line.set(.refusing) } }
        plant.run(for: .seconds(60))
        var attempts: [MonotonicInstant] = []
        for line in lines {
            let all = try await plant.perform { await line.attempts }
            #expect(all.count <= 12)
            attempts += all.dropFirst()
        }
        // Once the waits have grown, no tenth of a second has more than a few attempts.
        let start = attempts.min()?.advanced(by: .seconds(20)) ?? plant.simulation.now
        var perSlot: [Int64: Int] = [:]
        for attempt in attempts where attempt > start { perSlot[attempt.nanoseconds / 100_000_000, default: 0] += 1 }
        #expect((perSlot.values.max() ?? 0) <= 10, "\(perSlot)")
        #expect(await plant.end())
    }

    @Test(
        "scenario 18: a server that vanishes without a word is noticed by its silence, never called online, and found again",
        arguments: [1, 5])
    func vanished(units: Int) async throws {
        let plant = SimulatedPlant()
        let line = plant.line()
        for _ in 0..<units { plant.add(to: line, periods: units == 1 ? [.seconds(600)] : [.seconds(1)]) }
        plant.run(for: .seconds(5))
        try await plant.perform { await line.set(.blackHole) }
        plant.run(for: .seconds(620))
        #expect(plant.members.allSatisfy { $0.monitor.status.connection != .online })
        #expect(try await plant.perform { await line.isConnected } == false, "the dead connection was given up")
        try await plant.perform { await line.set(.up) }
        plant.run(for: .seconds(60))
        #expect(plant.members.allSatisfy { $0.monitor.status.connection == .online })
        #expect(try await plant.perform { await line.connections } == 2)
        #expect(await plant.end())
    }

    @Test("a server that accepts, answers nothing and hangs up is never online, and tried ever more rarely")
    func acceptsAndHangsUp() async throws {
        let plant = SimulatedPlant()
        let line = plant.line()
        plant.add(to: line)
        try await plant.set(.silent, 0)
        plant.run(for: .seconds(3600))
        let status = plant.members[0].monitor.status
        #expect(status.transitions.allSatisfy { $0.to != .online })
        #expect(try await plant.perform { await line.attempts.count } <= 200)
        #expect(await plant.end())
    }

    @Test("scenario 19: a weekend without the device: tried on, nothing grows, and Monday's first answer is enough")
    func weekend() async throws {
        let plant = SimulatedPlant()
        let line = plant.line()
        for _ in 0..<2 { plant.add(to: line, periods: [.seconds(10)], keepsSamples: true) }
        try await plant.perform { await line.set(.refusing) }
        plant.run(for: .seconds(60 * 3600))
        let attempts = try await plant.perform { await line.attempts.count }
        #expect(attempts > 60 * 3600 / 31 && attempts < 60 * 3600 / 14, "\(attempts) attempts")
        // One batch of Bad per stream says it all.
        #expect(plant.log.batches.count == 2)
        #expect(plant.log.batches.allSatisfy { $0.quality.allSatisfy { $0.status == .badNotConnected } })
        for member in plant.members {
            #expect(member.monitor.status.transitions.count <= DeviceStatus.transitionsMax)
            #expect(member.monitor.status.unavailablePolls >= 60 * 360)
            #expect(member.monitor.status.polls == 0)
        }
        // Said once each, aloud.
        #expect(plant.recorder.lines.filter { $0.level >= .info }.count == 2)
        try await plant.perform { await line.set(.up) }
        plant.run(for: .seconds(41))
        #expect(plant.members.allSatisfy { $0.monitor.status.connection == .online })
        #expect(plant.log.batches.suffix(2).allSatisfy { $0.isGood })
        #expect(await plant.end())
    }

    @Test(
        "a unit that answers some requests and never others takes no more of the line than a silent one, and its other groups stay",
        arguments: [0, 1, 2])
    func partlySilent(kind: Int) async throws {
        let plant = SimulatedPlant()
        let line = plant.line()
        for _ in 0..<5 { plant.add(to: line, periods: [.seconds(1), .seconds(2)]) }
        plant.run(for: .seconds(200))
        // Some requests of every group, the slower group, or the faster one, which is also what a probe asks first.
        try await plant.set(kind == 0 ? .partial : .silentGroup(plant.members[0].streams[2 - kind]), 0)
        var start: [Int] = []
        for index in 0..<5 { start.append(try await plant.answered(index)) }
        plant.run(for: .seconds(1000))
        for index in (kind == 0 ? 1 : 0)..<5 {
            let polls = try await plant.answered(index) - start[index]
            let expected = index == 0 ? [0, 1000, 500][kind] : 1500
            #expect(Double(polls) >= Double(expected) * 0.94, "device \(index): \(polls)")
        }
        #expect(try await silence(of: plant, line) <= .seconds(62))
        #expect(plant.members[0].monitor.status.connection == .online, "it answers")
        #expect(await plant.end())
    }

    @Test("a device that wavers at every other poll is told of now and then, not each time; the changes are all counted")
    func wavering() async throws {
        let plant = SimulatedPlant()
        let line = plant.line(responseTimeout: .milliseconds(100))
        plant.add(to: line, retries: 0, seed: 5)
        try await plant.set(.lossy(0.3), 0)
        plant.run(for: .seconds(3600))
        let loud = plant.recorder.lines.filter { $0.level >= .info && $0.metadata["to"] == "degraded" }
        #expect(loud.count >= 10 && loud.count <= 61, "\(loud.count)")
        #expect(plant.members[0].monitor.status.transitionCount > 500)
        #expect(await plant.end())
    }

    @Test("a group that is polled every ten minutes is Bad as soon as its device is known to be gone, and Good as soon as it is back")
    func rareGroup() async throws {
        let plant = SimulatedPlant()
        let line = plant.line()
        for _ in 0..<2 { plant.add(to: line, periods: [.seconds(1), .seconds(600)], keepsSamples: true) }
        plant.run(for: .seconds(100))
        try await plant.set(.silent, 0)
        plant.run(for: .seconds(15))
        let rare = plant.members[0].streams[1]
        #expect(plant.log.batches.last { $0.stream == rare }?.quality.first?.status == .badTimeout)
        try await plant.set(.answer, 0)
        plant.run(for: .seconds(60))
        #expect(plant.log.batches.last { $0.stream == rare }?.isGood == true)
        #expect(await plant.end())
    }

    @Test("one device is taken away while it shares a connection: the others do not notice")
    func leaving() async throws {
        let plant = SimulatedPlant()
        let line = plant.line()
        for _ in 0..<3 { plant.add(to: line) }
        plant.run(for: .seconds(10))
        plant.members[1].task.cancel()
        plant.run(for: .seconds(10))
        #expect(try await plant.perform { await line.connections } == 1)
        #expect(try await plant.perform { await line.isConnected })
        for index in [0, 2] { #expect(plant.members[index].monitor.status.faultyPolls == 0) }
        #expect(await plant.end())
        #expect(try await plant.perform { await line.isConnected } == false, "the last one closes it")
    }
}
