internal import GatewayCore
internal import Logging
internal import Sparkplug
internal import Synchronization
internal import Telemetry

/// Takes the commands of all brokers of a route: refuses what is late, came twice or is too much, and has the rest carried out, for each
/// device in the order of arrival, for different devices beside each other.
final class CommandDesk: Sendable {
    private struct Order {
        var command: EdgeWriteCommand
        var topic: String
        var cluster: String
        var arrival: MonotonicInstant
    }

    private struct Refusal {
        var topic: String
        var cluster: String
        var reason: String
    }

    private struct State {
        var freshness: CommandFreshness
        /// By device; a device that is there is served.
        var orders: [String: [Order]] = [:]
        var waiting = 0
        var unserved: [String] = []
        var refusals: [Refusal] = []
        /// Refusals that may be written down until the minute ends.
        var recordsLeft = CommandDesk.recordsPerMinute
        var minuteBegan: MonotonicInstant?
    }

    /// Commands that wait or are carried out at a time.
    static let waitingMax = 128
    /// How long a command may wait for those before it.
    static let waitMax = Duration.seconds(30)
    /// Refusals beyond so many are counted, not written down: nobody shall fill the audit trail from afar.
    static let recordsPerMinute = 30

    private let route: String
    private let handler: (any RouteCommandHandler)?
    private let time: any TimeSource
    private let logger: Logger
    private let count: @Sendable (_ obeyed: UInt64, _ refused: UInt64) -> Void
    private let state: Mutex<State>
    private let wake = Gate()

    /// - Parameters:
    ///   - handler: `nil` where the route takes no commands.
    ///   - count: is told of writes that were obeyed and of commands or writes that were refused.
    init(
        route: String, handler: (any RouteCommandHandler)?, time: any TimeSource, logger: Logger,
        count: @escaping @Sendable (_ obeyed: UInt64, _ refused: UInt64) -> Void
    ) {
        self.route = route
        self.handler = handler
        self.time = time
        self.logger = logger
        self.count = count
        state = Mutex(State(freshness: CommandFreshness(startedAt: time.utc)))
    }

    /// Takes a command; never waits.
    func take(_ command: EdgeWriteCommand, topic: String, cluster: String) {
        guard handler != nil else {
            return refuse("the route does not take commands; commands: allowed in the site document would", topic: topic, cluster: cluster)
        }
        let stamp = time.stamp
        let refusal = state.withLock { state -> String? in
            guard state.waiting < Self.waitingMax else { return "\(state.waiting) commands wait already, more are not possible" }
            if let stale = state.freshness.refusal(of: command, at: stamp.time, isClockUncertain: stamp.isUncertain) { return stale }
            let order = Order(command: command, topic: topic, cluster: cluster, arrival: time.now)
            if state.orders[command.device] == nil { state.unserved.append(command.device) }
            state.orders[command.device, default: []].append(order)
            state.waiting += 1
            return nil
        }
        if let refusal { refuse(refusal, topic: topic, cluster: cluster) } else { wake.notify() }
    }

    /// Counts a command that is not obeyed, logs it, and has it written down.
    func refuse(_ reason: String, topic: String, cluster: String) {
        count(0, 1)
        let now = time.now
        let isRecorded = state.withLock { state in
            if state.minuteBegan.map({ $0.duration(to: now) >= .seconds(60) }) ?? true {
                state.minuteBegan = now
                state.recordsLeft = Self.recordsPerMinute
            }
            guard state.recordsLeft > 0 else { return false }
            state.recordsLeft -= 1
            if handler != nil { state.refusals.append(Refusal(topic: topic, cluster: cluster, reason: reason)) }
            return true
        }
        logger.log(
            level: isRecorded ? .warning : .debug, "command refused",
            metadata: ["topic": "\(topic.prefix(200))", "cluster": "\(cluster)", "reason": "\(reason)"])
        wake.notify()
    }

    /// Carries commands out until the task is cancelled. What has begun is brought to its end; what waits is dropped.
    func run() async throws {
        defer {
            state.withLock { state in
                state.orders = [:]
                state.unserved = []
                state.waiting = 0
            }
        }
        try await withThrowingDiscardingTaskGroup { group in
            while true {
                try await wake.wait()
                let (devices, refusals) = state.withLock { state in
                    defer {
                        state.unserved = []
                        state.refusals = []
                    }
                    return (state.unserved, state.refusals)
                }
                guard let handler else { continue }
                for device in devices { group.addTask { await self.serve(device, handler) } }
                for refusal in refusals {
                    await handler.record(refused: refusal.topic, route: route, cluster: refusal.cluster, reason: refusal.reason)
                }
            }
        }
    }

    private func serve(_ device: String, _ handler: any RouteCommandHandler) async {
        while !Task.isCancelled, let order = next(device) {
            defer { state.withLock { $0.waiting -= $0.waiting > 0 ? 1 : 0 } }
            let waited = order.arrival.duration(to: time.now)
            guard waited <= Self.waitMax else {
                refuse(
                    "the commands before it took \(Int(waited.inSeconds)) s, and it is too old by now", topic: order.topic,
                    cluster: order.cluster)
                continue
            }
            for write in order.command.writes {
                let outcome = await handler.submit(
                    RouteCommand(
                        route: route, cluster: order.cluster, topic: order.topic, device: device, tag: write.tag, value: write.value))
                // Recorded by whom it was handed to.
                switch outcome {
                case .done: count(1, 0)
                case .refused(let reason):
                    count(0, 1)
                    logger.debug("write refused", metadata: ["device": "\(device)", "tag": "\(write.tag)", "reason": "\(reason)"])
                }
            }
        }
    }

    /// The device's next order; with the last one taken the device is served no more.
    private func next(_ device: String) -> Order? {
        state.withLock { state in
            guard var orders = state.orders[device], !orders.isEmpty else {
                state.orders[device] = nil
                return nil
            }
            let order = orders.removeFirst()
            state.orders[device] = orders
            return order
        }
    }
}
