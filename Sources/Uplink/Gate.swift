internal import Synchronization

/// Lets one task sleep until another part says that something changed. A notification without a sleeper is kept for the next wait.
final class Gate: Sendable {
    private struct State {
        var isNotified = false
        var sleeper: CheckedContinuation<Void, Never>?
    }
    private let state = Mutex(State())

    func notify() {
        let sleeper = state.withLock { state in
            let sleeper = state.sleeper
            state.sleeper = nil
            if sleeper == nil { state.isNotified = true }
            return sleeper
        }
        sleeper?.resume()
    }

    /// Returns when something changed since the last wait; throws `CancellationError` as soon as the task is cancelled.
    func wait() async throws {
        await withTaskCancellationHandler {
            await untilNotified()
        } onCancel: {
            notify()
        }
        try Task.checkCancellation()
    }

    /// As `wait`, but a cancelled task waits too: for ends that are certain to come.
    func untilNotified() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isDue = state.withLock { state in
                if state.isNotified {
                    state.isNotified = false
                    return true
                }
                state.sleeper = continuation
                return false
            }
            if isDue { continuation.resume() }
        }
    }
}
