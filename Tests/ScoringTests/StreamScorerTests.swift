import Telemetry
import TestKit
import Testing

@testable import Scoring

/// Batches as they come: incomplete, bad, late, wrong.
@Suite struct StreamScorerTests {
    @Test(arguments: [Double.nan, .infinity, -.infinity, 1e300, -.greatestFiniteMagnitude])
    func valuesThatAreNoneAreSkippedAndCounted(value: Double) {
        var random = SeededGenerator(seed: 1)
        var tag = SingleTag()
        tag.feed(value)
        #expect(tag.assessment.state == .noData)
        for _ in 0..<600 {
            tag.feed(value)
            tag.feed(50 + random.gaussian())
        }
        #expect(tag.scorer.unusableSamples == 601)
        #expect(tag.assessment.health == 100)
        #expect(tag.assessment.state == .normal)
        tag.feedNoise(100, mean: 70, &random)
        #expect(tag.assessment.health < 60)
    }

    @Test(arguments: [StatusCode.badTimeout, .badNotConnected, .uncertainLastUsableValue])
    func samplesThatAreNotGoodAreSkippedAndCounted(status: StatusCode) {
        var random = SeededGenerator(seed: 2)
        var tag = SingleTag()
        tag.feedNoise(600, mean: 50, &random)
        for _ in 0..<100 {
            tag.time = tag.time.advanced(by: .milliseconds(100))
            tag.asset.consume(SampleBatch(stream: SingleTag.stream, descriptor: tag.descriptor, time: tag.time, status: status))
        }
        #expect(tag.scorer.unusableSamples == 100)
        #expect(tag.assessment.state == .noData)
        tag.feedNoise(100, mean: 50, &random)
        #expect(tag.assessment.state == .normal)
        #expect(tag.assessment.health == 100)
    }

    @Test func badRunTouchesItsTagsOnly() {
        let descriptor = StreamDescriptor(device: "d", group: "g", tags: (0..<10).map { Tag("t\($0)", .uint16) })
        var scorer = StreamScorer(descriptor: descriptor, scored: [Bool](repeating: true, count: 10))
        var batch = SampleBatch(stream: StreamID(rawValue: 1), descriptor: descriptor, time: Timestamp(nanoseconds: 0), status: .good)
        for tag in 0..<10 { batch.set(.uint(UInt64(100 + tag)), tag: tag, in: descriptor) }
        batch.quality = [
            QualityRun(count: 3, status: .good), QualityRun(count: 4, status: .badTimeout), QualityRun(count: 3, status: .good),
        ]
        for _ in 0..<100 {
            batch.time = batch.time.advanced(by: .milliseconds(100))
            scorer.consume(batch)
        }
        #expect(scorer.unusableSamples == 400)
        #expect(
            scorer.models.condition == [.normal, .normal, .normal, .learning, .learning, .learning, .learning, .normal, .normal, .normal])
    }

    @Test func tagLeftOutHoldsItsValue() {
        var random = SeededGenerator(seed: 3)
        var tag = SingleTag()
        tag.feedNoise(600, mean: 50, &random)
        tag.feed(75)
        #expect(tag.assessment.health >= 80, "one sample is no proof")
        // The value stays within its deadband from now on: batches without it.
        for _ in 0..<100 {
            tag.time = tag.time.advanced(by: .milliseconds(100))
            var batch = SampleBatch(stream: SingleTag.stream, descriptor: tag.descriptor, time: tag.time, status: .good)
            batch.presence = [0]
            tag.asset.consume(batch)
        }
        #expect(tag.assessment.health < 60)
        #expect(tag.scorer.unusableSamples == 0)
    }

    @Test func suppressedPollsHoldTheValue() {
        var random = SeededGenerator(seed: 4)
        var tag = SingleTag()
        tag.feedNoise(600, mean: 50, &random)
        tag.feed(75)
        tag.feed(.double(75.5), after: 10, suppressedPolls: 99)
        #expect(tag.assessment.health < 60)
        #expect(tag.scorer.gaps == 0)
    }

    @Test func gapIsCountedAndEndsInPeace() {
        var random = SeededGenerator(seed: 5)
        var tag = SingleTag()
        tag.feedNoise(600, mean: 50, &random)
        tag.feed(50, after: 7200)
        for _ in 0..<100 {
            tag.feedNoise(10, mean: 50, &random)
            #expect(tag.assessment.health == 100)
        }
        #expect(tag.scorer.gaps == 1)
    }

    @Test func outageAfterTheFirstBatchDoesNotAgeTheModel() {
        var random = SeededGenerator(seed: 8)
        var tag = SingleTag()
        tag.feed(50)
        tag.feed(50, after: 30 * 86_400)
        #expect(tag.scorer.gaps == 1)
        tag.feedNoise(100, mean: 50, &random)
        // A model of some minutes follows a machine that warms up slowly; one that believes itself a month old would not.
        for sample in 0..<6000 { tag.feedNoise(1, mean: 50 + Double(sample) * 0.002, &random) }
        #expect(tag.assessment.health >= 80)
    }

    @Test func slowPollingIsNoGap() {
        var tag = SingleTag()
        for _ in 0..<200 { tag.feed(50, after: 300) }
        #expect(tag.scorer.gaps == 0)
        #expect(tag.assessment.state == .normal)
    }

    @Test func lateBatchesAreSkippedAndASetClockIsFollowed() {
        var random = SeededGenerator(seed: 6)
        var tag = SingleTag()
        tag.feedNoise(600, mean: 50, &random)
        for _ in 0..<20 { tag.feed(1000, after: 0) }
        #expect(tag.scorer.outOfOrderBatches == 20)
        #expect(tag.assessment.health == 100)
        let before = tag.time
        tag.feed(1000, after: -30)
        #expect(tag.scorer.outOfOrderBatches == 21)
        #expect(tag.assessment.health == 100)
        tag.time = before
        tag.feed(50, after: -86_400)
        tag.feedNoise(600, mean: 50, &random)
        #expect(tag.scorer.outOfOrderBatches == 22)
        #expect(tag.assessment.health == 100)
        tag.feedNoise(100, mean: 70, &random)
        #expect(tag.assessment.health < 60)
        #expect(tag.assessment.contributions.first.map { (0...15).contains($0.duration) } == true)
    }

    @Test func batchesThatDoNotFitAreCounted() {
        let descriptor = StreamDescriptor(device: "d", group: "g", tags: (0..<70).map { Tag("t\($0)", .uint16) })
        var scorer = StreamScorer(descriptor: descriptor, scored: [Bool](repeating: true, count: 70))
        let good = SampleBatch(stream: StreamID(rawValue: 1), descriptor: descriptor, time: Timestamp(nanoseconds: 0), status: .good)
        var short = good
        short.values.removeLast()
        var presence = good
        presence.presence = [1]
        var quality = good
        quality.quality = [QualityRun(count: 69, status: .good)]
        var negative = good
        negative.quality = [QualityRun(count: 80, status: .bad), QualityRun(count: -10, status: .good)]
        for batch in [short, presence, quality, negative] { scorer.consume(batch) }
        #expect(scorer.malformedBatches == 4)
        scorer.consume(good)
        #expect(scorer.malformedBatches == 4)
    }

    @Test func flagsAndTextsAreNeverScored() {
        let descriptor = StreamDescriptor(
            device: "d", group: "g", tags: [Tag("on", .bool), Tag("name", .string, stringCapacity: 8), Tag("off", .uint16)])
        var scorer = StreamScorer(descriptor: descriptor, scored: [true, true])
        scorer.consume(SampleBatch(stream: StreamID(rawValue: 1), descriptor: descriptor, time: Timestamp(nanoseconds: 0), status: .good))
        #expect(scorer.models.condition == [.unscored, .unscored, .unscored])
        #expect(!scorer.hasData)
    }

    @Test(arguments: seeds(0..<50))
    func slotsAreReadAsTheVocabularyReadsThem(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let types = (0..<100).map { _ in DataType.allCases.randomElement(using: &random) ?? .bool }
        let descriptor = StreamDescriptor(
            device: "d", group: "g",
            tags: types.enumerated().map { index, type in
                Tag(
                    "t\(index)", type, scaling: Scaling(scale: Double.random(in: -2...2, using: &random), offset: 3),
                    stringCapacity: type == .string ? 5 : 0)
            })
        var batch = SampleBatch(stream: StreamID(rawValue: 1), descriptor: descriptor, time: Timestamp(nanoseconds: 0), status: .good)
        batch.values = batch.values.map { _ in UInt8.random(in: 0...255, using: &random) }
        if Bool.random(using: &random) { batch.presence = [random.next(), random.next()] }
        let scored = types.map(\.isNumeric)
        let reader = SlotReader(descriptor: descriptor, scored: scored)
        var latest = [Double](repeating: -1, count: 100)
        latest.withUnsafeMutableBufferPointer { buffer in
            if let base = buffer.baseAddress { reader.read(batch, into: base) }
        }
        for tag in 0..<100 {
            guard scored[tag], batch.has(tag), let expected = batch.value(of: tag, in: descriptor)?.value?.number else {
                #expect(latest[tag] == -1, "seed \(seed), tag \(tag)")
                continue
            }
            #expect(latest[tag] == expected || (latest[tag].isNaN && expected.isNaN), "seed \(seed), tag \(tag)")
        }
    }

    @Test(arguments: seeds(0..<20))
    func anyBytesAtAnyTimeKeepTheHealthInRange(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let types: [DataType] = [.float64, .float32, .int64, .uint64, .int8, .uint8, .int32, .uint32, .bool]
        let descriptor = StreamDescriptor(device: "d", group: "g", tags: types.map { Tag($0.name, $0) })
        let stream = StreamID(rawValue: 1)
        var asset = AssetScorer(name: "a", members: [AssetScorer.Member(stream: stream, descriptor: descriptor)])
        var batch = SampleBatch(stream: stream, descriptor: descriptor, time: Timestamp(nanoseconds: 0), status: .good)
        for _ in 0..<500 {
            batch.time = Timestamp(
                nanoseconds: Bool.random(using: &random)
                    ? Int64.random(in: .min ... .max, using: &random)
                    : batch.time.nanoseconds &+ Int64.random(in: -1_000_000_000...2_000_000_000, using: &random))
            batch.values = batch.values.map { _ in UInt8.random(in: 0...255, using: &random) }
            batch.presence = Bool.random(using: &random) ? [] : [random.next()]
            batch.suppressedPolls = Bool.random(using: &random) ? 0 : UInt32.random(in: 0 ... .max, using: &random)
            let bad = Int.random(in: 0...types.count, using: &random)
            batch.quality = [QualityRun(count: bad, status: .badTimeout), QualityRun(count: types.count - bad, status: .good)]
            asset.consume(batch)
            let assessment = asset.assessment(at: batch.time)
            #expect((0...100).contains(assessment.health), "seed \(seed)")
            #expect(assessment.contributions.allSatisfy { $0.sigmas.isFinite && (0...1).contains($0.severity) }, "seed \(seed)")
            _ = assessment.reason
        }
    }
}
