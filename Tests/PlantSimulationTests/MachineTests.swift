import Testing

@testable import PlantSimulation

@Suite struct MachineTests {
    /// The registers of every poll, with a poll each `period` seconds.
    private func polls(
        _ kind: MachineKind, seed: UInt64 = 1, faults: [ScriptedFault] = [], seconds: Double, period: Double = 0.1
    ) -> [[UInt16]] {
        var machine = kind.make(seed: seed, faults: faults)
        return (0..<Int((seconds / period).rounded())).map { _ in
            machine.advance(by: period)
            return machine.registers
        }
    }

    private func mean(_ polls: some Collection<[UInt16]>, _ address: Int) -> Double {
        polls.reduce(0) { $0 + Double(Int16(bitPattern: $1[address])) } / Double(polls.count)
    }

    private func constantly(_ machine: MachineKind, _ kind: FaultKind, _ severity: Double = 1) -> [ScriptedFault] {
        [ScriptedFault(machine: machine, kind: kind, start: 0, duration: 0, from: severity, to: severity)]
    }

    @Test(arguments: MachineKind.allCases)
    func sameSeedSamePlant(kind: MachineKind) {
        #expect(polls(kind, seed: 7, seconds: 20) == polls(kind, seed: 7, seconds: 20))
        #expect(polls(kind, seed: 7, seconds: 20) != polls(kind, seed: 8, seconds: 20))
        #expect(kind.make(seed: 1).name == kind.rawValue)
    }

    @Test(arguments: MachineKind.allCases)
    func timesThatAreNoneDoNothing(kind: MachineKind) {
        var machine = kind.make(seed: 3)
        let before = machine.registers
        for seconds in [0, -1, Double.nan, Double.infinity, -Double.infinity] { machine.advance(by: seconds) }
        #expect(machine.registers == before)
        machine.advance(by: 1e7)
        #expect(machine.registers.count == before.count)
    }

    @Test(arguments: MachineKind.allCases)
    func faultsOfOtherMachinesAreIgnored(kind: MachineKind) {
        let others = MachineKind.allCases.filter { $0 != kind }.flatMap { other in
            other.faultKinds.flatMap { constantly(other, $0) }
        }
        #expect(polls(kind, faults: others, seconds: 5) == polls(kind, seconds: 5))
    }

    /// Register, and the range in which its mean must lie, in raw units.
    static let operatingPoints: [(MachineKind, Int, ClosedRange<Double>)] = [
        (.feedPump, 0, 480...520), (.feedPump, 1, 155...175), (.feedPump, 2, 1550...1680), (.feedPump, 3, 580...660),
        (.feedPump, 4, 5400...6200), (.feedPump, 5, 2920...3000), (.cncSpindle, 2, 460...560), (.cncSpindle, 4, 70...100),
        (.airCompressor, 0, 710...740), (.airCompressor, 1, 730...800), (.airCompressor, 4, 305...315), (.airCompressor, 5, 64...72),
    ]

    @Test(arguments: [0.001, 0.02, 0.1, 0.5, 1])
    func operatingPointsDoNotDependOnTheStep(period: Double) {
        for (kind, address, range) in MachineTests.operatingPoints {
            // The first quarter is left out: the machines warm up.
            let seconds = period < 0.01 ? 30.0 : 200
            let seen = polls(kind, seconds: seconds, period: period)
            let value = mean(seen.dropFirst(seen.count / 4), address)
            #expect(range.contains(value), "\(kind.rawValue) register \(address) at \(period) s")
        }
    }

    @Test func pumpIdentifiesItself() {
        let registers = FeedPump(seed: 5).registers
        #expect(registers.count == 18)
        #expect(registers[8] & 1 == 1)
        let serial = registers[10...17].flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
        #expect(serial.count == 16)
        #expect(String(decoding: serial, as: UTF8.self).hasPrefix("FP-3200-"))
        #expect(serial.allSatisfy { $0 > 32 && $0 < 127 })
        let before = UInt32(registers[6]) << 16 | UInt32(registers[7])
        var pump = FeedPump(seed: 5)
        pump.advance(by: 3600)
        #expect(UInt32(pump.registers[6]) << 16 | UInt32(pump.registers[7]) == before + 1)
    }

    @Test func pumpCurrentFollowsItsFlow() {
        let seen = polls(.feedPump, seconds: 300)
        let (flow, current) = (mean(seen, 2), mean(seen, 4))
        var (both, flowSquares, currentSquares) = (0.0, 0.0, 0.0)
        for registers in seen {
            let (a, b) = (Double(registers[2]) - flow, Double(registers[4]) - current)
            both += a * b
            flowSquares += a * a
            currentSquares += b * b
        }
        #expect(both / (flowSquares * currentSquares).squareRoot() > 0.8)
    }

    @Test func wornBearingShakesThenHeatsThenDrawsCurrent() {
        let healthy = polls(.feedPump, seconds: 60)
        let worn = polls(.feedPump, faults: constantly(.feedPump, .bearingWear), seconds: 60)
        #expect(mean(worn, 1) > 3 * mean(healthy, 1))
        #expect(mean(worn.suffix(200), 0) > mean(healthy.suffix(200), 0) + 300)
        #expect(mean(worn.suffix(200), 4) > mean(healthy.suffix(200), 4) + 100)
        // Vibration is there at once, the heat takes its time.
        #expect(mean(worn.prefix(10), 1) > 3 * mean(healthy.prefix(10), 1))
        #expect(mean(worn.prefix(10), 0) < mean(healthy.suffix(200), 0) + 150)
    }

    @Test func cavitatingPumpLosesPressure() {
        let healthy = polls(.feedPump, seconds: 20)
        let cavitating = polls(.feedPump, faults: constantly(.feedPump, .cavitation), seconds: 20)
        #expect(mean(cavitating, 3) < mean(healthy, 3) - 50)
        #expect(mean(cavitating, 2) < mean(healthy, 2) - 100)
        #expect(mean(cavitating, 1) > mean(healthy, 1) + 100)
    }

    @Test func spindleWorksThroughItsTools() {
        let seen = polls(.cncSpindle, seconds: 30)
        #expect(Set(seen.map { $0[8] }) == [1, 2, 3])
        #expect(seen.contains { $0[0] < 500 } && seen.contains { $0[0] > 7500 })
        #expect(seen.contains { $0[1] < 50 } && seen.contains { $0[1] > 350 })
        let positions = seen.map { Float(bitPattern: UInt32($0[5]) << 16 | UInt32($0[6])) }
        #expect(positions.allSatisfy { $0 >= 0 && $0 < 350 } && positions.contains { $0 > 100 })
    }

    @Test func spindleFaultsShow() {
        let healthy = polls(.cncSpindle, seconds: 60)
        let dry = polls(.cncSpindle, faults: constantly(.cncSpindle, .coolantLoss), seconds: 60)
        let worn = polls(.cncSpindle, faults: constantly(.cncSpindle, .bearingWear), seconds: 60)
        #expect(mean(dry, 4) < 0.2 * mean(healthy, 4))
        #expect(mean(dry.suffix(200), 2) > mean(healthy.suffix(200), 2) + 30)
        #expect(mean(worn, 3) > 2 * mean(healthy, 3))
    }

    @Test func compressorKeepsItsPressureBand() {
        let seen = polls(.airCompressor, seconds: 120)
        #expect(seen.allSatisfy { (660...790).contains($0[0]) })
        #expect(Set(seen.map { $0[6] & 1 }) == [0, 1])
        let energies = seen.map { registers in
            Double(bitPattern: registers[8...11].reduce(UInt64(0)) { $0 << 16 | UInt64($1) })
        }
        #expect(zip(energies, energies.dropFirst()).allSatisfy { $0 < $1 })
        #expect(energies.first.map { $0 > 50_000 && $0 < 60_000 } == true)
    }

    @Test func compressorFaultsShow() {
        let healthy = polls(.airCompressor, seconds: 60)
        let leaking = polls(.airCompressor, faults: constantly(.airCompressor, .valveLeak), seconds: 60)
        let dry = polls(.airCompressor, faults: constantly(.airCompressor, .oilLoss), seconds: 60)
        let worn = polls(.airCompressor, faults: constantly(.airCompressor, .bearingWear), seconds: 60)
        #expect(leaking.filter { $0[6] == 1 }.count > healthy.filter { $0[6] == 1 }.count)
        #expect(mean(leaking, 0) < mean(healthy, 0))
        #expect(mean(dry, 4) < 0.5 * mean(healthy, 4))
        #expect(mean(dry.suffix(200), 1) > mean(healthy.suffix(200), 1) + 100)
        #expect(mean(worn, 3) > 2 * mean(healthy, 3))
    }

    @Test func registersHoldTheEndsOfTheirRange() {
        var block = RegisterBlock(count: 4)
        block.setUnsigned(0, -3)
        block.setUnsigned(1, 1e9)
        block.setSigned(2, -1e9, scale: 0.1)
        block.setSigned(3, -12.34, scale: 0.1)
        #expect(block.words == [0, 65_535, 0x8000, UInt16(bitPattern: -123)])
        block.set(0, 1.5 as Float)
        #expect(block.words[0...1] == [0x3FC0, 0])
    }

    @Test func gaussianHasMeanZeroAndDeviationOne() {
        var random = RandomSource(seed: 42)
        let numbers = (0..<20_000).map { _ in random.gaussian() }
        let mean = numbers.reduce(0, +) / 20_000
        let variance = numbers.reduce(0) { $0 + $1 * $1 } / 20_000
        #expect(abs(mean) < 0.03)
        #expect(abs(variance - 1) < 0.04)
        let tail = numbers.filter { abs($0) > 1.96 }.count
        #expect((700...1300).contains(tail))
    }
}
