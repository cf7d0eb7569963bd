internal import GatewayCore
internal import Logging
internal import Telemetry

/// What one run of a `DeviceRunner` keeps between its steps, and how what happens is stored, counted and told.
struct DeviceRun {
    var machine: DeviceMachine
    /// What the line has been asked for and not yet settled; `nil` for nothing.
    private var reservedSpan: Duration?
    /// How long an answer that does not come is waited for, as was seen last; until then, not known.
    private(set) var probeSpan = Duration.seconds(1)
    private let name: String
    private let groups: [ScanGroup]
    private let log: any TelemetryLog
    private let time: any TimeSource
    private let logger: Logger
    private let monitor: DeviceMonitor
    private var filters: [ReportFilter]
    private var skew = SkewMeter()
    private var announcer: StateAnnouncer
    /// As the monitor has them.
    private var connection = DeviceStatus.Connection.connecting
    private var lastingState = DeviceStatus.Connection.connecting
    /// What the tags of a device that is not asked say.
    private var unavailableStatus = StatusCode.badNotConnected
    private var generator = SystemRandomNumberGenerator()

    init(
        name: String, groups: [ScanGroup], log: any TelemetryLog, time: any TimeSource, logger: Logger, patience: DevicePatience,
        monitor: DeviceMonitor
    ) {
        self.name = name
        self.groups = groups
        self.log = log
        self.time = time
        self.logger = logger
        self.monitor = monitor
        machine = DeviceMachine(
            schedule: ScanSchedule(groups: groups.map { ($0.period, $0.phase) }, start: time.now), patience: patience)
        filters = groups.map { ReportFilter(descriptor: $0.plan.descriptor, deadbands: $0.deadbands) }
        announcer = StateAnnouncer(device: name, logger: logger)
    }

    var status: DeviceStatus { monitor.status }

    // MARK: - Samples

    private mutating func store(_ batch: SampleBatch, group: Int) {
        var batch = batch
        if filters[group].apply(to: &batch) {
            log.append(batch)
        } else {
            log.countSuppressedPoll(of: batch.stream)
        }
    }

    /// Keeps what a poll brought.
    mutating func record(_ result: PollResult, group: Int) {
        if result.batch.sourceTime != nil {
            skew.take(result.batch)
            let milliseconds = skew.skewMilliseconds
            monitor.update { $0.clockSkewMilliseconds = milliseconds }
        }
        let reason = result.reasons.joined(separator: "; ")
        count { status in
            if !result.batch.isGood { status.faultyPolls += 1 }
            status.retries += UInt64(result.retries)
            status.reason = reason
            if result.isAnswered { status.retryCount = 0 }
        }
        if !result.reasons.isEmpty {
            logger.debug("poll with refused tags", metadata: ["device": "\(name)", "reason": "\(reason)"])
        }
        store(result.batch, group: group)
        noteState(because: result.isAnswered ? "it answers" : reason)
    }

    /// The tags of a group that is not asked, or whose poll came to nothing, are Bad.
    mutating func reportUnavailable(_ group: Int, at stamp: ClockStamp) {
        count { status in
            status.unavailablePolls += 1
            status.faultyPolls += 1
        }
        machine.didBegin(group, at: time.now)
        storeUnavailable(group, at: stamp)
    }

    private mutating func storeUnavailable(_ group: Int, at stamp: ClockStamp) {
        let plan = groups[group].plan
        // A device that is there and yet not asked has a group that rests, because of requests that it does not answer.
        let isThere = DeviceStatus.Connection(machine.state) == .online || DeviceStatus.Connection(machine.state) == .degraded
        let status = isThere ? .badTimeout : unavailableStatus
        var batch = SampleBatch(stream: plan.stream, descriptor: plan.descriptor, time: stamp.time, status: status)
        batch.stamp = stamp
        store(batch, group: group)
    }

    private func count(_ change: (inout DeviceStatus) -> Void) {
        var total = ScanSchedule.Counters()
        for group in groups.indices {
            let counters = machine.schedule.counters(of: group)
            total.polls += counters.polls
            total.late += counters.late
            total.missed += counters.missed
        }
        monitor.update { status in
            change(&status)
            status.polls = total.polls &- status.unavailablePolls
            status.latePolls = total.late
            status.missedPolls = total.missed
        }
    }

    // MARK: - States

    /// Tells of a change of the state since the last call, if there is one.
    mutating func noteState(because reason: String, extra: Logger.Metadata = [:]) {
        let state = DeviceStatus.Connection(machine.state)
        guard state != connection else { return }
        connection = state
        let transition = DeviceTransition(time: time.utc, from: lastingState, to: state, reason: reason)
        let isLasting = !state.isAttempt && state != lastingState
        if isLasting { lastingState = state }
        monitor.update { status in
            status.connection = state
            if isLasting { status.note(transition) }
        }
        if isLasting {
            announcer.tell(transition, at: time.now, extra: extra)
        } else {
            logger.debug("device is being tried", metadata: ["device": "\(name)", "state": "\(state.rawValue)", "reason": "\(reason)"])
        }
    }

    mutating func didConnect() {
        machine.didConnect(at: time.now)
        monitor.update { $0.connections += 1 }
        noteState(because: "the connection is there")
    }

    /// `start`: when the line can bear a probe of `span`; `nil` when it costs nobody anything.
    mutating func didReserve(_ start: MonotonicInstant?, span: Duration) {
        reservedSpan = start == nil ? nil : span
        machine.didReserve(start ?? time.now)
    }

    mutating func takeReservation() -> Duration? {
        defer { reservedSpan = nil }
        return reservedSpan
    }

    mutating func noteSilence(_ silence: Duration, requests: Int) {
        guard silence > .zero else { return }
        probeSpan = .nanoseconds(silence.nanoseconds / Int64(max(1, requests)))
        monitor.update { $0.silence += silence }
    }

    mutating func noteProbe(_ result: ProbeResult) {
        noteSilence(result.silence, requests: 1)
        monitor.update { status in
            status.probes += 1
            status.reason = result.reason
            if result.isAnswered { status.retryCount = 0 }
        }
    }

    /// It no longer answers, but others on its connection do, or may.
    mutating func demote(because reason: String) {
        unavailableStatus = .badTimeout
        machine.didDemote(at: time.now, using: &generator)
        let count = machine.probeCount
        monitor.update { $0.retryCount = count }
        noteState(because: reason)
        reportAllUnavailable(at: time.stamp)
    }

    /// The device is known not to be there: groups that are polled rarely need not wait for their deadlines to say so.
    private mutating func reportAllUnavailable(at stamp: ClockStamp) {
        for group in groups.indices where machine.takeAvailability(of: group) { storeUnavailable(group, at: stamp) }
    }

    /// The connection is gone, as the answer to a poll or an attempt says.
    mutating func didFail(_ error: any Error, _ loss: LineState.Loss, polled: (group: Int, stamp: ClockStamp)?) {
        let code = (error as? GatewayError)?.code
        if polled != nil { count { $0.faultyPolls += 1 } }
        didLose(
            loss, status: code == .timedOut ? .badTimeout : .badNotConnected, since: polled?.stamp, errorChain: .chain(of: error))
    }

    /// `since`: the poll that found it out; `nil` for now.
    mutating func didLose(
        _ loss: LineState.Loss, status: StatusCode, since stamp: ClockStamp? = nil, errorChain: Logger.MetadataValue? = nil
    ) {
        unavailableStatus = status
        machine.didLoseConnection(until: loss.retryAt)
        monitor.update { status in
            status.retryCount = loss.retryCount
            status.reason = loss.reason
        }
        var extra: Logger.Metadata = ["retry_count": "\(loss.retryCount)", "retry_in": "\(time.now.duration(to: loss.retryAt))"]
        if let errorChain { extra["error_chain"] = errorChain }
        noteState(because: loss.reason, extra: extra)
        reportAllUnavailable(at: stamp ?? time.stamp)
    }
}

extension DeviceStatus.Connection {
    init(_ state: DeviceMachine.State) {
        self =
            switch state {
            case .connecting: .connecting
            case .probing: .probing
            case .online: .online
            case .degraded: .degraded
            case .demoted: .demoted
            case .waiting: .waiting
            }
    }
}
