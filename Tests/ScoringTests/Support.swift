import Foundation
import PlantSimulation
import Telemetry
import TestKit

@testable import Scoring

extension SeededGenerator {
    mutating func gaussian() -> Double { (0..<12).reduce(-6) { sum, _ in sum + Double.random(in: 0..<1, using: &self) } }
}

/// The seeds of a property test: the one of the environment variable `INDUS_SEED`, or a fixed range.
func seeds(_ range: Range<UInt64>) -> [UInt64] {
    ProcessInfo.processInfo.environment["INDUS_SEED"].flatMap(UInt64.init).map { [$0] } ?? Array(range)
}

/// A stream with one tag and the asset that consists of it, fed value by value.
struct SingleTag {
    let descriptor: StreamDescriptor
    var asset: AssetScorer
    var time = Timestamp(milliseconds: 1_700_000_000_000)
    static let stream = StreamID(rawValue: 9)

    init(_ tag: Tag = Tag("level", .float64), configuration: ScoringConfiguration = ScoringConfiguration()) {
        descriptor = StreamDescriptor(device: "tank", group: "fast", tags: [tag])
        asset = AssetScorer(
            name: "tank", members: [AssetScorer.Member(stream: SingleTag.stream, descriptor: descriptor)], configuration: configuration)
    }

    var assessment: Assessment { asset.assessment(at: time) }
    var scorer: StreamScorer { asset.scorers[0] }

    /// A batch with one raw value, `seconds` after the one before.
    mutating func feed(_ value: Variant, after seconds: Double = 0.1, suppressedPolls: UInt32 = 0) {
        time = time.advanced(by: .seconds(seconds))
        var batch = SampleBatch(stream: SingleTag.stream, descriptor: descriptor, time: time, status: .good)
        batch.set(value, tag: 0, in: descriptor)
        batch.suppressedPolls = suppressedPolls
        asset.consume(batch)
    }

    mutating func feed(_ value: Double, after seconds: Double = 0.1) { feed(.double(value), after: seconds) }

    /// `count` values of a normal distribution.
    mutating func feedNoise(_ count: Int, mean: Double, sigma: Double = 1, after seconds: Double = 0.1, _ random: inout SeededGenerator) {
        for _ in 0..<count { feed(mean + sigma * random.gaussian(), after: seconds) }
    }
}

/// A simulated machine with the tags that its shipped definition has scored, polled and judged.
struct ScoredMachine {
    var machine: any SimulatedMachine
    let descriptor: StreamDescriptor
    var asset: AssetScorer
    var time = Timestamp(milliseconds: 1_700_000_000_000)
    private let stream = StreamID(rawValue: 3)

    init(_ kind: MachineKind, seed: UInt64, faults: [ScriptedFault] = []) {
        machine = kind.make(seed: seed, faults: faults)
        func signed(_ name: String, _ scale: Double) -> Tag { Tag(name, .int16, scaling: Scaling(scale: scale)) }
        func unsigned(_ name: String, _ scale: Double) -> Tag { Tag(name, .uint16, scaling: Scaling(scale: scale)) }
        let tags =
            switch kind {
            case .feedPump:
                [
                    signed("bearingTemperature", 0.1), unsigned("vibrationRMS", 0.01), unsigned("flow", 0.1),
                    unsigned("dischargePressure", 0.01), unsigned("motorCurrent", 0.01), unsigned("speed", 1),
                ]
            case .cncSpindle:
                [
                    unsigned("spindleSpeed", 1), unsigned("spindleLoad", 0.1), signed("bearingTemperature", 0.1),
                    unsigned("vibrationRMS", 0.01), unsigned("coolantFlow", 0.1),
                ]
            case .airCompressor:
                [
                    unsigned("dischargePressure", 0.01), signed("dischargeTemperature", 0.1), unsigned("motorCurrent", 0.1),
                    unsigned("vibrationRMS", 0.01), unsigned("oilPressure", 0.01), unsigned("flow", 0.1),
                ]
            }
        descriptor = StreamDescriptor(device: kind.rawValue, group: "fast", tags: tags)
        asset = AssetScorer(name: kind.rawValue, members: [AssetScorer.Member(stream: stream, descriptor: descriptor)])
    }

    /// Polls for some seconds of the machine's time; returns the assessments, one a second.
    mutating func run(seconds: Int, period: Double = 0.1) -> [Assessment] {
        var assessments: [Assessment] = []
        for _ in 0..<seconds {
            for _ in 0..<Int((1 / period).rounded()) {
                machine.advance(by: period)
                time = time.advanced(by: .seconds(period))
                let values = machine.registers.prefix(descriptor.tags.count).flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
                asset.consume(
                    SampleBatch(
                        stream: stream, time: time, quality: [QualityRun(count: descriptor.tags.count, status: .good)], values: values))
            }
            assessments.append(asset.assessment(at: time))
        }
        return assessments
    }
}
