internal import GatewayCore
internal import Identity
internal import Logging
internal import Synchronization
internal import Telemetry

/// Which certificate one cluster's broker is shown: the newest of the route's, or an older one that this broker still prefers.
final class ClusterCredentials: Sendable {
    private let identity: RouteIdentity
    private let interval: Duration
    private let time: any TimeSource
    private let logger: Logger
    private let choice = Mutex(CredentialChoice<TLSCredentials>())

    /// The route's files are looked at every `interval` while a connection stands.
    init(of identity: RouteIdentity, every interval: Duration, time: any TimeSource, logger: Logger) {
        self.identity = identity
        self.interval = interval
        self.time = time
        self.logger = logger
    }

    /// What the broker is shown next. Throws a `GatewayError` when the files of the route were never any good.
    func next() async throws -> TLSCredentials? {
        let newest = try await identity.look()
        let stamp = time.stamp
        return choice.withLock { choice in
            choice.next(newest: newest, at: time.now) { older in !older.troubles(at: stamp).contains { $0.kind == .dates } }
        }
    }

    func didConnect(with shown: TLSCredentials) { choice.withLock { $0.didConnect(with: shown) } }

    /// Whether the broker does not want what it was shown, and there is something else that it accepted before.
    func isRefusal(_ error: GatewayError, of shown: TLSCredentials) -> Bool {
        guard [.tlsFailed, .certificateInvalid, .refused].contains(error.code),
            choice.withLock({ $0.didFail(with: shown, at: time.now) })
        else { return false }
        logger.warning(
            "the broker does not accept the new certificate; the one before serves on",
            metadata: [
                "error_chain": .chain(of: error), "subject": "\(shown.certificate?.subject ?? "none")",
                "fingerprint": "\(shown.certificate?.fingerprint ?? "none")",
            ])
        return true
    }

    /// Waits until the broker is to be shown something else. Throws `CancellationError`.
    func untilRenewed(_ shown: TLSCredentials) async throws {
        while true {
            try await time.sleep(for: interval)
            // What is wrong with new files the identity itself tells.
            guard let newest = try? await identity.look() else {
                try Task.checkCancellation()
                continue
            }
            if choice.withLock({ $0.isToBeRenewed(shown, newest: newest, at: time.now) }) { return }
        }
    }
}
