package import GatewayCore
internal import Synchronization
internal import Telemetry

/// Receives messages with QoS 1 and acknowledges each only when its user says so: after the database has it.
///
/// libmosquitto acknowledges before it hands a message over, so this side of MQTT 5.0 is our own: CONNECT, SUBSCRIBE, PUBLISH with QoS 0,
/// and what comes back. What is not acknowledged when a connection ends comes again, or goes to another member of a shared subscription.
package final class Consumer: Sendable {
    package struct Settings: Sendable {
        package var host: String
        package var port: UInt16
        /// Encrypts the connection; `nil` sends plain text.
        package var security: (any ChannelSecuring)?
        package var clientID: String
        package var subscriptions: [Subscription]
        /// For how long the broker keeps the session, and what is not acknowledged in it, while nobody is connected.
        package var sessionExpiry = Duration.seconds(3600)
        /// Forgets a session of before.
        package var cleanStart = false
        /// The most messages that are handed out and not acknowledged; then the broker waits (MQTT 5.0, 3.1.2.11.3).
        package var receiveMaximum: UInt16 = 256
        /// The largest packet that is taken, in bytes (MQTT 5.0, 3.1.2.11.4).
        package var packetBytesMax = 16 << 20
        package var keepAlive = Duration.seconds(30)
        /// How long connecting may take, until the broker has accepted us.
        package var connectTimeout = Duration.seconds(15)
        /// What the broker publishes, with QoS 1, when the connection breaks.
        package var will: Will?

        package init(host: String, port: UInt16, security: (any ChannelSecuring)?, clientID: String, subscriptions: [Subscription]) {
            self.host = host
            self.port = port
            self.security = security
            self.clientID = clientID
            self.subscriptions = subscriptions
        }
    }

    package struct Subscription: Sendable, Hashable {
        /// A topic filter; `$share/<group>/<filter>` shares the messages among all consumers of the group.
        package var filter: String
        /// Whether the messages that the broker has retained come at the beginning; never with a shared subscription.
        package var sendsRetained: Bool

        package init(_ filter: String, sendsRetained: Bool = true) {
            self.filter = filter
            self.sendsRetained = sendsRetained
        }
    }

    package struct Will: Sendable, Hashable {
        package var topic: String
        package var payload: [UInt8]
        package var retain: Bool

        package init(topic: String, payload: [UInt8], retain: Bool) {
            self.topic = topic
            self.payload = payload
            self.retain = retain
        }
    }

    /// One message.
    package struct Delivery: Sendable {
        package let topic: String
        package let payload: [UInt8]
        package let isRetained: Bool
        /// The broker has sent it before, to us or to another member of the shared subscription.
        package let isDuplicate: Bool
        package let contentType: String?
        package let userProperties: [(name: String, value: String)]
        fileprivate let answer: (@Sendable (ReasonCode) -> Void)?

        /// Tells the broker that the message is safe. From any thread, in any order; a second time, or after the connection's end, without effect.
        package func acknowledge() { answer?(.success) }

        /// Tells the broker that the message is of no use: it is not sent again.
        package func refuse(_ reason: ReasonCode) { answer?(reason) }
    }

    package enum Event: Sendable {
        case connected(ConnectionProperties)
        case delivery(Delivery)
    }

    private let settings: Settings
    private let time: any TimeSource
    private let current = Mutex<ConsumerOrders?>(nil)

    /// The most bytes that wait to be published; more are refused.
    static let publicationBytesMax = 1 << 20

    package init(_ settings: Settings, time: any TimeSource) {
        self.settings = settings
        self.time = time
    }

    /// One connection: tells `handle` of what happens, on the connection's thread, which it must not block for long.
    ///
    /// Ends in order when the task is cancelled, and throws `CancellationError`; throws a `GatewayError` when the connection cannot be
    /// made or is lost, and for settings that cannot be. One run at a time.
    package func run(_ handle: @escaping @Sendable (Event) -> Void) async throws {
        try validate()
        let orders = try ConsumerOrders(receiveMaximum: Int(settings.receiveMaximum), resource: resource)
        current.withLock { $0 = orders }
        defer { current.withLock { $0 = nil } }
        try await withTaskCancellationHandler {
            try Task.checkCancellation()
            let connection = ConsumerConnection(settings, orders, resource: resource, time: time)
            try await ConsumerThread().run(connection, handle)
        } onCancel: {
            orders.end()
        }
    }

    /// Publishes with QoS 0 over the present connection. Returns `false` when there is none, or when too much waits already.
    @discardableResult
    package func publish(_ publication: Subscriber.Publication, retain: Bool = false) -> Bool {
        current.withLock { $0 }?.publish(PacketWriter.publish(publication, retain: retain)) ?? false
    }

    private var resource: String { "broker \(settings.host.contains(":") ? "[\(settings.host)]" : settings.host):\(settings.port)" }

    private func validate() throws(GatewayError) {
        func require(_ isRight: Bool, _ message: @autoclosure () -> String) throws(GatewayError) {
            if !isRight { throw GatewayError(.configurationInvalid, resource: resource, operation: "configure", message()) }
        }
        let textMax = Int(UInt16.max)
        try require(!settings.host.isEmpty && settings.port > 0, "a broker needs host and port")
        try require(
            (1...textMax).contains(settings.clientID.utf8.count),
            "the client ID has \(settings.clientID.utf8.count) bytes, but must have 1 to \(textMax)")
        try require(!settings.subscriptions.isEmpty, "there is no subscription, but a consumer needs at least one")
        for subscription in settings.subscriptions {
            try require(
                (1...textMax).contains(subscription.filter.utf8.count) && !subscription.filter.utf8.contains(0),
                "“\(subscription.filter.prefix(100))” cannot be a topic filter")
        }
        try require(settings.receiveMaximum > 0, "the receive maximum is 0, but must be 1 to 65535")
        try require((1024...268_435_455).contains(settings.packetBytesMax), "packetBytesMax is \(settings.packetBytesMax)")
        try require(
            (settings.will?.topic.utf8.count ?? 1) <= textMax && (settings.will?.payload.count ?? 0) <= textMax, "the will is too large")
    }
}

/// The place where a consumer's connection runs.
private actor ConsumerThread {
    private let thread = DedicatedThread(name: "mqtt-in")
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    func run(_ connection: ConsumerConnection, _ handle: @Sendable (Consumer.Event) -> Void) throws { try connection.run(handle) }
}

extension Consumer.Delivery {
    /// - Parameter answer: `nil` for a message of QoS 0, which nobody waits for.
    init(_ message: ReceivedMessage, answer: (@Sendable (ReasonCode) -> Void)?) {
        topic = message.topic
        payload = message.payload
        isRetained = message.isRetained
        isDuplicate = message.isDuplicate
        contentType = message.properties.text(.contentType)
        userProperties = message.properties.user.map { ($0.name, $0.value) }
        self.answer = answer
    }
}
