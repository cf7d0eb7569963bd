import Acquisition
import GatewayCore
import Logging
import Scoring
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import Gateway

/// 2026-03-01T00:00:00Z.
private let march = Timestamp(nanoseconds: 1_772_323_200_000_000_000)

@Suite("Clock service")
struct ClockServiceTests {
    @Test("scenario 23: NTP comes after the start: the log is corrected, health with its cause, and each event is logged once")
    func lateSynchronization() async throws {
        let clock = ManualTime()
        clock.setWallClock(Timestamp(nanoseconds: 0))
        clock.setSynchronized(false)
        let time = DisciplinedTime(clock: clock, trust: .synchronized)
        let log = MemoryLog()
        let recorder = LogRecorder()
        let service = ClockService(time: time, log: log, logger: recorder.logger)
        service.begin()
        let descriptor = StreamDescriptor(device: "pump", group: "fast", tags: [Tag("flow", .uint16)])
        let stream = log.register(descriptor)
        let scoring = ScoringService(
            log: log, time: time, assets: [AssetScorer(name: "pump", members: [.init(stream: stream, descriptor: descriptor)])],
            publishEvery: .seconds(1), logger: LogRecorder().logger)
        let tasks = [Task { try await service.run() }, Task { try await scoring.run() }]
        defer { for task in tasks { task.cancel() } }
        while log.descriptor(of: StreamID(rawValue: 2)) == nil { await Task.yield() }

        func poll() {
            var batch = SampleBatch(stream: stream, descriptor: descriptor, time: time.utc, status: .good)
            batch.stamp = time.stamp
            log.append(batch)
        }
        poll()
        while log.batches.count < 2 { await Task.yield() }
        #expect(log.batches.allSatisfy { $0.isTimeUncertain && $0.time == Timestamp(nanoseconds: 0) })
        clock.setWallClock(march)
        clock.setSynchronized(true)
        while log.batches.contains(where: { $0.isTimeUncertain }) {
            clock.advance(by: .milliseconds(100))
            await Task.yield()
        }
        #expect(log.batches.allSatisfy { $0.time == march })
        for _ in 0..<30 {
            clock.advance(by: .milliseconds(100))
            await Task.yield()
        }
        #expect(recorder.lines.map { $0.message.prefix(25) } == ["clock is not synchronized", "clock is synchronized: un"])
        #expect(recorder.lines.allSatisfy { $0.level == .notice })
    }

    @Test("a device that gives times has its skew among the diagnostics, others have no such stream")
    func skew() async throws {
        let log = MemoryLog()
        let time = ManualTime()
        let descriptor = StreamDescriptor(device: "plc", group: "fast", tags: [Tag("a", .uint16)])
        let plan = ReadPlan(stream: log.register(descriptor), descriptor: descriptor, requests: [], fields: [])
        let runners = [TimedAdapter(skew: .milliseconds(250)), TimedAdapter(skew: nil)].enumerated().map { index, adapter in
            DeviceRunner(
                name: "plc-\(index)", adapter: adapter,
                groups: [Acquisition.ScanGroup(plan: plan, period: .milliseconds(500), phase: .milliseconds(500), deadbands: [nil])],
                log: log,
                time: time, logger: LogRecorder().logger)
        }
        let diagnostics = DiagnosticsService(log: log, time: time, devices: runners.enumerated().map { ("plc-\($0)", $1.monitor) })
        var tasks = runners.map { runner in Task { try await runner.run() } }
        tasks.append(Task { try await diagnostics.run() })
        defer { for task in tasks { task.cancel() } }
        let skew = DiagnosticsStream.clockDescriptor(device: "plc-0")
        func found() -> [SampleBatch] { log.batches.filter { log.descriptor(of: $0.stream) == skew } }
        while found().isEmpty {
            await time.untilAsleep(3)
            time.advance(by: .milliseconds(500))
        }
        #expect(found().first?.value(of: 0, in: skew)?.value == .double(250))
        let others = log.batches.compactMap { log.descriptor(of: $0.stream) }
        #expect(!others.contains(DiagnosticsStream.clockDescriptor(device: "plc-1")))
    }
}

/// A device with a clock of its own, so far behind ours.
private actor TimedAdapter: ProtocolAdapter {
    private let skew: Duration?

    init(skew: Duration?) { self.skew = skew }

    func connect() async throws {}

    func read(_ plan: ReadPlan, at time: Timestamp) async throws -> PollResult {
        var batch = SampleBatch(stream: plan.stream, descriptor: plan.descriptor, time: time, status: .good)
        batch.sourceTime = skew.map { time.advanced(by: .zero - $0) }
        return PollResult(batch: batch)
    }

    func disconnect() async {}
}
