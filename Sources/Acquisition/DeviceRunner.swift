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
    private let patience: DevicePatience
    private let line: SharedLine
    package let monitor: DeviceMonitor

    package init(
        name: String, adapter: Adapter, groups: [ScanGroup], log: any TelemetryLog, time: any TimeSource, logger: Logger,
        patience: DevicePatience = DevicePatience(), monitor: DeviceMonitor = DeviceMonitor()
    ) {
        self.name = name
        self.adapter = adapter
        self.groups = groups
        self.log = log
        self.time = time
        self.logger = logger
        self.patience = patience
        self.monitor = monitor
        let sharing = adapter as? any LineSharing
        line = sharing?.sharedLine ?? SharedLine()
        if let sharing { monitor.follow { sharing.strayReplies } }
    }

    /// Returns only by throwing `CancellationError`, when the task is cancelled.
    package func run() async throws {
        // Without this, every wait that suspends would end on a thread of the pool first.
        try await withTaskExecutorPreference((adapter as? any LineSharing)?.lineThread) { try await run(on: adapter) }
    }

    private func run(on adapter: isolated Adapter) async throws {
        let unit = line.decide { $0.join(backoff: patience.backoff) }
        var run = DeviceRun(name: name, groups: groups, log: log, time: time, logger: logger, patience: patience, monitor: monitor)
        while true {
            var generation: UInt64 = 0
            var polled: (group: Int, stamp: ClockStamp)?
            do {
                try Task.checkCancellation()
                let action = run.machine.next(at: time.now)
                run.noteState(because: "the wait is over")
                switch action {
                case .connect:
                    switch line.decide({ $0.enter(unit, at: time.now) }) {
                    case .wait(let loss): run.didLose(loss, status: .badNotConnected)
                    case .queue(let until): run.machine.didQueue(until: until)
                    case .connect:
                        generation = line.decide { $0.generation }
                        try await adapter.connect()
                        line.decide { $0.didConnect() }
                        run.didConnect()
                    }
                case .poll(let index):
                    generation = line.decide { $0.generation }
                    let stamp = time.stamp
                    run.machine.didBegin(index, at: time.now)
                    polled = (index, stamp)
                    var result = try await adapter.read(groups[index].plan, at: stamp.time)
                    polled = nil
                    result.batch.stamp = stamp
                    let isSilent = heed(result, group: index, unit: unit, run: &run)
                    run.record(result, group: index)
                    if isSilent { await dropIfNobodyAnswers(unit, run.status.reason, adapter, &run) }
                case .reportUnavailable(let index): run.reportUnavailable(index, at: time.stamp)
                case .reserveProbe:
                    let span = run.probeSpan
                    let start = line.decide { $0.reserveProbe(of: unit, span: span, at: time.now) }
                    run.didReserve(start, span: span)
                case .probe(let index):
                    generation = line.decide { $0.generation }
                    let result = try await adapter.probe(groups[index].plan)
                    if heed(result, unit: unit, run: &run) { await dropIfNobodyAnswers(unit, result.reason, adapter, &run) }
                case .sleep(let until): try await time.sleep(until: until)
                }
            } catch  where error.isCancellation || Task.isCancelled {
                // The others on the line keep their connection.
                if line.decide({ $0.leave(unit) }) { await adapter.disconnect() }
                throw CancellationError()
            } catch {
                if let reserved = run.takeReservation() { line.decide { $0.settleProbe(reserved: reserved, spent: .zero) } }
                let loss = lose(generation, unit, error.chain.joined(separator: ": "))
                if loss.isNews { await adapter.disconnect() }
                run.didFail(error, loss, polled: polled)
            }
        }
    }

    /// Draws the conclusions from a poll; returns whether the device is no longer waited for.
    private func heed(_ result: PollResult, group: Int, unit: Int, run: inout DeviceRun) -> Bool {
        let now = time.now
        if result.silence > .zero { line.decide { $0.didWait(result.silence, for: unit, at: now) } }
        run.noteSilence(result.silence, requests: result.retries + 1)
        if result.isAnswered {
            line.decide { $0.didAnswer(unit) }
            run.machine.didAnswer(group: group)
            if result.silence > .zero { restIfTooDear(group, unit, run: &run) }
            return false
        }
        let isOverdrawn = line.decide { $0.isOverdrawn(by: unit, at: now) }
        switch run.machine.didStaySilent(group: group, isOverdrawn: isOverdrawn, at: now) {
        case .tolerated: return false
        case .ofGroup:
            restIfTooDear(group, unit, run: &run)
            return false
        case .intolerable: return true
        }
    }

    private func heed(_ result: ProbeResult, unit: Int, run: inout DeviceRun) -> Bool {
        let now = time.now
        run.noteProbe(result)
        if let reserved = run.takeReservation() {
            line.decide { $0.settleProbe(reserved: reserved, spent: result.silence) }
        } else if result.silence > .zero {
            line.decide { $0.didWait(result.silence, for: unit, at: now) }
        }
        if result.isAnswered {
            line.decide { $0.didAnswer(unit) }
            run.machine.didAnswer(group: nil)
            run.noteState(because: "it answers")
            return false
        }
        let isOverdrawn = line.decide { $0.isOverdrawn(by: unit, at: now) }
        return run.machine.didStaySilent(group: nil, isOverdrawn: isOverdrawn, at: now) == .intolerable
    }

    private func restIfTooDear(_ group: Int, _ unit: Int, run: inout DeviceRun) {
        let paidAt = line.decide { $0.isOverdrawn(by: unit, at: time.now) ? $0.paidAt : nil }
        if let paidAt { run.machine.rest(group: group, until: paidAt) }
    }

    /// Demotes a device that is silent; where nobody on the connection answers any more, the connection is as good as lost: the far end may
    /// have restarted without a word.
    private func dropIfNobodyAnswers(_ unit: Int, _ reason: String, _ adapter: isolated Adapter, _ run: inout DeviceRun) async {
        guard line.decide({ $0.didFallSilent(unit) }) else {
            run.demote(because: reason)
            return
        }
        run.machine.didGiveUp()
        let generation = line.decide { $0.generation }
        let loss = lose(generation, unit, "nobody answers on this connection: \(reason)")
        if loss.isNews { await adapter.disconnect() }
        run.didLose(loss, status: .badTimeout)
    }

    private func lose(_ generation: UInt64, _ unit: Int, _ reason: String) -> LineState.Loss {
        let now = time.now
        return line.decide {
            var generator = SystemRandomNumberGenerator()
            return $0.didLose(generation: generation, unit: unit, reason: reason, at: now, using: &generator)
        }
    }
}
