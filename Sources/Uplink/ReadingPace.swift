internal import GatewayCore
internal import Telemetry

/// When to look at the log again. At once, unless batches come fast: then a little later, so that one look finds several of them, and they cost one
/// change of thread and one packet together.
struct ReadingPace: Sendable {
    /// How long batches are gathered, and so how much later one may leave than it could.
    static let gatherFor = Duration.milliseconds(5)
    /// Batches come fast when they are less than so far apart, on average.
    private static let fastBelow = Duration.milliseconds(4)
    /// Weight of the newest look in the average.
    private static let weight = 0.125

    private var lastLook: MonotonicInstant?
    /// Between two batches, in seconds.
    private var interval = 1.0
    /// The next look is due then; `nil` for at once.
    private(set) var nextLook: MonotonicInstant?

    /// A look found so many entries; `limit` is how many it would have taken.
    mutating func didFind(_ count: Int, atMost limit: Int, at now: MonotonicInstant) {
        nextLook = nil
        guard count > 0 else { return }
        if let lastLook { interval += (lastLook.duration(to: now).inSeconds / Double(count) - interval) * Self.weight }
        lastLook = now
        // Where more was there than could be taken, nothing need be waited for.
        if count < limit, interval < Self.fastBelow.inSeconds { nextLook = now.advanced(by: Self.gatherFor) }
    }
}
