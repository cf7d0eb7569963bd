/// How much a route may send, and when.
package struct DeliverySettings: Sendable, Equatable {
    /// Bytes of payload per second; `nil`: as many as the broker takes.
    package var rateLimit: Int?
    /// Bytes of payload per second that what has piled up takes of it at most.
    package var backlogRate: Int?
    /// The share of what may be in flight that what has piled up fills at most, in percent.
    package var backlogShare: Int
    package var quietHours: QuietHoursSettings?
    /// Bytes of payload per UTC day, on a link that costs by volume.
    package var dailyLimit: Int?
    /// Data older than this is no longer fresh: what is newer goes beside it, and it follows as what has piled up.
    package var liveWithin: Duration
    /// The scan groups whose data goes first, as alarms do.
    package var alarmGroups: [String]

    package init(
        rateLimit: Int? = nil, backlogRate: Int? = nil, backlogShare: Int = 50, quietHours: QuietHoursSettings? = nil,
        dailyLimit: Int? = nil, liveWithin: Duration = .seconds(10), alarmGroups: [String] = []
    ) {
        self.rateLimit = rateLimit
        self.backlogRate = backlogRate
        self.backlogShare = backlogShare
        self.quietHours = quietHours
        self.dailyLimit = dailyLimit
        self.liveWithin = liveWithin
        self.alarmGroups = alarmGroups
    }
}

/// A part of each day, in UTC, in which a route holds back.
package struct QuietHoursSettings: Sendable, Equatable {
    package enum Allowance: String, Sendable, CaseIterable {
        case live
        case nothing
    }

    /// Minutes since midnight.
    package var start: Int
    package var end: Int
    package var allows: Allowance

    package init(start: Int, end: Int, allows: Allowance) {
        self.start = start
        self.end = end
        self.allows = allows
    }
}
