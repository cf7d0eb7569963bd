internal import GatewayCore
internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Drives one libmosquitto client: polls its socket, passes on what happened, and finds words for what went wrong.
struct SessionDriver: ~Copyable {
    private let parameters: MQTTSession.Parameters
    private let time: any TimeSource
    private let client: MosquittoClient
    private let version: MQTTSettings.Version
    private var properties = ConnectionProperties()
    /// Numbers that stand for topics.
    private var aliases = TopicAliases(maximum: 0)
    /// Topics whose subscription is not answered yet.
    private var subscriptions: [Int32: String] = [:]
    /// How many bytes had come when the library was first seen to understand nothing of them.
    private var stalledAt: UInt64?
    /// Messages that were not even sent, until they are told of.
    private var refusals: [(ticket: UInt64?, refusal: PublishRefusal)] = []
    private var phase = ConnectionFailure.Phase.connecting
    /// The tickets of the messages that were published and not acknowledged.
    private var tickets: [Int32: UInt64?] = [:]
    private var nextKeepAlive: MonotonicInstant
    private var finishDeadline: MonotonicInstant?
    private var hasSaidGoodbye = false

    init(_ parameters: MQTTSession.Parameters, version: MQTTSettings.Version, time: any TimeSource) throws(GatewayError) {
        self.parameters = parameters
        self.version = version
        self.time = time
        client = try MosquittoClient(parameters, version: version, at: time.stamp)
        nextKeepAlive = time.now
    }

    /// Blocks until the TCP connection stands, or cannot be made.
    mutating func connect() throws(GatewayError) {
        let result = client.connect(
            host: parameters.cluster.host, port: parameters.cluster.port, keepAliveSeconds: parameters.keepAliveSeconds,
            sessionExpirySeconds: MQTTSettings.seconds(parameters.mqtt.sessionExpiry))
        try require(result)
        phase = parameters.cluster.isTLS ? .handshake : .consent
    }

    /// Sends messages in this order; several of them share packets.
    mutating func publish(_ messages: [MQTTSession.Message]) throws(GatewayError) {
        if messages.count > 1 { holdPackets(true) }
        defer { if messages.count > 1 { holdPackets(false) } }
        for message in messages { try publish(message) }
    }

    /// While packets are held, the kernel sends full ones only.
    private func holdPackets(_ isHeld: Bool) {
        var value: Int32 = isHeld ? 1 : 0
        // Where there is no connection any more, the next call into the library says so.
        _ = setsockopt(client.socket, Int32(IPPROTO_TCP), TCP_CORK, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private mutating func publish(_ message: MQTTSession.Message) throws(GatewayError) {
        var outgoing = OutgoingProperties()
        var topic = message.topic
        if version == .v5 {
            if let expiry = parameters.mqtt.messageExpiry { outgoing.add(.messageExpiryInterval, int32: MQTTSettings.seconds(expiry)) }
            if let type = message.contentType { outgoing.add(.contentType, text: type) }
            for property in message.userProperties { outgoing.add(.userProperty, property.name, property.value) }
            // What waits in the library's queue for room could be overtaken by a message of QoS 0, which would use an alias that is not told yet.
            if message.qualityOfService > 0, tickets.count < Int(properties.receiveMaximum), let alias = aliases.alias(for: message.topic) {
                outgoing.add(.topicAlias, int16: alias.number)
                if !alias.isNew { topic = "" }
            }
        }
        if let refusal = oversize(message, topic, propertyBytes: outgoing.bytes) {
            // The alias may be one that the broker has not been told.
            if outgoing.bytes > 0 { aliases.forget(message.topic) }
            return refusals.append((message.ticket, refusal))
        }
        let (messageID, result) = client.publish(message, topic: topic, outgoing)
        if let refusal = ConnectionFailure.refusal(of: message, code: result.code) {
            aliases.forget(message.topic)
            return refusals.append((message.ticket, refusal))
        }
        try require(result)
        if message.qualityOfService > 0 { tickets[messageID] = .some(message.ticket) }
    }

    /// A packet beyond what the broker takes would end the connection (MQTT 5.0, 3.1.2.11.4), again and again.
    private func oversize(_ message: borrowing MQTTSession.Message, _ topic: String, propertyBytes: Int) -> PublishRefusal? {
        func variableBytes(_ value: Int) -> Int { value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4 }
        let remaining =
            2 + topic.utf8.count + (message.qualityOfService > 0 ? 2 : 0)
            + (version == .v5 ? variableBytes(propertyBytes) + propertyBytes : 0) + message.payload.count
        let packet = 1 + variableBytes(remaining) + remaining
        let limit = Int(min(properties.maximumPacketSize ?? Self.packetBytesMax, Self.packetBytesMax))
        guard packet > limit else { return nil }
        return PublishRefusal(
            reason: .packetTooLarge, isPermanent: true,
            message: "the message takes \(packet) bytes on topic “\(message.topic)”, but the broker takes at most \(limit); "
                + "raise its maximum packet size, or split the scan group")
    }

    /// The largest packet there can be (MQTT 5.0, 2.1.4).
    private static let packetBytesMax: UInt32 = 268_435_455

    mutating func subscribe(_ topic: String) throws(GatewayError) {
        var messageID: Int32 = 0
        try require(client.subscribe(topic, messageID: &messageID))
        subscriptions[messageID] = topic
    }

    /// Works towards an orderly end; returns whether it is reached.
    mutating func finish(within timeout: Duration) -> Bool {
        let now = time.now
        let deadline = finishDeadline ?? now.advanced(by: timeout)
        finishDeadline = deadline
        guard phase == .connected, now < deadline else { return true }
        if !hasSaidGoodbye, tickets.isEmpty, !client.wantsToWrite {
            client.disconnect(withWill: parameters.will != nil)
            hasSaidGoodbye = true
        }
        return false
    }

    /// Waits until there is something to do, and does it.
    mutating func pass(wake: WakePipe, timeoutMilliseconds: Int32) throws(GatewayError) {
        let socket = client.socket
        guard socket >= 0 else { throw failure(MosquittoClient.Result(code: ConnectionFailure.connectionLost, errorNumber: 0)) }
        let write = client.wantsToWrite ? Int16(POLLOUT) : 0
        var descriptors = [
            pollfd(fd: socket, events: Int16(POLLIN) | write, revents: 0), pollfd(fd: wake.readEnd, events: Int16(POLLIN), revents: 0),
        ]
        let timeout = finishDeadline == nil ? timeoutMilliseconds : min(timeoutMilliseconds, 50)
        guard poll(&descriptors, 2, timeout) >= 0 || errno == EINTR else {
            throw failure(MosquittoClient.Result(code: ConnectionFailure.systemError, errorNumber: errno))
        }
        // What was signalled is taken next, so that a signal from now on wakes again.
        if descriptors[1].revents != 0 { wake.clear() }
        let events = descriptors[0].revents
        // Reading comes first: a broker that refuses our certificate says so and hangs up, and a failed write would lose what it said.
        if events & Int16(POLLIN | POLLHUP | POLLERR) != 0 {
            let wasInHandshake = phase == .handshake
            let arrivals = client.mailbox.arrivals
            try require(client.read())
            try checkPacketSize(hasUnderstood: client.mailbox.arrivals != arrivals, socket)
            if phase == .handshake {
                if client.isHandshakeOver {
                    phase = .consent
                } else if wasInHandshake, hasPeerClosed(socket) {
                    // The library would go on waiting for the rest of the handshake.
                    throw failure(MosquittoClient.Result(code: ConnectionFailure.connectionLost, errorNumber: 0))
                }
            }
        }
        if events & Int16(POLLOUT) != 0 { try require(client.write()) }
        let now = time.now
        if now >= nextKeepAlive {
            nextKeepAlive = now.advanced(by: .seconds(1))
            try require(client.keepAlive())
        }
    }

    /// Passes on what the callbacks left.
    mutating func deliver(_ handler: (MQTTSession.Event) -> Void) throws(GatewayError) {
        for event in client.mailbox.take() {
            switch event {
            case .connectAnswer(let answer) where answer.code == 0: handler(.connected(try accept(answer)))
            case .connectAnswer(let answer): throw refusal(answer)
            case .acknowledged(let messageID, let reason, let text):
                // QoS 0 messages are reported too, as soon as they are written; they have no ticket.
                guard let ticket = tickets.removeValue(forKey: messageID) else { continue }
                if reason.isFailure || reason == .noMatchingSubscribers && parameters.mqtt.holdsUnheard {
                    handler(.refused(ticket: ticket, refusal(reason, text)))
                } else if let ticket {
                    handler(.acknowledged(ticket: ticket))
                }
            case .subscribed(let messageID, let reasons, let text):
                guard let topic = subscriptions.removeValue(forKey: messageID) else { continue }
                let refused = reasons.first { $0.isFailure }.map { reason in
                    reason.words(in: .subscribeAnswer, clientID: parameters.clientID) + (text.map { ": “\($0)”" } ?? "")
                }
                handler(.subscribed(topic: topic, refusal: refused))
            case .disconnected(let reason):
                throw ConnectionFailure(parameters, phase: phase, disconnect: reason).error(at: time.utc)
            case .message(let topic, let payload): handler(.message(topic: topic, payload: payload))
            }
        }
        guard !refusals.isEmpty else { return }
        let told = refusals
        refusals.removeAll()
        for (ticket, refusal) in told { handler(.refused(ticket: ticket, refusal)) }
    }

    private mutating func accept(_ answer: ConnectAnswer) throws(GatewayError) -> ConnectionProperties {
        var accepted = answer.properties
        accepted.version = version
        accepted.didFallBack = version != parameters.mqtt.version
        if parameters.cluster.isTLS {
            accepted.tlsVersion = client.tlsVersion
            accepted.cipher = client.cipher
        }
        guard accepted.maximumQualityOfService > 0 else {
            throw ConnectionFailure(parameters, phase: .consent, disconnect: .qualityOfServiceNotSupported).error(at: time.utc)
        }
        phase = .connected
        properties = accepted
        if parameters.mqtt.usesTopicAliases { aliases = TopicAliases(maximum: accepted.topicAliasMaximum) }
        return accepted
    }

    private func refusal(_ answer: ConnectAnswer) -> GatewayError {
        ConnectionFailure(parameters, phase: .consent, connectAnswer: answer).error(at: time.utc)
    }

    private func refusal(_ reason: ReasonCode, _ text: String?) -> PublishRefusal {
        PublishRefusal(
            reason: reason, isPermanent: reason.remedy(in: .publishAnswer) == .messageRefused,
            message: reason.words(in: .publishAnswer, clientID: parameters.clientID) + (text.map { ": “\($0)”" } ?? ""))
    }

    /// Whether the broker does not speak this version of MQTT, which is what ended the connection.
    var isVersionRefused: Bool { phase != .connected && client.mailbox.isVersionRefused }

    /// The library would take a packet of any size into memory, and wait for its end.
    private mutating func checkPacketSize(hasUnderstood: Bool, _ socket: Int32) throws(GatewayError) {
        guard !hasUnderstood, phase != .handshake else {
            stalledAt = nil
            return
        }
        guard let received = Self.bytesReceived(socket) else { return }
        let start = stalledAt ?? received
        stalledAt = start
        guard received > start, received - start > UInt64(ClientMailbox.packetBytesMax) else { return }
        throw GatewayError(
            .protocolViolation, resource: "\(parameters.resource), cluster \(parameters.cluster.name) (\(parameters.cluster.address))",
            operation: "connection",
            "the broker sends a packet of more than \(ClientMailbox.packetBytesMax) bytes, but was told to send no such one", time: time.utc
        )
    }

    /// How many bytes the kernel has received on a connection; `nil` where it does not tell.
    private static func bytesReceived(_ socket: Int32) -> UInt64? {
        // `tcpi_bytes_received` of `struct tcp_info` (linux/tcp.h); the C library's header knows only the fields before.
        let offset = 128
        var information = [UInt8](repeating: 0, count: offset + 8)
        var length = socklen_t(information.count)
        guard getsockopt(socket, Int32(IPPROTO_TCP), TCP_INFO, &information, &length) == 0, Int(length) == information.count else {
            return nil
        }
        return information.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
    }

    /// Whether the peer has closed its side and nothing of it is left to read.
    private func hasPeerClosed(_ socket: Int32) -> Bool {
        var byte: UInt8 = 0
        let count = recv(socket, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
        return count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)
    }

    private func require(_ result: MosquittoClient.Result) throws(GatewayError) {
        if !result.isSuccess { throw failure(result) }
    }

    private func failure(_ result: MosquittoClient.Result) -> GatewayError {
        // A refusal that came with the last bytes explains the end better than the end itself.
        for event in client.mailbox.events {
            switch event {
            case .connectAnswer(let answer) where answer.code != 0: return refusal(answer)
            case .disconnected(let reason): return ConnectionFailure(parameters, phase: phase, disconnect: reason).error(at: time.utc)
            default: continue
            }
        }
        let verification = client.verification
        return ConnectionFailure(
            parameters, phase: phase, code: result.code, errorNumber: result.errorNumber, libraryErrors: client.mailbox.errors,
            verification: verification.number == 0 ? nil : verification.text, verificationNumber: verification.number
        ).error(at: time.utc)
    }
}
