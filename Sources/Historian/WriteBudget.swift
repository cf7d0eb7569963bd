internal import GatewayCore
internal import Telemetry

/// Keeps what a log writes within so many bytes a day, by committing and saving less often. Decides only.
///
/// Every commit rewrites the last page of the segment, and every snapshot some pages of the database twice, however few samples there
/// are: at a small site that is nearly all that is written.
struct WriteBudget {
    private let bytesPerDay: Double
    private let shortest: Duration
    private var periodStart: MonotonicInstant
    private var periodBytes = 0
    /// How long to wait between commits.
    private(set) var interval: Duration
    /// Even the longest interval writes too much.
    private(set) var isExceeded = false

    /// Commits are never rarer.
    static let longest = Duration.seconds(10)
    /// How often the pace is looked at.
    private static let period = Duration.seconds(60)

    init(bytesPerDay: Int, shortest: Duration, now: MonotonicInstant) {
        self.bytesPerDay = Double(bytesPerDay)
        self.shortest = shortest
        periodStart = now
        interval = shortest
    }

    /// Takes note of bytes written, and at the end of each minute changes the pace.
    mutating func didWrite(_ bytes: Int, at now: MonotonicInstant) {
        periodBytes += bytes
        let elapsed = periodStart.duration(to: now)
        guard elapsed >= WriteBudget.period else { return }
        let rate = Double(periodBytes) / elapsed.inSeconds * 86_400
        if rate > bytesPerDay {
            isExceeded = interval >= WriteBudget.longest
            interval = min(WriteBudget.longest, interval * 2)
        } else {
            isExceeded = false
            // Half the pace would do with twice the bytes at most.
            if rate < bytesPerDay / 2 { interval = max(shortest, interval / 2) }
        }
        periodStart = now
        periodBytes = 0
    }
}
