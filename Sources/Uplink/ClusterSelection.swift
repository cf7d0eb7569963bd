internal import GatewayCore
internal import Telemetry

/// Decides which cluster sends what, from the health of each and the route's kind of failover.
struct ClusterSelection: Sendable {
    /// Who has which device.
    enum Choice: Sendable, Hashable {
        case none
        /// All devices on one cluster.
        case one(Int)
        case spread(Placement)

        func cluster(of device: String) -> Int? {
            switch self {
            case .none: nil
            case .one(let cluster): cluster
            case .spread(let placement): placement.cluster(of: device)
            }
        }
    }

    private let failover: RouteConfiguration.Failover
    private let clusters: [RouteConfiguration.Cluster]
    /// The clusters this selection may choose from, as indices of the route's.
    let members: [Int]
    private(set) var healths: [ClusterHealth]
    private var latency: LatencySelector
    /// Until each cluster was tried once, or for so long, the untried ones are expected to come: devices shall not move about at every start.
    private var untried: Set<Int>
    private let settlesAt: MonotonicInstant

    init(_ configuration: RouteConfiguration, members: [Int], at now: MonotonicInstant) {
        failover = configuration.failover
        clusters = configuration.clusters
        self.members = members
        healths = clusters.map { _ in ClusterHealth(recoveryTimeout: configuration.recoveryTimeout) }
        latency = LatencySelector(count: clusters.count)
        untried = configuration.failover == .weighted ? Set(members) : []
        settlesAt = now.advanced(by: configuration.settleTime)
    }

    /// Whether any cluster is connected.
    var isConnected: Bool { members.contains { healths[$0].isConnected } }

    mutating func didConnect(_ cluster: Int, at now: MonotonicInstant) {
        untried.remove(cluster)
        healths[cluster].didConnect(at: now)
    }

    mutating func didFailToConnect(_ cluster: Int, isLasting: Bool) {
        untried.remove(cluster)
        healths[cluster].didFailToConnect(isLasting: isLasting)
    }

    /// A connection was ended by us to be made anew: nothing that speaks against the cluster.
    mutating func didRenew(_ cluster: Int) { healths[cluster].didRenew() }

    mutating func didLoseConnection(_ cluster: Int, at now: MonotonicInstant) {
        healths[cluster].didLoseConnection(at: now)
        latency.lost(cluster, at: now)
    }

    mutating func didAnswer(_ cluster: Int, after roundTrip: Duration, at now: MonotonicInstant) {
        healths[cluster].didAnswer(at: now)
        latency.measured(roundTrip, of: cluster)
    }

    mutating func didNotAnswer(_ cluster: Int, at now: MonotonicInstant) { healths[cluster].didNotAnswer(at: now) }

    /// Whether a cluster's connection, though it stands, is to be given up.
    func isToBeDropped(_ cluster: Int) -> Bool {
        healths[cluster].isToBeDropped(hasAlternative: members.contains { $0 != cluster && (healths[$0].rank ?? .max) < 2 })
    }

    /// Who has which device from now on.
    mutating func choose(at now: MonotonicInstant) -> Choice {
        if now >= settlesAt { untried = [] }
        for member in members { healths[member].elapse(to: now) }
        let ranked = members.compactMap { member in
            (untried.contains(member) ? 0 : healths[member].rank).map { (member, $0) }
        }
        guard isConnected, let best = ranked.map(\.1).min() else { return .none }
        let usable = ranked.filter { $0.1 == best }.map(\.0)
        switch failover {
        case .ordered, .mirror: return usable.first.map { .one($0) } ?? .none
        case .latencyAware: return latency.select(among: usable, at: now).map { .one($0) } ?? .none
        case .weighted: return .spread(Placement(usable.map { ($0, clusters[$0].name, clusters[$0].weight) }))
        }
    }
}
