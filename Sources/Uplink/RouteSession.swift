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
        /// When the broker was asked something that it has not answered yet.
        var askedAt: MonotonicInstant?
        /// The broker acknowledged a batch.
        var hasDelivered = false
        /// The connection was given up, because the broker answered nothing any more.
        var wasSilent = false
        /// The primary host is not there: the session ends, and the next cluster is tried.
        var isHostOffline = false
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

    var askedAt: MonotonicInstant? { state.withLock { $0.askedAt } }

    /// Whether the broker may be asked: it has answered all that it was.
    func ask(at now: MonotonicInstant) -> Bool {
        state.withLock { state in
            guard state.stage == .ready, state.askedAt == nil else { return false }
            state.askedAt = now
            return true
        }
    }

    /// The broker answered; returns when it was asked, if it was.
    func answered() -> MonotonicInstant? {
        state.withLock { state in
            defer { state.askedAt = nil }
            return state.askedAt
        }
    }

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
