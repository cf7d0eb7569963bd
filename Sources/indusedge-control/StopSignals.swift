internal import UnixSignals

/// SIGTERM and SIGINT as something to wait for, from its making on.
struct StopSignals: Sendable {
    private let arrivals: UnixSignalsSequence

    init() async { arrivals = await UnixSignalsSequence(trapping: .sigterm, .sigint) }

    /// Returns when one has arrived. Throws `CancellationError` when the task is cancelled first.
    func wait() async throws {
        for await _ in arrivals { return }
        try Task.checkCancellation()
    }
}
