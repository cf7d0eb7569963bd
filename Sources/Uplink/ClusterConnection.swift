internal import GatewayCore
internal import Identity
internal import Logging
internal import Sparkplug
internal import Synchronization
internal import Telemetry

/// One cluster of a route: connects to its broker, and publishes what its feed gives it.
///
/// It has an encoder of its own, and in Sparkplug so an edge node's session of its own: each broker sees a whole and orderly node.
final class ClusterConnection: Sendable {
    enum Outcome {
        case notConnected(any Error)
        /// `hasDelivered`: the broker acknowledged a batch. `wasSilent`: it was given up, because the broker answered nothing any more.
        case lost(any Error, after: Duration, hasDelivered: Bool, wasSilent: Bool)
        /// To be connected to at once: ended in order for new certificates, or refused with them while older ones are still good.
        case again
    }

    let index: Int
    let cluster: RouteConfiguration.Cluster
    private let context: RouteContext
    private let logger: Logger
    private let encoder: Mutex<PayloadEncoder>
    /// The present connection, for what is told outside of its events.
    private let present = Mutex<(session: RouteSession, connection: MQTTSession)?>(nil)
    /// `nil` without TLS.
    private let certificates: ClusterCredentials?
    /// Ties the log lines of one outage together.
    private let outage = Mutex<TraceID?>(nil)

    /// Rebirth commands are obeyed at most this often.
    static let rebirthInterval = Duration.seconds(1)

    /// Throws a `GatewayError` for a topic, group or node that cannot be.
    init(_ index: Int, _ context: RouteContext) throws(GatewayError) {
        self.index = index
        self.context = context
        cluster = context.configuration.clusters[index]
        var logger = context.logger
        logger[metadataKey: "cluster"] = "\(cluster.name)"
        self.logger = logger
        encoder = Mutex(try PayloadEncoder(context.configuration, cluster: cluster.name))
        let identity = cluster.isTLS ? context.identity : nil
        certificates = identity.map {
            ClusterCredentials(of: $0, every: context.configuration.identityInterval, time: context.time, logger: logger)
        }
    }

    private var configuration: RouteConfiguration { context.configuration }
    private var time: any TimeSource { context.time }

    // MARK: - Streams

    /// Tells of a stream before it has samples, so that the first births have it.
    func register(_ stream: StreamID, _ descriptor: StreamDescriptor) { encoder.withLock { $0.register(stream, descriptor) } }

    /// Says which streams go through this cluster from now on, and takes leave of devices that do not any more.
    func retain(_ streams: Set<StreamID>) {
        encoder.withLock { encoder in
            encoder.retain(streams)
            let present = present.withLock { $0 }
            guard let present, present.session.stage == .ready else { return }
            let deaths = encoder.deaths(at: time.utc)
            if !deaths.isEmpty { present.connection.publish(deaths) }
        }
    }

    // MARK: - One connection

    /// One connection, from the attempt to the end. Throws `CancellationError`.
    func serve(_ feed: LogFeed) async throws -> Outcome {
        try Task.checkCancellation()
        context.update(index) { one, route in
            one.state = .connecting
            if route.state != .connected {
                route.cluster = cluster.name
                route.broker = cluster.address
            }
        }
        let credentials: TLSCredentials?
        do {
            credentials = try await certificates?.next()
        } catch {
            if error.isCancellation { throw error }
            return didNotConnect(
                feed,
                GatewayError(
                    .certificateInvalid, resource: configuration.resource, operation: "check files",
                    "the files of this route cannot work yet", time: time.utc, cause: error))
        }
        let session = RouteSession(startedAt: time.stamp)
        let will = encoder.withLock { $0.connecting(at: time.utc) }
        do throws(GatewayError) {
            try encoder.withLock { encoder throws(GatewayError) in try encoder.keepSequence() }
        } catch {
            logger.warning("a restart will not go on with the birth/death sequence", metadata: ["error_chain": .chain(of: error)])
        }
        let connection = MQTTSession(
            MQTTSession.Parameters(
                resource: configuration.resource, cluster: cluster, tls: cluster.isTLS ? configuration.tls : nil,
                credentials: credentials,
                clientID: configuration.clientID, keepAliveSeconds: Int32(configuration.keepAlive.inSeconds), will: will,
                mqtt: configuration.mqtt),
            time: time
        ) { [self, weak feed] event, connection in
            // Weak: the connection's thread may outlive this run by as long as it takes to resolve a name, and only one may have the cursor.
            if let feed { handle(event, session, connection, feed) }
        }
        present.withLock { $0 = (session, connection) }
        connection.start()
        defer {
            connection.abandon()
            session.close()
            present.withLock { $0 = nil }
        }
        guard try await isConnected(session) else {
            let timeout = GatewayError(
                .timedOut, resource: "\(configuration.resource), cluster \(cluster.name) (\(cluster.address))", operation: "connect",
                "no connection after \(configuration.connectTimeout); does a firewall drop the packets, or does the broker hang?",
                time: time.utc)
            // A broker that accepted us, and a primary host that is away, is no refusal.
            let wasAccepted = session.stage == .connected
            connection.abandon()
            session.close()
            if !wasAccepted, let error = session.error, let credentials, certificates?.isRefusal(error, of: credentials) == true {
                return .again
            }
            return didNotConnect(feed, session.error ?? timeout)
        }
        let since = time.now
        if let credentials { certificates?.didConnect(with: credentials) }
        didConnect()
        var isRenewing = false
        defer { didEnd(session, connection, feed, isRenewing: isRenewing) }
        do {
            isRenewing = try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    try await self.publish(from: feed, session, connection)
                    return false
                }
                group.addTask {
                    try await self.watch(session, connection, feed)
                    return false
                }
                group.addTask {
                    _ = try await session.leave(.connected, .ready, .connecting)
                    return false
                }
                if let credentials, let certificates {
                    group.addTask {
                        try await certificates.untilRenewed(credentials)
                        return true
                    }
                }
                // Whoever ends first ends the others.
                defer { group.cancelAll() }
                return try await group.next() ?? false
            }
        } catch {
            if Task.isCancelled { await sayGoodbye(connection, session, death: will) }
            throw error
        }
        if isRenewing {
            await handOver(session, connection, feed, death: will)
            try Task.checkCancellation()
            return .again
        }
        try Task.checkCancellation()
        let lost = GatewayError(
            .connectionLost, resource: configuration.resource, operation: "connection", "the connection ended", time: time.utc)
        // Not a trouble of the network that would be gone after a while: the next cluster is tried at once.
        if session.state.withLock({ $0.isHostOffline }) { return .notConnected(session.error ?? lost) }
        // A broker that takes no more for now is given its time.
        let (hasDelivered, wasSilent) = session.state.withLock { ($0.hasDelivered && $0.error?.code != .refused, $0.wasSilent) }
        return .lost(session.error ?? lost, after: since.duration(to: time.now), hasDelivered: hasDelivered, wasSilent: wasSilent)
    }

    private func didNotConnect(_ feed: LogFeed, _ error: any Error) -> Outcome {
        feed.didFailToConnect(index, isLasting: !error.isRetryable)
        context.update(index) { one, _ in one.state = .stopped }
        return .notConnected(error)
    }

    /// Nothing that the connection still reports counts from here on; what was on its way goes another way.
    private func didEnd(_ session: RouteSession, _ connection: MQTTSession, _ feed: LogFeed, isRenewing: Bool) {
        connection.abandon()
        session.close()
        context.update(index) { one, route in
            one.state = .stopped
            one.inFlight = 0
            one.connectedSince = nil
            one.tlsVersion = nil
            one.cipher = nil
            one.connection = nil
            guard route.cluster == cluster.name else { return }
            route.connectedSince = nil
            route.tlsVersion = nil
            route.cipher = nil
            route.connection = nil
        }
        if !Task.isCancelled { feed.didLoseConnection(index, isRenewing: isRenewing) }
    }

    /// Whether the broker accepted us in time. Throws `CancellationError`.
    private func isConnected(_ session: RouteSession) async throws -> Bool {
        let timeout = configuration.connectTimeout
        return try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask { try await session.leave(.connecting, .connected) == .ready }
            group.addTask { [time] in
                try await time.sleep(for: timeout)
                while try await self.shallWaitForHost(session) { try await time.sleep(for: timeout) }
                return false
            }
            defer { group.cancelAll() }
            return try await group.next() ?? false
        }
    }

    /// Whether a session that is only kept from its births by the primary host shall go on waiting. Where there is a next cluster, it does not.
    private func shallWaitForHost(_ session: RouteSession) async throws -> Bool {
        try Task.checkCancellation()
        let isSubscribed = session.state.withLock { $0.stage == .connected && $0.subscriptions == 0 }
        guard isSubscribed, let host = encoder.withLock({ $0.awaitedHost }) else { return false }
        if configuration.failover == .ordered, configuration.clusters.count > 1 {
            session.state.withLock { $0.error = hostOffline(host, "has not said that it is online") }
            return false
        }
        return true
    }

    private func hostOffline(_ host: String, _ what: String) -> GatewayError {
        GatewayError(
            .refused, resource: "\(configuration.resource), cluster \(cluster.name) (\(cluster.address))", operation: "connect",
            "the primary host '\(host)' \(what)", time: time.utc)
    }

    private func didConnect() {
        let now = time.utc
        let status = context.update(index) { one, route in
            // With several clusters at once only a cluster that comes again is a reconnection.
            if configuration.failover == .ordered ? route.connections > 0 : one.connections > 0 { route.reconnects += 1 }
            route.connections += 1
            one.connections += 1
            one.state = .connected
            one.connectedSince = now
            one.lastError = []
            one.lastErrorTime = nil
            one.retryCount = 0
            route.cluster = one.name
            route.broker = one.broker
            route.connectedSince = now
            route.tlsVersion = one.tlsVersion
            route.cipher = one.cipher
            route.connection = one.connection
            route.tellNewestError(keepsOthers: configuration.failover != .ordered)
            return one
        }
        var metadata: Logger.Metadata = [
            "broker": "\(cluster.address)", "tls": "\(status.tlsVersion ?? "none")", "cipher": "\(status.cipher ?? "none")",
            "mqtt": "\(status.connection?.version.rawValue ?? "none")",
        ]
        if status.connection?.didFallBack == true { metadata["remark"] = "the broker refuses MQTT 5" }
        let ended = outage.withLock { outage in
            defer { outage = nil }
            return outage
        }
        if let ended { metadata["trace_id"] = "\(ended)" }
        if let version = status.tlsVersion, version != "TLSv1.3" {
            logger.warning("connected, but with an old version of TLS", metadata: metadata)
        } else {
            logger.info("connected", metadata: metadata)
        }
    }

    /// Says once per kind of trouble what is wrong; the attempts in between are for `debug`.
    func report(_ error: any Error, _ failures: Int, _ next: RouteMachine.Action) {
        let chain = error.chain
        let now = time.utc
        let isNew = context.update(index) { one, route in
            let isNew = one.lastError.first != chain.first
            one.lastError = chain
            one.lastErrorTime = now
            one.retryCount = failures
            route.lastError = chain
            route.lastErrorTime = now
            route.retryCount = failures
            return isNew
        }
        let trace = outage.withLock { outage in
            let trace = outage ?? TraceID()
            outage = trace
            return trace
        }
        logger.log(
            level: isNew ? .warning : .debug, "not connected",
            metadata: [
                "error_chain": .chain(of: error), "retry_count": "\(failures)", "next": "\(next)", "trace_id": "\(trace)",
            ])
    }

    /// An orderly end: the node's death is published by us, because the broker forgets the will at DISCONNECT (MQTT 3.1.1, 3.14.4).
    private func sayGoodbye(_ connection: MQTTSession, _ session: RouteSession, death: MQTTSession.Message?) async {
        if let death { connection.publish([death]) }
        connection.finish()
        while session.stage != .ended { await session.stageChanged.untilNotified() }
    }

    /// Ends a connection in order, so that another one can begin: nothing new is published, and what is on its way is waited for.
    private func handOver(
        _ session: RouteSession, _ connection: MQTTSession, _ feed: LogFeed, death: MQTTSession.Message?
    ) async {
        logger.info("connecting anew with another certificate")
        let deadline = time.now.advanced(by: Self.handOverTimeout)
        while feed.inFlight(to: index) > 0, session.stage != .ended, time.now < deadline {
            // Who is told to stop does not wait for acknowledgements.
            do { try await time.sleep(for: .milliseconds(5)) } catch { break }
        }
        await sayGoodbye(connection, session, death: death)
    }

    /// How long a hand-over waits for acknowledgements; what is not acknowledged then is sent again.
    static let handOverTimeout = Duration.seconds(10)

    /// Looks after the answers of the broker, and gives the connection up when they stay away. Throws `CancellationError`.
    private func watch(_ session: RouteSession, _ connection: MQTTSession, _ feed: LogFeed) async throws {
        // Where data moves to whoever answers, also a cluster without data must be asked.
        let isAsked = configuration.failover == .latencyAware || configuration.failover == .weighted
        // The first look comes when the clusters have had their time to connect.
        var pause = min(configuration.probeInterval, max(configuration.settleTime, .milliseconds(100)))
        while true {
            if isAsked, session.ask(at: time.now) { connection.subscribe([probeTopic]) }
            try await time.sleep(for: pause)
            pause = configuration.probeInterval
            guard let silence = feed.probe(index, askedAt: session.askedAt) else { continue }
            session.state.withLock {
                $0.wasSilent = true
                $0.error = GatewayError(
                    .timedOut, resource: "\(configuration.resource), cluster \(cluster.name) (\(cluster.address))", operation: "publish",
                    "no answer for \(Int(silence.inSeconds)) s, though messages or a question wait for one", time: time.utc)
            }
            connection.abandon()
            return
        }
    }

    /// What is subscribed to only for the answer: the one thing that every broker answers at once and passes on to nobody.
    private var probeTopic: String { encoder.withLock { $0.commandTopics }.first ?? "indusedge/probe/\(configuration.clientID)" }

    // MARK: - Publishing

    /// Sends what the feed gives, until the task is cancelled. Throws `CancellationError`.
    private func publish(from feed: LogFeed, _ session: RouteSession, _ connection: MQTTSession) async throws {
        let wake = feed.wakes[index]
        while true {
            try Task.checkCancellation()
            let (items, retryAfter) = feed.take(for: index)
            if !items.isEmpty {
                send(items, session, connection, feed)
            } else if let retryAfter {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await wake.wait() }
                    group.addTask { [time] in try await time.sleep(for: retryAfter) }
                    defer { group.cancelAll() }
                    try await group.next()
                }
            } else {
                try await wake.wait()
            }
        }
    }

    private func send(_ items: [DeliveryWindow.Item], _ session: RouteSession, _ connection: MQTTSession, _ feed: LogFeed) {
        var count = 0
        var bytes = 0
        var lanes = (live: LaneStatus(), backlog: LaneStatus())
        // One lock over encoding and sending: the sequence numbers of Sparkplug must arrive in their order, births in between.
        encoder.withLock { encoder in
            let now = time.utc
            var outgoing: [MQTTSession.Message] = []
            for item in items {
                guard let descriptor = context.log.descriptor(of: item.batch.stream) else { continue }
                do throws(GatewayError) {
                    let messages = try encoder.messages(
                        for: item.batch, descriptor, isHistorical: item.isBacklog || item.isFromDisk || session.isOlder(item.batch), at: now
                    )
                    let size = messages.reduce(0) { $0 + $1.payload.count }
                    let awaited = messages.count { $0.qualityOfService > 0 }
                    guard feed.sending(item, by: index, awaited: awaited, bytes: size) else { continue }
                    for message in messages {
                        outgoing.append(message)
                        if message.qualityOfService > 0 { outgoing[outgoing.count - 1].ticket = item.ticket }
                    }
                    count += messages.count
                    bytes += size
                    lanes.live.add(messages.count, size, item, isBacklog: false)
                    lanes.backlog.add(messages.count, size, item, isBacklog: true)
                } catch {
                    feed.refuse(item.ticket, by: index, error)
                }
            }
            // Before they can be acknowledged.
            let inFlight = feed.inFlight(to: index)
            context.update(index) { one, route in
                one.inFlight = inFlight
                one.publishedMessages += UInt64(count)
                one.publishedBytes += UInt64(bytes)
                one.publishedSamples += lanes.live.publishedSamples + lanes.backlog.publishedSamples
                route.publishedMessages += UInt64(count)
                route.publishedBytes += UInt64(bytes)
                route.publishedSamples += lanes.live.publishedSamples + lanes.backlog.publishedSamples
                route.live.add(lanes.live)
                route.backlogLane.add(lanes.backlog)
            }
            if !outgoing.isEmpty { connection.publish(outgoing) }
        }
    }

    // MARK: - On the connection's thread

    private func handle(_ event: MQTTSession.Event, _ session: RouteSession, _ connection: MQTTSession, _ feed: LogFeed) {
        switch event {
        case .connected(let properties):
            context.update(index) { one, _ in
                one.tlsVersion = properties.tlsVersion
                one.cipher = properties.cipher
                one.connection = properties
            }
            feed.limit(index, toMessages: Int(properties.receiveMaximum))
            let topics = encoder.withLock { $0.commandTopics }
            session.state.withLock { $0.subscriptions = topics.count }
            session.enter(.connected)
            if topics.isEmpty { begin(session, connection, feed) } else { connection.subscribe(topics) }
        case .subscribed(let topic, let refusal):
            if let askedAt = session.answered() { return feed.didAnswer(index, after: askedAt.duration(to: time.now)) }
            if let refusal { logger.warning("the broker sends no commands", metadata: ["topic": "\(topic)", "reason": "\(refusal)"]) }
            let isLast = session.state.withLock { state in
                state.subscriptions -= 1
                return state.subscriptions == 0
            }
            if isLast { begin(session, connection, feed) }
        case .acknowledged(let ticket):
            guard session.isOpen else { return }
            session.state.withLock { $0.hasDelivered = true }
            feed.acknowledge(ticket, by: index)
        case .refused(let ticket, let refusal): wasRefused(ticket, refusal, session, connection, feed)
        case .message(let topic, let payload):
            if let decision = encoder.withLock({ $0.hear(topic: topic, payload: payload) }) {
                follow(decision, session, connection, feed)
            } else {
                obey(topic, payload, session, connection)
            }
        case .ended(let error):
            session.state.withLock { $0.error = $0.error ?? error }
            session.enter(.ended)
        }
    }

    /// The broker did not take a message: one that it will never take is left out, for any other the connection is made anew later.
    private func wasRefused(
        _ ticket: UInt64?, _ refusal: PublishRefusal, _ session: RouteSession, _ connection: MQTTSession, _ feed: LogFeed
    ) {
        let error = GatewayError(.refused, resource: configuration.resource, operation: "publish", refusal.message, time: time.utc)
        guard let ticket else { return logger.warning("a message was refused", metadata: ["error_chain": .chain(of: error)]) }
        guard refusal.isPermanent else {
            session.state.withLock { $0.error = error }
            connection.abandon()
            return
        }
        if session.isOpen { feed.refuse(ticket, by: index, error) }
    }

    /// The primary host came or went.
    private func follow(_ decision: PrimaryHost.Decision, _ session: RouteSession, _ connection: MQTTSession, _ feed: LogFeed) {
        switch decision {
        case .online: if session.state.withLock({ $0.stage == .connected && $0.subscriptions == 0 }) { begin(session, connection, feed) }
        case .offline:
            let error = hostOffline(configuration.sparkplug.primaryHost ?? "", "is offline")
            session.state.withLock { state in
                state.isHostOffline = true
                state.error = error
            }
            // Sparkplug 3.0.0, 5.5: the death first, then the end.
            if let death = encoder.withLock({ $0.will }) { connection.publish([death]) }
            connection.finish()
        case .ignore(let reason): logger.debug("STATE passed over", metadata: ["reason": "\(reason)"])
        }
    }

    /// The broker is ready for us: births first, then data.
    private func begin(_ session: RouteSession, _ connection: MQTTSession, _ feed: LogFeed) {
        guard session.isOpen else { return }
        if let host = encoder.withLock({ $0.awaitedHost }) {
            return logger.info("connected, and waits for the primary host", metadata: ["host": "\(host)"])
        }
        feed.didConnect(index)
        publishBirths(connection)
        session.enter(.ready)
    }

    private func publishBirths(_ connection: MQTTSession) {
        encoder.withLock { connection.publish($0.births(at: time.utc)) }
    }

    private func obey(_ topic: String, _ payload: [UInt8], _ session: RouteSession, _ connection: MQTTSession) {
        switch encoder.withLock({ $0.command(topic: topic, payload: payload) }) {
        case .rebirth:
            let now = time.now
            let isDue = session.state.withLock { state in
                guard state.stage == .ready, state.lastRebirth.map({ $0.duration(to: now) >= Self.rebirthInterval }) ?? true else {
                    return false
                }
                state.lastRebirth = now
                return true
            }
            guard isDue else { return logger.debug("rebirth command ignored: the last one was just obeyed") }
            context.update { $0.rebirths += 1 }
            publishBirths(connection)
        case .write(let command): context.desk.take(command, topic: topic, cluster: cluster.name)
        case .ignored(let reason): context.desk.refuse(reason, topic: topic, cluster: cluster.name)
        }
    }
}
