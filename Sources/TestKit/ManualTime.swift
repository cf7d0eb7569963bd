package import GatewayCore
internal import Synchronization
package import Telemetry

/// A clock that stands until a test moves it.
package final class ManualTime: MachineClock {
    private struct State {
        var now = MonotonicInstant(nanoseconds: 1_000_000_000)
        var utc = Timestamp(nanoseconds: 1_700_000_000_000_000_000)
        var isSynchronized = true
        var sleepers: [UInt64: (deadline: MonotonicInstant, continuation: CheckedContinuation<Void, any Error>)] = [:]
        var nextSleeper: UInt64 = 0
    }
    private let state = Mutex(State())

    package init() {}

    package var now: MonotonicInstant { state.withLock { $0.now } }
    package var utc: Timestamp { state.withLock { $0.utc } }
    /// Both clocks, and what the kernel would say of them.
    package var reading: ClockReading {
        state.withLock { ClockReading(monotonic: $0.now, wall: $0.utc, isSynchronized: $0.isSynchronized) }
    }
    /// How many tasks are asleep.
    package var sleeperCount: Int { state.withLock { $0.sleepers.count } }

    package func sleep(until deadline: MonotonicInstant) async throws {
        try Task.checkCancellation()
        let id = state.withLock { state in
            state.nextSleeper += 1
            return state.nextSleeper
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let due = state.withLock { state in
                    if state.now >= deadline || Task.isCancelled { return true }
                    state.sleepers[id] = (deadline, continuation)
                    return false
                }
                if due { Task.isCancelled ? continuation.resume(throwing: CancellationError()) : continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.sleepers.removeValue(forKey: id) }?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Moves both clocks and wakes who is due.
    package func advance(by duration: Duration) {
        let due = state.withLock { state in
            state.now = state.now.advanced(by: duration)
            state.utc = state.utc.advanced(by: duration)
            let due = state.sleepers.filter { $0.value.deadline <= state.now }
            for id in due.keys { state.sleepers.removeValue(forKey: id) }
            return due.values.sorted { $0.deadline < $1.deadline }.map(\.continuation)
        }
        for continuation in due { continuation.resume() }
    }

    /// Steps the wall clock only, as NTP does.
    package func stepWallClock(by duration: Duration) {
        state.withLock { $0.utc = $0.utc.advanced(by: duration) }
    }

    /// Sets the wall clock only, as a human does, or a battery that is empty.
    package func setWallClock(_ time: Timestamp) { state.withLock { $0.utc = time } }

    /// Says whether the kernel takes the wall clock for right; it does at first.
    package func setSynchronized(_ isSynchronized: Bool) { state.withLock { $0.isSynchronized = isSynchronized } }

    /// Waits, in real time, until `count` tasks are asleep.
    package func untilAsleep(_ count: Int) async {
        while sleeperCount < count { await Task.yield() }
    }
}
