internal import GatewayCore
internal import Telemetry

/// What a feed knows: which cluster has which device, and what is read and not done with.
struct FeedState: Sendable {
    /// What is known of a stream: worked out once.
    struct Stream {
        var tagCount: Int
        var device: Int
        var isAlarm: Bool
    }

    var window: DeliveryWindow
    var selection: ClusterSelection
    /// Per device its name, and the cluster that has it.
    var devices: [(name: String, cluster: Int)] = []
    var deviceIndices: [String: Int] = [:]
    var streams: [StreamID: Stream] = [:]
    /// The streams the gateway has, once it said so; old data of others may come all the same.
    var retained: Set<StreamID>?
    /// Whether devices wait to move until what is on its way of them has arrived.
    var isMoving = false
    /// A cluster of the feed is connected.
    var isOpen = false
    /// Since it was closed last, the window has not been cleared yet.
    var isStale = false
    /// The route has ended: the cursor is another's.
    var isFinished = false
    var closures: UInt64 = 0
    var lastRestart: MonotonicInstant?
    var drain = DrainMeter()
    /// The scan groups whose data goes first.
    var alarmGroups: Set<String> = []
}

extension FeedState {
    /// Whether a cluster has acknowledged nothing for so long, though something is due.
    func isOverdue(_ cluster: Int, _ patience: Duration, at now: MonotonicInstant) -> Bool {
        window.progressTime(of: cluster).map { $0.duration(to: now) >= patience } ?? false
    }

    mutating func know(_ id: StreamID, _ descriptor: StreamDescriptor, at now: MonotonicInstant) -> Stream {
        if let known = streams[id] { return known }
        let device: Int
        if let known = deviceIndices[descriptor.device] {
            device = known
        } else {
            device = devices.count
            deviceIndices[descriptor.device] = device
            let cluster = selection.choose(at: now).cluster(of: descriptor.device) ?? selection.members.first ?? 0
            devices.append((descriptor.device, cluster))
        }
        let stream = Stream(
            tagCount: descriptor.tags.count, device: device, isAlarm: descriptor.isAlarm || alarmGroups.contains(descriptor.group))
        streams[id] = stream
        return stream
    }

    /// Returns, where devices changed their cluster, the streams of each cluster.
    mutating func move(leaving lost: Int?, at now: MonotonicInstant) -> [Int: Set<StreamID>]? {
        let choice = selection.choose(at: now)
        guard choice != .none else { return nil }
        var moving: Set<Int> = []
        var targets = devices.map(\.cluster)
        for (index, device) in devices.enumerated() {
            guard let target = choice.cluster(of: device.name), target != device.cluster else { continue }
            targets[index] = target
            // Where the former cluster is gone there is nothing to wait for.
            if device.cluster != lost, selection.healths[device.cluster].isConnected { moving.insert(index) }
        }
        isMoving = !moving.isEmpty && !window.hold(moving)
        if isMoving { for index in moving { targets[index] = devices[index].cluster } }
        let hasChanged = targets != devices.map(\.cluster)
        guard hasChanged || lost != nil else { return nil }
        for index in devices.indices { devices[index].cluster = targets[index] }
        window.reassign(leaving: lost) { targets[$0] }
        if isMoving { _ = window.hold(moving) }
        return hasChanged ? shares : nil
    }

    /// The streams of each cluster's devices that the gateway has.
    var shares: [Int: Set<StreamID>] {
        streams.reduce(into: [:]) { shares, stream in
            guard retained?.contains(stream.key) ?? true else { return }
            shares[devices[stream.value.device].cluster, default: []].insert(stream.key)
        }
    }
}

/// How fast a backlog drains.
struct DrainMeter: Sendable {
    private static let interval = Duration.seconds(1)
    /// Without acknowledgements for so long nothing drains.
    private static let staleAfter = Duration.seconds(10)

    private var since: MonotonicInstant?
    private var samples: UInt64 = 0
    private var rate: Double?

    mutating func acknowledged(_ count: UInt64, on lane: LogLane, at now: MonotonicInstant) {
        guard lane == .backlog else { return }
        guard let since, since.duration(to: now) < Self.staleAfter else {
            self.since = now
            samples = count
            rate = nil
            return
        }
        samples += count
        let elapsed = since.duration(to: now)
        guard elapsed >= Self.interval else { return }
        let new = Double(samples) / elapsed.inSeconds
        rate = rate.map { $0 + (new - $0) / 4 } ?? new
        self.since = now
        samples = 0
    }

    func rate(at now: MonotonicInstant) -> Double? {
        since.map { $0.duration(to: now) < Self.staleAfter } ?? false ? rate : nil
    }
}

extension StreamDescriptor {
    /// Whether the stream tells of alarms, which go first: the health of an asset, and what the gateway says of itself with a tag `alarm`.
    var isAlarm: Bool {
        group == StreamDescriptor.healthGroup
            || group == StreamDescriptor.diagnosticsGroup && tags.contains { $0.name == "alarm" && $0.dataType == .bool }
    }
}
