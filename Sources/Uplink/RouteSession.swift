internal import GatewayCore
internal import Synchronization
internal import Telemetry

/// What one connection of a cluster knows, shared between the cluster's tasks and the connection's thread.
final class RouteSession: Sendable {
    enum Stage: Sendable, Equatable {
        case connecting
        case connected
        /// Connected, and the command topics are subscribed.
        case ready
        case ended
    }

    struct State {
        var stage = Stage.connecting
        var error: GatewayError?
        /// After the route let go of the connection: what it still reports counts no more.
        var isClosed = false
        /// Subscriptions that are not answered yet.
        var subscriptions = 0
        var lastRebirth: MonotonicInstant?
    }

    let state = Mutex(State())
    /// The stage changed.
    let stageChanged = Gate()
    /// Samples from before are history for the subscriber.
    private let startedAt: ClockStamp

    init(startedAt: ClockStamp) { self.startedAt = startedAt }

    /// Whether a batch was taken before the connection was made. Times that the same clock did not tell cannot be compared: then the
    /// answer is no, and whether the batch comes from disk has to do.
    func isOlder(_ batch: SampleBatch) -> Bool { batch.clockMapping == startedAt.mapping && batch.time < startedAt.time }

    var stage: Stage { state.withLock { $0.stage } }
    var error: GatewayError? { state.withLock { $0.error } }
    var isOpen: Bool { state.withLock { !$0.isClosed } }

    /// Nothing that the connection still reports counts any more.
    func close() { state.withLock { $0.isClosed = true } }

    /// Moves on, never back from the end.
    func enter(_ stage: Stage) {
        state.withLock { if $0.stage != .ended { $0.stage = stage } }
        stageChanged.notify()
    }

    /// Returns when the stage is no longer `stage`; throws `CancellationError`.
    func leave(_ stages: Stage...) async throws -> Stage {
        while true {
            let stage = stage
            if !stages.contains(stage) { return stage }
            try await stageChanged.wait()
        }
    }
}
