internal import Telemetry

/// How much a route may send, and when. Without any of it a route sends as fast as the broker takes it.
package struct DeliveryRules: Sendable, Hashable {
    /// Bytes of payload per second that the route sends at most, both lanes together.
    package var bytesPerSecond: Int?
    /// Bytes of payload per second that the backlog takes of it at most.
    package var backlogBytesPerSecond: Int?
    /// The share of what may be in flight that the backlog fills at most, in percent, 1 to 100.
    package var backlogSharePercent: Int
    /// Hours of the day in which the route holds back.
    package var quietHours: QuietHours?
    /// Bytes of payload per UTC day on a link that costs by volume; the backlog takes at most half of them.
    package var bytesPerDay: Int?
    /// The scan groups whose data goes first, as alarms do.
    package var alarmGroups: Set<String>

    package init(
        bytesPerSecond: Int? = nil, backlogBytesPerSecond: Int? = nil, backlogSharePercent: Int = 50, quietHours: QuietHours? = nil,
        bytesPerDay: Int? = nil, alarmGroups: Set<String> = []
    ) {
        self.bytesPerSecond = bytesPerSecond
        self.backlogBytesPerSecond = backlogBytesPerSecond
        self.backlogSharePercent = backlogSharePercent
        self.quietHours = quietHours
        self.bytesPerDay = bytesPerDay
        self.alarmGroups = alarmGroups
    }
}

/// A part of each day, in UTC, in which a route holds back. May reach over midnight.
package struct QuietHours: Sendable, Hashable {
    /// What is sent all the same.
    package enum Allowance: String, Sendable, Hashable, CaseIterable {
        case live
        case nothing
    }

    /// Minutes since midnight, 0 to 1439: the first quiet one, and the first that is not.
    package var startMinute: Int
    package var endMinute: Int
    package var allows: Allowance

    package init(startMinute: Int, endMinute: Int, allows: Allowance) {
        self.startMinute = startMinute
        self.endMinute = endMinute
        self.allows = allows
    }

    static let nanosecondsPerDay: Int64 = 86_400_000_000_000
    static let nanosecondsPerMinute: Int64 = 60_000_000_000

    static func day(of utc: Timestamp) -> Int64 { (utc.nanoseconds - nanosecondsIntoDay(utc)) / nanosecondsPerDay }

    static func nanosecondsIntoDay(_ utc: Timestamp) -> Int64 {
        let rest = utc.nanoseconds % nanosecondsPerDay
        return rest < 0 ? rest + nanosecondsPerDay : rest
    }

    /// How long the quiet hours go on; zero outside of them.
    func rest(at utc: Timestamp) -> Duration {
        let now = Self.nanosecondsIntoDay(utc)
        let start = Int64(startMinute) * Self.nanosecondsPerMinute
        let end = Int64(endMinute) * Self.nanosecondsPerMinute
        let isQuiet = start <= end ? start <= now && now < end : now >= start || now < end
        guard isQuiet else { return .zero }
        return .nanoseconds(now < end ? end - now : end + Self.nanosecondsPerDay - now)
    }
}
