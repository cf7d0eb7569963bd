import GatewayCore
import Historian
import Logging
import Scoring
import Synchronization
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import Acquisition
@testable import Gateway

/// Counts the suspension points that a task passes, and cancels it at a chosen one.
private final class Points: Sendable {
    private let target: Int
    private let state = Mutex((passed: 0, connectsAfter: 0))

    init(cancelAt target: Int) { self.target = target }

    var connectsAfterCancellation: Int { state.withLock { $0.connectsAfter } }

    func pass(isConnect: Bool = false) {
        let isTarget = state.withLock { state in
            if isConnect, state.passed >= target { state.connectsAfter += 1 }
            state.passed += 1
            return state.passed == target
        }
        if isTarget { withUnsafeCurrentTask { $0?.cancel() } }
    }
}

/// A clock that jumps to whatever is slept for.
private final class JumpingTime: TimeSource {
    private let points: Points
    private let elapsed = Mutex(Duration.zero)

    init(_ points: Points) { self.points = points }

    var now: MonotonicInstant { MonotonicInstant(nanoseconds: 0).advanced(by: elapsed.withLock { $0 }) }
    var utc: Timestamp { Timestamp(nanoseconds: 1_700_000_000_000_000_000).advanced(by: elapsed.withLock { $0 }) }

    func sleep(until deadline: MonotonicInstant) async throws {
        points.pass()
        await Task.yield()
        try Task.checkCancellation()
        elapsed.withLock { $0 = max($0, MonotonicInstant(nanoseconds: 0).duration(to: deadline)) }
    }
}

/// A device whose calls, when interrupted, say so in one of the ways that libraries have.
private actor InterruptedAdapter: ProtocolAdapter {
    enum Dress: CaseIterable { case plain, wrapped, hidden }
    private let points: Points
    private let dress: Dress

    init(_ points: Points, _ dress: Dress) {
        self.points = points
        self.dress = dress
    }

    private func interruption() throws {
        guard Task.isCancelled else { return }
        switch dress {
        case .plain: throw CancellationError()
        case .wrapped: throw GatewayError(.connectionLost, resource: "d", operation: "read", "interrupted", cause: CancellationError())
        case .hidden: throw GatewayError(.timedOut, resource: "d", operation: "read", "no answer in time")
        }
    }

    func connect() async throws {
        points.pass(isConnect: true)
        await Task.yield()
        try interruption()
    }

    func read(_ plan: ReadPlan, at time: Timestamp) async throws -> PollResult {
        points.pass()
        await Task.yield()
        try interruption()
        return PollResult(batch: SampleBatch(stream: plan.stream, descriptor: plan.descriptor, time: time, status: .good))
    }

    func disconnect() async { await Task.yield() }
}

/// A log whose cursor always has something to read.
private final class CountingLog: TelemetryLog {
    private let inner = MemoryLog()
    private let points: Points
    let stream: StreamID
    let batch: SampleBatch

    init(_ points: Points, _ descriptor: StreamDescriptor) {
        self.points = points
        stream = inner.register(descriptor)
        batch = SampleBatch(stream: stream, descriptor: descriptor, time: Timestamp(nanoseconds: 1_700_000_000_000_000_000), status: .good)
    }

    var epoch: UInt32 { inner.epoch }
    func register(_ descriptor: StreamDescriptor) throws -> StreamID { inner.register(descriptor) }
    func descriptor(of stream: StreamID) -> StreamDescriptor? { inner.descriptor(of: stream) }
    func append(_ batch: SampleBatch) { inner.append(batch) }
    func adopt(_ mapping: ClockMapping) { inner.adopt(mapping) }
    func countSuppressedPoll(of stream: StreamID) { inner.countSuppressedPoll(of: stream) }
    func cursor(named name: String, from: CursorStart) throws -> any LogCursor {
        Cursor(inner: inner.cursor(named: name, from: from), log: self)
    }

    private final class Cursor: LogCursor {
        let inner: any LogCursor
        let log: CountingLog
        init(inner: any LogCursor, log: CountingLog) {
            self.inner = inner
            self.log = log
        }
        var name: String { inner.name }
        var pendingSamples: UInt64 { inner.pendingSamples }
        func acknowledge(through position: LogPosition) { inner.acknowledge(through: position) }
        func refuse(_ position: LogPosition) { inner.refuse(position) }
        func rewind() { inner.rewind() }
        func read(atMost limit: Int) async throws -> [LogEntry] {
            log.points.pass()
            log.append(log.batch)
            return try await inner.read(atMost: limit)
        }
    }
}

/// Each part of the pipeline is cancelled at its first suspension point, at its second, and so on.
@Suite("Cancellation at every await")
struct CancellationPointTests {
    private static let points = 1...60
    private let descriptor = StreamDescriptor(device: "d", group: "fast", tags: [Tag("a", .uint16)])

    /// Runs supervised work; it must end as cancelled, without a word above debug of trouble, and without another try.
    private func expectSilence(
        _ recorder: LogRecorder, _ time: any TimeSource, _ point: Int, _ work: @escaping @Sendable () async throws -> Void
    ) async {
        let supervisor = Supervisor(resource: "part", logger: recorder.logger, time: time)
        let starts = Mutex(0)
        let task = Task {
            try await supervisor.run {
                starts.withLock { $0 += 1 }
                try await work()
            }
        }
        await #expect(throws: CancellationError.self, "point \(point)") { try await task.value }
        let count = starts.withLock { $0 }
        #expect(count == 1, "point \(point)")
        let loud = recorder.lines.filter { $0.level >= .warning || $0.level > .debug && $0.metadata["retry_count"] != nil }
        #expect(loud.isEmpty, "point \(point): \(loud)")
    }

    @Test("a device's runner", arguments: [0, 1, 2])
    func device(dress: Int) async {
        for point in Self.points {
            let points = Points(cancelAt: point)
            let time = JumpingTime(points)
            let recorder = LogRecorder()
            let monitor = DeviceMonitor()
            let log = MemoryLog()
            let plan = ReadPlan(stream: log.register(descriptor), descriptor: descriptor, requests: [], fields: [])
            let group = Acquisition.ScanGroup(plan: plan, period: .milliseconds(100), phase: .milliseconds(100), deadbands: [nil])
            let runner = DeviceRunner(
                name: "d", adapter: InterruptedAdapter(points, InterruptedAdapter.Dress.allCases[dress]), groups: [group], log: log,
                time: time,
                logger: recorder.logger, monitor: monitor)
            await expectSilence(recorder, time, point) { try await runner.run() }
            #expect(points.connectsAfterCancellation == 0, "point \(point)")
            #expect(monitor.status.retryCount == 0 && monitor.status.reason.isEmpty, "point \(point)")
            #expect(log.batches.allSatisfy { $0.isGood }, "point \(point): a cancellation is no outage")
        }
    }

    @Test("scoring")
    func scoring() async throws {
        for point in Self.points {
            let points = Points(cancelAt: point)
            let time = JumpingTime(points)
            let recorder = LogRecorder()
            let log = CountingLog(points, descriptor)
            let scorer = AssetScorer(name: "d", members: [.init(stream: log.stream, descriptor: descriptor)])
            let service = ScoringService(log: log, time: time, assets: [scorer], publishEvery: .seconds(1), logger: recorder.logger)
            await expectSilence(recorder, time, point) { try await service.run() }
        }
    }

    @Test("diagnostics")
    func diagnostics() async throws {
        for point in Self.points {
            let points = Points(cancelAt: point)
            let time = JumpingTime(points)
            let recorder = LogRecorder()
            let service = DiagnosticsService(log: MemoryLog(), time: time, devices: [(name: "d", monitor: DeviceMonitor())])
            await expectSilence(recorder, time, point) { try await service.run() }
        }
    }

    @Test("the log's commits: what was appended is on disk all the same")
    func log() async throws {
        for point in Self.points.prefix(12) {
            let folder = try TemporaryFolder()
            let points = Points(cancelAt: point)
            let time = JumpingTime(points)
            let recorder = LogRecorder()
            let log = try Historian(
                configuration: HistorianConfiguration(folder: folder.path + "/log", diskLimit: 8 << 20), time: time, logger: recorder.logger
            )
            let stream = try log.register(descriptor)
            log.append(SampleBatch(stream: stream, descriptor: descriptor, time: time.utc, status: .good))
            await expectSilence(recorder, time, point) { try await log.run() }
            let stored = try Historian.openReadOnly(folder: folder.path + "/log").query { _ in }
            #expect(stored == 1, "point \(point)")
            try await log.close()
        }
    }
}
