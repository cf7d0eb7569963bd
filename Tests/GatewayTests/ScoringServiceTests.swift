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
}
