internal import GatewayCore

/// Decides what a route does next: which cluster to try, or how long to wait.
///
/// The clusters are tried in their order; after a round in which none was reached, and after the loss of a connection, the route backs off.
struct RouteMachine: Sendable {
    enum Action: Equatable {
        case connect(cluster: Int)
        case wait(Duration)
    }

    /// A connection that lasted this long was a good one: the failures before it are forgotten. Shorter ones do not count, or two clients
    /// that take over each other's session would do so as fast as the network lets them.
    static let goodAfter = Duration.seconds(10)

    private let clusterCount: Int
    private var backoff: Backoff
    private var cluster = 0
    /// Failures in a row.
    private(set) var failures = 0

    init(clusterCount: Int, backoff: Backoff) {
        precondition(clusterCount > 0)
        self.clusterCount = clusterCount
        self.backoff = backoff
    }

    /// What to do first, and after a wait.
    mutating func begin() -> Action {
        cluster = 0
        return .connect(cluster: 0)
    }

    /// The cluster could not be reached, or refused.
    mutating func didFailToConnect(using generator: inout some RandomNumberGenerator) -> Action {
        failures += 1
        cluster += 1
        return cluster < clusterCount ? .connect(cluster: cluster) : .wait(backoff.next(using: &generator))
    }

    /// A connection ended that had stood for `duration`.
    mutating func didLoseConnection(after duration: Duration, using generator: inout some RandomNumberGenerator) -> Action {
        if duration >= Self.goodAfter {
            backoff.reset()
            failures = 0
        }
        failures += 1
        return .wait(backoff.next(using: &generator))
    }
}
