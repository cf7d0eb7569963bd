import Foundation
import Telemetry
import TestKit
import Testing

@testable import Historian

@Suite("Buckets")
struct BucketTests {
    private static let second: Int64 = 1_000_000_000

    private func layout(_ window: Range<Int64>, width: Int64, origin: Int64 = 0, holdMax: Int64 = .max, max: Int = 1000) -> BucketLayout {
        BucketLayout(window: window, width: width, origin: origin, holdMax: holdMax, bucketsMax: max)
    }

    @Test func bucketsAreWholeWidthsFromTheOrigin() {
        #expect(layout(0..<1, width: 60).bucket(of: 0) == 0..<60)
        #expect(layout(0..<1, width: 60).bucket(of: 59) == 0..<60)
        #expect(layout(0..<1, width: 60).bucket(of: 60) == 60..<120)
        #expect(layout(0..<1, width: 60).bucket(of: -1) == -60..<0)
        #expect(layout(0..<1, width: 60, origin: 10).bucket(of: 9) == -50..<10)
        #expect(layout(0..<1, width: 60, origin: -50).bucket(of: 10) == 10..<70)
        #expect(layout(0..<1, width: Int64.max, origin: Int64.min).bucket(of: Int64.max).contains(Int64.max - 1))
        for width in [1, 7, 1 << 40, Int64.max] as [Int64] {
            for time in [Int64.min, Int64.min + 1, -1, 0, 1, Int64.max - 1] as [Int64] {
                for origin in [Int64.min, -3, 0, 3, Int64.max] as [Int64] {
                    let range = layout(0..<1, width: width, origin: origin).bucket(of: time)
                    #expect(range.contains(time), "\(width) \(time) \(origin)")
                }
            }
        }
    }

    @Test func aValueHoldsUntilTheNextABadOneTheLimitOrAnInterruption() throws {
        var aggregator = BucketAggregator<Int64>(layout(0..<100, width: 10, holdMax: 25))
        try aggregator.add(4, status: .good, at: -5)
        try aggregator.add(8, status: .uncertain, at: 5)
        try aggregator.add(0, status: .badTimeout, at: 7)
        try aggregator.add(2, status: .good, at: 12)
        try aggregator.add(1, status: .good, at: 60)
        try aggregator.interrupt(at: 63)
        let buckets = try aggregator.finish(at: 100)
        // The value of 12 holds for 25 and ends at 37; that of 60 until the interruption.
        #expect(buckets.map(\.start) == [0, 10, 20, 30, 60])
        #expect(buckets.map(\.durationGood) == [.nanoseconds(5), .nanoseconds(8), .nanoseconds(10), .nanoseconds(7), .nanoseconds(3)])
        let expected = (4.0 * 5 + 8 * 2) / 7
        #expect(abs((buckets[0].timeWeightedMean ?? .nan) - expected) < 1e-12)
        #expect(buckets[0].count == 1 && buckets[0].uncertain == 1 && buckets[0].bad == 1 && buckets[0].good == 0)
        #expect(buckets[2].count == 0 && buckets[2].timeWeightedMean == 2 && buckets[2].mean == nil && buckets[2].minimum == nil)
    }

    @Test func whatIsTakenOutEarlyIsWhatIsTakenOutAtTheEnd() throws {
        var generator = SeededGenerator()
        for _ in 0..<50 {
            let layout = layout(0..<10_000, width: Int64.random(in: 1...700, using: &generator), max: 100_000)
            var atOnce = BucketAggregator<Int64>(layout)
            var inParts = BucketAggregator<Int64>(layout)
            var taken: [Bucket<Int64>] = []
            var time: Int64 = -300
            while time < 11_000 {
                let value = Int64.random(in: -50...50, using: &generator)
                let status: StatusCode = Int.random(in: 0..<8, using: &generator) == 0 ? .bad : .good
                try atOnce.add(value, status: status, at: time)
                try inParts.add(value, status: status, at: time)
                time += Int64.random(in: 1...400, using: &generator)
                if Bool.random(using: &generator) { taken += try inParts.take(before: time) }
            }
            taken += try inParts.finish(at: time)
            let all = try atOnce.finish(at: time)
            #expect(taken.map(\.start) == all.map(\.start))
            for (left, right) in zip(taken, all) {
                #expect(left.count == right.count && left.minimum == right.minimum && left.durationGood == right.durationGood)
                #expect(abs((left.timeWeightedMean ?? 0) - (right.timeWeightedMean ?? 0)) < 1e-9)
            }
        }
    }

    @Test func anEarlierBucketGoesOnWhenTheClockIsSetBack() throws {
        var aggregator = BucketAggregator<Int64>(layout(0..<100, width: 10))
        for (value, time) in [(1, 5), (2, 25), (3, 3), (4, 15), (5, 26)] as [(Int64, Int64)] {
            try aggregator.add(value, status: .good, at: time)
        }
        let buckets = try aggregator.finish(at: 26)
        #expect(buckets.map(\.start) == [0, 10, 20])
        #expect(buckets.map(\.count) == [2, 1, 2])
        #expect(buckets[0].first == 3 && buckets[0].last == 1)
        // From 25 to 3 nothing was held; what held before the clock was set back counts, and what held after it.
        #expect(buckets[0].durationGood == .nanoseconds(5 + 7))
    }

    @Test func numbersThatAreNoneStayOutOfTheStatistics() throws {
        var aggregator = BucketAggregator<Double>(layout(0..<10, width: 10))
        for (index, value) in [1, .nan, 3, .infinity].enumerated() { try aggregator.add(value, status: .good, at: Int64(index)) }
        let bucket = try #require(try aggregator.finish(at: 10).first)
        #expect(bucket.count == 3 && bucket.notNumbers == 1 && bucket.good == 4)
        #expect(bucket.minimum?.value == 1 && bucket.maximum?.value == .infinity)
        #expect(bucket.mean == nil && bucket.standardDeviation == nil && bucket.timeWeightedMean == nil)
        #expect(bucket.durationGood == .nanoseconds(1 + 1 + 7))
        var huge = BucketAggregator<Double>(layout(0..<10, width: 10))
        for value in [Double.greatestFiniteMagnitude, -.greatestFiniteMagnitude] { try huge.add(value, status: .good, at: 1) }
        let extreme = try #require(try huge.finish(at: 2).first)
        #expect(extreme.mean?.isFinite ?? true)
        #expect(extreme.standardDeviation?.isFinite ?? true)
    }

    @Test func integersBeyondWhatDoublesHoldStayExact() throws {
        var aggregator = BucketAggregator<UInt64>(layout(0..<10, width: 10))
        for value in [UInt64.max, UInt64.max - 1, 1 << 63] as [UInt64] { try aggregator.add(value, status: .good, at: 1) }
        let bucket = try #require(try aggregator.finish(at: 2).first)
        #expect(bucket.minimum?.value == UInt64(1) << 63 && bucket.maximum?.value == UInt64.max && bucket.last == UInt64(1) << 63)
        #expect(try #require(bucket.mean) > 1.5e19)
        var signed = BucketAggregator<Int64>(layout(.min ..< .max, width: .max))
        for (value, time) in [(Int64.min, Int64.min), (.max, .max - 1)] { try signed.add(value, status: .good, at: time) }
        let buckets = try signed.finish(at: .max)
        #expect(buckets.reduce(0) { $0 + $1.count } == 2)
    }

    @Test func textsAreCountedAndHaveNoMean() throws {
        var aggregator = BucketAggregator<String>(layout(0..<10, width: 10))
        for (index, value) in ["b", "a", "c"].enumerated() { try aggregator.add(value, status: .good, at: Int64(index)) }
        let bucket = try #require(try aggregator.finish(at: 10).first)
        #expect(bucket.count == 3 && bucket.first == "b" && bucket.last == "c" && bucket.minimum?.value == "a")
        #expect(bucket.mean == nil && bucket.timeWeightedMean == nil && bucket.durationGood == .nanoseconds(10))
    }

    @Test func summariesGiveWhatTheyKnowAndNothingElse() throws {
        var aggregator = BucketAggregator<Int64>(layout(0..<100, width: 10))
        try aggregator.add(
            BucketSummary(times: 0..<10, good: 3, bad: 1, count: 3, minimum: 1, maximum: 9, last: 5, mean: 5))
        try aggregator.add(11, status: .good, at: 12)
        try aggregator.add(BucketSummary(times: 14..<16, good: 1, count: 1, minimum: 3, maximum: 3, last: 3, mean: 3))
        try aggregator.add(BucketSummary(times: 28..<34, good: 4, count: 4, minimum: 0, maximum: 1, last: 1))
        let buckets = try aggregator.finish(at: 100)
        #expect(buckets.map(\.start) == [0, 10, 20, 30])
        #expect(buckets.map(\.count) == [3, 2, 4, 0])
        #expect(buckets.map(\.mean) == [5, 7, nil, nil])
        #expect(buckets.map(\.isBlurred) == [false, false, true, true])
        #expect(buckets[1].first == 11 && buckets[1].last == 3 && buckets[1].minimum?.value == 3 && buckets[1].minimum?.time == nil)
        #expect(buckets[0].first == nil && buckets[0].bad == 1)
        #expect(buckets.allSatisfy { $0.standardDeviation == nil && $0.timeWeightedMean == nil && $0.durationGood == nil })
    }

    @Test func tooManyOpenBucketsAreAnErrorThatSaysWhatToDo() throws {
        var aggregator = BucketAggregator<Int64>(layout(0..<10_000, width: 1, max: 100))
        try aggregator.add(1, status: .good, at: 0)
        let error = #expect(throws: GatewayError.self) { try aggregator.add(1, status: .good, at: 9000) }
        #expect(error?.code == .limitExceeded && error?.message.contains("wider buckets") == true)
    }

    private struct Question: Encodable {
        struct Sample: Encodable {
            var time: Int64
            var value: Double
            var status: StatusCode

            func encode(to encoder: any Encoder) throws {
                var container = encoder.unkeyedContainer()
                try container.encode(time)
                try container.encode(value)
                try container.encode(status.isBad ? "bad" : status.isUncertain ? "uncertain" : "good")
            }
        }
        var samples: [Sample]
        var from: Int64
        var to: Int64
        var width: Int64
        var origin: Int64
        var holdMax: Int64?
        var end: Int64
    }

    private static func question(isReal: Bool, _ generator: inout SeededGenerator) -> Question {
        let from = Int64.random(in: -50...50, using: &generator) * second
        var question = Question(
            samples: [], from: from, to: from + Int64.random(in: 1...200, using: &generator) * second,
            width: Int64.random(in: 1...200, using: &generator) * second / 10,
            origin: Int64.random(in: -100...100, using: &generator) * second,
            holdMax: Bool.random(using: &generator) ? Int64.random(in: 1...20, using: &generator) * second : nil, end: 0)
        var time = from - 20 * second
        for _ in 0..<Int.random(in: 1...250, using: &generator) {
            let status: StatusCode = [.good, .good, .good, .uncertain, .badTimeout].randomElement(using: &generator) ?? .good
            let value = isReal ? Double.random(in: -1e6...1e6, using: &generator) : Double(Int64.random(in: -40...40, using: &generator))
            question.samples.append(Question.Sample(time: time, value: value, status: status))
            time += Int64.random(in: 0...(2 * second), using: &generator)
        }
        question.end = time
        return question
    }

    @Test func anExactPeerAgrees() async throws {
        var generator = SeededGenerator()
        let questions = (0..<12).map { Self.question(isReal: $0 % 2 == 1, &generator) }
        let answers = try await Self.oracle(questions)
        try #require(answers.count == questions.count)
        for (question, answer) in zip(questions, answers) {
            var aggregator = BucketAggregator<Double>(
                layout(
                    question.from..<question.to, width: question.width, origin: question.origin, holdMax: question.holdMax ?? .max,
                    max: 100_000))
            for sample in question.samples { try aggregator.add(sample.value, status: sample.status, at: sample.time) }
            let buckets = try aggregator.finish(at: question.end)
            try #require(buckets.map(\.start) == answer.map { $0.start }, "seed \(generator.seed)")
            for (bucket, peer) in zip(buckets, answer) { Self.compare(bucket, peer, generator.seed) }
        }
    }

    /// Decoded without a detour over `NSNumber`, which does not keep every digit.
    private struct Answer: Decodable {
        var start: Int64
        var count: Int
        var good: Int
        var uncertain: Int
        var bad: Int
        var min: Double?
        var max: Double?
        var minTime: Int64?
        var maxTime: Int64?
        var first: Double?
        var last: Double?
        var mean: Double?
        var stddev: Double?
        var twmean: Double?
        var durationGood: Int64
    }

    private static func oracle(_ questions: [Question]) async throws -> [[Answer]] {
        let folder = try TestKit.TemporaryFolder()
        let path = folder.path + "/questions.json"
        try JSONEncoder().encode(questions).write(to: URL(fileURLWithPath: path))
        let peer = try ForeignProcess(Checkout.python, [Checkout.peer("bucket_oracle.py"), path])
        let status = try await peer.waitForExit()
        try await peer.drained()
        try #require(status == 0, "\(peer.errorText)")
        return try JSONDecoder().decode([[Answer]].self, from: Data(peer.allLines.joined().utf8))
    }

    private static func compare(_ bucket: Bucket<Double>, _ peer: Answer, _ seed: UInt64) {
        #expect(
            bucket.count == peer.count && bucket.good == peer.good && bucket.uncertain == peer.uncertain && bucket.bad == peer.bad,
            "\(seed)")
        #expect(bucket.minimum?.value == peer.min && bucket.minimum?.time == peer.minTime, "seed \(seed)")
        #expect(bucket.maximum?.value == peer.max && bucket.maximum?.time == peer.maxTime, "seed \(seed)")
        #expect(bucket.first == peer.first && bucket.last == peer.last, "seed \(seed)")
        #expect(isNear(bucket.mean, peer.mean), "seed \(seed): \(String(describing: bucket.mean)) \(peer)")
        #expect(isNear(bucket.standardDeviation, peer.stddev), "seed \(seed): \(String(describing: bucket.standardDeviation)) \(peer)")
        #expect(isNear(bucket.timeWeightedMean, peer.twmean), "seed \(seed): \(String(describing: bucket.timeWeightedMean)) \(peer)")
        #expect(bucket.durationGood?.nanoseconds == peer.durationGood, "seed \(seed)")
    }

    private static func isNear(_ left: Double?, _ right: Double?) -> Bool {
        guard let left, let right else { return left == nil && right == nil }
        return abs(left - right) <= 1e-9 * max(1, abs(left), abs(right))
    }
}
