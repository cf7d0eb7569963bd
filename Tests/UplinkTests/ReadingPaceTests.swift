import GatewayCore
import TestKit
import Testing

@testable import Uplink

@Suite("The pace of reading the log")
struct ReadingPaceTests {
    /// Lets batches come at times of a list, in milliseconds, and returns for each how much later than it came it was found.
    private func delays(_ times: [Double], limit: Int = 32) -> [Double] {
        var pace = ReadingPace()
        var delays: [Double] = []
        var index = 0
        while index < times.count {
            let due = (pace.nextLook?.nanoseconds).map { Double($0) / 1e6 } ?? 0
            let look = max(due, times[index])
            let found = min(limit, times[index...].prefix { $0 <= look }.count)
            for time in times[index..<index + found] { delays.append(look - time) }
            index += found
            pace.didFind(found, atMost: limit, at: MonotonicInstant(nanoseconds: Int64(look * 1e6)))
        }
        return delays
    }

    @Test("batches that come slowly are found at once, in bunches too")
    func slow() {
        #expect(delays((0..<1000).map { Double($0) * 10 }).allSatisfy { $0 == 0 })
        // Ten devices each 100 ms, within two milliseconds.
        let bunches = (0..<1000).map { (number: Int) -> Double in
            let start = Double(number / 10) * 100
            return start + Double(number % 10) * 0.2
        }
        let late = delays(bunches).dropFirst(100)
        #expect(late.allSatisfy { $0 <= 5 })
        #expect(late.reduce(0, +) / Double(late.count) < 2)
    }

    @Test("batches that come fast are gathered, and none for longer than it may be")
    func fast() {
        let seed = seedOfThisRun()
        var generator = SeededGenerator(seed: seed)
        var time = 0.0
        let times = (0..<5000).map { _ in
            time += Double.random(in: 0...4, using: &generator)
            return time
        }
        let late = delays(times).dropFirst(500)
        let gathered = late.filter { $0 > 0 }.count
        #expect(late.allSatisfy { $0 <= 5.001 }, "seed \(seed)")
        #expect(gathered > late.count / 2, "seed \(seed): \(gathered)")
        // And once they come slowly again, they are found at once again.
        let slowly = (1...100).map { time + Double($0) * 20 }
        #expect(delays(times + slowly).suffix(90).allSatisfy { $0 == 0 }, "seed \(seed)")
    }

    @Test("who has fallen behind does not wait")
    func behind() {
        // All of them are there at the beginning, so that every look but the last takes as much as it may.
        #expect(delays([Double](repeating: 0, count: 640), limit: 32).allSatisfy { $0 == 0 })
    }
}
