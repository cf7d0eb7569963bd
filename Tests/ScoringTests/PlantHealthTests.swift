import PlantSimulation
import Telemetry
import Testing

@testable import Scoring

/// The scorer on the simulated plant, as the demonstration shows it.
@Suite struct PlantHealthTests {
    @Test(arguments: seeds(0..<24))
    func wearingPumpIsSeenWithinThirtySeconds(seed: UInt64) throws {
        var pump = ScoredMachine(.feedPump, seed: seed, faults: FaultScript.demo.faults)
        let assessments = pump.run(seconds: 29)
        #expect(assessments.prefix(8).allSatisfy { $0.health == 100 }, "seed \(seed): before the wear begins")
        let last = try #require(assessments.last)
        #expect(last.health < 60, "seed \(seed)")
        #expect(last.state == .alarm)
        let worst = try #require(last.contributions.first)
        #expect(["bearingTemperature", "vibrationRMS"].contains(worst.tag), "seed \(seed): \(last.reason)")
        #expect(worst.direction == .above)
    }

    @Test(arguments: MachineKind.allCases, seeds(0..<20))
    func healthyMachinesStayHealthy(kind: MachineKind, seed: UInt64) throws {
        var machine = ScoredMachine(kind, seed: seed)
        let worst = try #require(machine.run(seconds: 900).min { $0.health < $1.health })
        #expect(worst.health >= 80, "\(kind.rawValue), seed \(seed): \(worst.reason)")
    }

    @Test(arguments: [
        (MachineKind.feedPump, FaultKind.cavitation), (.cncSpindle, .bearingWear), (.cncSpindle, .coolantLoss),
        (.airCompressor, .bearingWear), (.airCompressor, .oilLoss), (.airCompressor, .valveLeak),
    ])
    func everyFaultIsSeen(kind: MachineKind, fault: FaultKind) {
        let fault = ScriptedFault(machine: kind, kind: fault, start: 300, duration: 30, from: 0, to: 1)
        var machine = ScoredMachine(kind, seed: 2, faults: [fault])
        let assessments = machine.run(seconds: 400)
        #expect(assessments.prefix(300).allSatisfy { $0.health >= 80 })
        #expect(assessments.contains { $0.health < 80 }, "lowest health \(assessments.map(\.health).min() ?? 100)")
    }

    @Test func slowPollingSeesTheWearAsWell() throws {
        let fault = ScriptedFault(machine: .feedPump, kind: .bearingWear, start: 400, duration: 60, from: 0, to: 1)
        var pump = ScoredMachine(.feedPump, seed: 4, faults: [fault])
        let assessments = pump.run(seconds: 500, period: 1)
        #expect(assessments.prefix(400).allSatisfy { $0.health >= 80 })
        #expect(try #require(assessments.last).health < 60)
    }
}
