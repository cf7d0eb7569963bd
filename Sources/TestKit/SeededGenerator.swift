internal import Foundation

/// A small, fast generator whose whole state is its seed, for tests that must replay.
///
/// Source: G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (SplitMix64).
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    /// What it began with.
    package let seed: UInt64
    private var state: UInt64

    package init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    /// With the seed of this run, which is printed.
    package init(_ test: String = #function) { self.init(seed: seedOfThisRun(test)) }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// The seed of a property test: `INDUS_SEED` to replay, else a new one; printed in either case.
package func seedOfThisRun(_ test: String = #function) -> UInt64 {
    let given = ProcessInfo.processInfo.environment["INDUS_SEED"].flatMap { UInt64($0) }
    let seed = given ?? UInt64.random(in: 1...UInt64(UInt32.max))
    print("\(test): INDUS_SEED=\(seed)")
    return seed
}
