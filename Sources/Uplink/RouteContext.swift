internal import GatewayCore
internal import Logging
internal import Synchronization
internal import Telemetry

/// What the parts of one route share: its configuration, its ways to log and clock, and its status.
final class RouteContext: Sendable {
    let configuration: RouteConfiguration
    let log: any TelemetryLog
    let time: any TimeSource
    let logger: Logger
    let preflight: @Sendable () throws -> Void
    /// One for the whole route: a mirror's clusters share its limits.
    let scheduler: Mutex<LaneScheduler>
    private let shared: Mutex<RouteStatus>

    init(
        _ configuration: RouteConfiguration, log: any TelemetryLog, time: any TimeSource, logger: Logger,
        preflight: @escaping @Sendable () throws -> Void
    ) {
        self.configuration = configuration
        self.log = log
        self.time = time
        self.logger = logger
        self.preflight = preflight
        scheduler = Mutex(LaneScheduler(configuration.delivery))
        var status = RouteStatus()
        status.clusters = configuration.clusters.map { ClusterStatus(name: $0.name, broker: $0.address, weight: $0.weight) }
        shared = Mutex(status)
    }

    var status: RouteStatus { shared.withLock { $0 } }

    func update<Result>(_ body: (inout RouteStatus) -> Result) -> Result { shared.withLock { body(&$0) } }

    /// A batch can never be sent and is left out.
    func didRefuse(samples: UInt64, _ error: GatewayError) {
        update { status in
            status.refusedBatches += 1
            status.refusedSamples += samples
        }
        logger.error("a batch cannot be sent and is left out", metadata: ["error_chain": .chain(of: error)])
    }

    /// Changes a cluster's status; the route's state follows.
    func update<Result>(_ cluster: Int, _ body: (inout ClusterStatus, inout RouteStatus) -> Result) -> Result {
        shared.withLock { status in
            var one = status.clusters[cluster]
            let result = body(&one, &status)
            status.clusters[cluster] = one
            status.followClusters()
            return result
        }
    }
}

extension RouteStatus {
    /// The best that any cluster is doing.
    fileprivate mutating func followClusters() {
        var next: State = .stopped
        for cluster in clusters {
            switch (cluster.state, next) {
            case (.connected, _): next = .connected
            case (_, .connected): break
            case (.connecting, _): next = .connecting
            case (_, .connecting): break
            case (.backingOff(let due), .backingOff(let other)): next = .backingOff(until: min(due, other))
            case (.backingOff, _): next = cluster.state
            case (.stopped, _): break
            }
        }
        state = next
        inFlight = clusters.reduce(0) { $0 + $1.inFlight }
    }
}
