import Definitions
import Foundation
import TestKit
import Testing

@Suite struct MutationTests {
    /// Whatever happens to a valid document, the loader ends, and says where each problem is.
    @Test func damagedDocumentsNeverCrash() throws {
        var random = SeededGenerator()
        let folder = try TemporaryFolder()
        let original = LoadingTests.example
        let lineCount = original.split(separator: "\n", omittingEmptySubsequences: false).count
        var refused = 0
        for _ in 0..<1500 {
            let bytes = damaged(Array(original.utf8), with: &random)
            let file = try folder.file("damaged.yaml", bytes: bytes)
            let loaded = ConfigurationLoader().load(files: [file], environment: [:])
            if loaded.hasErrors { refused += 1 }
            #expect((loaded.site == nil) || !loaded.hasErrors)
            for diagnostic in loaded.diagnostics {
                let isPlaced =
                    diagnostic.line >= 1 && diagnostic.line <= lineCount + 8 && diagnostic.column >= 1 && !diagnostic.message.isEmpty
                #expect(isPlaced, "\(diagnostic), seed \(random.seed)")
            }
        }
        #expect(refused > 500, "seed \(random.seed)")
    }

    private static let tokens = ["*a", "&a ", "<<: ", "${X}", "~", "null", "1e99", "---\n", "!!int ", "? "]

    private func damaged(_ bytes: [UInt8], with random: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let place = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<7, using: &random) {
            case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes[place] = Array("{}[]:,*&?!|>%@`\"'#-\n\t $".utf8).randomElement(using: &random) ?? 0
            case 2: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...40, using: &random)))
            case 3: bytes.insert(contentsOf: (MutationTests.tokens.randomElement(using: &random) ?? "").utf8, at: place)
            case 4:
                let length = Int.random(in: 1...60, using: &random)
                bytes.insert(
                    contentsOf: Array(bytes[place..<min(bytes.count, place + length)]), at: Int.random(in: 0..<bytes.count, using: &random))
            case 5: bytes.removeLast(Int.random(in: 0..<bytes.count / 2, using: &random))
            default: bytes.swapAt(place, Int.random(in: 0..<bytes.count, using: &random))
            }
        }
        return bytes
    }
}
