internal import GatewayCore
internal import Logging
internal import Synchronization
internal import Telemetry

/// Reads one cursor of the log and hands its entries to the clusters that share it.
///
/// The decisions are those of `ClusterSelection` and `DeliveryWindow`; this carries them out, and is called from the route's tasks and from the
/// connections' threads.
final class LogFeed: Sendable {
    let members: [Int]
    private let context: RouteContext
    private let cursor: any LogCursor
    private let connections: [ClusterConnection]
    private let state: Mutex<FeedState>
    /// Held while devices are given to clusters and these told, so that two decisions cannot be carried out in the wrong order. Comes before
    /// a connection's encoder, which comes before `state`.
    private let moving = Mutex(())
    /// Wakes the sender of each cluster.
    let wakes: [Gate]
    private let opened = Gate()
    private let closed = Gate()
    private let backlogRoom = Gate()
    private let liveRoom = Gate()
    private let began: Timestamp

    /// Opens the cursor. Throws a `GatewayError`.
    init(_ context: RouteContext, cursor name: String, members: [Int], connections: [ClusterConnection]) throws {
        self.context = context
        self.members = members
        self.connections = connections
        cursor = try context.log.cursor(named: name, from: .oldest)
        let configuration = context.configuration
        state = Mutex(
            FeedState(
                window: DeliveryWindow(
                    clusterCount: configuration.clusters.count,
                    limits: .init(
                        messagesMax: configuration.inFlight, bytesMax: configuration.inFlightBytes,
                        backlogSharePercent: configuration.delivery.backlogSharePercent)),
                selection: ClusterSelection(configuration, members: members, at: context.time.now),
                alarmGroups: configuration.delivery.alarmGroups))
        wakes = configuration.clusters.map { _ in Gate() }
        began = context.time.utc
    }

    /// Lets go of the cursor: a connection's thread may hold this for a moment longer, and the next run wants the cursor at once.
    func close() {
        state.withLock { state in
            state.isStale = true
            state.isFinished = true
        }
        cursor.close()
    }

    // MARK: - Reading

    /// Reads as long as a cluster is connected, until the task is cancelled. Throws `CancellationError`, and what the log throws.
    func run() async throws {
        while true {
            while !state.withLock({ $0.isOpen }) { try await opened.wait() }
            let closures = beginReading()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.read(.backlog) }
                group.addTask { try await self.read(.live) }
                group.addTask { while self.state.withLock({ $0.closures == closures }) { try await self.closed.wait() } }
                // Whoever ends first ends the others: the last connection, or the log.
                defer { group.cancelAll() }
                try await group.next()
            }
            try Task.checkCancellation()
        }
    }

    /// Starts anew from what is acknowledged; with a live lane where much has piled up.
    private func beginReading() -> UInt64 {
        cursor.rewind()
        let oldest = cursor.backlog.oldest
        let isBehind = oldest.map { context.time.utc.since($0) > context.configuration.liveLagMax } ?? (cursor.backlog.samples > 0)
        let hasLiveLane = isBehind && cursor.beginLiveLane()
        return state.withLock { state in
            state.window.clear()
            if hasLiveLane { state.window.didBeginLiveLane() }
            state.isStale = false
            state.lastRestart = hasLiveLane ? context.time.now : nil
            return state.closures
        }
    }

    private func read(_ lane: LogLane) async throws {
        let room = lane == .live ? liveRoom : backlogRoom
        var pace = ReadingPace()
        while true {
            if lane == .live, !state.withLock({ $0.window.hasLiveLane }) {
                try await room.wait()
                continue
            }
            if let next = pace.nextLook { try await context.time.sleep(until: next) }
            if isBehind(lane) { try await beginLiveLane(from: lane) }
            let count = state.withLock { $0.window.room(on: lane) }
            guard count > 0 else {
                try await room.wait()
                continue
            }
            let entries = try await cursor.read(lane, atMost: count)
            pace.didFind(entries.count, atMost: count, at: context.time.now)
            take(entries, on: lane)
        }
    }

    /// Whether the freshest data that waits is no longer fresh.
    private func isBehind(_ lane: LogLane) -> Bool {
        let (now, utc) = (context.time.now, context.time.utc)
        let lag = context.configuration.liveLagMax
        return state.withLock { state in
            guard state.window.hasLiveLane == (lane == .live), let oldest = state.window.oldestFreshWaiting,
                utc.since(oldest.time) > lag
            else { return false }
            return state.lastRestart.map { $0.duration(to: now) > lag } ?? true
        }
    }

    /// Lets the live lane begin (anew) with what is newest. Called by the reader of the lane that is behind, so that nobody reads it meanwhile.
    private func beginLiveLane(from lane: LogLane) async throws {
        if lane == .live {
            // What is on its way is waited for: it would else be read, and sent, once more.
            while !state.withLock({ $0.window.endLiveLane() }) { try await liveRoom.wait() }
        }
        let hasBegun = cursor.beginLiveLane()
        state.withLock { state in
            state.lastRestart = context.time.now
            if hasBegun { state.window.didBeginLiveLane() } else { state.window.keepLiveLane() }
        }
        if hasBegun {
            context.update { $0.liveLaneRestarts += 1 }
            context.logger.debug("fresh data fell behind: what has piled up follows as backlog")
        }
        backlogRoom.notify()
        liveRoom.notify()
        for cluster in members { wakes[cluster].notify() }
    }

    private func take(_ entries: [LogEntry], on lane: LogLane) {
        var woken: Set<Int> = []
        for entry in entries {
            switch entry.content {
            case .gap(let samples):
                context.update { $0.gapSamples += samples }
                context.logger.warning("samples were evicted before they were sent", metadata: ["samples": "\(samples)"])
                pass(over: entry.position, on: lane)
            case .batch(let batch):
                guard let stream = stream(batch.stream) else {
                    refuse(
                        position: entry.position, on: lane,
                        GatewayError(
                            .notFound, resource: "stream \(batch.stream.rawValue)", operation: "encode", "the log does not know this stream"
                        ))
                    continue
                }
                let cluster = state.withLock { state in
                    let cluster = state.devices[stream.device].cluster
                    state.window.append(
                        batch, at: entry.position, isFromDisk: entry.isFromDisk, samples: UInt64(batch.sampleCount(of: stream.tagCount)),
                        device: stream.device, isAlarm: stream.isAlarm, cluster: cluster, on: lane)
                    return cluster
                }
                woken.insert(cluster)
            }
        }
        for cluster in woken { wakes[cluster].notify() }
    }

    private func stream(_ id: StreamID) -> FeedState.Stream? {
        if let known = state.withLock({ $0.streams[id] }) { return known }
        guard let descriptor = context.log.descriptor(of: id) else { return nil }
        let (stream, isShared) = state.withLock { state in
            (state.know(id, descriptor, at: context.time.now), members.count > 1 && state.retained == nil)
        }
        if isShared { share() }
        return stream
    }

    private func pass(over position: LogPosition, on lane: LogLane) {
        state.withLock { state in
            if let progress = state.window.pass(over: position, on: lane) { advance(progress, &state) }
        }
    }

    private func refuse(position: LogPosition, on lane: LogLane, _ error: GatewayError) {
        context.didRefuse(samples: 0, error)
        cursor.refuse(position)
        pass(over: position, on: lane)
    }

    // MARK: - Sending, called by the connections

    /// What a cluster shall send now, in this order; or how long nothing may be sent, where the route's rules say so.
    func take(for cluster: Int) -> (items: [DeliveryWindow.Item], retryAfter: Duration?) {
        let (now, utc) = (context.time.now, context.time.utc)
        return context.scheduler.withLock { scheduler in
            let live = scheduler.wait(for: .live, at: now, utc: utc)
            let backlog = scheduler.wait(for: .backlog, at: now, utc: utc)
            return state.withLock { state in
                guard !state.isStale else { return ([], nil) }
                let items = state.window.take(for: cluster, atMost: scheduler.isLimited ? 1 : Self.takeMax, at: now) { isBacklog in
                    (isBacklog ? backlog : live) == .zero
                }
                guard items.isEmpty, state.window.waiting > 0 else { return (items, nil) }
                return (items, [live, backlog].filter { $0 > .zero }.min().map { min($0, Self.waitMax) })
            }
        }
    }
    /// How many entries are encoded at once.
    private static let takeMax = 16
    /// How long nobody looks again whether something may be sent: the clock may have been set meanwhile.
    private static let waitMax = Duration.seconds(60)

    /// An entry goes out now as so many messages, of which `awaited` are acknowledged. Returns whether it still may.
    func sending(_ item: DeliveryWindow.Item, by cluster: Int, awaited: Int, bytes: Int) -> Bool {
        let isValid = state.withLock { state in
            guard !state.isStale else { return false }
            let (isValid, progress) = state.window.sending(item.ticket, by: cluster, messages: awaited, bytes: bytes, at: context.time.now)
            if let progress { advance(progress, &state) }
            return isValid
        }
        if isValid { context.sent(bytes, on: item.isBacklog ? .backlog : .live) }
        return isValid
    }

    /// An entry that was taken can never be sent, or a broker will never take it.
    func refuse(_ ticket: UInt64, by cluster: Int, _ error: GatewayError) {
        let samples = state.withLock { state -> UInt64? in
            guard !state.isStale, let entry = state.window.entry(ticket, of: cluster) else { return nil }
            cursor.refuse(entry.position)
            if let progress = state.window.refuse(ticket, by: cluster) { advance(progress, &state) }
            return entry.samples
        }
        guard let samples else { return }
        context.didRefuse(samples: samples, error)
        wakes[cluster].notify()
    }

    /// Takes the broker's limit where it is lower than ours.
    func limit(_ cluster: Int, toMessages limit: Int) { state.withLock { $0.window.limit(cluster, toMessages: limit) } }

    /// A broker acknowledged a message.
    func acknowledge(_ ticket: UInt64, by cluster: Int) {
        let now = context.time.now
        let (roundTrip, inFlight, isMoving, isWaitedFor, hasLiveLane) = state.withLock { state in
            guard !state.isStale, let result = state.window.acknowledge(ticket, by: cluster, at: now) else {
                return (Duration?.none, state.window.messages(to: cluster), false, false, false)
            }
            if let progress = result.progress { advance(progress, &state) }
            state.selection.didAnswer(cluster, after: result.roundTrip, at: now)
            return (
                result.roundTrip, state.window.messages(to: cluster), state.isMoving, state.window.waiting > 0, state.window.hasLiveLane
            )
        }
        context.update(cluster) { one, route in
            one.inFlight = inFlight
            one.acknowledgedMessages += 1
            if let roundTrip {
                one.roundTrip = RouteStatus.mean(one.roundTrip, roundTrip)
                route.roundTrip = RouteStatus.mean(route.roundTrip, roundTrip)
            }
        }
        // Whom this gives nothing to do is not woken for it: it would be for every message.
        if isWaitedFor { wakes[cluster].notify() }
        backlogRoom.notify()
        if hasLiveLane { liveRoom.notify() }
        if isMoving { move() }
    }

    /// Called with the state locked, so that the cursor hears of growing positions only, and of none after a rewind.
    private func advance(_ progress: DeliveryWindow.Progress, _ state: inout FeedState) {
        cursor.acknowledge(progress.lane, through: progress.through)
        state.drain.acknowledged(progress.samples, on: progress.lane, at: context.time.now)
        context.update { status in
            status.acknowledgedEntries += progress.entries
            status.acknowledgedSamples += progress.samples
        }
    }

    func inFlight(to cluster: Int) -> Int { state.withLock { $0.window.messages(to: cluster) } }

    // MARK: - Clusters, called by the connections

    /// A broker accepted us: from now on its cluster takes devices. Before the births, so that they tell of the right ones.
    func didConnect(_ cluster: Int) {
        state.withLock { state in
            state.selection.didConnect(cluster, at: context.time.now)
            guard !state.isOpen, !state.isFinished else { return }
            state.isOpen = true
            cursor.connectionRestored(at: context.time.utc)
        }
        move()
        opened.notify()
    }

    func didFailToConnect(_ cluster: Int, isLasting: Bool) {
        state.withLock { state in
            state.selection.didFailToConnect(cluster, isLasting: isLasting)
            // Before the first connection the outage is as old as this run; after one it goes on already.
            if !state.isOpen, !state.isFinished { cursor.connectionLost(at: began) }
        }
        move()
    }

    /// A connection ended that stood: what was on its way is sent through another cluster, or again after the next connection.
    /// `isRenewing`: by our own will, and to be connected again at once.
    func didLoseConnection(_ cluster: Int, isRenewing: Bool = false) {
        let isClosed = state.withLock { state in
            if isRenewing { state.selection.didRenew(cluster) } else { state.selection.didLoseConnection(cluster, at: context.time.now) }
            guard state.isOpen, !state.isFinished, !state.selection.isConnected else { return false }
            state.isOpen = false
            state.isStale = true
            state.closures += 1
            cursor.connectionLost(at: context.time.utc)
            return true
        }
        if isClosed { closed.notify() } else { move(leaving: cluster) }
        publishHealth()
    }

    /// A broker answered a question.
    func didAnswer(_ cluster: Int, after roundTrip: Duration) {
        let now = context.time.now
        state.withLock { state in
            // One that answers questions and acknowledges nothing is not well.
            guard !state.isOverdue(cluster, context.configuration.probeInterval, at: now) else { return }
            state.selection.didAnswer(cluster, after: roundTrip, at: now)
        }
        context.update(cluster) { one, _ in one.roundTrip = RouteStatus.mean(one.roundTrip, roundTrip) }
        move()
    }

    /// Looks after a cluster whose connection stands. Returns how long it has owed answers, if it is to be given up for it.
    func probe(_ cluster: Int, askedAt: MonotonicInstant?) -> Duration? {
        let now = context.time.now
        let patience = context.configuration.probeInterval
        let silence = state.withLock { state -> Duration? in
            let sinceAsked = askedAt.map { $0.duration(to: now) } ?? .zero
            let isSilent = state.isOverdue(cluster, patience, at: now) || sinceAsked >= patience && state.window.messages(to: cluster) == 0
            guard isSilent else { return nil }
            state.selection.didNotAnswer(cluster, at: now)
            let sinceProgress = state.window.progressTime(of: cluster).map { $0.duration(to: now) } ?? .zero
            return state.selection.isToBeDropped(cluster) ? max(sinceProgress, sinceAsked) : nil
        }
        move()
        return silence
    }

    /// Gives each device to the cluster that shall have it, as far as that can be without overtaking what is on its way.
    private func move(leaving lost: Int? = nil) {
        let told = moving.withLock { _ in
            let streams = state.withLock { state in state.move(leaving: lost, at: context.time.now) }
            guard let streams else { return false }
            for member in members { connections[member].retain(streams[member] ?? []) }
            return true
        }
        publishHealth()
        guard told || lost != nil else { return }
        for member in members { wakes[member].notify() }
        backlogRoom.notify()
        liveRoom.notify()
    }

    private func publishHealth() {
        let (healths, counts) = state.withLock { state in
            (state.selection.healths, state.devices.reduce(into: [Int: Int]()) { $0[$1.cluster, default: 0] += 1 })
        }
        context.update { status in
            for member in members {
                status.clusters[member].health = healths[member].state
                status.clusters[member].devices = counts[member] ?? 0
            }
        }
    }

    /// Tells of streams before they have samples.
    func know(_ streams: [(StreamID, StreamDescriptor)]) {
        state.withLock { state in for (id, descriptor) in streams { _ = state.know(id, descriptor, at: context.time.now) } }
    }

    /// Says which streams the gateway has from now on: births tell of no others.
    func retain(_ streams: Set<StreamID>) {
        state.withLock { $0.retained = streams }
        share()
    }

    /// Tells each cluster's encoder of its streams.
    func share() {
        moving.withLock { _ in
            let shares = state.withLock { $0.shares }
            for member in members { connections[member].retain(shares[member] ?? []) }
        }
    }

    // MARK: - Status

    var pendingSamples: UInt64 { cursor.pendingSamples }

    var backlog: BacklogStatus {
        let pending = cursor.backlog
        let utc = context.time.utc
        return state.withLock { state in
            var status = BacklogStatus()
            status.samples = pending.samples
            if pending.samples > 0 { status.age = pending.oldest.map { max(utc.since($0), .zero) } }
            status.drainRate = state.drain.rate(at: context.time.now)
            return status
        }
    }
}
