internal import GatewayCore
internal import Logging
internal import Synchronization
internal import Telemetry

/// Pieces of the gateway of one kind that come and go while it runs, each supervised by itself: none ends or delays another.
actor UnitHost {
    private let kind: String
    private let logger: Logger
    private let time: any TimeSource
    private var units: [String: Task<Void, Never>] = [:]
    /// Nothing is started any more.
    private var hasEnded = false
    private let failures: AsyncStream<any Error>
    private let reportFailure: AsyncStream<any Error>.Continuation

    /// `kind` is how the pieces are called: `device`.
    init(kind: String, time: any TimeSource, logger: Logger) {
        self.kind = kind
        self.time = time
        self.logger = logger
        // The first failure ends the gateway; what follows it cannot add anything.
        (failures, reportFailure) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1))
    }

    /// Starts a piece, unless the host has ended. One of the same name must have been stopped before.
    func start(_ name: String, _ work: @escaping @Sendable () async throws -> Void) {
        if hasEnded { return }
        precondition(units[name] == nil, "\(kind) \(name) runs already")
        let supervisor = Supervisor(resource: "\(kind) \(name)", logger: logger, time: time)
        units[name] = Task { [reportFailure] in
            do {
                try await supervisor.run(work)
            } catch  where error.isCancellation || Task.isCancelled {
                // Told to stop, and stopped.
            } catch {
                reportFailure.yield(error)
            }
        }
    }

    /// Stops pieces, all at once, and returns when the last of them has ended.
    func stop(_ names: some Sequence<String>) async {
        let stopping = names.compactMap { units.removeValue(forKey: $0) }
        for unit in stopping { unit.cancel() }
        for unit in stopping { await unit.value }
    }

    /// Keeps the pieces until the task is cancelled, then stops all of them.
    ///
    /// Throws `CancellationError`, or the error of a piece that must not be started again.
    func run() async throws {
        var failure: (any Error)?
        for await error in failures {
            failure = error
            break
        }
        hasEnded = true
        await stop(Array(units.keys))
        throw failure ?? CancellationError()
    }
}
