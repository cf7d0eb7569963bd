package import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A point on a clock that only ever runs forward; its zero means nothing.
package struct MonotonicInstant: Sendable, Hashable, Comparable, InstantProtocol {
    package var nanoseconds: Int64
    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }
    package static func < (left: MonotonicInstant, right: MonotonicInstant) -> Bool { left.nanoseconds < right.nanoseconds }
    package func advanced(by duration: Duration) -> MonotonicInstant {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(duration.nanoseconds)
        return MonotonicInstant(nanoseconds: overflow ? (duration < .zero ? .min : .max) : sum)
    }
    package func duration(to other: MonotonicInstant) -> Duration { .nanoseconds(other.nanoseconds &- nanoseconds) }
}

/// The only way to the time. Everything that depends on time takes one, so that tests can run it on a clock of theirs.
package protocol TimeSource: Sendable {
    /// The wall clock, UTC. May step.
    var utc: Timestamp { get }
    /// The monotonic clock, for deadlines and durations. Runs on while the machine sleeps.
    var now: MonotonicInstant { get }
    /// Returns at or after `deadline`; throws `CancellationError` as soon as the task is cancelled.
    func sleep(until deadline: MonotonicInstant) async throws
}

extension TimeSource {
    package func sleep(for duration: Duration) async throws { try await sleep(until: now.advanced(by: duration)) }
}

/// The clocks of the machine.
package struct SystemTime: TimeSource {
    package init() {}

    package var utc: Timestamp { Timestamp(nanoseconds: read(CLOCK_REALTIME)) }
    package var now: MonotonicInstant { MonotonicInstant(nanoseconds: read(CLOCK_BOOTTIME)) }

    package func sleep(until deadline: MonotonicInstant) async throws {
        let left = now.duration(to: deadline)
        if left <= .zero {
            try Task.checkCancellation()
        } else if let queue = JobQueue.current {
            // A dedicated thread wakes its own sleepers: the pool's timer would cost two more changes of thread.
            try await queue.sleep(until: deadline)
        } else {
            try await Task.sleep(for: left, tolerance: .zero)
        }
    }

    /// So many nanoseconds from now on `CLOCK_MONOTONIC`, which condition variables wait by.
    static func conditionDeadline(after nanoseconds: Int64) -> timespec {
        let deadline = SystemTime().read(CLOCK_MONOTONIC) + nanoseconds
        return timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
    }

    private func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
