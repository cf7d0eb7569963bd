package import GatewayCore
package import Logging
internal import Sparkplug
internal import Synchronization
package import Telemetry

/// Carries the log to a broker: reads its own cursor, publishes, and moves the cursor on as the broker acknowledges.
///
/// Nothing is lost between two connections: what was not acknowledged is sent again, in order and with the same keys (epoch, stream,
/// sequence), by which a subscriber removes what it got twice.
package final class Route: Sendable {
    package let configuration: RouteConfiguration
    private let log: any TelemetryLog
    private let time: any TimeSource
    private let logger: Logger
    private let preflight: @Sendable () throws -> Void
    private let encoder: Mutex<PayloadEncoder>
    private let shared = Mutex(RouteStatus())
    /// Ties the log lines of one outage together.
    private let outage = Mutex<TraceID?>(nil)

    /// The most log entries that are read at once.
    static let entriesMax = 32
    /// Rebirth commands are obeyed at most this often.
    static let rebirthInterval = Duration.seconds(1)

    /// - Parameters:
    ///   - log: where the samples come from; the route's cursor is `route/<name>`, and begins with the oldest sample.
    ///   - preflight: looks, before every attempt, whether the route's files can work; what it throws is reported and tried again later.
    /// - Throws: a `GatewayError` with code `configurationInvalid`.
    package init(
        configuration: RouteConfiguration, log: any TelemetryLog, time: any TimeSource, logger: Logger,
        preflight: @escaping @Sendable () throws -> Void = {}
    ) throws(GatewayError) {
        try configuration.validate()
        self.configuration = configuration
        self.log = log
        self.time = time
        var logger = logger
        logger[metadataKey: "route"] = "\(configuration.name)"
        self.logger = logger
        self.preflight = preflight
        encoder = Mutex(try PayloadEncoder(configuration))
    }

    /// How the route is doing now. Never waits for the network or the disk.
    package var status: RouteStatus { shared.withLock { $0 } }

    /// Tells of streams before they have samples, so that the first births have them. Streams the log does not know are left out.
    package func register(streams: [StreamID]) {
        for stream in streams {
            if let descriptor = log.descriptor(of: stream) { encoder.withLock { $0.register(stream, descriptor) } }
        }
    }

    /// Tells which streams the gateway has from now on, the only ones that later births tell of. May be called while the route runs.
    ///
    /// Samples of other streams that still wait are sent all the same.
    package func retain(streams: [StreamID]) {
        register(streams: streams)
        encoder.withLock { $0.retain(Set(streams)) }
    }

    /// Connects, publishes and connects again, until the task is cancelled.
    ///
    /// Throws `CancellationError`, or a `GatewayError` when the log gives no cursor or cannot be read.
    package func run() async throws {
        let cursor = try log.cursor(named: "route/\(configuration.name)", from: .oldest)
        defer { shared.withLock { $0.state = .stopped } }
        let began = time.utc
        var machine = RouteMachine(
            clusterCount: configuration.clusters.count,
            backoff: Backoff(initial: configuration.backoffInitial, maximum: configuration.backoffMaximum))
        var generator = SystemRandomNumberGenerator()
        var action = machine.begin()
        while true {
            switch action {
            case .wait(let duration):
                let due = time.utc.advanced(by: duration)
                shared.withLock { $0.state = .backingOff(until: due) }
                try await time.sleep(for: duration)
                action = machine.begin()
            case .connect(let index):
                let outcome = try await serve(configuration.clusters[index], cursor)
                switch outcome {
                case .notConnected(let error):
                    // Before the first connection the outage is as old as this run; after one it goes on already.
                    cursor.connectionLost(at: began)
                    action = machine.didFailToConnect(using: &generator)
                    report(error, machine.failures, action)
                case .lost(let error, let duration):
                    cursor.connectionLost(at: time.utc)
                    action = machine.didLoseConnection(after: duration, using: &generator)
                    report(error, machine.failures, action)
                }
            }
        }
    }

    private enum Outcome {
        case notConnected(any Error)
        case lost(any Error, after: Duration)
    }

    /// One connection, from the attempt to the end. Throws `CancellationError`, and what the log throws.
    private func serve(_ cluster: RouteConfiguration.Cluster, _ cursor: any LogCursor) async throws -> Outcome {
        try Task.checkCancellation()
        shared.withLock { status in
            status.state = .connecting
            status.cluster = cluster.name
            status.broker = cluster.address
        }
        do {
            if cluster.isTLS { try preflight() }
        } catch {
            if error.isCancellation { throw error }
            return .notConnected(
                GatewayError(
                    .certificateInvalid, resource: configuration.resource, operation: "check files",
                    "the files of this route cannot work yet", time: time.utc, cause: error))
        }
        let session = RouteSession(
            window: InFlightWindow(messagesMax: configuration.inFlight, bytesMax: configuration.inFlightBytes), startedAt: time.stamp)
        let will = encoder.withLock { $0.connecting(at: time.utc) }
        let connection = MQTTSession(
            MQTTSession.Parameters(
                resource: configuration.resource, cluster: cluster, tls: cluster.isTLS ? configuration.tls : nil,
                clientID: configuration.clientID, keepAliveSeconds: Int32(configuration.keepAlive.inSeconds), will: will,
                mqtt: configuration.mqtt),
            time: time
        ) { [self, weak cursor] event, connection in
            // Weak: the connection's thread may outlive this run by as long as it takes to resolve a name, and only one may have the cursor.
            if let cursor { handle(event, session, connection, cursor) }
        }
        connection.start()
        defer {
            connection.abandon()
            session.state.withLock { $0.isClosed = true }
            cursor.rewind()
            shared.withLock { status in
                status.inFlight = 0
                status.connectedSince = nil
                status.tlsVersion = nil
                status.cipher = nil
                status.connection = nil
            }
        }
        guard try await isConnected(session) else {
            let timeout = GatewayError(
                .timedOut, resource: "\(configuration.resource), cluster \(cluster.name) (\(cluster.address))", operation: "connect",
                "no connection after \(configuration.connectTimeout); does a firewall drop the packets, or does the broker hang?",
                time: time.utc)
            return .notConnected(session.error ?? timeout)
        }
        let since = time.now
        cursor.connectionRestored(at: time.utc)
        didConnect(cluster)
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.publish(from: cursor, session, connection) }
                group.addTask { _ = try await session.leave(.connected, .ready, .connecting) }
                // Whoever ends first ends the other: the connection, or the log.
                defer { group.cancelAll() }
                try await group.next()
            }
        } catch {
            if Task.isCancelled { await sayGoodbye(connection, session, death: will) }
            throw error
        }
        try Task.checkCancellation()
        let lost = GatewayError(
            .connectionLost, resource: configuration.resource, operation: "connection", "the connection ended", time: time.utc)
        return .lost(session.error ?? lost, after: since.duration(to: time.now))
    }

    // MARK: - Connecting

    /// Whether the broker accepted us in time. Throws `CancellationError`.
    private func isConnected(_ session: RouteSession) async throws -> Bool {
        let timeout = configuration.connectTimeout
        return try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask { try await session.leave(.connecting, .connected) == .ready }
            group.addTask { [time] in
                try await time.sleep(for: timeout)
                return false
            }
            defer { group.cancelAll() }
            return try await group.next() ?? false
        }
    }

    private func didConnect(_ cluster: RouteConfiguration.Cluster) {
        let status = shared.withLock { status in
            if status.connections > 0 { status.reconnects += 1 }
            status.connections += 1
            status.state = .connected
            status.connectedSince = time.utc
            status.lastError = []
            status.lastErrorTime = nil
            status.retryCount = 0
            return status
        }
        var metadata: Logger.Metadata = [
            "cluster": "\(cluster.name)", "broker": "\(cluster.address)", "tls": "\(status.tlsVersion ?? "none")",
            "cipher": "\(status.cipher ?? "none")", "mqtt": "\(status.connection?.version.rawValue ?? "none")",
        ]
        if status.connection?.didFallBack == true { metadata["remark"] = "the broker refuses MQTT 5" }
        let ended = outage.withLock { outage in
            defer { outage = nil }
            return outage
        }
        if let ended { metadata["trace_id"] = "\(ended)" }
        logger.info("connected", metadata: metadata)
    }

    /// Says once per kind of trouble what is wrong; the attempts in between are for `debug`.
    private func report(_ error: any Error, _ failures: Int, _ next: RouteMachine.Action) {
        let chain = error.chain
        let isNew = shared.withLock { status in
            let isNew = status.lastError.first != chain.first
            status.lastError = chain
            status.lastErrorTime = time.utc
            status.retryCount = failures
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

    // MARK: - Publishing

    /// Sends entry after entry, until the task is cancelled. Throws `CancellationError`, and what the log throws.
    private func publish(from cursor: any LogCursor, _ session: RouteSession, _ connection: MQTTSession) async throws {
        while true {
            for entry in try await cursor.read(atMost: Self.entriesMax) {
                try await session.untilRoom()
                send(entry, session, connection, cursor)
            }
        }
    }

    private func send(_ entry: LogEntry, _ session: RouteSession, _ connection: MQTTSession, _ cursor: any LogCursor) {
        switch entry.content {
        case .gap(let samples):
            shared.withLock { $0.gapSamples += samples }
            logger.warning("samples were evicted before they were sent", metadata: ["samples": "\(samples)"])
            pass(over: entry, session, cursor)
        case .batch(let batch):
            guard let descriptor = log.descriptor(of: batch.stream) else {
                return refuse(
                    entry,
                    GatewayError(
                        .notFound, resource: "stream \(batch.stream.rawValue)", operation: "encode", "the log does not know this stream"),
                    samples: 0, session, cursor)
            }
            do throws(GatewayError) {
                // One lock over encoding and sending: the sequence numbers of Sparkplug must arrive in their order, births in between.
                try encoder.withLock { encoder throws(GatewayError) in
                    let now = time.utc
                    let messages = try encoder.messages(
                        for: batch, descriptor, isHistorical: entry.isFromDisk || session.isOlder(batch), at: now)
                    enqueue(
                        messages, position: entry.position, samples: UInt64(batch.sampleCount(of: descriptor.tags.count)), session,
                        connection,
                        cursor)
                }
            } catch {
                refuse(entry, error, samples: UInt64(batch.sampleCount(of: descriptor.tags.count)), session, cursor)
            }
        }
    }

    private func enqueue(
        _ messages: [MQTTSession.Message], position: LogPosition, samples: UInt64, _ session: RouteSession, _ connection: MQTTSession,
        _ cursor: any LogCursor
    ) {
        var messages = messages
        let bytes = messages.reduce(0) { $0 + $1.payload.count }
        let awaited = messages.count { $0.qualityOfService > 0 }
        let (ticket, inFlight) = session.state.withLock { state in
            let (ticket, progress) = state.window.append(position, samples: samples, messages: awaited, bytes: bytes, at: time.now)
            if let progress, !state.isClosed { advance(progress, cursor) }
            return (ticket, state.window.messages)
        }
        for index in messages.indices where messages[index].qualityOfService > 0 { messages[index].ticket = ticket }
        shared.withLock { status in
            status.publishedMessages += UInt64(messages.count)
            status.publishedBytes += UInt64(bytes)
            status.publishedSamples += samples
            status.inFlight = inFlight
        }
        if !messages.isEmpty { connection.publish(messages) }
    }

    /// Leaves an entry out that has nothing to send.
    private func pass(over entry: LogEntry, _ session: RouteSession, _ cursor: any LogCursor) {
        session.state.withLock { state in
            if let progress = state.window.append(entry.position, samples: 0, messages: 0, bytes: 0, at: time.now).progress, !state.isClosed
            {
                advance(progress, cursor)
            }
        }
    }

    /// Leaves an entry out that can never be sent.
    private func refuse(
        _ entry: LogEntry, _ error: GatewayError, samples: UInt64, _ session: RouteSession, _ cursor: any LogCursor
    ) {
        shared.withLock { status in
            status.refusedBatches += 1
            status.refusedSamples += samples
        }
        logger.error("a batch cannot be sent and is left out", metadata: ["error_chain": .chain(of: error)])
        cursor.refuse(entry.position)
        pass(over: entry, session, cursor)
    }

    /// Called with the session's state locked, so that the cursor hears of growing positions only, and of none after the end.
    private func advance(_ progress: InFlightWindow.Progress, _ cursor: any LogCursor) {
        cursor.acknowledge(through: progress.through)
        shared.withLock { status in
            status.acknowledgedEntries += progress.entries
            status.acknowledgedSamples += progress.samples
        }
    }

    // MARK: - On the connection's thread

    private func handle(_ event: MQTTSession.Event, _ session: RouteSession, _ connection: MQTTSession, _ cursor: any LogCursor) {
        switch event {
        case .connected(let properties):
            shared.withLock { status in
                status.tlsVersion = properties.tlsVersion
                status.cipher = properties.cipher
                status.connection = properties
            }
            session.state.withLock { $0.window.limit(toMessages: Int(properties.receiveMaximum)) }
            let topics = encoder.withLock { $0.commandTopics }
            session.state.withLock { $0.subscriptions = topics.count }
            session.enter(.connected)
            if topics.isEmpty { session.enter(.ready) } else { connection.subscribe(topics) }
        case .subscribed(let topic, let refusal):
            if let refusal { logger.warning("the broker sends no commands", metadata: ["topic": "\(topic)", "reason": "\(refusal)"]) }
            let isLast = session.state.withLock { state in
                state.subscriptions -= 1
                return state.subscriptions == 0
            }
            guard isLast else { return }
            publishBirths(connection)
            session.enter(.ready)
        case .acknowledged(let ticket):
            let now = time.now
            let (roundTrip, inFlight) = session.state.withLock { state in
                let result = state.window.acknowledge(ticket, at: now)
                if let progress = result?.progress, !state.isClosed { advance(progress, cursor) }
                return (result?.roundTrip, state.window.messages)
            }
            shared.withLock { status in
                if let roundTrip { status.measured(roundTrip) }
                status.inFlight = inFlight
            }
            session.hasRoom.notify()
        case .refused(let ticket, let refusal): wasRefused(ticket, refusal, session, connection, cursor)
        case .message(let topic, let payload): obey(topic, payload, session, connection)
        case .ended(let error):
            session.state.withLock { $0.error = $0.error ?? error }
            session.enter(.ended)
        }
    }

    /// The broker did not take a message: one that it will never take is left out, for any other the connection is made anew later.
    private func wasRefused(
        _ ticket: UInt64?, _ refusal: PublishRefusal, _ session: RouteSession, _ connection: MQTTSession, _ cursor: any LogCursor
    ) {
        let error = GatewayError(.refused, resource: configuration.resource, operation: "publish", refusal.message, time: time.utc)
        guard let ticket else { return logger.warning("a message was refused", metadata: ["error_chain": .chain(of: error)]) }
        guard refusal.isPermanent else {
            session.state.withLock { $0.error = error }
            connection.abandon()
            return
        }
        let now = time.now
        let samples: UInt64? = session.state.withLock { state in
            guard let entry = state.window.entry(ticket) else { return nil }
            if !state.isClosed { cursor.refuse(entry.position) }
            if let progress = state.window.acknowledge(ticket, at: now)?.progress, !state.isClosed { advance(progress, cursor) }
            return entry.samples
        }
        guard let samples else { return }
        shared.withLock { status in
            status.refusedBatches += 1
            status.refusedSamples += samples
        }
        logger.error("a batch cannot be sent and is left out", metadata: ["error_chain": .chain(of: error)])
        session.hasRoom.notify()
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
            shared.withLock { $0.rebirths += 1 }
            publishBirths(connection)
        case .write(let device, let metric, _):
            shared.withLock { $0.refusedCommands += 1 }
            logger.warning("write command refused: this gateway does not write", metadata: ["device": "\(device)", "metric": "\(metric)"])
        case .ignored(let reason):
            shared.withLock { $0.refusedCommands += 1 }
            logger.debug("command ignored", metadata: ["topic": "\(topic)", "reason": "\(reason)"])
        }
    }
}
