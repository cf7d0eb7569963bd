package import GatewayCore
internal import Telemetry

/// When each scan group of a device is to be polled: on absolute deadlines, so that nothing drifts.
///
/// Every group is due at once, then on the grid `start + phase + k × period`. A poll that cannot begin before its next
/// deadline is missed: it is counted, and the grid stays.
///
/// Two polls of a group do not begin within `spacingMin`, however late the first one was: their samples would bear the same time wherever
/// times are kept in milliseconds (Sparkplug, JSON, most databases), and one would take the other's place.
package struct ScanSchedule: Sendable {
    /// More than a millisecond, so that a clock that is being slowed down still counts one.
    package static let spacingMin = Duration.milliseconds(2)

    /// What became of the polls of a group.
    package struct Counters: Sendable, Equatable {
        /// Polls that began.
        package var polls: UInt64 = 0
        /// Polls that began more than half a period after their deadline.
        package var late: UInt64 = 0
        /// Polls that never began, because the next deadline had come.
        package var missed: UInt64 = 0
    }

    private struct Group {
        var period: Int64
        var phase: Int64
        var next: MonotonicInstant
        var notBefore = MonotonicInstant(nanoseconds: .min)
        var isFirst = true
        var counters = Counters()

        var due: MonotonicInstant { max(next, notBefore) }
    }
    private var groups: [Group]

    /// `phase` of each group lies in 0…period.
    package init(groups: [(period: Duration, phase: Duration)], start: MonotonicInstant) {
        self.groups = groups.map {
            precondition($0.period > .zero, "a scan period must be positive")
            return Group(period: $0.period.nanoseconds, phase: $0.phase.nanoseconds, next: start)
        }
    }

    /// The earliest deadline of all groups; `nil` without groups.
    package var nextDeadline: MonotonicInstant? { groups.map(\.due).min() }

    package var groupCount: Int { groups.count }

    /// The group with the shortest period, the first of several; `nil` without groups.
    package var shortestGroup: Int? { groups.indices.min { groups[$0].period < groups[$1].period } }

    /// When the group is due next; `nil` if there is no such group.
    package func deadline(of group: Int) -> MonotonicInstant? { groups.indices.contains(group) ? groups[group].due : nil }

    package func counters(of group: Int) -> Counters { groups[group].counters }

    /// The poll of a group begins, after a moment in which the processor may have been another's: its time stamp is not later than `now`.
    package mutating func didBegin(_ group: Int, at now: MonotonicInstant) {
        let spacing = min(Self.spacingMin.nanoseconds, groups[group].period)
        groups[group].notBefore = now.advanced(by: .nanoseconds(spacing))
    }

    /// Takes the group whose deadline is the oldest due one, and moves its deadline on; `nil` when none is due.
    package mutating func takeDue(at now: MonotonicInstant) -> Int? {
        var due: Int?
        for index in groups.indices where groups[index].due <= now {
            guard let best = due else {
                due = index
                continue
            }
            if (groups[index].next, groups[index].period) < (groups[best].next, groups[best].period) { due = index }
        }
        guard let index = due else { return nil }
        let lateness = groups[index].next.duration(to: now).nanoseconds
        let period = groups[index].period
        groups[index].counters.polls += 1
        if lateness * 2 > period { groups[index].counters.late += 1 }
        if groups[index].isFirst {
            groups[index].isFirst = false
            groups[index].next.nanoseconds += groups[index].phase == 0 ? period : groups[index].phase
        } else {
            groups[index].next.nanoseconds += period
        }
        let behind = groups[index].next.duration(to: now).nanoseconds
        if behind >= 0 {
            let missed = behind / period + 1
            groups[index].counters.missed += UInt64(missed)
            groups[index].next.nanoseconds += missed * period
        }
        return index
    }
}
