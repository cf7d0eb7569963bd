internal import Foundation

/// A small, fast generator whose whole state is its seed, for tests that must replay.
///
/// Source: G. Steele et al., "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014 (SplitMix64).
package struct SplitMix: RandomNumberGenerator, Sendable {
    private var state: UInt64
    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// The seed of a property test: `INDUS_SEED` to replay, else a new one. Tests put it into their failure messages.
package func seedOfThisRun() -> UInt64 {
    if let text = ProcessInfo.processInfo.environment["INDUS_SEED"], let seed = UInt64(text) { return seed }
    return UInt64.random(in: 1...UInt64(UInt32.max))
}
