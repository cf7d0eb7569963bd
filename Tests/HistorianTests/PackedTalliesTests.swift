import Telemetry
import TestKit
import Testing

@testable import Historian

struct PackedTalliesTests {
    private static func tallies(_ random: inout SeededGenerator) -> StreamTallies {
        var tallies = StreamTallies()
        for _ in 0..<Int.random(in: 0...40, using: &random) {
            var tally = Tally()
            // Small ones as blocks have them, and any at all.
            func number() -> UInt64 {
                Bool.random(using: &random) ? .random(in: 0...300, using: &random) : .random(in: 0 ... .max, using: &random)
            }
            tally.whole = number()
            tally.partial = number()
            if Bool.random(using: &random) { tally.present = (0..<Int.random(in: 1...70, using: &random)).map { _ in number() } }
            tallies[
                StreamID(
                    rawValue: Bool.random(using: &random) ? .random(in: 0...50, using: &random) : .random(in: 0 ... .max, using: &random))] =
                tally
        }
        return tallies
    }

    @Test func anyTalliesComeOutAsTheyWentIn() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let tallies = PackedTalliesTests.tallies(&random)
            #expect(PackedTallies(tallies).unpacked == tallies, "INDUS_SEED=\(seed)")
            var (sum, expected) = (PackedTalliesTests.tallies(&random), StreamTallies())
            for stream in sum.keys {
                sum[stream]?.whole /= 2
                sum[stream]?.partial /= 2
            }
            expected = sum.adding(tallies)
            var segment = Segment(number: 1, epoch: 1, base: 1, end: 1, bytes: 0)
            segment.tallies = tallies
            segment.isSealed = true
            segment.addTallies(to: &sum)
            #expect(sum == expected, "INDUS_SEED=\(seed)")
        }
    }

    @Test func aSegmentHasTheSameTalliesSealedOrNot() {
        var tally = Tally()
        tally.whole = 7
        var segment = Segment(number: 1, epoch: 1, base: 1, end: 1, bytes: 0)
        segment.tallies[StreamID(rawValue: 3)] = tally
        let open = segment
        segment.isSealed = true
        #expect(segment.tallies == [StreamID(rawValue: 3): tally])
        segment.tallies[StreamID(rawValue: 9), default: Tally()] += tally
        #expect(segment.tallies == [StreamID(rawValue: 3): tally, StreamID(rawValue: 9): tally])
        segment.tallies[StreamID(rawValue: 9)] = nil
        segment.isSealed = false
        #expect(segment == open, "whatever it went through, equal segments are equal")
    }
}
