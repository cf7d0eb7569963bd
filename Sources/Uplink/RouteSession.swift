internal import GatewayCore
internal import Synchronization
internal import Telemetry

/// What one connection of a route knows, shared between the route's task and the connection's thread.
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
        var window: InFlightWindow
        var error: GatewayError?
        /// After the route let go of the connection: what it still reports counts no more.
        var isClosed = false
        /// Subscriptions that are not answered yet.
        var subscriptions = 0
        var lastRebirth: MonotonicInstant?
    }

    let state: Mutex<State>
    /// The stage changed.
    let stageChanged = Gate()
    /// The window may have room again.
    let hasRoom = Gate()
    /// Samples from before are history for the subscriber.
    private let startedAt: ClockStamp

    init(window: InFlightWindow, startedAt: ClockStamp) {
        state = Mutex(State(window: window))
        self.startedAt = startedAt
    }

    /// Whether a batch was taken before the connection was made. Times that the same clock did not tell cannot be compared: then the
    /// answer is no, and whether the batch comes from disk has to do.
    func isOlder(_ batch: SampleBatch) -> Bool { batch.clockMapping == startedAt.mapping && batch.time < startedAt.time }

    var stage: Stage { state.withLock { $0.stage } }
    var error: GatewayError? { state.withLock { $0.error } }

    /// Moves on, never back from the end.
    func enter(_ stage: Stage) {
        state.withLock { if $0.stage != .ended { $0.stage = stage } }
        stageChanged.notify()
        hasRoom.notify()
    }

    /// Returns when the stage is no longer `stage`; throws `CancellationError`.
    func leave(_ stages: Stage...) async throws -> Stage {
        while true {
            let stage = stage
            if !stages.contains(stage) { return stage }
            try await stageChanged.wait()
        }
    }

    /// Returns when another entry may be sent; throws `CancellationError`.
    func untilRoom() async throws {
        while !state.withLock({ $0.window.hasRoom }) { try await hasRoom.wait() }
    }
}
