internal import Foundation

/// Random numbers that a printed seed brings back: SplitMix64.
///
/// Source: G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, figure 11.
struct Seeded: RandomNumberGenerator {
    let seed: UInt64
    private var state: UInt64

    init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    /// From `INDUS_SEED`, or new; printed in either case.
    static func fromEnvironment(function: String = #function) -> Seeded {
        let given = ProcessInfo.processInfo.environment["INDUS_SEED"].flatMap { UInt64($0) }
        let seed = given ?? UInt64.random(in: 0...UInt64(UInt32.max))
        print("\(function): INDUS_SEED=\(seed)")
        return Seeded(seed: seed)
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// The text with up to three of its characters removed, replaced or joined by others.
    mutating func mutated(_ text: String, alphabet: String) -> String {
        var characters = Array(text.unicodeScalars)
        let letters = Array(alphabet.unicodeScalars)
        for _ in 0..<Int.random(in: 0...3, using: &self) {
            let place = Int.random(in: 0...characters.count, using: &self)
            let letter = letters[Int.random(in: 0..<letters.count, using: &self)]
            switch Int.random(in: 0..<3, using: &self) {
            case 0 where place < characters.count: characters.remove(at: place)
            case 1 where place < characters.count: characters[place] = letter
            default: characters.insert(letter, at: place)
            }
        }
        var result = String.UnicodeScalarView()
        result.append(contentsOf: characters)
        return String(result)
    }
}
