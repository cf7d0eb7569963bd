package import GatewayCore
package import Logging
internal import Synchronization
package import Telemetry

/// Carries the log to the brokers of a central platform: reads its own cursor, publishes, and moves the cursor on as they acknowledge.
///
/// Nothing is lost between two connections or two clusters: what was not acknowledged is sent again, in order and with the same keys (epoch,
/// stream, sequence), by which a subscriber removes what it got twice.
package final class Route: Sendable {
    package let configuration: RouteConfiguration
    private let context: RouteContext
    private let connections: [ClusterConnection]
    private let streams = Mutex(Streams())

    private struct Streams {
        var known: Set<StreamID> = []
        /// The feeds of the present run; weak, because only one run may have a cursor.
        var feeds: [WeakFeed] = []
    }

    private struct WeakFeed: Sendable {
        weak var feed: LogFeed?
    }

    /// - Parameters:
    ///   - log: where the samples come from. The route's cursor is `route/<name>`, of a mirror's clusters `route/<name>/<cluster>`, and begins
    ///     with the oldest sample.
    ///   - commands: carries out what hosts ask for, where the configuration allows it.
    /// - Throws: a `GatewayError` with code `configurationInvalid`.
    package init(
        configuration: RouteConfiguration, log: any TelemetryLog, time: any TimeSource, logger: Logger,
        commands: (any RouteCommandHandler)? = nil
    ) throws(GatewayError) {
        try configuration.validate()
        self.configuration = configuration
        var logger = logger
        logger[metadataKey: "route"] = "\(configuration.name)"
        let context = RouteContext(configuration, log: log, time: time, logger: logger, commands: commands)
        self.context = context
        var connections: [ClusterConnection] = []
        for index in configuration.clusters.indices { connections.append(try ClusterConnection(index, context)) }
        self.connections = connections
    }

    /// How the route is doing now. Never waits for the network or the disk.
    package var status: RouteStatus {
        var status = context.status
        status.identity = context.identity?.status
        context.tellRules(&status)
        for feed in streams.withLock({ $0.feeds }).compactMap(\.feed) {
            let backlog = feed.backlog
            status.pendingSamples = max(status.pendingSamples, feed.pendingSamples)
            if configuration.failover == .mirror { for member in feed.members { status.clusters[member].backlog = backlog } }
            if backlog.samples >= status.backlog.samples { status.backlog = backlog }
        }
        return status
    }

    /// Tells of streams before they have samples, so that the first births have them. Streams the log does not know are left out.
    package func register(streams new: [StreamID]) {
        let described = new.compactMap { stream in context.log.descriptor(of: stream).map { (stream, $0) } }
        for connection in connections { for (stream, descriptor) in described { connection.register(stream, descriptor) } }
        let feeds = streams.withLock { streams in
            streams.known.formUnion(described.map(\.0))
            return streams.feeds
        }
        for feed in feeds.compactMap(\.feed) { feed.know(described) }
    }

    /// Tells which streams the gateway has from now on, the only ones that later births tell of. May be called while the route runs.
    ///
    /// Samples of other streams that still wait are sent all the same.
    package func retain(streams retained: [StreamID]) {
        register(streams: retained)
        let feeds = streams.withLock { streams in
            streams.known = Set(retained)
            return streams.feeds
        }
        let running = feeds.compactMap(\.feed)
        if running.isEmpty { for connection in connections { connection.retain(Set(retained)) } }
        for feed in running { feed.retain(Set(retained)) }
    }

    /// Connects, publishes and connects again, until the task is cancelled.
    ///
    /// Throws `CancellationError`, or a `GatewayError` when the log gives no cursor or cannot be read.
    package func run() async throws {
        if configuration.tls?.minimumVersion == .tls12, context.identity != nil {
            context.logger.warning(
                "TLS 1.2 is accepted by this route", metadata: ["hint": "remove minimumVersion where the brokers speak TLS 1.3"])
        }
        let feeds = try openFeeds()
        defer {
            for feed in feeds { feed.close() }
            context.settleVolume()
            for index in connections.indices { context.update(index) { one, _ in one.state = .stopped } }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.context.desk.run() }
            for feed in feeds {
                let members = feed.members.map { connections[$0] }
                // A thread for those who are connected at a time: batches go from one task to the next without a change of thread.
                let shares = configuration.failover == .ordered ? [members] : members.map { [$0] }
                for (number, share) in shares.enumerated() {
                    let thread = DedicatedThread(name: "to \(share.map(\.cluster.name).joined(separator: " "))")
                    if number == 0 { group.addTask { try await withTaskExecutorPreference(thread) { try await feed.run() } } }
                    group.addTask { try await withTaskExecutorPreference(thread) { try await self.keep(share, feed) } }
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func openFeeds() throws -> [LogFeed] {
        let all = Array(connections.indices)
        let name = "route/\(configuration.name)"
        let feeds =
            configuration.failover == .mirror
            ? try all.map {
                try LogFeed(context, cursor: "\(name)/\(configuration.clusters[$0].name)", members: [$0], connections: connections)
            }
            : [try LogFeed(context, cursor: name, members: all, connections: connections)]
        let known = streams.withLock { streams in
            streams.feeds = feeds.map { WeakFeed(feed: $0) }
            return streams.known
        }
        for feed in feeds {
            feed.know(known.compactMap { stream in context.log.descriptor(of: stream).map { (stream, $0) } })
            if feed.members.count > 1 { feed.share() }
        }
        return feeds
    }

    /// Keeps one of these clusters connected: the first that can be reached. Throws `CancellationError`.
    private func keep(_ members: [ClusterConnection], _ feed: LogFeed) async throws {
        var machine = RouteMachine(
            clusterCount: members.count,
            backoff: Backoff(initial: configuration.backoffInitial, maximum: configuration.backoffMaximum))
        var generator = SystemRandomNumberGenerator()
        var action = machine.begin()
        while true {
            switch action {
            case .wait(let duration):
                let due = context.time.utc.advanced(by: duration)
                for member in members { context.update(member.index) { one, _ in one.state = .backingOff(until: due) } }
                try await context.time.sleep(for: duration)
                action = machine.begin()
            case .connect(let place):
                switch try await members[place].serve(feed) {
                case .again: break
                case .notConnected(let error):
                    action = machine.didFailToConnect(using: &generator)
                    members[place].report(error, machine.failures, action)
                case .lost(let error, let duration, let hasDelivered, let wasSilent):
                    action = machine.didLoseConnection(
                        after: duration, hasDelivered: hasDelivered, wasSilent: wasSilent, using: &generator)
                    members[place].report(error, machine.failures, action)
                }
            }
        }
    }
}
