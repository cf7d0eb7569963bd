import ChunkCodec
import TestKit
import Testing

/// What comes out is what went in, for every shape, size and kind; a scratch that was used for anything else before makes no difference.
struct RoundTripTests {
    private static let counts = [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 60, 255, 256, 257, 258, 259, 511, 512, 513, 1000, 1500]

    @Test(arguments: Shape.allCases)
    func integers(_ shape: Shape) throws {
        var generator = SeededGenerator()
        var scratch = ColumnScratch()
        for count in RoundTripTests.counts {
            let column = Column.integers(shape.integers(count, &generator))
            let bytes = column.encoded(&scratch)
            #expect(try Column(.integers, rows: count, from: bytes, &scratch) == column, "\(shape), \(count) rows")
            // A scratch that is new has garbage elsewhere.
            #expect(column.encoded() == bytes)
        }
    }

    /// Every width of offset, with the lowest and the highest of it.
    @Test(arguments: 0...64)
    func widths(_ width: Int) throws {
        var generator = SeededGenerator()
        let mask: UInt64 = width == 0 ? 0 : ~0 >> UInt64(64 - width)
        for count in [5, 64, 300] {
            var values = (0..<count).map { _ in Int64(bitPattern: generator.next() & mask) }
            values[0] = 0
            values[count - 1] = Int64(bitPattern: mask)
            let column = Column.integers(values)
            #expect(try Column(.integers, rows: count, from: column.encoded()) == column)
        }
    }

    @Test(arguments: Shape.Floats.allCases)
    func floats(_ shape: Shape.Floats) throws {
        var generator = SeededGenerator()
        var scratch = ColumnScratch()
        for count in RoundTripTests.counts {
            let numbers = shape.numbers(count, &generator)
            let double = Column.float64(numbers.map { $0.bitPattern })
            #expect(try Column(.float64, rows: count, from: double.encoded(&scratch), &scratch) == double)
            let single = Column.float32(numbers.map { Float($0).bitPattern })
            #expect(try Column(.float32, rows: count, from: single.encoded(&scratch), &scratch) == single)
        }
    }

    /// Patterns without regard to what they mean: every NaN keeps its payload.
    @Test func patterns() throws {
        var generator = SeededGenerator()
        for _ in 0..<20 {
            let count = Int.random(in: 1...400, using: &generator)
            let double = Column.float64((0..<count).map { _ in generator.next() | (Bool.random(using: &generator) ? 0x7FF0 << 48 : 0) })
            #expect(try Column(.float64, rows: count, from: double.encoded()) == double)
            let single = Column.float32(
                (0..<count).map { _ in UInt32(truncatingIfNeeded: generator.next()) | (Bool.random(using: &generator) ? 0x7F80 << 16 : 0) })
            #expect(try Column(.float32, rows: count, from: single.encoded()) == single)
        }
    }

    @Test(arguments: [1, 2, 10, 300])
    func texts(_ distinct: Int) throws {
        var generator = SeededGenerator()
        for count in [1, 2, 60, 300, 700] {
            let column = Column.texts(Shape.texts(count, distinct: distinct, &generator))
            #expect(try Column(.texts, rows: count, from: column.encoded()) == column)
        }
    }

    @Test(arguments: Column.Kind.allCases)
    func noRowsAreNoBytes(_ kind: Column.Kind) throws {
        let empty = try Column(kind, rows: 0, from: [])
        #expect(empty.encoded() == [])
        #expect(throws: ColumnError.damaged) { try Column(kind, rows: 0, from: [1]) }
        #expect(throws: ColumnError.damaged) { try Column(kind, rows: 1, from: []) }
        #expect(throws: ColumnError.tooManyRows(ColumnCodec.rowsMax + 1)) { try Column(kind, rows: ColumnCodec.rowsMax + 1, from: [1, 0]) }
    }

    /// The largest column there is, as cheap to test as a constant.
    @Test func mostRows() throws {
        let column = Column.integers([Int64](repeating: -3, count: ColumnCodec.rowsMax))
        let bytes = column.encoded()
        #expect(bytes == [1, 5])
        #expect(try Column(.integers, rows: ColumnCodec.rowsMax, from: bytes) == column)
    }
}
