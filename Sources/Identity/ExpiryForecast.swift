internal import GatewayCore
package import Telemetry

/// How long something with a beginning and an end is still valid.
package struct ExpiryForecast: Sendable, Hashable {
    package enum State: String, Sendable, Hashable, Codable {
        case valid
        /// Ends within `alarmDays`.
        case expiring
        case expired
        case notYetValid
        /// The clock is not known to be right, and shows a time at which it would be over, or had not begun: nobody can tell.
        case unknown
    }

    /// From so many days before the end it is told as an alarm.
    package static let alarmDays = 30

    package let state: State
    /// Whole days until the end, rounded down, so negative afterwards; `nil` where nobody can tell.
    package let daysLeft: Int?
    package let notAfter: Timestamp
    private let isOver: Bool

    package init(notBefore: Timestamp? = nil, notAfter: Timestamp, at stamp: ClockStamp) {
        self.notAfter = notAfter
        isOver = stamp.time > notAfter
        let isEarly = notBefore.map { stamp.time < $0 } ?? false
        guard !stamp.isUncertain || !(isOver || isEarly || stamp.time < ClockDiscipline.plausibleFrom) else {
            state = .unknown
            daysLeft = nil
            return
        }
        let days = (Double(notAfter.nanoseconds) - Double(stamp.time.nanoseconds)) / 86_400e9
        daysLeft = Int(days.rounded(.down))
        state = isOver ? .expired : isEarly ? .notYetValid : days <= Double(Self.alarmDays) ? .expiring : .valid
    }

    /// Whether somebody has to do something.
    package var isAlarm: Bool { state == .expiring || state == .expired || state == .notYetValid || state == .unknown && isOver }

    /// A sentence; `what` begins it: `the certificate CN=gateway`.
    package func words(_ what: String) -> String {
        switch (state, daysLeft) {
        case (.expiring, 0?): "\(what) expires within a day, on \(notAfter)"
        case (.expiring, 1?): "\(what) expires in 1 day, on \(notAfter)"
        case (.expiring, let days?): "\(what) expires in \(days) days, on \(notAfter)"
        case (.expired, _): "\(what) expired on \(notAfter)"
        case (.notYetValid, _): "\(what) is not valid yet; is the clock of this machine right?"
        case (.unknown, _) where isOver: "\(what) expired on \(notAfter), if the clock is right, which nobody vouches for"
        case (.unknown, _): "the clock is not set: whether \(what) is valid, until \(notAfter), cannot be told"
        case (.valid, _), (.expiring, nil): "\(what) is valid until \(notAfter)"
        }
    }
}
