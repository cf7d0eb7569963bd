internal import Telemetry

/// A rate with room for bursts: a bucket of tokens that fills evenly and from which each event takes one.
package struct TokenBucket: Sendable {
    private let perSecond: Double
    private let size: Double
    private var tokens: Double
    private var last: MonotonicInstant

    /// Full, of `size` tokens.
    package init(perSecond: Double, size: Int, at now: MonotonicInstant) {
        self.perSecond = perSecond
        self.size = Double(size)
        tokens = Double(size)
        last = now
    }

    private func level(at now: MonotonicInstant) -> Double {
        min(size, tokens + Double(max(0, last.duration(to: now).nanoseconds)) / 1e9 * perSecond)
    }

    /// Whether nothing was taken for so long that nothing is missing.
    package func isFull(at now: MonotonicInstant) -> Bool { level(at: now) >= size }

    /// Whether there was a token.
    package mutating func take(at now: MonotonicInstant) -> Bool {
        tokens = level(at: now)
        last = now
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}
