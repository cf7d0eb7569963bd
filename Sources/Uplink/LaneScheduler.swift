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
    /// What was sent today, as far as is known.
    private(set) var volume = DailyVolume(day: .min)
    /// What was sent before the start of the program.
    private let former: DailyVolume?

    /// Whether what may be sent is bounded by bytes at all.
    var isLimited: Bool { route != nil || backlog != nil || rules.bytesPerDay != nil }

    /// - Parameter former: what was sent on the last day before the start of the program.
    init(_ rules: DeliveryRules, former: DailyVolume? = nil) {
        self.rules = rules
        self.former = former
        route = rules.bytesPerSecond.map { TokenBucket(bytesPerSecond: $0) }
        backlog = rules.backlogBytesPerSecond.map { TokenBucket(bytesPerSecond: $0) }
    }

    /// How long a lane must wait before it may send its next message; zero: it may send now.
    mutating func wait(for lane: LogLane, at now: MonotonicInstant, utc: Timestamp) -> Duration {
        var wait = hold(on: lane, utc: utc)?.rest ?? .zero
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
        return wait
    }

    /// What holds a lane back for long, and for how long: the quiet hours or the daily limit, whichever ends later.
    mutating func hold(on lane: LogLane, utc: Timestamp) -> (reason: LaneHold.Reason, rest: Duration)? {
        beginDay(utc)
        var hold: (reason: LaneHold.Reason, rest: Duration)?
        if let quiet = rules.quietHours, lane == .backlog || quiet.allows == .nothing {
            let rest = quiet.rest(at: utc)
            if rest > .zero { hold = (.quietHours, rest) }
        }
        if let limit = rules.bytesPerDay {
            let isSpent = volume.bytes >= limit || lane == .backlog && volume.backlogBytes >= limit / 2
            let rest = Self.restOfDay(utc)
            if isSpent, hold.map({ $0.rest < rest }) ?? true { hold = (.dailyLimit, rest) }
        }
        return hold
    }

    /// A lane sent so many bytes.
    mutating func sent(_ bytes: Int, on lane: LogLane) {
        route?.spend(bytes)
        volume.bytes += bytes
        guard lane == .backlog else { return }
        backlog?.spend(bytes)
        volume.backlogBytes += bytes
    }

    private mutating func beginDay(_ utc: Timestamp) {
        let today = QuietHours.day(of: utc)
        guard today != volume.day else { return }
        volume = former.flatMap { $0.day == today ? $0 : nil } ?? DailyVolume(day: today)
    }

    private static func restOfDay(_ utc: Timestamp) -> Duration {
        .nanoseconds(QuietHours.nanosecondsPerDay - QuietHours.nanosecondsIntoDay(utc))
    }
}
