import Telemetry
import TestKit
import Testing

@testable import Scoring

/// One tag at a time: what must and what must not move the health.
@Suite struct DetectorTests {
    @Test func learnsBeforeItJudges() {
        var tag = SingleTag()
        for _ in 0..<49 { tag.feed(20) }
        #expect(tag.assessment.state == .learning)
        for _ in 0..<10 { tag.feed(20) }
        #expect(tag.assessment.state == .normal)
        #expect(tag.assessment.health == 100)
    }

    @Test(arguments: [0, 20, -1e9, 1e90])
    func constantSignalIsHealthy(value: Double) {
        var tag = SingleTag()
        for _ in 0..<2000 {
            tag.feed(value)
            #expect(tag.assessment.health == 100)
        }
        #expect(tag.assessment.state == .normal)
    }

    @Test func changeOfAConstantSignalIsSeen() {
        var tag = SingleTag(Tag("level", .int16, scaling: Scaling(scale: 0.1)))
        for _ in 0..<600 { tag.feed(.int(200)) }
        for _ in 0..<100 { tag.feed(.int(230)) }
        #expect(tag.assessment.state == .alarm)
    }

    @Test func ditheringOfTheLastBitIsHealthy() {
        var random = SeededGenerator(seed: 1)
        var tag = SingleTag(Tag("level", .int16, scaling: Scaling(scale: 0.1)))
        for _ in 0..<100 { tag.feed(.int(200)) }
        for _ in 0..<3000 {
            tag.feed(.int(200 + Int64(random.next() & 1)))
            #expect(tag.assessment.health == 100)
        }
        for _ in 0..<1000 { tag.feed(.int(201)) }
        #expect(tag.assessment.health == 100)
    }

    @Test(arguments: seeds(0..<20))
    func noiseIsHealthyAndAStepIsNot(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let mean = Double.random(in: -1e4...1e4, using: &random)
        let sigma = Double.random(in: 5...500, using: &random)
        let direction: Double = Bool.random(using: &random) ? 1 : -1
        var tag = SingleTag()
        for _ in 0..<300 {
            tag.feedNoise(10, mean: mean, sigma: sigma, &random)
            #expect(tag.assessment.health == 100, "seed \(seed)")
        }
        let changed = tag.time
        tag.feedNoise(50, mean: mean + 10 * direction * sigma, sigma: sigma, &random)
        let contribution = try #require(tag.assessment.contributions.first, "seed \(seed)")
        #expect(tag.assessment.health < 60, "seed \(seed)")
        #expect(contribution.tag == "level")
        #expect(contribution.direction == (direction > 0 ? .above : .below), "seed \(seed)")
        #expect((7...12).contains(contribution.sigmas), "seed \(seed): \(contribution)")
        #expect(abs(contribution.since.since(changed).inSeconds) < 1.5, "seed \(seed): the time of the change")
    }

    @Test(arguments: seeds(0..<10))
    func smallStepIsTolerated(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var tag = SingleTag()
        tag.feedNoise(2000, mean: 50, &random)
        for _ in 0..<200 {
            tag.feedNoise(10, mean: 50.5, &random)
            #expect(tag.assessment.health == 100, "seed \(seed)")
        }
    }

    @Test(arguments: seeds(0..<10))
    func rampAfterLearningIsSeen(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var tag = SingleTag()
        tag.feedNoise(3000, mean: 50, &random)
        for sample in 0..<1200 { tag.feedNoise(1, mean: 50 + Double(sample) * 0.01, &random) }
        #expect(tag.assessment.health < 80, "seed \(seed)")
        #expect(tag.assessment.contributions.first?.direction == .above, "seed \(seed)")
    }

    @Test(arguments: [0.1, 10])
    func counterThatGrowsFromTheStartIsHealthy(period: Double) {
        var tag = SingleTag(Tag("energy", .uint32))
        for sample in 0..<5000 {
            tag.feed(.uint(UInt64(sample)), after: period)
            #expect(tag.assessment.health >= 80, "sample \(sample)")
        }
    }

    @Test(arguments: [0.02, 0.1, 1, 10], seeds(0..<5))
    func oneOutlierIsNoAlarm(period: Double, seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var tag = SingleTag()
        tag.feedNoise(1500, mean: 50, after: period, &random)
        tag.feed(1e6, after: period)
        for _ in 0..<300 {
            #expect(tag.assessment.health >= 80, "seed \(seed)")
            tag.feedNoise(1, mean: 50, after: period, &random)
        }
        #expect(tag.assessment.health == 100, "seed \(seed)")
        // The outlier has taught the model nothing.
        tag.feedNoise(Int(max(10 / period, 20)), mean: 60, after: period, &random)
        #expect(tag.assessment.health < 80, "seed \(seed)")
    }

    @Test(arguments: [0, 5, 25, 45])
    func outlierWhileLearningDoesNotBlind(place: Int) {
        var random = SeededGenerator(seed: 3)
        var tag = SingleTag()
        for sample in 0..<600 { tag.feed(sample == place ? 1e6 : 50 + random.gaussian()) }
        #expect(tag.assessment.state == .normal)
        tag.feedNoise(200, mean: 80, &random)
        #expect(tag.assessment.health < 60)
    }

    @Test func alarmIsNotLearnedAndEndsWithItsCause() {
        var random = SeededGenerator(seed: 4)
        var tag = SingleTag()
        tag.feedNoise(1000, mean: 50, &random)
        tag.feedNoise(18_000, mean: 62, &random)
        #expect(tag.assessment.state == .alarm)
        #expect(tag.assessment.contributions.first.map { $0.duration > 1790 } == true)
        tag.feedNoise(300, mean: 50, &random)
        #expect(tag.assessment.health == 100)
        #expect(tag.assessment.contributions.isEmpty)
    }

    @Test(arguments: [0.5, 0.1])
    func modesOfOperationAreHealthy(duty: Double) {
        var random = SeededGenerator(seed: 5)
        var tag = SingleTag()
        for sample in 0..<6000 {
            let isWorking = Double(sample % 40) < duty * 40
            tag.feedNoise(1, mean: isWorking ? 100 : 10, &random)
            if sample % 10 == 0 { #expect(tag.assessment.health >= 80, "sample \(sample)") }
        }
        tag.feedNoise(100, mean: 450, &random)
        #expect(tag.assessment.health < 80)
    }

    @Test(arguments: [0.02, 0.1, 1, 5])
    func everySampleRateSeesTheSameStep(period: Double) {
        var random = SeededGenerator(seed: 6)
        var tag = SingleTag()
        tag.feedNoise(Int(max(120 / period, 600)), mean: 50, after: period, &random)
        #expect(tag.assessment.health == 100)
        tag.feedNoise(Int(max(8 / period, 8)), mean: 60, after: period, &random)
        #expect(tag.assessment.health < 60)
    }

    @Test func relearningForgets() {
        var random = SeededGenerator(seed: 7)
        var tag = SingleTag()
        tag.feedNoise(600, mean: 50, &random)
        tag.feedNoise(100, mean: 70, &random)
        #expect(tag.assessment.state == .alarm)
        tag.asset.relearn()
        tag.feedNoise(10, mean: 70, &random)
        #expect(tag.assessment.state == .learning)
        tag.feedNoise(600, mean: 70, &random)
        #expect(tag.assessment.health == 100)
    }
}
