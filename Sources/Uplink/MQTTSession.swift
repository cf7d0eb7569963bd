internal import GatewayCore
internal import Identity
internal import Synchronization
internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// One MQTT connection, from resolving the broker's name to its end, on a thread of its own.
///
/// What happens is told to `handler` on that thread; exactly one `.ended` comes last. A session is used once: the next
/// attempt is a new one, so that nothing of an old connection can reach into it.
final class MQTTSession: Sendable {
    struct Parameters: Sendable {
        /// For errors: `route central`.
        var resource: String
        var cluster: RouteConfiguration.Cluster
        var tls: RouteConfiguration.TLS?
        /// What the files of `tls` held when they were read; `nil`: they are read for this session.
        var credentials: TLSCredentials?
        var clientID: String
        var keepAliveSeconds: Int32
        /// What the broker publishes when the connection breaks.
        var will: Message?
        var mqtt = MQTTSettings()
    }

    struct Message: Sendable {
        var topic: String
        var payload: [UInt8]
        var qualityOfService: Int32
        var retain = false
        /// Comes back with the acknowledgement; only messages of QoS 1 are acknowledged.
        var ticket: UInt64?
        /// What the payload is, for example `application/json`; told with MQTT 5.
        var contentType: String?
        /// What is said beside the payload; told with MQTT 5.
        var userProperties: [UserProperty] = []
    }

    struct UserProperty: Sendable, Hashable {
        var name: String
        var value: String
    }

    enum Event: Sendable {
        case connected(ConnectionProperties)
        /// `refusal` says why the broker does not send this topic; `nil` when it does.
        case subscribed(topic: String, refusal: String?)
        case acknowledged(ticket: UInt64)
        /// The broker did not take the message: it counts as not delivered. Messages without a ticket are told of too.
        case refused(ticket: UInt64?, PublishRefusal)
        case message(topic: String, payload: [UInt8])
        /// With no error after `finish` and `abandon`.
        case ended(GatewayError?)
    }

    private enum Command {
        case publish([Message])
        case subscribe([String])
    }

    private enum Ending { case none, finish, abandon }

    private struct Orders {
        var commands: [Command] = []
        var ending = Ending.none
        /// The thread has been woken, and has not yet taken its orders.
        var isWoken = false
        /// `nil` before and after the thread's life.
        var wake: WakePipe?
    }

    private let parameters: Parameters
    private let time: any TimeSource
    private let handler: @Sendable (Event, MQTTSession) -> Void
    private let orders = Mutex(Orders())

    /// How long an orderly end may take, from `finish` to the close of the connection.
    static let finishTimeout = Duration.seconds(2)
    /// How often the thread looks after the keep-alive, in milliseconds.
    private static let tickMilliseconds: Int32 = 1000

    init(_ parameters: Parameters, time: any TimeSource, handler: @escaping @Sendable (Event, MQTTSession) -> Void) {
        self.parameters = parameters
        self.time = time
        self.handler = handler
    }

    /// Begins to connect. Called once.
    func start() {
        // Not a child of the caller's task: a name that is being resolved cannot be interrupted, and nobody shall wait for it.
        Task { await SessionThread().run { self.run() } }
    }

    /// Hands messages over, which are sent in the order of the calls. The caller bounds how many are on their way.
    func publish(_ messages: [Message]) { order { $0.commands.append(.publish(messages)) } }

    func subscribe(_ topics: [String]) { order { $0.commands.append(.subscribe(topics)) } }

    /// Sends what was handed over, waits briefly for the acknowledgements, disconnects in order, and ends.
    func finish() { order { if $0.ending == .none { $0.ending = .finish } } }

    /// Ends at once, without a farewell: the broker will publish the will.
    func abandon() { order { $0.ending = .abandon } }

    private func order(_ change: (inout Orders) -> Void) {
        let wake = orders.withLock { orders -> WakePipe? in
            change(&orders)
            guard !orders.isWoken, let wake = orders.wake else { return nil }
            orders.isWoken = true
            return wake
        }
        // Outside of the lock, which is the first thing that the thread takes when it is awake.
        wake?.signal()
    }

    // MARK: - On the thread

    private func run() {
        do throws(GatewayError) {
            try live()
            handler(.ended(nil), self)
        } catch {
            handler(.ended(orders.withLock { $0.ending } == .none ? error : nil), self)
        }
    }

    private func live() throws(GatewayError) {
        let wake = try WakePipe(resource: parameters.resource)
        orders.withLock { $0.wake = wake }
        defer { orders.withLock { $0.wake = nil } }
        if parameters.mqtt.version == .v5, !(try live(wake, .v5)) { _ = try live(wake, .v311) }
        if parameters.mqtt.version == .v311 { _ = try live(wake, .v311) }
    }

    /// One connection. Returns `false` when the broker does not speak this version.
    private func live(_ wake: WakePipe, _ version: MQTTSettings.Version) throws(GatewayError) -> Bool {
        var driver = try SessionDriver(parameters, version: version, time: time)
        do throws(GatewayError) {
            try drive(&driver, wake)
            return true
        } catch {
            if version == .v5, driver.isVersionRefused { return false }
            throw error
        }
    }

    private func drive(_ driver: inout SessionDriver, _ wake: WakePipe) throws(GatewayError) {
        try driver.connect()
        while true {
            let (commands, ending) = takeOrders()
            if ending == .abandon { return }
            for command in commands {
                switch command {
                case .publish(let messages): try driver.publish(messages)
                case .subscribe(let topics): for topic in topics { try driver.subscribe(topic) }
                }
            }
            try driver.deliver { handler($0, self) }
            if ending == .finish, driver.finish(within: Self.finishTimeout) { return }
            do throws(GatewayError) {
                try driver.pass(wake: wake, timeoutMilliseconds: Self.tickMilliseconds)
            } catch {
                // What the broker said before the end counts: acknowledgements, and why it refused.
                try driver.deliver { handler($0, self) }
                throw error
            }
            try driver.deliver { handler($0, self) }
        }
    }

    private func takeOrders() -> ([Command], Ending) {
        orders.withLock { orders in
            orders.isWoken = false
            let commands = orders.commands
            orders.commands.removeAll(keepingCapacity: true)
            return (commands, orders.ending)
        }
    }
}

/// The place where a session runs.
private actor SessionThread {
    private let thread = DedicatedThread(name: "mqtt")
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    func run(_ work: @Sendable () -> Void) { work() }
}
