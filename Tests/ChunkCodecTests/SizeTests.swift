import ChunkCodec
import TestKit
import Testing

/// What the encodings are for: each shape is found, and costs about what it has to.
struct SizeTests {
    private func bytes(_ values: [Int64]) -> [UInt8] { Column.integers(values).encoded() }

    @Test func constantsAndRampsAreAHandfulOfBytes() {
        #expect(bytes([Int64](repeating: 42, count: 1000)).count == 2)
        #expect(bytes((0..<1000).map { $0 }).count == 3)
        #expect(bytes([Int64](repeating: 42, count: 60)).count == 2)
        // Encoding, nine bytes of the first time, four of the period.
        #expect(bytes((0..<3600).map { (row: Int64) -> Int64 in 1_700_000_000_000_000_000 + row * 100_000_000 }).count == 1 + 9 + 4)
    }

    @Test func runsOfBooleansAndSetpoints() {
        let boolean = bytes((0..<3600).map { (row: Int64) -> Int64 in row / 900 % 2 })
        #expect(encodingByte(boolean) == 3)
        #expect(boolean.count <= 16)
        let noisy = bytes((0..<3600).map { (row: Int64) -> Int64 in row * 7919 % 3 == 0 ? 1 : 0 })
        #expect(noisy.count <= 3600 / 8 + 4 * 15)
    }

    @Test func regularTimesWithGapsAreRunsOfDifferences() {
        var time: Int64 = 1_700_000_000_000_000_000
        let column = bytes(
            (0..<3600).map { (row: Int) -> Int64 in
                time += row % 600 == 599 ? 300_000_000 : 100_000_000
                return time
            })
        #expect(column.count <= 48)
    }

    @Test func jitterCostsItsOwnBits() {
        var generator = SeededGenerator(seed: 7)
        let regular = (0..<2560).map { (row: Int64) -> Int64 in 1_700_000_000_000_000_000 + row * 100_000_000 }
        let micro = regular.map { $0 + Int64.random(in: 0..<1000, using: &generator) * 1000 }
        // 10 bits of jitter, and what the slope is rounded by.
        #expect(bytes(micro).count <= 2560 * 11 / 8 + 10 * 8 + 30)
        let nano = regular.map { $0 + Int64.random(in: 0..<1_000_000, using: &generator) }
        #expect(bytes(nano).count <= 2560 * 20 / 8 + 2560 / 8 + 10 * 8 + 30)
    }

    @Test func aFewSpikesDoNotWidenABlock() {
        let values = (0..<1024).map { (row: Int64) -> Int64 in row % 100 == 50 ? 1 << 40 : row * 7919 % 8 }
        #expect(bytes(values).count <= 1024 * 3 / 8 + 10 * 8 + 4 * 6)
    }

    @Test func fewDistinctValuesAreADictionary() {
        var generator = SeededGenerator(seed: 7)
        let column = bytes(Shape.few.integers(1000, &generator))
        #expect(encodingByte(column) & 0x0F == 4)
        #expect(column.count <= 1000 * 2 / 8 + 40)
    }

    @Test func decimalsAreIntegers() {
        var generator = SeededGenerator(seed: 7)
        let numbers = (0..<1024).map { _ in Double(Int.random(in: 200...263, using: &generator)) / 10 }
        #expect(Column.float64(numbers.map { $0.bitPattern }).encoded().count <= 1024 * 6 / 8 + 24)
        #expect(Column.float32(numbers.map { Float($0).bitPattern }).encoded().count <= 1024 * 6 / 8 + 24)
    }

    @Test func textsAreStoredOnce() {
        let texts = (0..<1000).map { Array("state-\($0 % 4)".utf8) }
        #expect(Column.texts(texts).encoded().count <= 4 * 7 + 1000 * 2 / 8 + 40)
    }

    /// No column is much larger than its values side by side.
    @Test func randomValuesHardlyGrow() {
        var generator = SeededGenerator()
        for count in [1, 60, 1000] {
            #expect(bytes(Shape.random.integers(count, &generator)).count <= count * 8 + 12 * (count / 256 + 1))
        }
    }
}
