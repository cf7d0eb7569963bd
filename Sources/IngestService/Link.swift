internal import GatewayCore
internal import Ingest
internal import MQTTProtocol
internal import Telemetry

/// One broker as the receiver sees it: a state machine over the packets, without a socket.
struct Link {
    enum State: Equatable {
        /// Waits until it may connect.
        case idle(until: MonotonicInstant)
        case connecting
        /// CONNECT is sent.
        case introduced(until: MonotonicInstant)
        /// SUBSCRIBE is sent.
        case subscribing
        case receiving
    }

    /// A message whose acknowledgement is due once it is done.
    private struct Pending {
        var number: UInt64
        var packetID: UInt16
        var isDone = false
    }

    let settings: BrokerSettings
    /// Counts the connections of the process; a new one for each attempt.
    var connection: UInt32 = 0
    var state: State
    var backoff = Backoff()
    var input: MQTTInput
    /// In the order of arrival: acknowledgements go out in the same one (MQTT 5.0, 4.6).
    private var pending: [Pending] = []
    private var firstPending = 0
    private var lastSent: MonotonicInstant
    private var lastReceived: MonotonicInstant
    private var isPingUnanswered = false
    private var keepAlive = Link.keepAlive
    /// What STATE says its session began: birth and will carry the same time.
    private var hostStateTime = Timestamp(nanoseconds: 0)

    static let keepAlive = Duration.seconds(30)
    /// How long the broker may take to answer CONNECT.
    static let answerTimeout = Duration.seconds(15)
    /// The largest message that is taken, in bytes.
    static let packetBytesMax = 66 << 20
    private static let subscribePacketID: UInt16 = 1
    private static let publishPacketID: UInt16 = 2

    init(_ settings: BrokerSettings, at now: MonotonicInstant) {
        self.settings = settings
        state = .idle(until: now)
        input = MQTTInput(resource: settings.name, packetBytesMax: Self.packetBytesMax)
        lastSent = now
        lastReceived = now
    }

    /// STATE is followed too: where several workers speak for one host, the end of one must not silence the others.
    private var filters: [String] { settings.filters + (settings.hostState.map { [$0.topic] } ?? []) }

    /// STATE, to be published once the subscriptions stand, and whenever somebody says otherwise.
    func hostStateMessage(isOnline: Bool) -> [UInt8] {
        guard let message = settings.hostState?.message(isOnline: isOnline, at: hostStateTime) else { return [] }
        return MQTTOutput.publish(topic: message.topic, payload: message.payload, isRetained: true, packetID: Self.publishPacketID)
    }

    var unacknowledged: Int { pending.count - firstPending }

    /// A connection stands: returns what to send first.
    mutating func didConnect(at now: MonotonicInstant, utc: Timestamp) -> [UInt8] {
        hostStateTime = utc
        state = .introduced(until: now.advanced(by: Self.answerTimeout))
        input = MQTTInput(resource: settings.name, packetBytesMax: Self.packetBytesMax)
        pending = []
        firstPending = 0
        lastSent = now
        lastReceived = now
        isPingUnanswered = false
        keepAlive = Self.keepAlive
        return MQTTOutput.connect(
            .init(
                clientID: settings.clientID, keepAliveSeconds: UInt16(Self.keepAlive.inSeconds),
                sessionExpirySeconds: settings.sessionExpirySeconds, receiveMaximum: settings.receiveMaximum,
                maximumPacketBytes: UInt32(Self.packetBytesMax), userName: settings.userName,
                password: settings.password.map { Array($0.utf8) }, will: settings.hostState?.message(isOnline: false, at: hostStateTime)))
    }

    mutating func didLose(at now: MonotonicInstant) {
        state = .idle(until: now.advanced(by: backoff.next()))
        pending = []
        firstPending = 0
    }

    mutating func didReceive(at now: MonotonicInstant) { lastReceived = now }
    mutating func didSend(at now: MonotonicInstant) { lastSent = now }

    /// The broker's answer to CONNECT: returns what to send next. Throws a `GatewayError` for a refusal.
    mutating func take(_ answer: MQTTConnectAnswer) throws(GatewayError) -> [UInt8] {
        guard case .introduced = state else { throw violation("it answers a CONNECT that was not sent") }
        guard !answer.code.isFailure else {
            throw GatewayError(
                .refused, resource: settings.name, operation: "connect",
                "the broker refuses the connection: \(answer.code)\(answer.reason.map { ": \($0)" } ?? "")")
        }
        guard answer.hasSharedSubscriptions || !settings.filters.contains(where: { $0.hasPrefix("$share/") }) else {
            throw GatewayError(.unsupported, resource: settings.name, operation: "subscribe", "the broker has no shared subscriptions")
        }
        if let seconds = answer.serverKeepAliveSeconds { keepAlive = seconds == 0 ? .seconds(3600) : .seconds(Int(seconds)) }
        state = .subscribing
        return MQTTOutput.subscribe(filters, packetID: Self.subscribePacketID)
    }

    /// The broker's answer to SUBSCRIBE. Throws a `GatewayError` that names the first filter that was refused.
    mutating func take(subscribed codes: [MQTTReasonCode], packetID: UInt16) throws(GatewayError) {
        guard state == .subscribing, packetID == Self.subscribePacketID, codes.count == filters.count else {
            throw violation("it answers \(codes.count) subscriptions, expected \(filters.count)")
        }
        if let index = codes.firstIndex(where: \.isFailure) {
            throw GatewayError(
                .refused, resource: settings.name, operation: "subscribe", "“\(filters[index])” is refused: \(codes[index])")
        }
        state = .receiving
        backoff.reset()
    }

    /// A message came; `number` is its place among all messages of the process.
    mutating func take(_ message: MQTTIncomingMessage, number: UInt64) throws(GatewayError) -> MessageToken? {
        switch state {
        // A session that goes on may begin with its messages before the subscription is answered.
        case .receiving, .subscribing: break
        case .idle, .connecting, .introduced: throw violation("it sends a message before it has accepted the connection")
        }
        guard message.qualityOfService > 0 else { return nil }
        guard unacknowledged < Int(settings.receiveMaximum) else {
            throw violation("it sends more than \(settings.receiveMaximum) messages without waiting for an acknowledgement")
        }
        pending.append(Pending(number: number, packetID: message.packetID))
        return MessageToken(connection: connection, number: number)
    }

    /// A message is where it belongs. Numbers of older connections are none of this one's.
    mutating func finish(_ number: UInt64) {
        var low = firstPending
        var high = pending.count
        while low < high {
            let middle = (low + high) / 2
            if pending[middle].number < number { low = middle + 1 } else { high = middle }
        }
        if low < pending.count, pending[low].number == number { pending[low].isDone = true }
    }

    /// The acknowledgements that are due, as bytes, and how many they are.
    mutating func acknowledgements() -> (bytes: [UInt8], count: Int) {
        var bytes: [UInt8] = []
        var count = 0
        while firstPending < pending.count, pending[firstPending].isDone {
            MQTTOutput.acknowledge(pending[firstPending].packetID, to: &bytes)
            firstPending += 1
            count += 1
        }
        if firstPending == pending.count || firstPending > 4096 {
            pending.removeSubrange(..<firstPending)
            firstPending = 0
        }
        return (bytes, count)
    }

    mutating func pingAnswered() { isPingUnanswered = false }

    /// What the time asks for: a ping, or the end of a connection that is silent. `isReading`: whether the receiver listens at all.
    mutating func tick(at now: MonotonicInstant, isReading: Bool) throws(GatewayError) -> [UInt8]? {
        switch state {
        case .idle, .connecting: return nil
        case .introduced(let until):
            guard now < until else {
                throw GatewayError(.timedOut, resource: settings.name, operation: "connect", "the broker does not answer CONNECT")
            }
            return nil
        case .subscribing, .receiving:
            // While nothing is read, an answer cannot be seen.
            if !isReading { lastReceived = now }
            if isPingUnanswered, now >= lastReceived.advanced(by: keepAlive) {
                throw GatewayError(
                    .timedOut, resource: settings.name, operation: "receive",
                    "the broker has not answered a ping for \(Int(keepAlive.inSeconds)) s")
            }
            guard now >= lastSent.advanced(by: keepAlive / 2) else { return nil }
            lastSent = now
            isPingUnanswered = true
            return MQTTOutput.pingRequest
        }
    }

    private func violation(_ message: String) -> GatewayError {
        GatewayError(.protocolViolation, resource: settings.name, operation: "receive", "the broker breaks the rules: \(message)")
    }
}
