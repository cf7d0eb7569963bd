/// A column as scan groups have them, made from a seed.
package struct Signal: Sendable {
    package let name: String
    /// What it stands for.
    package let meaning: String
    package let column: Column
    /// Engineering values, for codecs that know only these.
    package let numbers: [Double]
    /// How many tags of the mix are like it; 0 for times, which all tags share.
    package let weight: Int
}

/// The lanes of a column.
package enum Column: Sendable {
    case integers([Int64])
    case float64([UInt64])
    case float32([UInt32])

    package var count: Int {
        switch self {
        case .integers(let values): values.count
        case .float64(let patterns): patterns.count
        case .float32(let patterns): patterns.count
        }
    }
}

/// SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014).
package struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Nearly Gaussian: the sum of twelve uniform numbers.
    package mutating func noise(_ deviation: Double) -> Double {
        var sum = -6.0
        for _ in 0..<12 { sum += Double.random(in: 0..<1, using: &self) }
        return sum * deviation
    }
}

extension Signal {
    /// The signals of one scan group, polled once a second.
    package static func group(rows: Int, seed: UInt64) -> [Signal] {
        [
            times("times, regular", "stamped by the schedule", rows, seed, jitter: 0, unit: 1, weight: 0),
            times("times, jitter in µs", "0.4 ms of jitter, stamped in whole microseconds", rows, seed, jitter: 400, unit: 1000, weight: 0),
            times("times, jitter in ns", "0.4 ms of jitter, stamped in nanoseconds", rows, seed, jitter: 400_000, unit: 1, weight: 0),
            temperature(rows, seed), bearing(rows, seed), counter(rows, seed), energy(rows, seed), boolean(rows, seed),
            setpoint(rows, seed),
            adc(rows, seed), vibration(rows, seed), stateWord(rows, seed), flow(rows, seed), pressure(rows, seed), drift(rows, seed),
        ]
    }

    private static func integers(
        _ name: String, _ meaning: String, _ rows: Int, _ seed: UInt64, scale: Double = 1, weight: Int,
        _ next: (Int, inout SeededGenerator) -> Int64
    ) -> Signal {
        var generator = SeededGenerator(seed: name.utf8.reduce(seed) { $0 &* 31 &+ UInt64($1) })
        let values = (0..<rows).map { next($0, &generator) }
        return Signal(name: name, meaning: meaning, column: .integers(values), numbers: values.map { Double($0) * scale }, weight: weight)
    }

    private static func floats(
        _ name: String, _ meaning: String, _ rows: Int, _ seed: UInt64, weight: Int, _ next: (Int, inout SeededGenerator) -> Float
    ) -> Signal {
        var generator = SeededGenerator(seed: name.utf8.reduce(seed) { $0 &* 31 &+ UInt64($1) })
        let values = (0..<rows).map { next($0, &generator) }
        return Signal(
            name: name, meaning: meaning, column: .float32(values.map { $0.bitPattern }), numbers: values.map { Double($0) }, weight: weight
        )
    }

    private static func times(
        _ name: String, _ meaning: String, _ rows: Int, _ seed: UInt64, jitter: Int64, unit: Int64, weight: Int
    ) -> Signal {
        integers(name, meaning, rows, seed, weight: weight) { row, generator in
            1_780_000_000_000_000_000 + Int64(row) * 1_000_000_000 + Int64.random(in: 0...jitter, using: &generator) * unit
        }
    }

    private static func temperature(_ rows: Int, _ seed: UInt64) -> Signal {
        var level = 653.0
        return integers("temperature", "int16 in 0.1 °C, slow, noise of 0.1", rows, seed, scale: 0.1, weight: 5) { _, generator in
            level += generator.noise(0.3) + (650 - level) * 0.002
            return Int64((level + generator.noise(1)).rounded())
        }
    }

    private static func bearing(_ rows: Int, _ seed: UInt64) -> Signal {
        var level = 412.0
        return integers("temperature, quiet", "int16 in 0.1 °C, hardly any noise", rows, seed, scale: 0.1, weight: 2) { _, generator in
            level += generator.noise(0.1)
            return Int64((level + generator.noise(0.2)).rounded())
        }
    }

    private static func counter(_ rows: Int, _ seed: UInt64) -> Signal {
        var count: Int64 = 1_203_441
        return integers("counter of parts", "uint32, 0 to 2 more each second", rows, seed, weight: 2) { _, generator in
            count += Int64.random(in: 0...2, using: &generator)
            return count
        }
    }

    private static func energy(_ rows: Int, _ seed: UInt64) -> Signal {
        var energy = 88_123_456.0
        return integers("energy", "uint32 in Wh, 11 kW ± 5 %", rows, seed, weight: 1) { _, generator in
            energy += (11_000 + generator.noise(550)) / 3600
            return Int64(energy)
        }
    }

    private static func boolean(_ rows: Int, _ seed: UInt64) -> Signal {
        var isOn: Int64 = 0
        return integers("boolean", "changes about once a minute", rows, seed, weight: 4) { _, generator in
            if Int.random(in: 0..<60, using: &generator) == 0 { isOn ^= 1 }
            return isOn
        }
    }

    private static func setpoint(_ rows: Int, _ seed: UInt64) -> Signal {
        var level: Int64 = 1500
        return integers("setpoint", "uint16, changes every ten minutes", rows, seed, weight: 2) { _, generator in
            if Int.random(in: 0..<600, using: &generator) == 0 { level = Int64.random(in: 0...300, using: &generator) * 10 }
            return level
        }
    }

    private static func adc(_ rows: Int, _ seed: UInt64) -> Signal {
        integers("ADC counts", "uint16 of 12 bits, noise of 4 counts", rows, seed, weight: 3) { row, generator in
            Int64(2048 + Double((row % 900) / 3) + generator.noise(4))
        }
    }

    private static func vibration(_ rows: Int, _ seed: UInt64) -> Signal {
        integers("ADC counts, wide", "int16 of 16 bits, noise of 150 counts", rows, seed, weight: 1) { _, generator in
            Int64(9000 + generator.noise(150))
        }
    }

    private static func stateWord(_ rows: Int, _ seed: UInt64) -> Signal {
        var state: Int64 = 0x1237
        return integers("state word", "uint16 with flags, changes every five minutes", rows, seed, weight: 1) { _, generator in
            if Int.random(in: 0..<300, using: &generator) == 0 { state ^= 1 << Int64.random(in: 0..<16, using: &generator) }
            return state
        }
    }

    private static func flow(_ rows: Int, _ seed: UInt64) -> Signal {
        var count = 13_000.0
        return floats("float32 out of counts", "an analogue input of 27,648 counts, scaled in the controller", rows, seed, weight: 1) {
            _, generator in
            count += generator.noise(4)
            return Float(Int(count + generator.noise(6))) * (60 / 27_648)
        }
    }

    private static func pressure(_ rows: Int, _ seed: UInt64) -> Signal {
        var level = 6.2
        return floats("float32, two places", "a sensor that rounds to 0.01 bar", rows, seed, weight: 1) { _, generator in
            level += generator.noise(0.005)
            return (Float(level) * 100).rounded() / 100
        }
    }

    private static func drift(_ rows: Int, _ seed: UInt64) -> Signal {
        var level = 71.0
        return floats("float32, all digits", "computed, noise in every digit", rows, seed, weight: 1) { _, generator in
            level += generator.noise(0.05)
            return Float(level + generator.noise(0.02))
        }
    }
}
