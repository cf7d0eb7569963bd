import Telemetry
import TestKit
import Testing

@testable import Historian

/// Outages decided by the struct alone, without a log.
struct OutageBookTests {
    private func time(_ seconds: Int64) -> Timestamp { Timestamp(milliseconds: 1_700_000_000_000 + seconds * 1000) }

    @Test func countsWhatWasPendingAndWhatCameUntilTheEnd() throws {
        var book = OutageBook(settled: 10)
        book.settle(5, .delivered)
        book.begin(at: time(0), epoch: 1, settled: 15)
        // Pending at the start: 15 to 19; stored until the end: 20 to 29.
        book.end(at: time(60), epoch: 1, stored: 30)
        book.settle(8, .delivered)
        book.settle(3, .lost)
        book.settle(1, .refused)
        let half = try #require(book.outages.first)
        #expect(half.samples(stored: 99) == 15 && half.delivered == 8 && half.lost == 3 && half.refused == 1)
        book.settle(20, .delivered)
        let whole = try #require(book.outages.first)
        #expect(whole.delivered == 11, "what was stored after the end is not the outage's: \(whole)")
        #expect(whole.delivered + whole.lost + whole.refused == whole.samples(stored: 99))
        #expect(whole.start == time(0) && whole.end == time(60))
    }

    @Test func aSecondLossAndASecondReturnChangeNothing() {
        var book = OutageBook(settled: 0)
        book.end(at: time(0), epoch: 1, stored: 5)
        #expect(book.outages.isEmpty)
        book.begin(at: time(1), epoch: 1, settled: 0)
        book.begin(at: time(2), epoch: 1, settled: 0)
        #expect(book.outages.map(\.start) == [time(1)] && book.isOpen)
        book.end(at: time(3), epoch: 1, stored: 5)
        book.end(at: time(4), epoch: 1, stored: 9)
        #expect(book.outages.map(\.last) == [5] && book.outages.map(\.end) == [time(3)] && !book.isOpen)
    }

    @Test func oldOutagesAreAddedUpAndTheTotalsStayRight() {
        var book = OutageBook(settled: 0)
        let rounds = UInt64(OutageBook.outagesMax + 100)
        var stored: UInt64 = 0
        for round in 0..<rounds {
            book.begin(at: time(Int64(round) * 10), epoch: 1, settled: stored)
            stored += 3
            book.end(at: time(Int64(round) * 10 + 5), epoch: 1, stored: stored)
            book.settle(2, .delivered)
            book.settle(1, .lost)
        }
        #expect(book.outages.count == OutageBook.outagesMax)
        #expect(book.earlier.outages == 100 && book.earlier.samples == 300 && book.earlier.delivered == 200 && book.earlier.lost == 100)
        #expect(book.earlier.from == time(0) && book.earlier.through == time(995))
        #expect(book.outages.allSatisfy { $0.delivered == 2 && $0.lost == 1 })
    }

    @Test func outagesWhoseSamplesStillWaitArePutTogether() throws {
        var book = OutageBook(settled: 0)
        let rounds = UInt64(OutageBook.outagesMax + 44)
        for round in 0..<rounds {
            book.begin(at: time(Int64(round) * 10), epoch: 1, settled: 0)
            book.end(at: time(Int64(round) * 10 + 5), epoch: 1, stored: (round + 1) * 10)
        }
        #expect(book.outages.count == OutageBook.outagesMax)
        let oldest = try #require(book.outages.first)
        #expect(oldest.losses == 45 && oldest.last == 450 && oldest.start == time(0))
        book.settle(rounds * 10, .delivered)
        #expect(book.outages.allSatisfy { $0.delivered == $0.samples(stored: 0) })
    }

    @Test func whatWasNeverOnDiskIsNobodys() throws {
        var book = OutageBook(settled: 0)
        book.begin(at: time(0), epoch: 1, settled: 90)
        book.end(at: time(1), epoch: 1, stored: 120)
        book.begin(at: time(2), epoch: 1, settled: 110)
        // The process died with 100 samples on disk, of which 80 were settled.
        var after = book.recovered(settled: 80, stored: 100)
        #expect(after.outages.map(\.first) == [90, 100] && after.outages.map(\.last) == [100, nil] && after.isOpen)
        after.end(at: time(9), epoch: 2, stored: 130)
        after.settle(50, .delivered)
        #expect(after.outages.map(\.delivered) == [10, 30])
        let second = try #require(after.outages.last)
        #expect(second.startEpoch == 1 && second.endEpoch == 2)
    }

    @Test func randomOutagesMatchAListOfSamples() {
        let seed = seedOfThisRun()
        for round in 0..<40 {
            var random = SeededGenerator(seed: seed &+ UInt64(round))
            var book = OutageBook(settled: 0)
            var verdicts: [OutageBook.Verdict] = []
            var stored: UInt64 = 0
            var expected: [(first: UInt64, last: UInt64?)] = []
            for step in 0..<200 {
                switch Int.random(in: 0..<10, using: &random) {
                case 0..<4: stored += UInt64.random(in: 0...20, using: &random)
                case 4..<8:
                    let count = UInt64.random(in: 0...(stored - UInt64(verdicts.count)), using: &random)
                    let verdict = [OutageBook.Verdict.delivered, .lost, .refused].randomElement(using: &random) ?? .lost
                    book.settle(count, verdict)
                    verdicts += Array(repeating: verdict, count: Int(count))
                case 8:
                    if !book.isOpen { expected.append((UInt64(verdicts.count), nil)) }
                    book.begin(at: time(Int64(step)), epoch: 1, settled: UInt64(verdicts.count))
                default:
                    if book.isOpen { expected[expected.count - 1].last = stored }
                    book.end(at: time(Int64(step)), epoch: 1, stored: stored)
                }
            }
            let context = Comment(rawValue: "INDUS_SEED=\(seed), round \(round)")
            #expect(book.outages.count == expected.count, context)
            for (outage, range) in zip(book.outages, expected) {
                let end = min(Int(range.last ?? stored), verdicts.count)
                let mine = Int(range.first) < end ? verdicts[Int(range.first)..<end] : []
                #expect(outage.delivered == UInt64(mine.count { $0 == .delivered }), context)
                #expect(outage.lost == UInt64(mine.count { $0 == .lost }), context)
                #expect(outage.refused == UInt64(mine.count { $0 == .refused }), context)
                #expect(outage.samples(stored: stored) == (range.last ?? stored) - range.first, context)
            }
        }
    }
}
