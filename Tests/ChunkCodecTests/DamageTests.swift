import ChunkCodec
import TestKit
import Testing

/// The damage table of docs/format/chunk.md.
struct DamageTests {
    /// A column of each encoding.
    private static func columns(_ generator: inout SeededGenerator) -> [Column] {
        let integers = Shape.allCases.map { Column.integers($0.integers(300, &generator)) }
        let floats = Shape.Floats.allCases.flatMap { shape in
            let numbers = shape.numbers(300, &generator)
            return [Column.float64(numbers.map { $0.bitPattern }), .float32(numbers.map { Float($0).bitPattern })]
        }
        return integers + floats + [.texts(Shape.texts(100, distinct: 5, &generator))]
    }

    @Test func cutAtEveryByteOrFollowedByMore() throws {
        var generator = SeededGenerator()
        for column in DamageTests.columns(&generator) {
            let bytes = column.encoded()
            for length in 1..<max(bytes.count, 1) {
                // Texts fill the rest of their column, so the lengths no longer add up.
                #expect(throws: ColumnError.damaged, "\(length) of \(bytes.count) bytes") {
                    try Column(column.kind, rows: column.count, from: Array(bytes[..<length]))
                }
            }
            #expect(throws: ColumnError.damaged) { try Column(column.kind, rows: column.count, from: bytes + [0]) }
        }
    }

    @Test func anotherNumberOfRows() {
        var generator = SeededGenerator()
        for column in DamageTests.columns(&generator) {
            let bytes = column.encoded()
            for rows in [1, column.count - 17, column.count + 17, column.count + 300] {
                guard let read = try? Column(column.kind, rows: rows, from: bytes) else { continue }
                // A constant fits any number of rows, and a last block without width any that it can end with; nothing else does.
                #expect(
                    bytes.count < 20 || (rows + 255) / 256 == (column.count + 255) / 256,
                    "\(column.kind) \(rows) of \(column.count): \(bytes)")
                let common = min(rows, column.count)
                #expect(read.prefix(common) == column.prefix(common), "\(column.kind) \(rows) of \(column.count): \(bytes)")
            }
        }
    }

    @Test func mutatedBytesNeverTrap() {
        var generator = SeededGenerator()
        var scratch = ColumnScratch()
        for column in DamageTests.columns(&generator) {
            let bytes = column.encoded(&scratch)
            for _ in 0..<60 {
                var mutated = bytes
                for _ in 0..<Int.random(in: 1...4, using: &generator) {
                    let place = Int.random(
                        in: 0..<min(mutated.count, Bool.random(using: &generator) ? 40 : mutated.count), using: &generator)
                    switch Int.random(in: 0..<4, using: &generator) {
                    case 0: mutated[place] ^= 1 << UInt8.random(in: 0...7, using: &generator)
                    case 1: mutated[place] = [0, 0x7F, 0x80, 0xFF, 64, 65].randomElement(using: &generator) ?? 0
                    case 2: mutated.insert(UInt8.random(in: 0...255, using: &generator), at: place)
                    default: if mutated.count > 1 { mutated.remove(at: place) }
                    }
                }
                let rows = Bool.random(using: &generator) ? column.count : Int.random(in: 1...2000, using: &generator)
                _ = try? Column(column.kind, rows: rows, from: mutated, &scratch)
            }
        }
    }

    @Test(arguments: Column.Kind.allCases)
    func randomBytesNeverTrap(_ kind: Column.Kind) {
        var generator = SeededGenerator()
        var scratch = ColumnScratch()
        for _ in 0..<1000 {
            let bytes = (0..<Int.random(in: 1...60, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
            _ = try? Column(kind, rows: Int.random(in: 1...600, using: &generator), from: bytes, &scratch)
        }
    }

    /// Encoding bytes that the format does not have are of a newer version; all others are known.
    @Test func unknownEncodings() {
        let known: Set<UInt8> = [0x01, 0x11, 0x02, 0x12, 0x22, 0x32, 0x03, 0x13, 0x04]
        for byte in UInt8(0)...255 {
            let isKnown = known.contains(byte & 0x7F)
            #expect(throws: isKnown ? ColumnError.damaged : .unknownEncoding(byte)) { try Column(.integers, rows: 9, from: [byte]) }
            #expect(throws: byte == 1 || byte == 2 ? ColumnError.damaged : .unknownEncoding(byte)) {
                try Column(.float64, rows: 9, from: [byte])
            }
            #expect(throws: byte == 1 ? ColumnError.damaged : .unknownEncoding(byte)) { try Column(.texts, rows: 9, from: [byte]) }
        }
    }

    @Test(arguments: [
        ("a width above 64", 3, [0x02, 65, 0] + [UInt8](repeating: 0, count: 25)),
        ("a width above 64 with exceptions", 1, [0x02, 0xFF, 0, 1, 0, 8] + [UInt8](repeating: 0, count: 16)),
        ("bits behind the last offset", 3, [0x02, 1, 0, 0b0000_1000]),
        ("no exceptions where some are announced", 3, [0x02, 0x81, 0, 0, 0]),
        ("more exceptions than rows", 3, [0x02, 0x80, 0, 4, 0, 1, 2, 3, 0, 0, 0, 0]),
        ("an exception beyond the block", 3, [0x02, 0x80, 0, 1, 3, 8]),
        ("an exception twice", 3, [0x02, 0x80, 0, 2, 1, 1, 8, 8]),
        ("a divisor of one", 3, [0x81, 1, 0, 8]),
        ("a divisor of zero", 3, [0x81, 0, 0, 8]),
        ("a run of no rows", 3, [0x03, 0, 2, 1, 0, 1, 0]),
        ("a run longer than the column", 3, [0x03, 1, 2, 0x01, 0, 0x01, 6]),
        ("a run of negative length", 3, [0x03, 1, 2, 0x01, 0, 0x01, 1]),
        ("runs shorter than the column", 3, [0x03, 1, 2, 0x01, 0, 0x01, 2]),
        ("runs within runs", 3, [0x03, 1, 7, 0x03, 1, 2, 0x01, 0, 0x01, 0, 0x01, 4]),
        ("an index beyond the dictionary", 3, [0x04, 0, 2, 0x01, 0, 1, 0, 0b111]),
        ("a uvarint of more than 64 bits", 3, [0x01, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2]),
        ("two heads and one row", 1, [0x22, 0, 0]),
    ])
    func contradictions(_ what: String, _ rows: Int, _ bytes: [UInt8]) {
        #expect(throws: ColumnError.damaged, "\(what)") { try Column(.integers, rows: rows, from: bytes) }
    }

    @Test(arguments: [
        ("an exponent above 15", [2, 16, 0, 0x01, 0]),
        ("more exceptions than rows", [2, 1, 4, 2, 0x01, 0, 2, 0x01, 0, 0x01, 0]),
        ("an exception beyond the rows", [2, 1, 1, 2, 0x01, 6, 2, 0x01, 0, 0x01, 0]),
        ("an exception below the rows", [2, 1, 1, 2, 0x01, 1, 2, 0x01, 0, 0x01, 0]),
        ("an exception twice", [2, 1, 2, 2, 0x01, 2, 2, 0x01, 0, 0x01, 0]),
    ])
    func contradictionsInFloats(_ what: String, _ bytes: [UInt8]) {
        #expect(throws: ColumnError.damaged, "\(what)") { try Column(.float32, rows: 3, from: bytes) }
    }

    @Test(arguments: [
        ("no text", [1, 0, 2, 0x01, 0, 2, 0x01, 0]),
        ("more texts than rows", [1, 4, 2, 0x01, 0, 2, 0x01, 0]),
        ("a text beyond the column", [1, 1, 2, 0x01, 4, 2, 0x01, 0, 0x41]),
        ("bytes without a text", [1, 1, 2, 0x01, 0, 2, 0x01, 0, 0x41]),
        ("a text of negative length", [1, 1, 2, 0x01, 1, 2, 0x01, 0]),
        ("an index beyond the texts", [1, 1, 2, 0x01, 2, 2, 0x01, 2, 0x41]),
        ("a negative index", [1, 1, 2, 0x01, 2, 2, 0x01, 1, 0x41]),
    ])
    func contradictionsInTexts(_ what: String, _ bytes: [UInt8]) {
        #expect(throws: ColumnError.damaged, "\(what)") { try Column(.texts, rows: 3, from: bytes) }
    }
}
