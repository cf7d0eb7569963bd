internal import Telemetry

/// What the units behind one connection share, decided: who connects and when, who may be asked although it is silent, and whether anybody
/// answers at all.
package struct LineState: Sendable {
    /// What a unit that wants to be connected has to do.
    package enum Entry: Sendable, Equatable {
        /// Connect, or find the connection made.
        case connect
        /// Somebody's attempt has failed: wait with it.
        case wait(Loss)
        /// Somebody's attempt is under way: come again then.
        case queue(until: MonotonicInstant)
    }

    /// What the loss of a connection, or an attempt that failed, means for the one who tells of it.
    package struct Loss: Sendable, Equatable {
        /// When the next attempt is due, for every unit the same.
        package var retryAt: MonotonicInstant
        /// Failed attempts in a row.
        package var retryCount: Int
        /// Whether this was the first word of it: the one who brought it closes the connection.
        package var isNews: Bool
        /// Why, in the words of the first.
        package var reason: String

        package init(retryAt: MonotonicInstant, retryCount: Int, isNews: Bool, reason: String) {
            self.retryAt = retryAt
            self.retryCount = retryCount
            self.isNews = isNews
            self.reason = reason
        }
    }

    private enum Connection {
        case closed(retryAt: MonotonicInstant)
        case opening(by: Int)
        case open
    }

    private struct Unit {
        /// Known not to answer, since its last answer.
        var isSilent = false
        /// The connection on which it was found silent.
        var silentGeneration: UInt64?
    }

    /// How long those wait who come while another connects; it then either has worked or they are told when to try again.
    private static let openingPatience = Duration.milliseconds(20)

    private var units: [Int: Unit] = [:]
    private var nextUnit = 0
    private var connection = Connection.closed(retryAt: MonotonicInstant(nanoseconds: .min))
    private var backoff: Backoff?
    private var reason = ""
    private var budget = BusBudget()
    /// Counts connections made.
    package private(set) var generation: UInt64 = 0

    package init() {}

    package var unitCount: Int { units.count }

    /// A device comes; the number it gets names it in all other calls. The first one's backoff is the connection's.
    package mutating func join(backoff: Backoff) -> Int {
        if units.isEmpty { self.backoff = backoff }
        nextUnit += 1
        units[nextUnit] = Unit()
        return nextUnit
    }

    /// A device goes. Returns whether it was the last one, which closes the connection.
    package mutating func leave(_ unit: Int) -> Bool {
        units[unit] = nil
        if case .opening(by: unit) = connection { connection = .closed(retryAt: MonotonicInstant(nanoseconds: .min)) }
        if units.isEmpty { self = LineState(after: self) }
        return units.isEmpty
    }

    /// A line that nobody is on any more; numbers go on.
    private init(after other: LineState) {
        nextUnit = other.nextUnit
        generation = other.generation
    }

    // MARK: - The connection

    package mutating func enter(_ unit: Int, at now: MonotonicInstant) -> Entry {
        switch connection {
        case .open: return .connect
        case .opening(let other):
            if other == unit { return .connect }
            return .queue(until: now.advanced(by: LineState.openingPatience))
        case .closed(let retryAt):
            if retryAt > now {
                return .wait(Loss(retryAt: retryAt, retryCount: backoff?.attempts ?? 0, isNews: false, reason: reason))
            }
            connection = .opening(by: unit)
            return .connect
        }
    }

    package mutating func didConnect() {
        if case .open = connection { return }
        connection = .open
        generation += 1
    }

    /// The connection of that generation is gone, or `unit` could not make one. However many units tell of it, it counts once.
    package mutating func didLose(
        generation: UInt64, unit: Int, reason: String, at now: MonotonicInstant, using generator: inout some RandomNumberGenerator
    ) -> Loss {
        let isNews =
            switch connection {
            case .open: generation == self.generation
            case .opening(let other): other == unit
            case .closed: false
            }
        if isNews {
            let delay = backoff?.next(using: &generator) ?? .zero
            connection = .closed(retryAt: now.advanced(by: delay))
            self.reason = reason
        }
        // Whoever comes late to a connection that was made anew may go on at once.
        var retryAt = now
        if case .closed(let time) = connection { retryAt = time }
        return Loss(retryAt: retryAt, retryCount: backoff?.attempts ?? 0, isNews: isNews, reason: isNews ? reason : self.reason)
    }

    // MARK: - Answers and silence

    /// A unit answered, be it with a refusal. A connection alone proves nothing: some servers accept and hang up.
    package mutating func didAnswer(_ unit: Int) {
        units[unit]?.isSilent = false
        units[unit]?.silentGeneration = nil
        backoff?.reset()
    }

    /// A unit has been silent for so long that it is no longer waited for. Returns whether that is true of every unit of this connection: then
    /// the connection itself is in doubt.
    package mutating func didFallSilent(_ unit: Int) -> Bool {
        units[unit]?.isSilent = true
        units[unit]?.silentGeneration = generation
        return units.values.allSatisfy { $0.silentGeneration == generation }
    }

    /// Whether waiting for this unit takes time from others that answer, or may.
    private func isHindrance(_ unit: Int) -> Bool { units.contains { $0.key != unit && !$0.value.isSilent } }

    /// A unit was waited for in vain.
    package mutating func didWait(_ span: Duration, for unit: Int, at now: MonotonicInstant) {
        if isHindrance(unit) { budget.charge(span, at: now) }
    }

    /// Whether silent units have already cost the others more than their share.
    package func isOverdrawn(by unit: Int, at now: MonotonicInstant) -> Bool { isHindrance(unit) && budget.isOverdrawn(at: now) }

    /// When what silent units have cost the others is paid for.
    package var paidAt: MonotonicInstant { budget.paidAt }

    /// When a silent unit may be asked again, which will take `span` if it stays silent. `nil`: now, and it costs nobody anything.
    package mutating func reserveProbe(of unit: Int, span: Duration, at now: MonotonicInstant) -> MonotonicInstant? {
        isHindrance(unit) ? budget.reserve(span, at: now) : nil
    }

    package mutating func settleProbe(reserved: Duration, spent: Duration) { budget.settle(reserved: reserved, spent: spent) }
}
