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
    private let volumeFile: Mutex<DailyVolumeFile?>
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
        var file: DailyVolumeFile?
        if let folder = configuration.stateFolder, let limit = configuration.delivery.bytesPerDay {
            file = DailyVolumeFile(folder: folder, route: configuration.name, limit: limit)
        }
        scheduler = Mutex(LaneScheduler(configuration.delivery, former: file?.load()))
        volumeFile = Mutex(file)
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

    /// So many bytes of payload go out on a lane.
    func sent(_ bytes: Int, on lane: LogLane) {
        let volume = scheduler.withLock { scheduler in
            scheduler.sent(bytes, on: lane)
            return scheduler.volume
        }
        keep { file throws(GatewayError) in try file.keep(volume) }
    }

    /// The route ends: the next run begins with what was really sent.
    func settleVolume() {
        let volume = scheduler.withLock { $0.volume }
        keep { file throws(GatewayError) in try file.settle(volume) }
    }

    private func keep(_ body: (inout DailyVolumeFile) throws(GatewayError) -> Void) {
        volumeFile.withLock { file in
            guard var changed = file else { return }
            do throws(GatewayError) {
                try body(&changed)
            } catch {
                logger.warning("a restart will not know what was sent today", metadata: ["error_chain": .chain(of: error)])
            }
            file = changed
        }
    }

    /// What the rules of delivery hold back now, and what of the day's volume is spent.
    func tellRules(_ status: inout RouteStatus) {
        guard configuration.delivery.quietHours != nil || configuration.delivery.bytesPerDay != nil else { return }
        let utc = time.utc
        scheduler.withLock { scheduler in
            status.holds = LogLane.allCases.compactMap { lane in
                scheduler.hold(on: lane, utc: utc).map { LaneHold(lane: lane, reason: $0.reason, until: utc.advanced(by: $0.rest)) }
            }
            guard let limit = configuration.delivery.bytesPerDay else { return }
            status.sentToday = UInt64(scheduler.volume.bytes)
            status.dailyLimit = UInt64(limit)
        }
    }

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
