import Foundation
import Telemetry
import TestKit
import Testing

@testable import Sparkplug

extension SeededGenerator {
    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }

    mutating func text(_ lengths: ClosedRange<Int>) -> String {
        let alphabet = Array("abcXYZ019 _/äß°Ω漢🙂")
        return String((0..<Int.random(in: lengths, using: &self)).map { _ in alphabet.randomElement(using: &self) ?? "?" })
    }
}

let noon = Timestamp(milliseconds: 1_767_268_800_000)

extension Timestamp {
    func adding(milliseconds: Int64) -> Timestamp { Timestamp(nanoseconds: nanoseconds + milliseconds * 1_000_000) }
}

extension EdgeNode {
    static func plant(version: String = "1.2.3") throws -> EdgeNode { try EdgeNode(groupID: "plant-a", nodeID: "line-1", version: version) }
}

enum Pump {
    static let fast = StreamID(rawValue: 7)
    static let slow = StreamID(rawValue: 8)
    static let health = StreamID(rawValue: 9)

    static let fastTags = StreamDescriptor(
        device: "pump-1", group: "fast",
        tags: [
            Tag("bearingTemperature", .int16, scaling: Scaling(scale: 0.1), unit: "Cel"), Tag("running", .bool),
            Tag("speed", .uint16, unit: "1/min"), Tag("state", .string, stringCapacity: 16),
        ])
    static let slowTags = StreamDescriptor(device: "pump-1", group: "slow", tags: [Tag("runHours", .uint32, unit: "h")])
    static let healthTags = StreamDescriptor(device: "pump-1", group: "health", tags: [Tag("score", .float64)])

    static func batch(
        _ temperature: Int64 = 235, status: StatusCode = .good, at time: Timestamp = noon, epoch: UInt32 = 3, sequence: UInt64 = 41
    ) -> SampleBatch {
        var batch = SampleBatch(stream: fast, descriptor: fastTags, time: time, status: status)
        if !status.isBad {
            batch.set(.int(temperature), tag: 0, in: fastTags)
            batch.set(.bool(true), tag: 1, in: fastTags)
            batch.set(.uint(1450), tag: 2, in: fastTags)
            batch.set(.string("läuft"), tag: 3, in: fastTags)
        }
        batch.epoch = epoch
        batch.sequence = sequence
        return batch
    }

    static func runHours(_ hours: UInt64, at time: Timestamp = noon) -> SampleBatch {
        var batch = SampleBatch(stream: slow, descriptor: slowTags, time: time, status: .good)
        batch.set(.uint(hours), tag: 0, in: slowTags)
        return batch
    }
}

extension SparkplugMessage {
    var decoded: SparkplugPayload { get throws { try SparkplugPayload(decoding: payload) } }
}

extension SparkplugPayload {
    func metric(_ name: String) throws -> SparkplugMetric { try #require(metrics.first { $0.name == name }, "no metric \(name)") }
    func metric(alias: UInt64?) throws -> SparkplugMetric { try #require(metrics.first { $0.alias == alias }, "no alias \(alias ?? 0)") }
}
