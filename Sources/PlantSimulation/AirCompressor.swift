/// A screw compressor that loads and unloads to hold its receiver between two pressures: a machine of two modes.
///
/// Holding registers: 0 dischargePressure uint16 ×0.01 bar; 1 dischargeTemperature int16 ×0.1 °C; 2 motorCurrent uint16 ×0.1 A;
/// 3 vibrationRMS uint16 ×0.01 mm/s; 4 oilPressure uint16 ×0.01 bar; 5 flow uint16 ×0.1 m³/min; 6 status, bit 0 loaded;
/// 8–11 energy float64 kW·h.
///
/// The receiver fills with what the screw delivers and empties with what the plant takes. A leaking valve wastes delivery (the machine
/// stays loaded for longer and runs hotter); lost oil lowers its pressure and the cooling; a worn bearing shakes and draws current.
package struct AirCompressor: SimulatedMachine {
    package var name: String { MachineKind.airCompressor.rawValue }
    package var registers: [UInt16] { block.words }

    private static let loadBelow = 7.0
    private static let unloadAbove = 7.5
    /// Free air delivery in m³/min.
    private static let delivery = 12.0
    /// Bar per second for each m³/min of surplus; a real receiver is some ten times larger.
    private static let receiverStiffness = 0.07

    private var random: RandomSource
    private var clock = SimulationClock()
    private var block = RegisterBlock(count: 12)
    private let faults: [ScriptedFault]
    private var isLoaded: Bool
    private var pressure: Double
    private var demand: Wander
    private var transfer = Lag(0.6, timeConstant: 0.2)
    private var temperature = Lag(78, timeConstant: 6)
    private var energy: Double

    package init(seed: UInt64, faults: [ScriptedFault] = []) {
        var random = RandomSource(seed: seed)
        isLoaded = random.next() & 1 == 0
        pressure = 7.1 + 0.3 * Double(random.next() % 1000) / 1000
        energy = 50_000 + Double(random.next() % 10_000)
        demand = Wander(deviation: 0.3, timeConstant: 5, from: &random)
        self.random = random
        self.faults = faults.filter { $0.machine == .airCompressor }
        step(0, at: 0)
    }

    package mutating func advance(by seconds: Double) {
        var clock = clock
        clock.advance(by: seconds) { step($0, at: $1) }
        self.clock = clock
    }

    private mutating func step(_ seconds: Double, at elapsed: Double) {
        let wear = faults.severity(of: .bearingWear, at: elapsed)
        let leak = faults.severity(of: .valveLeak, at: elapsed)
        let dryness = faults.severity(of: .oilLoss, at: elapsed)
        demand.advance(by: seconds, &random)
        let consumption = max(6.8 + demand.value, 0)

        if pressure < AirCompressor.loadBelow { isLoaded = true }
        if pressure > AirCompressor.unloadAbove { isLoaded = false }
        transfer.advance(by: seconds, towards: isLoaded ? 1 : 0)
        let delivered = AirCompressor.delivery * transfer.value * (1 - 0.5 * leak)
        pressure = max(pressure + seconds * AirCompressor.receiverStiffness * (delivered - consumption), 0)

        // Unloaded, the screw still turns against its friction and the sump's pressure.
        let power = 22 + 46 * transfer.value * (0.7 + 0.3 * pressure / 7.2) + 6 * wear
        let current = power / (0.4 * 1.732 * 0.88)
        energy += power * seconds / 3600
        let cooling = 1 - 0.5 * dryness
        temperature.advance(by: seconds, towards: 30 + (power * 0.98 + 20 * leak * transfer.value) / cooling)
        let oil = (3.1 + 0.12 * (pressure - 7.2)) * (1 - 0.75 * dryness)
        let vibration = 1.2 + 0.8 * transfer.value + 4.5 * wear + 0.8 * dryness

        block.setUnsigned(0, pressure + 0.015 * random.gaussian(), scale: 0.01)
        block.setSigned(1, temperature.value + 0.15 * random.gaussian(), scale: 0.1)
        block.setUnsigned(2, current + 0.5 * random.gaussian(), scale: 0.1)
        block.setUnsigned(3, vibration + 0.06 * random.gaussian(), scale: 0.01)
        block.setUnsigned(4, oil + 0.02 * random.gaussian(), scale: 0.01)
        block.setUnsigned(5, consumption + 0.1 * random.gaussian(), scale: 0.1)
        block.set(6, isLoaded ? 1 : 0 as UInt16)
        block.set(8, energy)
    }
}
