internal import CSystem
package import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The only way to the time. Everything that depends on time takes one, so that tests can run it on a clock of theirs.
package protocol TimeSource: Sendable {
    /// UTC. The wall clock of the machine may step; `DisciplinedTime` does not.
    var utc: Timestamp { get }
    /// UTC with what is known of the clock. What samples are stamped with.
    var stamp: ClockStamp { get }
    /// The monotonic clock, for deadlines and durations. Runs on while the machine sleeps.
    var now: MonotonicInstant { get }
    /// Returns at or after `deadline`; throws `CancellationError` as soon as the task is cancelled.
    func sleep(until deadline: MonotonicInstant) async throws
}

extension TimeSource {
    /// For sources that are right by definition.
    package var stamp: ClockStamp { ClockStamp(time: utc) }

    package func sleep(for duration: Duration) async throws { try await sleep(until: now.advanced(by: duration)) }
}

/// Clocks of a machine, as they are.
package protocol MachineClock: TimeSource {
    /// Monotonic and wall clock at one moment, and what the kernel says of them.
    var reading: ClockReading { get }
}

/// The clocks of the machine.
package struct SystemTime: MachineClock {
    package init() {}

    package var utc: Timestamp { Timestamp(nanoseconds: read(CLOCK_REALTIME)) }
    package var now: MonotonicInstant { MonotonicInstant(nanoseconds: read(CLOCK_BOOTTIME)) }

    /// Looks at the wall clock between two looks at the monotonic one, and takes the closest of a few, because a thread may be
    /// interrupted between any two.
    package var reading: ClockReading {
        var best = (width: Int64.max, monotonic: Int64(0), wall: Int64(0))
        for _ in 0..<5 {
            let before = read(CLOCK_BOOTTIME)
            let wall = read(CLOCK_REALTIME)
            let width = read(CLOCK_BOOTTIME) - before
            if width < best.width { best = (width, before + width / 2, wall) }
        }
        return ClockReading(
            monotonic: MonotonicInstant(nanoseconds: best.monotonic), wall: Timestamp(nanoseconds: best.wall),
            isSynchronized: csystem_clock_is_synchronized() != 0)
    }

    package func sleep(until deadline: MonotonicInstant) async throws {
        let left = now.duration(to: deadline)
        if left <= .zero {
            try Task.checkCancellation()
        } else if let queue = JobQueue.current {
            // A dedicated thread keeps its own time: the pool's timer would cost three more changes of thread.
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
