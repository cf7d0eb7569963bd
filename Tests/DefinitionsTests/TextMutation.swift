import TestKit

extension SeededGenerator {
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
