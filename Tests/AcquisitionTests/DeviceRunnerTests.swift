import GatewayCore
import Logging
import Synchronization
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import Acquisition

/// A device whose behaviour is a script: what each connect and read does.
private actor ScriptedAdapter: ProtocolAdapter {
    enum Behaviour: Sendable { case answer, refuseConnection, loseConnection, hang }
    private let behaviour: Mutex<Behaviour>
    /// Our time less the device's, if it has a clock.
    private let skew = Mutex<Duration?>(nil)
    private(set) var connects = 0
    private(set) var disconnects = 0

    init(_ behaviour: Behaviour) { self.behaviour = Mutex(behaviour) }

    nonisolated func set(_ next: Behaviour) { behaviour.withLock { $0 = next } }

    nonisolated func set(skew next: Duration?) { skew.withLock { $0 = next } }

    func connect() async throws {
        connects += 1
        if behaviour.withLock({ $0 == .refuseConnection }) {
            throw GatewayError(.connectionFailed, resource: "device d", operation: "connect", "refused")
        }
    }

    func read(_ plan: ReadPlan, at time: Timestamp) async throws -> PollResult {
        switch behaviour.withLock({ $0 }) {
        case .hang:
            do {
                try await Task.sleep(for: .seconds(600))
            } catch {
                throw GatewayError(.connectionLost, resource: "device d", operation: "read", "interrupted", cause: error)
            }
            fallthrough
        case .answer:
            var batch = SampleBatch(stream: plan.stream, descriptor: plan.descriptor, time: time, status: .good)
            batch.sourceTime = skew.withLock { $0 }.map { time.advanced(by: .zero - $0) }
            return PollResult(batch: batch)
        case .loseConnection, .refuseConnection:
            throw GatewayError(.connectionLost, resource: "device d", operation: "read", "reset by peer")
        }
    }

    func disconnect() async { disconnects += 1 }
}

private let descriptor = StreamDescriptor(device: "d", group: "fast", tags: [Tag("a", .uint16)])

private struct Bench {
    let adapter: ScriptedAdapter
    let log = MemoryLog()
    let time = ManualTime()
    let recorder = LogRecorder()
    let monitor = DeviceMonitor()

    init(_ behaviour: ScriptedAdapter.Behaviour) { adapter = ScriptedAdapter(behaviour) }

    func start() -> Task<Void, any Error> {
        let plan = ReadPlan(stream: log.register(descriptor), descriptor: descriptor, requests: [], fields: [])
        let runner = DeviceRunner(
            name: "d", adapter: adapter,
            groups: [ScanGroup(plan: plan, period: .milliseconds(100), phase: .milliseconds(100), deadbands: [nil])], log: log, time: time,
            logger: recorder.logger, patience: DevicePatience(backoffInitial: .milliseconds(300), backoffMaximum: .seconds(2)),
            monitor: monitor)
        return Task { try await runner.run() }
    }

    /// Moves the clock on in small steps, letting the runner fall asleep in between.
    func pass(_ milliseconds: Int) async {
        for _ in 0..<milliseconds / 10 {
            await time.untilAsleep(1)
            time.advance(by: .milliseconds(10))
        }
        await time.untilAsleep(1)
    }
}

@Suite("Device runner")
struct DeviceRunnerTests {
    @Test("polls on the grid and appends each poll with the time it began")
    func polls() async throws {
        let bench = Bench(.answer)
        let task = bench.start()
        let start = bench.time.utc
        await bench.pass(500)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(bench.log.batches.map { $0.time.since(start) } == (0...5).map { .milliseconds(100 * $0) })
        #expect(bench.monitor.status.polls == 6)
        #expect(bench.monitor.status.missedPolls == 0)
    }

    @Test("scenario 19: a device that is off at the start is retried for ever; its tags are Bad within a period, once; then it is back")
    func offAtStart() async throws {
        let bench = Bench(.refuseConnection)
        let task = bench.start()
        await bench.pass(20_000)
        #expect(await bench.adapter.connects >= 9)
        #expect(bench.log.batches.count == 1)
        #expect(bench.log.batches.first?.quality.first?.status == .badNotConnected)
        #expect(bench.log.suppressedPolls(of: StreamID(rawValue: 1)) >= 190)
        #expect(bench.monitor.status.connection != .online)
        bench.adapter.set(.answer)
        await bench.pass(3_000)
        #expect(bench.monitor.status.connection == .online)
        #expect(bench.log.batches.last?.isGood == true)
        // One line when it went, one when it came back, tied together; the retries are for those who look.
        let loud = bench.recorder.lines.filter { $0.level >= .info }
        #expect(loud.map(\.message) == ["device is not available, will be tried again", "device is back"])
        #expect(loud.first?.metadata["trace_id"] == loud.last?.metadata["trace_id"])
        #expect(loud.first?.metadata["retry_count"] == "1")
        #expect(loud.first?.metadata["error_chain"] != nil)
        task.cancel()
        _ = await task.result
    }

    @Test("a lost connection makes the tags Bad and is made again")
    func lost() async throws {
        let bench = Bench(.answer)
        let task = bench.start()
        await bench.pass(200)
        bench.adapter.set(.loseConnection)
        await bench.pass(150)
        bench.adapter.set(.answer)
        await bench.pass(2_000)
        let statuses = bench.log.batches.map { $0.quality.first?.status }
        #expect(statuses.contains(.badNotConnected))
        #expect(bench.log.batches.last?.isGood == true)
        #expect(await bench.adapter.disconnects == 1)
        task.cancel()
        _ = await task.result
    }

    @Test("scenario 16: silence, then a new connection: no value gets a time it was not read at, and none comes twice")
    func silence() async throws {
        let bench = Bench(.answer)
        let task = bench.start()
        let start = bench.time.utc
        for _ in 0..<5 {
            bench.adapter.set(.answer)
            await bench.pass(400)
            bench.adapter.set(.loseConnection)
            await bench.pass(1_000)
        }
        task.cancel()
        _ = await task.result
        let batches = bench.log.batches
        #expect(zip(batches, batches.dropFirst()).allSatisfy { $0.time < $1.time })
        // What was stored while the device was silent has no value at all: it tells of the silence, and repeats nothing.
        #expect(batches.contains { !$0.isGood } && batches.contains { $0.isGood })
        #expect(batches.allSatisfy { $0.isGood || $0.quality.allSatisfy { $0.status.isBad } && $0.values.allSatisfy { $0 == 0 } })
        #expect(batches.allSatisfy { $0.time.since(start).nanoseconds % 100_000_000 == 0 })
    }

    @Test("scenario 23: the clock of a device jumps: our times are unharmed, and the skew shows it")
    func sourceClock() async throws {
        let bench = Bench(.answer)
        bench.adapter.set(skew: .milliseconds(1500))
        let task = bench.start()
        let start = bench.time.utc
        await bench.pass(1_000)
        #expect(bench.monitor.status.clockSkewMilliseconds == 1500)
        bench.adapter.set(skew: .seconds(-3600))
        await bench.pass(5_000)
        #expect(bench.monitor.status.clockSkewMilliseconds == -3_600_000)
        task.cancel()
        _ = await task.result
        let batches = bench.log.batches
        #expect(batches.map { $0.time.since(start) } == batches.indices.map { .milliseconds(100 * $0) })
        #expect(batches.first?.sourceTime == start.advanced(by: .milliseconds(-1500)))
        #expect(batches.last.map { $0.sourceTime == $0.time.advanced(by: .seconds(3600)) } == true)
    }

    @Test("the skew is the median, of what a certain clock has measured, whatever the device says")
    func skewMeter() {
        var meter = SkewMeter()
        #expect(meter.skewMilliseconds == nil)
        func batch(_ skew: Int64?, isTimeUncertain: Bool = false) -> SampleBatch {
            let time = Timestamp(milliseconds: 1_700_000_000_000)
            var batch = SampleBatch(stream: StreamID(rawValue: 1), descriptor: descriptor, time: time, status: .good)
            batch.isTimeUncertain = isTimeUncertain
            batch.sourceTime = skew.map { time.advanced(by: .milliseconds(-$0)) }
            return batch
        }
        meter.take(batch(nil))
        meter.take(batch(7, isTimeUncertain: true))
        #expect(meter.skewMilliseconds == nil)
        for skew: Int64 in [10, 12, 9000, 11, -4000] { meter.take(batch(skew)) }
        #expect(meter.skewMilliseconds == 11)
        var extreme = batch(0)
        extreme.sourceTime = Timestamp(nanoseconds: .min)
        for _ in 0..<SkewMeter.pollsMax { meter.take(extreme) }
        #expect((meter.skewMilliseconds ?? 0) > 1e12)
    }

    @Test(
        "cancellation, whatever error it is dressed as, is no failure: no retry, nothing logged, no status", arguments: ["sleep", "read"])
    func cancellation(place: String) async throws {
        let bench = Bench(place == "read" ? .hang : .answer)
        let task = bench.start()
        if place == "sleep" {
            await bench.time.untilAsleep(1)
        } else {
            while await bench.adapter.connects == 0 { await Task.yield() }
        }
        let before = bench.monitor.status
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(await bench.adapter.connects == 1)
        #expect(await bench.adapter.disconnects == 1)
        #expect(bench.recorder.lines.allSatisfy { $0.level < .info })
        #expect(bench.monitor.status.retryCount == before.retryCount)
        #expect(bench.monitor.status.reason.isEmpty)
    }
}
