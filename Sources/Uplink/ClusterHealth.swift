internal import GatewayCore
internal import Telemetry

/// Decides how far a cluster can be relied on, from what was tried with it.
///
/// A probe is anything that asks the broker for an answer: an attempt to connect, a question on a quiet connection, and the wait for the
/// acknowledgements of what is in flight. It succeeds when an answer comes, and fails when none came within its time.
struct ClusterHealth: Sendable {
    /// Failed probes in a row after which a connected cluster is degraded.
    static let failuresToDegrade = 2
    /// Failed probes in a row after which even the only cluster's connection is given up and made anew.
    static let failuresToDrop = 3
    /// Failed probes in a row after which a cluster counts as failed.
    static let failuresToFail = 10
    /// A cluster that stood for so many recovery timeouts is not flapping.
    static let steadyTimeouts = 10
    /// The recovery timeout doubles with each flap, at most this often.
    static let doublingsMax = 4

    /// How long a cluster that was lost must stand before devices go back to it.
    let recoveryTimeout: Duration
    private(set) var state = ClusterStatus.Health.down
    /// Failed probes in a row.
    private(set) var failures = 0
    private var wasConnected = false
    private var connectedAt: MonotonicInstant?
    /// Losses in a row that came soon after a connection.
    private var flaps = 0

    init(recoveryTimeout: Duration = .seconds(30)) { self.recoveryTimeout = recoveryTimeout }

    /// How long the cluster must stand this time.
    var holdTime: Duration { recoveryTimeout * (1 << min(max(flaps - 1, 0), Self.doublingsMax)) }
    var isConnected: Bool { connectedAt != nil }
    /// How willingly devices are placed here: lower is better, `nil` is never.
    var rank: Int? {
        guard isConnected else { return nil }
        return switch state {
        case .healthy: 0
        case .recovering: 1
        case .degraded, .down, .failed: 2
        }
    }

    /// The broker accepted us. The first connection is trusted at once, later ones after the recovery timeout.
    mutating func didConnect(at now: MonotonicInstant) {
        connectedAt = now
        failures = 0
        state = wasConnected ? .recovering : .healthy
        wasConnected = true
    }

    /// An answer came.
    mutating func didAnswer(at now: MonotonicInstant) {
        guard isConnected else { return }
        failures = 0
        if state == .degraded { state = .healthy }
        elapse(to: now)
    }

    /// No answer came on a connection that stands.
    mutating func didNotAnswer(at now: MonotonicInstant) {
        guard isConnected else { return }
        failures += 1
        if failures >= Self.failuresToDegrade || state == .recovering { state = .degraded }
    }

    /// The broker could not be reached, or refused. `isLasting`: for a reason that time alone does not mend.
    mutating func didFailToConnect(isLasting: Bool) {
        connectedAt = nil
        failures += 1
        state = isLasting || failures >= Self.failuresToFail ? .failed : .down
    }

    /// The connection ended that stood.
    mutating func didLoseConnection(at now: MonotonicInstant) {
        guard let since = connectedAt else { return }
        flaps = since.duration(to: now) < recoveryTimeout * Self.steadyTimeouts ? flaps + 1 : 1
        connectedAt = nil
        failures = max(failures, 1)
        state = .down
    }

    /// The connection was ended by us, to be made anew at once: the next one is trusted as this one was.
    mutating func didRenew() {
        guard isConnected else { return }
        connectedAt = nil
        wasConnected = state != .healthy
        state = .down
    }

    /// Time has passed: whoever stood long enough is healthy.
    mutating func elapse(to now: MonotonicInstant) {
        if state == .recovering, let connectedAt, connectedAt.duration(to: now) >= holdTime { state = .healthy }
    }

    /// Whether the connection, though it stands, is to be given up, so that what waits on it goes another way or is sent again.
    func isToBeDropped(hasAlternative: Bool) -> Bool {
        isConnected && state == .degraded && (hasAlternative || failures >= Self.failuresToDrop)
    }
}
