internal import GatewayCore
internal import Telemetry

/// Decides when a route may send, and which of its two lanes: rate limits, quiet hours and a daily limit, with time as a parameter.
///
/// Live data goes first wherever both could go; how much of what is on its way may be backlog is decided by `DeliveryRules.backlogShare`.
struct LaneScheduler: Sendable {
    /// Bytes that may be sent now, and more with time. May go into debt by one message, which time then pays.
    private struct TokenBucket {
        let bytesPerSecond: Int
        private var tokens: Double
        private var filledAt: MonotonicInstant?

        init(bytesPerSecond: Int) {
            self.bytesPerSecond = bytesPerSecond
            tokens = Double(bytesPerSecond)
        }

        mutating func fill(at now: MonotonicInstant) {
            let elapsed = filledAt.map { max($0.duration(to: now), .zero).inSeconds } ?? 0
            filledAt = now
            // At most what a second brings: a pause does not buy a flood.
            tokens = min(Double(bytesPerSecond), tokens + elapsed * Double(bytesPerSecond))
        }

        mutating func spend(_ bytes: Int) { tokens -= Double(bytes) }

        /// How long until something may be sent; zero: now.
        var wait: Duration { tokens > 0 ? .zero : .seconds((1 - tokens) / Double(bytesPerSecond)) }
    }

    private let rules: DeliveryRules
    private var route: TokenBucket?
    private var backlog: TokenBucket?
    /// The day since 1970 in UTC, and what was sent in it.
    private var day: Int64 = .min
    private(set) var sentToday = 0
    private var backlogSentToday = 0

    /// Whether what may be sent is bounded by bytes at all.
    var isLimited: Bool { route != nil || backlog != nil || rules.bytesPerDay != nil }

    init(_ rules: DeliveryRules) {
        self.rules = rules
        route = rules.bytesPerSecond.map { TokenBucket(bytesPerSecond: $0) }
        backlog = rules.backlogBytesPerSecond.map { TokenBucket(bytesPerSecond: $0) }
    }

    /// How long a lane must wait before it may send its next message; zero: it may send now.
    mutating func wait(for lane: LogLane, at now: MonotonicInstant, utc: Timestamp) -> Duration {
        beginDay(utc)
        var wait = Duration.zero
        if var bucket = route {
            bucket.fill(at: now)
            route = bucket
            wait = max(wait, bucket.wait)
        }
        if lane == .backlog, var bucket = backlog {
            bucket.fill(at: now)
            backlog = bucket
            wait = max(wait, bucket.wait)
        }
        if let quiet = rules.quietHours, lane == .backlog || quiet.allows == .nothing { wait = max(wait, quiet.rest(at: utc)) }
        if let limit = rules.bytesPerDay {
            let isSpent = sentToday >= limit || lane == .backlog && backlogSentToday >= limit / 2
            if isSpent { wait = max(wait, Self.restOfDay(utc)) }
        }
        return wait
    }

    /// A lane sent so many bytes.
    mutating func sent(_ bytes: Int, on lane: LogLane) {
        route?.spend(bytes)
        sentToday += bytes
        guard lane == .backlog else { return }
        backlog?.spend(bytes)
        backlogSentToday += bytes
    }

    private mutating func beginDay(_ utc: Timestamp) {
        let today = QuietHours.day(of: utc)
        guard today != day else { return }
        day = today
        sentToday = 0
        backlogSentToday = 0
    }

    private static func restOfDay(_ utc: Timestamp) -> Duration {
        .nanoseconds(QuietHours.nanosecondsPerDay - QuietHours.nanosecondsIntoDay(utc))
    }
}
