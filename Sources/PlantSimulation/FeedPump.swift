/// A centrifugal feed pump with a speed-controlled motor: register map and physics of the demonstration's first machine.
///
/// Holding registers: 0 bearingTemperature int16 ×0.1 °C; 1 vibrationRMS uint16 ×0.01 mm/s; 2 flow uint16 ×0.1 m³/h;
/// 3 dischargePressure uint16 ×0.01 bar; 4 motorCurrent uint16 ×0.01 A; 5 speed uint16 1/min; 6–7 runHours uint32;
/// 8 status, bit 0 running; 10–17 serial number, 16 ASCII characters.
///
/// The operating point is where the pump's curve (head falls with the square of the flow, affinity laws for the speed) meets the
/// plant's (static head plus resistance); the current follows from the hydraulic power, the efficiency and the bearing's friction.
/// A worn bearing rubs: it shakes at once, heats with its thermal time constant and costs a little current.
package struct FeedPump: SimulatedMachine {
    package var name: String { MachineKind.feedPump.rawValue }
    package var registers: [UInt16] { block.words }

    private static let ratedSpeed = 2960.0
    private static let ambientTemperature = 24.0
    /// How much warmer than its surroundings a healthy bearing runs, in kelvin.
    private static let bearingRise = 26.0
    /// Seconds; a real bearing housing needs some minutes.
    private static let bearingTimeConstant = 4.0

    private var random: RandomSource
    private var clock = SimulationClock()
    private var block = RegisterBlock(count: 18)
    private let faults: [ScriptedFault]
    private var demand: Wander
    private var draught: Wander
    private var looseness: Wander
    private var speed = Lag(FeedPump.ratedSpeed, timeConstant: 0.8)
    private var temperature = Lag(FeedPump.ambientTemperature + FeedPump.bearingRise, timeConstant: FeedPump.bearingTimeConstant)
    private let runHoursAtStart: Double

    package init(seed: UInt64, faults: [ScriptedFault] = []) {
        var random = RandomSource(seed: seed)
        demand = Wander(deviation: 0.02, timeConstant: 3, from: &random)
        draught = Wander(deviation: 0.25, timeConstant: 20, from: &random)
        looseness = Wander(deviation: 0.04, timeConstant: 1, from: &random)
        runHoursAtStart = 8000 + Double(random.next() % 4000) + 0.25
        let digits = String(random.next() % 100_000_000)
        block.set(10, ascii: "FP-3200-" + String(repeating: "0", count: 8 - digits.count) + digits, registerCount: 8)
        block.set(8, 1 as UInt16)
        self.random = random
        self.faults = faults.filter { $0.machine == .feedPump }
        step(0, at: 0)
    }

    package mutating func advance(by seconds: Double) {
        var clock = clock
        clock.advance(by: seconds) { step($0, at: $1) }
        self.clock = clock
    }

    private mutating func step(_ seconds: Double, at elapsed: Double) {
        let wear = faults.severity(of: .bearingWear, at: elapsed)
        let cavitation = faults.severity(of: .cavitation, at: elapsed)
        demand.advance(by: seconds, &random)
        draught.advance(by: seconds, &random)
        looseness.advance(by: seconds, &random)

        // The drive asks for more speed as consumers open; their valves lower the plant's resistance.
        speed.advance(by: seconds, towards: FeedPump.ratedSpeed * (1 + 0.25 * demand.value))
        let ratio = speed.value / FeedPump.ratedSpeed
        let resistance = 0.000_32 / (1 + demand.value)
        let shutOffHead = 92.0 * ratio * ratio * (1 - 0.25 * cavitation)
        let staticHead = 30.0
        let flow = (max(shutOffHead - staticHead, 0) / (0.001_1 + resistance * 4)).squareRoot() * (1 - 0.1 * cavitation)
        let head = shutOffHead - 0.001_1 * flow * flow
        let pressure = head * 0.0981

        // Hydraulic power in kW from m³/h and m, over an efficiency that falls off the best point.
        let hydraulicPower = flow * head * 9.81 / 3600
        let offBest = flow / 165 - 1
        let efficiency = max(0.78 - 0.6 * offBest * offBest, 0.2)
        let friction = (0.5 + 2.2 * wear) * ratio
        let shaftPower = hydraulicPower / efficiency + friction
        let activeCurrent = shaftPower / (0.4 * 1.732 * 0.93)
        let current = (activeCurrent * activeCurrent + 14 * 14).squareRoot()

        temperature.advance(
            by: seconds,
            towards: FeedPump.ambientTemperature + draught.value + FeedPump.bearingRise * friction / 0.5 * (1 - 0.45 * wear))
        let unsteadiness = 1 + 8 * cavitation + 4 * wear
        let vibration =
            (1.6 + 5.5 * wear + 2.5 * cavitation + 0.4 * abs(offBest)) * ratio * ratio + looseness.value * unsteadiness
            + 0.05 * random.gaussian()

        block.setSigned(0, temperature.value + 0.08 * random.gaussian(), scale: 0.1)
        block.setUnsigned(1, vibration, scale: 0.01)
        block.setUnsigned(2, flow * (1 + 0.03 * cavitation * random.gaussian()) + 0.3 * random.gaussian(), scale: 0.1)
        block.setUnsigned(3, pressure + (0.02 + 0.1 * cavitation) * random.gaussian(), scale: 0.01)
        block.setUnsigned(4, current + 0.08 * random.gaussian(), scale: 0.01)
        block.setUnsigned(5, speed.value + 1.2 * random.gaussian())
        block.set(6, UInt32(min(runHoursAtStart + elapsed / 3600, 4_294_967_295)))
    }
}
