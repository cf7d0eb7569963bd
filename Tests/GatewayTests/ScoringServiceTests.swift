import GatewayCore
import Scoring
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import Gateway

@Suite("Scoring service")
struct ScoringServiceTests {
    @Test("an outage right after an assessment makes the health unknown at once; other streams are let pass")
    func outage() async throws {
        let log = MemoryLog()
        let time = ManualTime()
        let descriptor = StreamDescriptor(device: "pump", group: "fast", tags: [Tag("flow", .uint16)])
        let stream = log.register(descriptor)
        let other = log.register(StreamDescriptor(device: "other", group: "fast", tags: [Tag("x", .uint16)]))
        let scorer = AssetScorer(name: "pump", members: [.init(stream: stream, descriptor: descriptor)])
        let service = ScoringService(
            log: log, time: time, assets: [scorer], publishEvery: .seconds(1), logger: LogRecorder().logger)
        let task = Task { try await service.run() }
        defer { task.cancel() }
        let health = HealthStream.descriptor(asset: "pump")
        func assessments() -> [SampleBatch] { log.batches.filter { log.descriptor(of: $0.stream) == health } }

        // The service's cursor begins with what comes after its start.
        while log.descriptor(of: StreamID(rawValue: 3)) == nil { await Task.yield() }
        var batch = SampleBatch(stream: stream, descriptor: descriptor, time: time.utc, status: .good)
        batch.set(.uint(100), tag: 0, in: descriptor)
        log.append(batch)
        log.append(SampleBatch(stream: other, descriptor: descriptor, time: time.utc, status: .good))
        while assessments().isEmpty { await Task.yield() }
        batch.time = batch.time.advanced(by: .milliseconds(10))
        log.append(batch)
        log.append(
            SampleBatch(stream: stream, descriptor: descriptor, time: batch.time.advanced(by: .milliseconds(10)), status: .badNotConnected))
        while assessments().count < 2 {
            time.advance(by: .milliseconds(200))
            await Task.yield()
        }
        let states = assessments().map { $0.value(of: 1, in: health)?.value }
        #expect(states == [.string("learning"), .string("noData")])
        #expect(assessments().last?.value(of: 0, in: health)?.status.isBad == true)
    }

    @Test("assets come and go while others are scored; those that look at the same tags keep what they have learned")
    func update() async throws {
        let log = MemoryLog()
        let time = ManualTime()
        let descriptors = ["kept", "changed", "gone", "new"].map {
            StreamDescriptor(device: $0, group: "fast", tags: [Tag("flow", .uint16), Tag("level", .uint16)])
        }
        let streams = descriptors.map { log.register($0) }
        func scorer(_ index: Int, scored: [Bool] = [true, true]) -> AssetScorer {
            AssetScorer(
                name: descriptors[index].device,
                members: [.init(stream: streams[index], descriptor: descriptors[index], scored: scored)])
        }
        let service = ScoringService(
            log: log, time: time, assets: [scorer(0), scorer(1), scorer(2)], publishEvery: .milliseconds(100), logger: LogRecorder().logger)
        let task = Task { try await service.run() }
        defer { task.cancel() }
        func isKnown(_ asset: String) -> Bool {
            let health = HealthStream.descriptor(asset: asset)
            return (1...16).contains { log.descriptor(of: StreamID(rawValue: $0)) == health }
        }
        func states(_ asset: String) -> [Variant?] {
            let health = HealthStream.descriptor(asset: asset)
            return log.batches.filter { log.descriptor(of: $0.stream) == health }.map { $0.value(of: 1, in: health)?.value }
        }
        func feed(_ count: Int) async {
            for number in 0..<count {
                for (stream, descriptor) in zip(streams, descriptors) {
                    var batch = SampleBatch(stream: stream, descriptor: descriptor, time: time.utc, status: .good)
                    batch.set(.uint(UInt64(100 + number % 7)), tag: 0, in: descriptor)
                    batch.set(.uint(UInt64(50 + number % 5)), tag: 1, in: descriptor)
                    log.append(batch)
                }
                time.advance(by: .seconds(1))
                await Task.yield()
            }
            // "kept" is assessed with every poll: as many assessments as polls, and the service has seen all of them.
            while states("kept").count < log.batches.count(where: { $0.stream == streams[0] }) {
                time.advance(by: .milliseconds(1))
                await Task.yield()
            }
        }
        while !isKnown("gone") { await Task.yield() }
        while states("kept").last != .string("normal") { await feed(50) }
        service.update(assets: [scorer(0), scorer(1, scored: [true, false]), scorer(3)], publishEvery: .milliseconds(100))
        let (kept, gone) = (states("kept").count, states("gone").count)
        while states("new").isEmpty || states("kept").count < kept + 5 || !states("changed").suffix(3).contains(.string("learning")) {
            await feed(1)
        }
        #expect(states("kept").dropFirst(kept).allSatisfy { $0 == .string("normal") })
        let goneAfter = states("gone").count
        #expect(goneAfter <= gone + 1)
        await feed(5)
        #expect(states("gone").count == goneAfter)
        #expect(states("new").allSatisfy { $0 == .string("learning") })
    }
}
