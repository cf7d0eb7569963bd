package import GatewayCore
package import Logging
internal import Telemetry

/// One scan group of a device, ready to be polled.
package struct ScanGroup: Sendable {
    package var plan: ReadPlan
    package var period: Duration
    /// Where on the grid of its period the group's deadlines lie, 0…period: spreads devices over time.
    package var phase: Duration
    /// Per tag, in engineering units; `nil` for none.
    package var deadbands: [Double?]

    package init(plan: ReadPlan, period: Duration, phase: Duration, deadbands: [Double?]) {
        self.plan = plan
        self.period = period
        self.phase = phase
        self.deadbands = deadbands
    }
}

/// Polls one device for ever and appends what it reads to the log.
///
/// Runs on the adapter's own executor, so that between socket and log no work changes threads. Nothing that happens to the device ends it.
package struct DeviceRunner<Adapter: ProtocolAdapter>: Sendable {
    private let name: String
    private let adapter: Adapter
    private let groups: [ScanGroup]
    private let log: any TelemetryLog
    private let time: any TimeSource
    private let logger: Logger
    private let backoff: Backoff
    package let monitor: DeviceMonitor

    package init(
        name: String, adapter: Adapter, groups: [ScanGroup], log: any TelemetryLog, time: any TimeSource, logger: Logger,
        backoff: Backoff = Backoff(), monitor: DeviceMonitor = DeviceMonitor()
    ) {
        self.name = name
        self.adapter = adapter
        self.groups = groups
        self.log = log
        self.time = time
        self.logger = logger
        self.backoff = backoff
        self.monitor = monitor
    }

    /// Returns only by throwing `CancellationError`, when the task is cancelled.
    package func run() async throws { try await run(on: adapter) }

    /// The samples of the present outage share a trace id in the log.
    private struct Outage {
        let trace = TraceID()
        let start: MonotonicInstant
        let status: StatusCode
    }

    private func run(on adapter: isolated Adapter) async throws {
        var generator = SystemRandomNumberGenerator()
        var machine = DeviceMachine(
            schedule: ScanSchedule(groups: groups.map { ($0.period, $0.phase) }, start: time.now), backoff: backoff)
        var filters = groups.map { ReportFilter(descriptor: $0.plan.descriptor, deadbands: $0.deadbands) }
        var outage: Outage?
        var skew = SkewMeter()
        while true {
            do {
                try Task.checkCancellation()
                switch machine.next(at: time.now) {
                case .connect:
                    monitor.update { $0.connection = .connecting }
                    try await adapter.connect()
                    machine.didConnect()
                    monitor.update {
                        $0.connection = .online
                        $0.connections += 1
                    }
                case .poll(let index):
                    let stamp = time.stamp
                    var result = try await adapter.read(groups[index].plan, at: stamp.time)
                    result.batch.stamp = stamp
                    machine.didPoll()
                    note(result.batch, skew: &skew)
                    record(result, machine.schedule, polled: index, outage: &outage)
                    store(result.batch, filter: &filters[index])
                case .reportUnavailable(let index):
                    let plan = groups[index].plan
                    let stamp = time.stamp
                    var batch = SampleBatch(
                        stream: plan.stream, descriptor: plan.descriptor, time: stamp.time, status: outage?.status ?? .badNotConnected)
                    batch.stamp = stamp
                    store(batch, filter: &filters[index])
                    count(machine.schedule)
                case .sleep(let until): try await time.sleep(until: until)
                }
            } catch  where error.isCancellation || Task.isCancelled {
                await adapter.disconnect()
                throw CancellationError()
            } catch {
                await adapter.disconnect()
                let delay = machine.didFail(at: time.now, using: &generator)
                note(error, retryCount: machine.retryCount, delay: delay, outage: &outage)
            }
        }
    }

    private func store(_ batch: SampleBatch, filter: inout ReportFilter) {
        var batch = batch
        if filter.apply(to: &batch) {
            log.append(batch)
        } else {
            log.countSuppressedPoll(of: batch.stream)
        }
    }

    private func note(_ batch: SampleBatch, skew: inout SkewMeter) {
        guard batch.sourceTime != nil else { return }
        skew.take(batch)
        let milliseconds = skew.skewMilliseconds
        monitor.update { $0.clockSkewMilliseconds = milliseconds }
    }

    private func count(_ schedule: ScanSchedule) {
        monitor.update { status in
            status.polls = 0
            status.latePolls = 0
            status.missedPolls = 0
            for group in groups.indices {
                let counters = schedule.counters(of: group)
                status.polls += counters.polls
                status.latePolls += counters.late
                status.missedPolls += counters.missed
            }
        }
    }

    private func record(_ result: PollResult, _ schedule: ScanSchedule, polled: Int, outage: inout Outage?) {
        count(schedule)
        let reason = result.reasons.joined(separator: "; ")
        monitor.update { status in
            if !result.batch.isGood { status.faultyPolls += 1 }
            status.reason = reason
            status.retryCount = 0
        }
        if !result.reasons.isEmpty {
            logger.debug("poll with refused tags", metadata: ["device": "\(name)", "reason": "\(reason)"])
        }
        if let ended = outage {
            logger.info(
                "device is back",
                metadata: ["device": "\(name)", "outage": "\(ended.start.duration(to: time.now))", "trace_id": "\(ended.trace)"])
            outage = nil
        }
    }

    /// Tells of an outage once, when it begins; its retries are for those who look.
    private func note(_ error: any Error, retryCount: Int, delay: Duration, outage: inout Outage?) {
        let isNew = outage == nil
        let code = (error as? GatewayError)?.code
        let current = outage ?? Outage(start: time.now, status: code == .timedOut ? .badTimeout : .badNotConnected)
        outage = current
        let chain = error.chain
        monitor.update { status in
            status.connection = .waiting
            status.retryCount = retryCount
            status.reason = chain.joined(separator: ": ")
        }
        logger.log(
            level: isNew ? .warning : .debug, "device is not available, will be tried again",
            metadata: [
                "device": "\(name)", "error_chain": .chain(of: error), "retry_count": "\(retryCount)", "retry_in": "\(delay)",
                "trace_id": "\(current.trace)",
            ])
    }
}
