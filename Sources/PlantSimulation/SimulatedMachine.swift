/// A machine whose state is a physical model and whose face is a block of Modbus holding registers.
package protocol SimulatedMachine: Sendable {
    /// The machine's name, for example `feed-pump`.
    var name: String { get }
    /// The holding registers from address 0 on, as a Modbus server shows them.
    var registers: [UInt16] { get }
    /// Moves the machine on by some seconds of its own time. Zero, negative and non-finite times do nothing.
    mutating func advance(by seconds: Double)
}

/// The machines there are models of; the raw value is the name used on the command line and in fault scripts.
package enum MachineKind: String, CaseIterable, Sendable {
    case feedPump = "feed-pump"
    case cncSpindle = "cnc-spindle"
    case airCompressor = "air-compressor"

    /// A machine of this kind.
    ///
    /// - Parameters:
    ///   - seed: the same seed and the same steps give the same registers.
    ///   - faults: what goes wrong and when; faults of other kinds of machine are ignored.
    package func make(seed: UInt64, faults: [ScriptedFault] = []) -> any SimulatedMachine {
        switch self {
        case .feedPump: FeedPump(seed: seed, faults: faults)
        case .cncSpindle: CNCSpindle(seed: seed, faults: faults)
        case .airCompressor: AirCompressor(seed: seed, faults: faults)
        }
    }

    /// The faults this kind of machine can have.
    package var faultKinds: [FaultKind] {
        switch self {
        case .feedPump: [.bearingWear, .cavitation]
        case .cncSpindle: [.bearingWear, .coolantLoss]
        case .airCompressor: [.bearingWear, .oilLoss, .valveLeak]
        }
    }
}

/// The machine's own clock: cuts what it is advanced by into steps that the models follow well.
struct SimulationClock: Sendable {
    /// The longest step of a model, in seconds.
    static let stepMax = 0.05
    /// The most steps of one advance; beyond, the steps get longer, which the models endure.
    static let stepsMax = 100_000.0

    /// Seconds since the machine was made.
    private(set) var elapsed = 0.0

    /// Calls `step` with the length of each step, in seconds.
    mutating func advance(by seconds: Double, _ step: (_ seconds: Double, _ elapsed: Double) -> Void) {
        guard seconds > 0, seconds.isFinite else { return }
        let count = min((seconds / SimulationClock.stepMax).rounded(.up), SimulationClock.stepsMax)
        for _ in 0..<Int(count) {
            elapsed += seconds / count
            step(seconds / count, elapsed)
        }
    }
}
