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
    /// `nil` for a route without TLS.
    let identity: RouteIdentity?
    /// One for the whole route: a mirror's clusters share its limits.
    let scheduler: Mutex<LaneScheduler>
    /// Takes the commands of all clusters.
    let desk: CommandDesk
    private let shared: StatusBox

    init(
        _ configuration: RouteConfiguration, log: any TelemetryLog, time: any TimeSource, logger: Logger,
        commands: (any RouteCommandHandler)? = nil
    ) {
        self.configuration = configuration
        self.log = log
        self.time = time
        self.logger = logger
        identity =
            configuration.tls.flatMap { tls in
                configuration.clusters.contains { $0.isTLS } ? RouteIdentity(tls, time: time, logger: logger) : nil
            }
        scheduler = Mutex(LaneScheduler(configuration.delivery))
        var status = RouteStatus()
        status.clusters = configuration.clusters.map { ClusterStatus(name: $0.name, broker: $0.address, weight: $0.weight) }
        let shared = StatusBox(status)
        self.shared = shared
        desk = CommandDesk(
            route: configuration.name, handler: configuration.sparkplug.allowsCommands ? commands : nil, time: time, logger: logger
        ) { obeyed, refused in
            shared.status.withLock { status in
                status.obeyedCommands += obeyed
                status.refusedCommands += refused
            }
        }
    }

    var status: RouteStatus { shared.status.withLock { $0 } }

    func update<Result>(_ body: (inout RouteStatus) -> Result) -> Result { shared.status.withLock { body(&$0) } }

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
        shared.status.withLock { status in
            var one = status.clusters[cluster]
            let result = body(&one, &status)
            status.clusters[cluster] = one
            status.followClusters()
            return result
        }
    }
}

/// The status by itself, for parts that tell of it and are made before the whole.
private final class StatusBox: Sendable {
    let status: Mutex<RouteStatus>
    init(_ status: RouteStatus) { self.status = Mutex(status) }
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
