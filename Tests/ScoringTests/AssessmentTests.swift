import Telemetry
import TestKit
import Testing

@testable import Scoring

@Suite struct AssessmentTests {
    private func assessment(_ state: Assessment.State, health: Double = 100, _ contributions: [Contribution] = []) -> Assessment {
        Assessment(
            asset: "pump-1", time: Timestamp(milliseconds: 1_700_000_000_000), health: health, state: state, contributions: contributions)
    }

    private func contribution(_ tag: String, _ sigmas: Double, seconds: Double, _ direction: Contribution.Direction = .above)
        -> Contribution
    {
        Contribution(
            tag: tag, direction: direction, sigmas: sigmas, since: Timestamp(nanoseconds: 0), duration: seconds, severity: 0.5)
    }

    @Test func contributionsSpeakPlainly() {
        #expect(contribution("bearingTemperature", 6.2, seconds: 40).description == "bearingTemperature +6.2 σ for 40 s")
        #expect(contribution("flow", 3.96, seconds: 240, .below).description == "flow -4.0 σ for 4 min")
        #expect(contribution("flow", 1e30, seconds: 10_000).description == "flow +>999 σ for 2 h")
        #expect(contribution("flow", 10, seconds: 1e30).description == "flow +10.0 σ for 1000000 d")
        let two = assessment(.alarm, [contribution("a", 9, seconds: 5), contribution("b", 4, seconds: 7)])
        #expect(two.reason == "a +9.0 σ for 5 s, b +4.0 σ for 7 s")
    }

    @Test func becomesABatchOfTheHealthStream() {
        let descriptor = HealthStream.descriptor(asset: "pump-1")
        #expect(descriptor.device == "pump-1")
        #expect(descriptor.group == "health")
        #expect(descriptor.tags.map(\.name) == ["score", "state", "reason"])
        let alarm = assessment(.alarm, health: 41.27, [contribution("flow", 4, seconds: 7)])
        let batch = HealthStream.batch(alarm, stream: StreamID(rawValue: 12), descriptor: descriptor)
        #expect(batch.stream == StreamID(rawValue: 12))
        #expect(batch.time == alarm.time)
        #expect(batch.value(of: 0, in: descriptor)?.value == .double(41.3))
        #expect(batch.value(of: 0, in: descriptor)?.status == .good)
        #expect(batch.value(of: 1, in: descriptor)?.value == .string("alarm"))
        #expect(batch.value(of: 2, in: descriptor)?.value == .string("flow +4.0 σ for 7 s"))
    }

    @Test func unknownHealthDoesNotLookGood() {
        let descriptor = HealthStream.descriptor(asset: "pump-1")
        let learning = HealthStream.batch(assessment(.learning), stream: StreamID(rawValue: 1), descriptor: descriptor)
        #expect(learning.value(of: 0, in: descriptor)?.status == .uncertain)
        #expect(learning.value(of: 1, in: descriptor)?.status == .good)
        let silent = HealthStream.batch(assessment(.noData), stream: StreamID(rawValue: 1), descriptor: descriptor)
        #expect(silent.value(of: 0, in: descriptor) == DataValue(value: nil, status: .badNoCommunication, time: silent.time))
        #expect(silent.values.prefix(8).allSatisfy { $0 == 0 })
        #expect(silent.value(of: 1, in: descriptor)?.value == .string("noData"))
    }

    @Test func longReasonsAreCut() throws {
        let descriptor = HealthStream.descriptor(asset: "pump-1")
        let many = (0..<8).map { contribution("aTagWithAVeryLongNameThatGoesOnAndOn\($0)", 5, seconds: 1) }
        let batch = HealthStream.batch(assessment(.alarm, many), stream: StreamID(rawValue: 1), descriptor: descriptor)
        guard case .string(let reason) = try #require(batch.value(of: 2, in: descriptor)?.value) else {
            Issue.record("the reason is no string")
            return
        }
        #expect(reason.utf8.count <= HealthStream.reasonCapacity)
        #expect(reason.hasPrefix("aTagWithAVeryLongNameThatGoesOnAndOn0 +5.0 σ for 1 s, "))
    }

    @Test func assetSpansDevicesAndRanksItsTags() throws {
        let names = ["pump-1", "motor-1"]
        let descriptors = names.map { StreamDescriptor(device: $0, group: "fast", tags: [Tag("speed", .float64), Tag("power", .float64)]) }
        var asset = AssetScorer(
            name: "line",
            members: descriptors.enumerated().map { AssetScorer.Member(stream: StreamID(rawValue: UInt32($0)), descriptor: $1) })
        var random = SeededGenerator(seed: 1)
        var time = Timestamp(nanoseconds: 0)
        for sample in 0..<1200 {
            time = time.advanced(by: .milliseconds(100))
            for (index, descriptor) in descriptors.enumerated() {
                var batch = SampleBatch(stream: StreamID(rawValue: UInt32(index)), descriptor: descriptor, time: time, status: .good)
                let isFaulty = sample > 1000
                batch.set(.double(100 + random.gaussian() - (isFaulty && index == 1 ? 40 : 0)), tag: 0, in: descriptor)
                batch.set(.double(10 + random.gaussian() + (isFaulty && index == 0 ? 9 : 0)), tag: 1, in: descriptor)
                asset.consume(batch)
            }
        }
        var foreign = SampleBatch(stream: StreamID(rawValue: 77), descriptor: descriptors[0], time: time, status: .good)
        foreign.values = []
        let isMember = asset.consume(foreign)
        #expect(!isMember)
        let result = asset.assessment(at: time)
        #expect(result.contributions.map(\.tag) == ["motor-1.speed", "pump-1.power"])
        #expect(result.contributions.map(\.direction) == [.below, .above])
        let (worst, second) = (result.contributions[0].severity, result.contributions[1].severity)
        #expect(worst > second)
        #expect(abs(result.health - 100 * (1 - worst) * (1 - second / 2)) < 1e-9)
        #expect(result.state == .alarm)
    }
}
