internal import Telemetry

/// How long to wait before the next attempt: exponential, bounded, jittered.
///
/// Half of each wait is drawn at random ("equal jitter"), so that the clients of a server that comes back do not storm it
/// together. Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
package struct Backoff: Sendable {
    /// The bound of the first wait.
    package let initial: Duration
    /// The bound of every wait.
    package let maximum: Duration
    /// Failures in a row so far.
    package private(set) var attempts = 0

    package init(initial: Duration = .milliseconds(500), maximum: Duration = .seconds(30)) {
        precondition(initial > .zero && maximum >= initial)
        self.initial = initial
        self.maximum = maximum
    }

    /// In nanoseconds.
    private var nextBound: Int64 {
        let (grown, overflow) = initial.nanoseconds.multipliedReportingOverflow(by: 1 << Int64(min(attempts, 32)))
        return overflow ? maximum.nanoseconds : min(maximum.nanoseconds, grown)
    }

    /// Counts a failure and tells how long to wait: between half of the bound and the bound, which doubles each time.
    package mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        let bound = nextBound
        attempts += 1
        return .nanoseconds(Int64.random(in: bound / 2...bound, using: &generator))
    }

    package mutating func next() -> Duration {
        var generator = SystemRandomNumberGenerator()
        return next(using: &generator)
    }

    /// Forgets as many failures as it takes for the next wait to be no longer than `bound`.
    package mutating func ease(to bound: Duration) {
        while attempts > 0, nextBound > bound.nanoseconds { attempts -= 1 }
    }

    /// Forgets the failures: the last attempt went well.
    package mutating func reset() { attempts = 0 }
}
