internal import Telemetry

/// How long to wait before the next attempt: exponential, bounded, with full jitter.
///
/// Full jitter (a uniform draw between `minimum` and the exponential bound) spreads the clients of a server that
/// comes back, so that they do not storm it. Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
package struct Backoff: Sendable {
    package let minimum: Duration
    package let maximum: Duration
    /// Failures in a row so far.
    package private(set) var attempts = 0

    package init(minimum: Duration = .milliseconds(500), maximum: Duration = .seconds(30)) {
        precondition(minimum > .zero && maximum >= minimum)
        self.minimum = minimum
        self.maximum = maximum
    }

    /// Counts a failure and tells how long to wait.
    package mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        let doublings = min(attempts, 32)
        attempts += 1
        let (grown, overflow) = minimum.nanoseconds.multipliedReportingOverflow(by: 1 << Int64(doublings))
        let bound = overflow ? maximum.nanoseconds : min(maximum.nanoseconds, grown)
        return .nanoseconds(Int64.random(in: minimum.nanoseconds...bound, using: &generator))
    }

    package mutating func next() -> Duration {
        var generator = SystemRandomNumberGenerator()
        return next(using: &generator)
    }

    /// Forgets the failures: the last attempt went well.
    package mutating func reset() { attempts = 0 }
}
