/// A seeded source of random numbers: the same seed gives the same plant on every machine.
///
/// Source: D. Blackman, S. Vigna, "Scrambled Linear Pseudorandom Number Generators" (2021): xoshiro256**, seeded by SplitMix64.
struct RandomSource: Sendable {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    init(seed: UInt64) {
        var mixed = seed
        func next() -> UInt64 {
            mixed &+= 0x9E37_79B9_7F4A_7C15
            var word = mixed
            word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
            word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
            return word ^ (word >> 31)
        }
        state = (next(), next(), next(), next())
    }

    mutating func next() -> UInt64 {
        func rotated(_ word: UInt64, _ count: UInt64) -> UInt64 { (word << count) | (word >> (64 - count)) }
        let result = rotated(state.1 &* 5, 7) &* 9
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = rotated(state.3, 45)
        return result
    }

    /// A number of mean 0 and standard deviation 1, close to a normal distribution and never beyond ±6.
    ///
    /// The sum of twelve uniform numbers (Irwin–Hall): no logarithm and no cosine, so that no C library can change its last bit.
    mutating func gaussian() -> Double {
        var sum: UInt64 = 0
        for _ in 0..<3 {
            let word = next()
            sum += (word & 0xFFFF) + ((word >> 16) & 0xFFFF) + ((word >> 32) & 0xFFFF) + (word >> 48)
        }
        return (Double(sum) + 6) / 65_536 - 6
    }
}

/// A quantity that wanders about zero: an Ornstein–Uhlenbeck process with a given spread and correlation time.
struct Wander: Sendable {
    private(set) var value = 0.0
    private let deviation: Double
    private let timeConstant: Double

    /// - Parameters:
    ///   - deviation: the standard deviation in the long run.
    ///   - timeConstant: the correlation time in seconds.
    init(deviation: Double, timeConstant: Double, from random: inout RandomSource) {
        self.deviation = deviation
        self.timeConstant = timeConstant
        value = deviation * random.gaussian()
    }

    /// Moves on by a step of any length; the spread in the long run does not depend on the step.
    mutating func advance(by seconds: Double, _ random: inout RandomSource) {
        let kept = timeConstant / (timeConstant + seconds)
        value = kept * value + deviation * (1 - kept * kept).squareRoot() * random.gaussian()
    }
}

/// A quantity that follows its target with a time constant (first-order lag), stable for steps of any length.
struct Lag: Sendable {
    private(set) var value: Double
    private let timeConstant: Double

    init(_ value: Double, timeConstant: Double) {
        self.value = value
        self.timeConstant = timeConstant
    }

    mutating func advance(by seconds: Double, towards target: Double) {
        value += (target - value) * seconds / (timeConstant + seconds)
    }
}
