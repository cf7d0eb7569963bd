package import Telemetry

/// What the clocks of the machine show at one moment.
package struct ClockReading: Sendable, Hashable {
    package var monotonic: MonotonicInstant
    /// The wall clock, whatever it says.
    package var wall: Timestamp
    /// Whether the kernel says that something (NTP, PTP) keeps the wall clock right.
    package var isSynchronized: Bool

    package init(monotonic: MonotonicInstant, wall: Timestamp, isSynchronized: Bool) {
        self.monotonic = monotonic
        self.wall = wall
        self.isSynchronized = isSynchronized
    }
}

/// What makes a wall clock worth believing.
package enum ClockTrust: String, Sendable, CaseIterable {
    /// The kernel says that it is kept right by NTP or PTP.
    case synchronized
    /// It shows a time that is possible: for plants without a time server.
    case system
}

/// How times of the monotonic clock become UTC, as a log needs to know it to correct what was stamped before.
package struct ClockMapping: Sendable, Hashable {
    /// Counts the mappings of one process, from 1: what `ClockStamp.mapping` refers to.
    package var number: UInt32
    /// UTC minus monotonic clock, in nanoseconds.
    package var offset: Int64
    /// Whether the clock is known to be right with it.
    package var isCertain: Bool

    package init(number: UInt32, offset: Int64, isCertain: Bool) {
        self.number = number
        self.offset = offset
        self.isCertain = isCertain
    }
}

/// Decides what time it is, from a monotonic clock that never steps and a wall clock that may.
///
/// Stamps are the monotonic clock plus an offset. Until the wall clock was believed for the first time, they are uncertain, and every step of it
/// moves the offset: whoever kept stamps moves them alike (`Event.mapped`), so that their order and distances stay. From then on the
/// past stands: a step forward is followed at once, a step back by running at half speed until the wall clock has caught up, and a step
/// that nothing vouches for is not followed at all.
///
/// Readings go in, events come out; time is a parameter.
package struct ClockDiscipline: Sendable {
    /// What an operator, or the log, must know of.
    package enum Event: Sendable, Hashable {
        /// From now on stamps are told by this mapping, and all uncertain stamps of this boot that were told by others are to be corrected to it.
        case mapped(ClockMapping)
        /// Nobody vouches for the clock at the start.
        case uncertain
        /// The wall clock stepped by so much while it was not believed anyway.
        case corrected(by: Duration)
        /// The wall clock is believed, for the first time; it differs so much from the stamps so far.
        case synchronized(correctedBy: Duration)
        /// The wall clock went forward, and the stamps with it.
        case steppedForward(by: Duration)
        /// The wall clock went back so far that the stamps had to go back, too.
        case steppedBack(by: Duration)
        /// The wall clock went back by so much; stamps run at half speed until it has caught up.
        case slewing(by: Duration)
        /// The wall clock differs so much from the stamps, and nothing vouches for it: it is not followed.
        case disbelieved(by: Duration)
        /// The wall clock is believed again.
        case believed
    }

    private enum Phase { case unset, uncertain, certain }

    private let trust: ClockTrust
    private var phase = Phase.unset
    private var number: UInt32 = 0
    /// Where the present line of stamps begins: monotonic nanoseconds, and the UTC that belongs to them.
    private var anchor: (monotonic: Int64, utc: Int64) = (0, 0)
    /// How far stamps were ahead of the wall clock at the anchor; they run at half speed for twice as long.
    private var lead: Int64 = 0
    /// The wall clock shows what it cannot, and is not followed.
    private var isDisbelieving = false
    /// It is so far away that one of the two is wrong, and we cannot know which.
    private var isFarOff = false

    /// Before 2025 no gateway of this kind existed: what shows an older time has lost it.
    package static let plausibleFrom = Timestamp(nanoseconds: 1_735_689_600_000_000_000)
    /// Smaller differences are taken for the noise of reading two clocks.
    package static let stepMin = Duration.milliseconds(1)
    /// Stamps that are further off than this are uncertain.
    package static let errorMax = Duration.milliseconds(500)
    /// Steps back beyond this are not slewed: stamps would be wrong for longer than they would be out of order.
    package static let slewMax = Duration.seconds(7200)

    package init(trust: ClockTrust) { self.trust = trust }

    /// The stamp for a moment of the monotonic clock.
    ///
    /// Precondition: there was a reading.
    package func stamp(at instant: MonotonicInstant) -> ClockStamp {
        let time = Timestamp(nanoseconds: utc(at: instant.nanoseconds))
        switch phase {
        case .unset: preconditionFailure("a stamp before the first reading of the clocks")
        case .uncertain: return ClockStamp(time: time, isUncertain: true, mapping: number)
        case .certain:
            return ClockStamp(
                time: time, isUncertain: isFarOff || lead(at: instant.nanoseconds) > ClockDiscipline.errorMax.nanoseconds)
        }
    }

    /// Whether the time is known to be right at a moment of the monotonic clock.
    package func isCertain(at instant: MonotonicInstant) -> Bool { phase == .certain && !stamp(at: instant).isUncertain }

    /// How far stamps are still ahead of the wall clock.
    private func lead(at monotonic: Int64) -> Int64 { max(0, lead - max(0, monotonic &- anchor.monotonic) / 2) }

    private func utc(at monotonic: Int64) -> Int64 {
        let elapsed = monotonic &- anchor.monotonic
        // Half speed until the lead is gone: what is gone of it is what the stamps did not advance.
        return anchor.utc &+ elapsed &- (lead - lead(at: monotonic))
    }

    /// Takes note of what the clocks show; the events are in the order in which they are to be acted on.
    package mutating func take(_ reading: ClockReading) -> [Event] {
        let isPlausible = reading.wall >= ClockDiscipline.plausibleFrom
        let isBelieved = isPlausible && (trust == .system || reading.isSynchronized)
        switch phase {
        case .unset:
            phase = isBelieved ? .certain : .uncertain
            let mapped = map(reading)
            return isBelieved ? [mapped] : [mapped, .uncertain]
        case .uncertain: return takeUncertain(reading, isPlausible: isPlausible, isBelieved: isBelieved)
        case .certain: return takeCertain(reading, isBelieved: isBelieved)
        }
    }

    private mutating func map(_ reading: ClockReading) -> Event {
        number &+= 1
        anchor = (reading.monotonic.nanoseconds, reading.wall.nanoseconds)
        lead = 0
        return .mapped(
            ClockMapping(
                number: number, offset: reading.wall.nanoseconds &- reading.monotonic.nanoseconds, isCertain: phase == .certain))
    }

    /// Wall clock minus stamps.
    private func error(_ reading: ClockReading) -> Int64 {
        reading.wall.nanoseconds &- utc(at: reading.monotonic.nanoseconds)
    }

    private mutating func takeUncertain(_ reading: ClockReading, isPlausible: Bool, isBelieved: Bool) -> [Event] {
        let error = error(reading)
        if isBelieved {
            phase = .certain
            isDisbelieving = false
            return [map(reading), .synchronized(correctedBy: .nanoseconds(error))]
        }
        let knowsBetter = utc(at: reading.monotonic.nanoseconds) >= ClockDiscipline.plausibleFrom.nanoseconds
        if !isPlausible, knowsBetter { return disbelieve(error) }
        isDisbelieving = false
        guard error.magnitude >= ClockDiscipline.stepMin.nanoseconds.magnitude else { return [] }
        return [map(reading), .corrected(by: .nanoseconds(error))]
    }

    private mutating func takeCertain(_ reading: ClockReading, isBelieved: Bool) -> [Event] {
        let error = error(reading)
        let lead = lead(at: reading.monotonic.nanoseconds)
        let residue = error &+ lead
        let isAsExpected = residue.magnitude < ClockDiscipline.stepMin.nanoseconds.magnitude
        guard isBelieved else {
            // A kernel that only lost its time server keeps good time for long; a step that comes with it is somebody's mistake until proven.
            isFarOff = !isAsExpected && error.magnitude > ClockDiscipline.errorMax.nanoseconds.magnitude
            if !isAsExpected { return disbelieve(error) }
            let events: [Event] = isDisbelieving ? [.believed] : []
            isDisbelieving = false
            return events
        }
        var events: [Event] = isDisbelieving ? [.believed] : []
        isDisbelieving = false
        isFarOff = false
        if isAsExpected { return events }
        let now = reading.monotonic.nanoseconds
        if error >= 0 {
            anchor = (now, reading.wall.nanoseconds)
            self.lead = 0
            events.append(.steppedForward(by: .nanoseconds(error)))
        } else if error < -ClockDiscipline.slewMax.nanoseconds {
            anchor = (now, reading.wall.nanoseconds)
            self.lead = 0
            events.append(.steppedBack(by: .nanoseconds(error)))
        } else {
            anchor = (now, utc(at: now))
            self.lead = -error
            events.append(.slewing(by: .nanoseconds(error)))
        }
        return events
    }

    private mutating func disbelieve(_ error: Int64) -> [Event] {
        defer { isDisbelieving = true }
        return isDisbelieving ? [] : [.disbelieved(by: .nanoseconds(error))]
    }
}
