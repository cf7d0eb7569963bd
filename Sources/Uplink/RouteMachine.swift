internal import GatewayCore

/// Decides what a route does next: which cluster to try, or how long to wait.
///
/// The clusters are tried in their order, from the first on; after a round in which none was reached, and after the loss of a connection, the
/// route backs off. A cluster that took the connection and was of no use comes last in the round that follows.
struct RouteMachine: Sendable {
    enum Action: Equatable {
        case connect(cluster: Int)
        case wait(Duration)
    }

    /// A connection that lasted this long was a good one: the failures before it are forgotten. Shorter ones do not count, or two clients
    /// that take over each other's session would do so as fast as the network lets them.
    static let goodAfter = Duration.seconds(10)
    /// The longest wait after a connection that was short, but over which something was delivered: its broker works, or did a moment ago.
    static let longestAfterDelivery = Duration.seconds(4)

    private let clusterCount: Int
    private var backoff: Backoff
    private var cluster = 0
    /// Where the next round begins, and how many clusters the present one has tried.
    private var first = 0
    private var tried = 0
    /// Failures in a row.
    private(set) var failures = 0

    init(clusterCount: Int, backoff: Backoff) {
        precondition(clusterCount > 0)
        self.clusterCount = clusterCount
        self.backoff = backoff
    }

    /// What to do first, and after a wait.
    mutating func begin() -> Action {
        cluster = first
        tried = 0
        return .connect(cluster: cluster)
    }

    /// The cluster could not be reached, or refused.
    mutating func didFailToConnect(using generator: inout some RandomNumberGenerator) -> Action {
        failures += 1
        tried += 1
        cluster = (cluster + 1) % clusterCount
        if tried < clusterCount { return .connect(cluster: cluster) }
        first = 0
        return .wait(backoff.next(using: &generator))
    }

    /// A connection ended that had stood for `duration`. `hasDelivered`: the broker acknowledged something. `wasSilent`: the connection was given
    /// up, because the broker answered nothing any more.
    mutating func didLoseConnection(
        after duration: Duration, hasDelivered: Bool = false, wasSilent: Bool = false, using generator: inout some RandomNumberGenerator
    ) -> Action {
        if duration >= Self.goodAfter, !wasSilent {
            backoff.reset()
            failures = 0
            first = 0
        } else {
            // Else a broker that only accepts connections would keep all data from those after it.
            first = (cluster + 1) % clusterCount
            if hasDelivered, !wasSilent { backoff.ease(to: Self.longestAfterDelivery) }
        }
        failures += 1
        return .wait(backoff.next(using: &generator))
    }
}
