internal import Synchronization
package import Telemetry

/// The time of the gateway: what `ClockDiscipline` makes of the clocks of the machine.
///
/// Stamps cost a look at the monotonic clock; the wall clock is looked at only when somebody says `update`.
package final class DisciplinedTime: TimeSource {
    private let clock: any MachineClock
    private let discipline: Mutex<ClockDiscipline>

    /// Looks at the clocks once, so that there are stamps from the start.
    package init(clock: any MachineClock, trust: ClockTrust) {
        self.clock = clock
        var discipline = ClockDiscipline(trust: trust)
        let events = discipline.take(clock.reading)
        self.discipline = Mutex(discipline)
        firstEvents = events
    }

    /// What the first look at the clocks told.
    package let firstEvents: [ClockDiscipline.Event]

    package var stamp: ClockStamp {
        let now = clock.now
        return discipline.withLock { $0.stamp(at: now) }
    }

    package var utc: Timestamp { stamp.time }
    package var now: MonotonicInstant { clock.now }
    package func sleep(until deadline: MonotonicInstant) async throws { try await clock.sleep(until: deadline) }

    /// Looks at the clocks. `log` is told of a new mapping before the first stamp is told by it: a stamp that it does not know could
    /// not be corrected. Only one task may do this.
    package func update(_ log: any TelemetryLog) -> [ClockDiscipline.Event] {
        var next = discipline.withLock { $0 }
        let events = next.take(clock.reading)
        tell(log, events)
        let taken = next
        discipline.withLock { $0 = taken }
        return events
    }

    /// Tells a log of the mappings among some events.
    package func tell(_ log: any TelemetryLog, _ events: [ClockDiscipline.Event]) {
        for case .mapped(let mapping) in events { log.adopt(mapping) }
    }
}
