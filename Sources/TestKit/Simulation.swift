package import GatewayCore
internal import Synchronization
package import Telemetry

/// A world of its own: tasks and actors that run one after the other on the thread that drives them, and a clock that jumps to the next moment
/// at which somebody wants to be woken. Hours pass in no time, the same way each time.
///
/// Give it to actors as their executor, to tasks as `executorPreference`, and to whoever takes a `TimeSource`.
package final class Simulation: SerialExecutor, TaskExecutor, TimeSource {
    private struct Sleeper {
        var id: UInt64
        var deadline: MonotonicInstant
        var continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var jobs: [UnownedJob] = []
        var now = MonotonicInstant(nanoseconds: 1_000_000_000)
        /// Sorted by deadline, then by arrival.
        var sleepers: [Sleeper] = []
        var nextSleeper: UInt64 = 0
    }
    private let state = Mutex(State())

    package init() {}

    package var now: MonotonicInstant { state.withLock { $0.now } }
    /// Runs with the monotonic clock.
    package var utc: Timestamp { Timestamp(nanoseconds: 1_700_000_000_000_000_000 + now.nanoseconds) }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        state.withLock { $0.jobs.append(job) }
    }

    package func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    package func sleep(until deadline: MonotonicInstant) async throws {
        try Task.checkCancellation()
        let id = state.withLock { state in
            state.nextSleeper += 1
            return state.nextSleeper
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let isDue = state.withLock { state in
                    if state.now >= deadline || Task.isCancelled { return true }
                    let place = state.sleepers.firstIndex { $0.deadline > deadline } ?? state.sleepers.endIndex
                    state.sleepers.insert(Sleeper(id: id, deadline: deadline, continuation: continuation), at: place)
                    return false
                }
                if isDue { Task.isCancelled ? continuation.resume(throwing: CancellationError()) : continuation.resume() }
            }
        } onCancel: {
            let cancelled = state.withLock { state in
                state.sleepers.firstIndex { $0.id == id }.map { state.sleepers.remove(at: $0) }
            }
            cancelled?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Lets the world go on for so long, on the calling thread.
    package func run(for duration: Duration) {
        let end = now.advanced(by: duration)
        while true {
            let jobs = state.withLock { state in
                defer { state.jobs = [] }
                return state.jobs
            }
            for job in jobs { job.runSynchronously(isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor()) }
            if !jobs.isEmpty { continue }
            let woken: CheckedContinuation<Void, any Error>? = state.withLock { state in
                guard let first = state.sleepers.first, first.deadline <= end else {
                    state.now = end
                    return nil
                }
                state.now = max(state.now, first.deadline)
                return state.sleepers.removeFirst().continuation
            }
            guard let woken else { return }
            woken.resume()
        }
    }
}
