package import GatewayCore

/// How patient a gateway is with a device.
package struct DevicePatience: Sendable, Equatable {
    /// Polls, or probes between them, in a row without any answer, after which a device is demoted: no longer polled, only probed.
    package var demoteAfter: Int
    /// How long to wait after a failed attempt to connect, or a probe without answer: the bound of the first wait, and of all.
    package var backoffInitial: Duration
    package var backoffMaximum: Duration

    package init(demoteAfter: Int = 3, backoffInitial: Duration = .milliseconds(500), backoffMaximum: Duration = .seconds(30)) {
        self.demoteAfter = demoteAfter
        self.backoffInitial = backoffInitial
        self.backoffMaximum = backoffMaximum
    }

    var backoff: Backoff { Backoff(initial: backoffInitial, maximum: backoffMaximum) }
}

/// What a device's runner has to do next: the decisions without the deeds.
///
///     connecting ──▶ probing ──▶ online ◀──▶ degraded ──▶ demoted ◀──▶ probing
///          ▲                                                 (only probed, within the line's budget)
///          └── waiting (backoff) ◀── from everywhere, when the connection is lost
package struct DeviceMachine: Sendable {
    package enum State: Sendable, Equatable {
        /// The first attempt, or the one after a backoff, is due then: at once, or when another device on the line has finished its own.
        case connecting(from: MonotonicInstant)
        /// Connected, and asked whether it answers.
        case probing
        case online
        /// So many polls in a row brought no answer; it is probed then, unless a poll comes first.
        case degraded(silentPolls: Int, probeAt: MonotonicInstant)
        /// Silent for too long: not asked until then, for the sake of the others on its line.
        case demoted(until: MonotonicInstant, isReserved: Bool)
        /// Not connected until then.
        case waiting(until: MonotonicInstant)
    }

    package enum Action: Sendable, Equatable {
        case connect
        /// Poll this group: its deadline has come, or it has waited too long for one.
        case poll(group: Int)
        /// This group's deadline has come, but the device is not asked now: its tags are Bad.
        case reportUnavailable(group: Int)
        /// Ask the line when it can bear a probe, and say so with `didReserve`.
        case reserveProbe
        /// Ask as little as possible, of this group, to see whether the device answers.
        case probe(group: Int)
        case sleep(until: MonotonicInstant)
    }

    /// What follows from a poll or probe without any answer.
    package enum Silence: Sendable, Equatable {
        /// It will be polled again at its deadline.
        case tolerated
        /// Only this group is silent; the device answers others. `rest(group:until:)` if the line's time is overdrawn.
        case ofGroup
        /// It is no longer waited for. Follow up with `didDemote` or `didLoseConnection`.
        case intolerable
    }

    /// A group is polled out of turn, when its device is back, if its next deadline is farther away than this.
    static let catchUpAfter = Duration.seconds(1)

    package private(set) var state: State = .connecting(from: MonotonicInstant(nanoseconds: .min))
    package private(set) var schedule: ScanSchedule
    private let patience: DevicePatience
    private var probeBackoff: Backoff
    /// Probes since the last answer.
    private var probeTurn = 0
    /// Since the last answer, the device has been given up.
    private var isGivenUp = false
    /// Groups whose tags are Bad because the device was not asked.
    private var isUnavailable: [Bool]
    /// Groups whose last poll brought no answer.
    private var isSilent: [Bool]
    /// Groups that are not asked until then, because waiting for answers to some of their requests is too dear for the line.
    private var restingUntil: [MonotonicInstant]

    package init(schedule: ScanSchedule, patience: DevicePatience = DevicePatience()) {
        self.schedule = schedule
        self.patience = patience
        probeBackoff = patience.backoff
        isUnavailable = Array(repeating: false, count: schedule.groupCount)
        isSilent = isUnavailable
        restingUntil = Array(repeating: MonotonicInstant(nanoseconds: .min), count: schedule.groupCount)
    }

    /// Probes without an answer, in a row.
    package var probeCount: Int { probeBackoff.attempts }

    package mutating func next(at now: MonotonicInstant) -> Action {
        switch state {
        case .connecting(let start):
            if start <= now { return .connect }
            if let group = schedule.takeDue(at: now) { return report(group) }
            return .sleep(until: min(start, schedule.nextDeadline ?? start))
        case .probing:
            if let group = schedule.takeDue(at: now) { return .poll(group: group) }
            return probe(at: now)
        case .online, .degraded:
            if let group = schedule.takeDue(at: now) { return poll(group, at: now) }
            if state == .online, let group = isUnavailable.indices.first(where: { isUnavailable[$0] && restingUntil[$0] <= now }) {
                isUnavailable[group] = false
                if let deadline = schedule.deadline(of: group), now.duration(to: deadline) > DeviceMachine.catchUpAfter {
                    return .poll(group: group)
                }
            }
            let deadline = schedule.nextDeadline ?? now.advanced(by: .seconds(1))
            guard case .degraded(_, let probeAt) = state else { return .sleep(until: deadline) }
            if probeAt <= now { return probe(at: now) }
            return .sleep(until: min(probeAt, deadline))
        case .demoted(let until, let isReserved):
            if let group = schedule.takeDue(at: now) { return report(group) }
            if until <= now {
                guard isReserved else { return .reserveProbe }
                state = .probing
                return probe(at: now)
            }
            return .sleep(until: min(until, schedule.nextDeadline ?? until))
        case .waiting(let until):
            if let group = schedule.takeDue(at: now) { return report(group) }
            if until <= now {
                state = .connecting(from: now)
                return .connect
            }
            return .sleep(until: min(until, schedule.nextDeadline ?? until))
        }
    }

    /// What `next` said of a group is being done: its samples have their time, which is not later than `now`.
    package mutating func didBegin(_ group: Int, at now: MonotonicInstant) { schedule.didBegin(group, at: now) }

    private mutating func poll(_ group: Int, at now: MonotonicInstant) -> Action {
        if restingUntil[group] > now { return report(group) }
        isUnavailable[group] = false
        return .poll(group: group)
    }

    /// Beginning with the group of the shortest period, each has its turn: a device may be deaf to what one of them asks.
    private mutating func probe(at now: MonotonicInstant) -> Action {
        guard let first = schedule.shortestGroup else { return .sleep(until: now.advanced(by: .seconds(1))) }
        defer { probeTurn += 1 }
        return .probe(group: (first + probeTurn) % schedule.groupCount)
    }

    private mutating func report(_ group: Int) -> Action {
        isUnavailable[group] = true
        return .reportUnavailable(group: group)
    }

    /// The connection is there. That proves nothing yet: a device counts as online when it has answered. One that was given up before is asked
    /// when the line can bear it.
    package mutating func didConnect(at now: MonotonicInstant) {
        state = isGivenUp ? .demoted(until: now, isReserved: false) : .probing
    }

    /// The device answered, be it with a refusal: whatever was before is over. `group`: the one that was polled; `nil` for a probe.
    package mutating func didAnswer(group: Int?) {
        if let group { isSilent[group] = false }
        state = .online
        isGivenUp = false
        probeTurn = 0
        probeBackoff.reset()
    }

    /// A poll of a group, or a probe (`nil`), brought no answer. `isOverdrawn`: silent devices have taken more of the line's time than they may,
    /// so that this one is not waited for any longer.
    package mutating func didStaySilent(group: Int?, isOverdrawn: Bool, at now: MonotonicInstant) -> Silence {
        // Others were answered since this group was silent before: it is not the device that is silent.
        if let group, isSilent[group], state == .online { return .ofGroup }
        if let group {
            isSilent[group] = true
            isUnavailable[group] = true
        }
        let silentPolls: Int
        switch state {
        case .online: silentPolls = 1
        case .degraded(let polls, _): silentPolls = polls + 1
        case .connecting, .probing, .demoted, .waiting: return .intolerable
        }
        state = .degraded(silentPolls: silentPolls, probeAt: now.advanced(by: patience.backoffInitial))
        return silentPolls < patience.demoteAfter && !isOverdrawn ? .tolerated : .intolerable
    }

    /// Some requests of a group were answered and some were not, which has taken more of the line's time than it may: the group rests until then.
    package mutating func rest(group: Int, until: MonotonicInstant) { restingUntil[group] = until }

    /// The device is given up for now; the connection stays for the others.
    package mutating func didDemote(at now: MonotonicInstant, using generator: inout some RandomNumberGenerator) {
        isGivenUp = true
        state = .demoted(until: now.advanced(by: probeBackoff.next(using: &generator)), isReserved: false)
    }

    /// The line can bear a probe then; the time is this device's.
    package mutating func didReserve(_ start: MonotonicInstant) { state = .demoted(until: start, isReserved: true) }

    /// Another device on the line is connecting: see then what has become of it.
    package mutating func didQueue(until: MonotonicInstant) { state = .connecting(from: until) }

    /// There is no connection until then.
    package mutating func didLoseConnection(until: MonotonicInstant) { state = .waiting(until: until) }

    /// The device is given up and its connection with it, because nobody on it answers.
    package mutating func didGiveUp() { isGivenUp = true }

    /// Notes that a group's tags are Bad because its device is not there; `false` when they are already.
    package mutating func takeAvailability(of group: Int) -> Bool {
        defer { isUnavailable[group] = true }
        return !isUnavailable[group]
    }
}
