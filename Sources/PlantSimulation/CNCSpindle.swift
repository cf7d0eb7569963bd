/// A machining spindle that works through a part with three tools, over and over: a machine of many modes.
///
/// Holding registers: 0 spindleSpeed uint16 1/min; 1 spindleLoad uint16 ×0.1 %; 2 bearingTemperature int16 ×0.1 °C;
/// 3 vibrationRMS uint16 ×0.01 mm/s; 4 coolantFlow uint16 ×0.1 L/min; 5–6 axisPosition float32 mm; 8 toolNumber uint16.
///
/// Each tool is changed at standstill, spins up, cuts along the axis and spins down. Load comes from acceleration, friction and the
/// cut; heat from load and speed; vibration from speed and the cut. A worn bearing rubs and shakes; lost coolant heats the cut.
package struct CNCSpindle: SimulatedMachine {
    package var name: String { MachineKind.cncSpindle.rawValue }
    package var registers: [UInt16] { block.words }

    private struct Operation {
        let speed: Double
        let load: Double
        let vibration: Double
        let travel: Double
    }

    private enum Phase { case toolChange, spinUp, cut, spinDown }

    private static let operations = [
        Operation(speed: 8000, load: 42, vibration: 0.9, travel: 320),
        Operation(speed: 9000, load: 36, vibration: 0.7, travel: 180),
        Operation(speed: 8500, load: 39, vibration: 0.8, travel: 260),
    ]

    private var random: RandomSource
    private var clock = SimulationClock()
    private var block = RegisterBlock(count: 9)
    private let faults: [ScriptedFault]
    private var operation: Int
    private var phase = Phase.toolChange
    private var inPhase = 0.0
    private var hardness: Wander
    private var cutFactor = 1.0
    private var speed = Lag(0, timeConstant: 0.12)
    private var temperature = Lag(39, timeConstant: 8)
    private var coolant = Lag(4, timeConstant: 0.25)
    private var position = 0.0

    package init(seed: UInt64, faults: [ScriptedFault] = []) {
        var random = RandomSource(seed: seed)
        operation = Int(random.next() % 3)
        hardness = Wander(deviation: 0.02, timeConstant: 30, from: &random)
        self.random = random
        self.faults = faults.filter { $0.machine == .cncSpindle }
        step(0, at: 0)
    }

    package mutating func advance(by seconds: Double) {
        var clock = clock
        clock.advance(by: seconds) { step($0, at: $1) }
        self.clock = clock
    }

    /// Seconds; a real cut lasts longer.
    private static func duration(of phase: Phase) -> Double {
        switch phase {
        case .toolChange: 0.4
        case .spinUp: 0.4
        case .cut: 1.2
        case .spinDown: 0.3
        }
    }

    private mutating func nextPhase() {
        switch phase {
        case .toolChange: phase = .spinUp
        case .spinUp:
            phase = .cut
            cutFactor = 1 + hardness.value + 0.015 * random.gaussian()
        case .cut: phase = .spinDown
        case .spinDown:
            phase = .toolChange
            operation = (operation + 1) % CNCSpindle.operations.count
            position = 0
        }
    }

    private mutating func step(_ seconds: Double, at elapsed: Double) {
        inPhase += seconds
        while inPhase >= CNCSpindle.duration(of: phase) {
            inPhase -= CNCSpindle.duration(of: phase)
            nextPhase()
        }
        hardness.advance(by: seconds, &random)
        let wear = faults.severity(of: .bearingWear, at: elapsed)
        let dry = faults.severity(of: .coolantLoss, at: elapsed)
        let tool = CNCSpindle.operations[operation]
        let isCutting = phase == .cut

        let before = speed.value
        speed.advance(by: seconds, towards: phase == .spinUp || isCutting ? tool.speed : 0)
        let acceleration = seconds > 0 ? max(speed.value - before, 0) / seconds : 0
        let ratio = speed.value / 10_000
        let friction = (3 + 12 * wear) * ratio
        let load = 1.5 + friction + acceleration * 0.000_25 + (isCutting ? tool.load * cutFactor * (1 + 0.15 * dry) : 0)
        if isCutting { position += tool.travel * seconds / CNCSpindle.duration(of: .cut) }
        coolant.advance(by: seconds, towards: (isCutting ? 12 : 4) * (1 - 0.95 * dry))
        temperature.advance(
            by: seconds, towards: 25 + 12 * ratio + 8 * friction + (isCutting ? 0.28 * tool.load * (1 + 2 * dry) : 0))
        let vibration = 0.25 + (1.1 + 5 * wear) * ratio + (isCutting ? tool.vibration * cutFactor * (1 + 0.6 * dry) : 0)

        block.setUnsigned(0, speed.value + (speed.value > 100 ? 6 * random.gaussian() : 0))
        block.setUnsigned(1, load + 0.6 * random.gaussian(), scale: 0.1)
        block.setSigned(2, temperature.value + 0.1 * random.gaussian(), scale: 0.1)
        block.setUnsigned(3, vibration + 0.05 * random.gaussian(), scale: 0.01)
        block.setUnsigned(4, coolant.value + 0.12 * random.gaussian(), scale: 0.1)
        block.set(5, Float(position))
        block.set(8, UInt16(operation + 1))
    }
}
