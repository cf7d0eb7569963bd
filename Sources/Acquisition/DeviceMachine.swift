package import GatewayCore

/// What a device's runner has to do next: the decisions without the deeds.
package struct DeviceMachine: Sendable {
    package enum State: Sendable, Equatable {
        /// The first attempt, or the one after a backoff, is due.
        case connecting
        case online
        /// Not connected until then.
        case waiting(until: MonotonicInstant)
    }

    package enum Action: Sendable, Equatable {
        case connect
        /// Poll this group: its deadline has come.
        case poll(group: Int)
        /// This group's deadline has come, but there is no connection: its tags are Bad.
        case reportUnavailable(group: Int)
        case sleep(until: MonotonicInstant)
    }

    package private(set) var state: State = .connecting
    package private(set) var schedule: ScanSchedule
    private var backoff: Backoff

    package init(schedule: ScanSchedule, backoff: Backoff) {
        self.schedule = schedule
        self.backoff = backoff
    }

    /// Failed attempts in a row.
    package var retryCount: Int { backoff.attempts }

    package mutating func next(at now: MonotonicInstant) -> Action {
        switch state {
        case .connecting: return .connect
        case .online:
            if let group = schedule.takeDue(at: now) { return .poll(group: group) }
            return .sleep(until: schedule.nextDeadline ?? now.advanced(by: .seconds(1)))
        case .waiting(let until):
            if let group = schedule.takeDue(at: now) { return .reportUnavailable(group: group) }
            if until <= now {
                state = .connecting
                return .connect
            }
            return .sleep(until: min(until, schedule.nextDeadline ?? until))
        }
    }

    package mutating func didConnect() { state = .online }

    /// A poll went well: whatever failed before is over. (A connection alone proves nothing: some servers accept and hang up.)
    package mutating func didPoll() { backoff.reset() }

    /// The connection could not be made, or was lost. Returns how long to wait before the next attempt.
    package mutating func didFail(at now: MonotonicInstant, using generator: inout some RandomNumberGenerator) -> Duration {
        let delay = backoff.next(using: &generator)
        state = .waiting(until: now.advanced(by: delay))
        return delay
    }
}
