import ChunkCodec
import Foundation
import TestKit
import Testing

/// The bytes of the format, fixed in both directions. `INDUS_UPDATE_GOLDEN=1` writes the files anew; the difference is reviewed like code.
@Suite(.serialized)
struct GoldenTests {
    /// The columns whose bytes are fixed: one for each encoding and each detail of it.
    private static let cases: [(name: String, comment: String, column: Column)] = {
        var generator = SeededGenerator(seed: 20_260)
        func shape(_ shape: Shape, _ count: Int) -> Column { .integers(shape.integers(count, &generator)) }
        let time: Int64 = 1_780_000_000_000_000_000
        var jitter: [Int64] = []
        for row in 0..<40 { jitter.append(time + Int64(row) * 1_000_000_000 + Int64.random(in: 0...300, using: &generator) * 1000) }
        var jitterNanoseconds: [Int64] = []
        for row in 0..<40 { jitterNanoseconds.append(time + Int64(row) * 1_000_000_000 + Int64.random(in: 0...300_000, using: &generator)) }
        var gaps: [Int64] = []
        for row in 0..<60 { gaps.append(time + Int64(row + (row > 20 ? 3 : 0) + (row > 40 ? 1 : 0)) * 100_000_000) }
        let spikes = (0..<270).map { (row: Int64) -> Int64 in row % 90 == 50 ? -1_000_000 : 500 + row * 13 % 8 }
        let squares = (0..<60).map { (row: Int64) -> Int64 in row * row % 3 }
        let tenths = (0..<60).map { Double(200 + $0 * 7 % 31) / 10 }
        return [
            ("integers-constant", "constant", .integers([Int64](repeating: 42, count: 60))),
            ("integers-constant-lowest", "constant, the lowest number there is", .integers([.min, .min])),
            ("integers-one", "a single row is constant", .integers([-1])),
            ("integers-ramp", "constant difference", .integers((0..<60).map { 1000 + $0 * 25 })),
            ("integers-times-regular", "times of a regular scan: constant difference", .integers((0..<60).map { time + $0 * 100_000_000 })),
            ("integers-times-gaps", "times with scans left out: runs of differences", .integers(gaps)),
            ("integers-times-jitter", "jitter in whole microseconds: common divisor and line", .integers(jitter)),
            ("integers-times-jitter-ns", "jitter in nanoseconds: line", .integers(jitterNanoseconds)),
            ("integers-noise", "packed, no prediction", shape(.noise, 60)),
            ("integers-blocks", "packed, two blocks of which the second is short", shape(.noise, 260)),
            ("integers-counter", "packed differences", shape(.counter, 60)),
            ("integers-parabola", "packed differences of differences", shape(.parabola, 60)),
            ("integers-spikes", "packed with exceptions", .integers(spikes)),
            ("integers-booleans", "runs of 0 and 1", .integers((0..<600).map { (row: Int64) -> Int64 in row / 150 % 2 })),
            (
                "integers-bitmap", "booleans that change often: packed in one bit",
                .integers((0..<60).map { (row: Int64) -> Int64 in row * row % 3 })
            ),
            ("integers-dictionary", "dictionary", shape(.few, 100)),
            ("integers-extremes", "lowest and highest: 64 bits wide, or a dictionary of such", shape(.extremes, 40)),
            ("integers-random", "no order at all: 64 bits wide", shape(.random, 20)),
            ("integers-divisor", "steps of 50", .integers((0..<60).map { (row: Int64) -> Int64 in 1000 + row * 7919 % 40 * 50 })),
            ("float64-tenths", "decimal, one place", .float64(tenths.map { $0.bitPattern })),
            ("float32-tenths", "decimal, one place", .float32(tenths.map { Float($0).bitPattern })),
            (
                "float64-exceptions", "decimal with exceptions: NaN with payload, infinity, minus zero",
                .float64(
                    tenths.enumerated().map { row, number in
                        row == 7 ? 0x7FF8_0000_0000_1234 : row == 30 ? 0xFFF0 << 48 : row == 31 ? 1 << 63 : number.bitPattern
                    })
            ),
            ("float64-patterns", "all digits: ordered patterns", .float64((0..<20).map { (Double($0) / 7 - 1).bitPattern })),
            ("float32-patterns", "all digits: ordered patterns", .float32((0..<20).map { (Float($0) / 7 + 20).bitPattern })),
            ("float32-constant", "constant", .float32([UInt32](repeating: Float(3.75).bitPattern, count: 60))),
            ("texts", "texts, one of them empty", .texts((0..<60).map { [Array("idle".utf8), Array("running".utf8), []][$0 / 11 % 3] })),
            ("texts-one", "a single text of any bytes", .texts([[0xFF, 0x00, 0xC3]])),
        ]
    }()

    @Test func encodedBytesAreFixed() throws {
        let isUpdating = ProcessInfo.processInfo.environment["INDUS_UPDATE_GOLDEN"] == "1"
        for (name, comment, column) in GoldenTests.cases {
            let file = GoldenFile(comment: comment, column: column, bytes: column.encoded())
            if isUpdating { try file.write(named: name + ".txt") }
            #expect(try GoldenFile(named: name + ".txt") == file, "\(name)")
        }
    }

    /// Every file, also of columns that this version would encode otherwise, and of bytes that once were too much for a decoder.
    @Test func everyFileIsDecoded() throws {
        let names = try GoldenFile.names()
        #expect(names.count >= GoldenTests.cases.count)
        for name in names {
            let file = try GoldenFile(named: name)
            switch file.meaning {
            case .column(let column): #expect(try Column(file.kind, rows: file.rows, from: file.bytes) == column, "\(name)")
            case .refused(let reason):
                let refusal = #expect(throws: ColumnError.self, "\(name)") { try Column(file.kind, rows: file.rows, from: file.bytes) }
                #expect(refusal.map { $0 == .damaged ? "damaged" : "unknown" } == reason, "\(name)")
            }
        }
    }
}
