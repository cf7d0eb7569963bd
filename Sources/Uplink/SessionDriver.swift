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
    private var phase = ConnectionFailure.Phase.connecting
    /// The tickets of the messages that were published and not acknowledged.
    private var tickets: [Int32: UInt64?] = [:]
    private var nextKeepAlive: MonotonicInstant
    private var finishDeadline: MonotonicInstant?
    private var hasSaidGoodbye = false

    init(_ parameters: MQTTSession.Parameters, time: any TimeSource) throws(GatewayError) {
        self.parameters = parameters
        self.time = time
        client = try MosquittoClient(parameters)
        nextKeepAlive = time.now
    }

    /// Blocks until the TCP connection stands, or cannot be made.
    mutating func connect() throws(GatewayError) {
        let result = client.connect(
            host: parameters.cluster.host, port: parameters.cluster.port, keepAliveSeconds: parameters.keepAliveSeconds)
        try require(result)
        phase = parameters.cluster.isTLS ? .handshake : .consent
    }

    mutating func publish(_ message: MQTTSession.Message) throws(GatewayError) {
        let (messageID, result) = client.publish(message)
        try require(result)
        if message.qualityOfService > 0 { tickets[messageID] = .some(message.ticket) }
    }

    func subscribe(_ topic: String) throws(GatewayError) { try require(client.subscribe(topic)) }

    /// Works towards an orderly end; returns whether it is reached.
    mutating func finish(within timeout: Duration) -> Bool {
        let now = time.now
        let deadline = finishDeadline ?? now.advanced(by: timeout)
        finishDeadline = deadline
        guard phase == .connected, now < deadline else { return true }
        if !hasSaidGoodbye, tickets.isEmpty, !client.wantsToWrite {
            client.disconnect()
            hasSaidGoodbye = true
        }
        return false
    }

    /// Waits until there is something to do, and does it.
    mutating func pass(wake: Int32, timeoutMilliseconds: Int32) throws(GatewayError) {
        let socket = client.socket
        guard socket >= 0 else { throw failure(MosquittoClient.Result(code: ConnectionFailure.connectionLost, errorNumber: 0)) }
        let write = client.wantsToWrite ? Int16(POLLOUT) : 0
        var descriptors = [
            pollfd(fd: socket, events: Int16(POLLIN) | write, revents: 0), pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
        ]
        let timeout = finishDeadline == nil ? timeoutMilliseconds : min(timeoutMilliseconds, 50)
        guard poll(&descriptors, 2, timeout) >= 0 || errno == EINTR else {
            throw failure(MosquittoClient.Result(code: ConnectionFailure.systemError, errorNumber: errno))
        }
        let events = descriptors[0].revents
        // Reading comes first: a broker that refuses our certificate says so and hangs up, and a failed write would lose what it said.
        if events & Int16(POLLIN | POLLHUP | POLLERR) != 0 {
            let wasInHandshake = phase == .handshake
            try require(client.read())
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
            case .connectAnswer(0):
                phase = .connected
                let isTLS = parameters.cluster.isTLS
                handler(.connected(tlsVersion: isTLS ? client.tlsVersion : nil, cipher: isTLS ? client.cipher : nil))
            case .connectAnswer(let code):
                throw ConnectionFailure(parameters, phase: .consent, connectAnswer: code).error(at: time.utc)
            case .acknowledged(let messageID):
                // QoS 0 messages are reported too, as soon as they are written; they have no ticket.
                if let ticket = tickets.removeValue(forKey: messageID) ?? nil { handler(.acknowledged(ticket: ticket)) }
            case .subscribed: handler(.subscribed)
            case .message(let topic, let payload): handler(.message(topic: topic, payload: payload))
            }
        }
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
        for case .connectAnswer(let code) in client.mailbox.events where code != 0 {
            return ConnectionFailure(parameters, phase: .consent, connectAnswer: code).error(at: time.utc)
        }
        let verification = client.verification
        return ConnectionFailure(
            parameters, phase: phase, code: result.code, errorNumber: result.errorNumber, libraryErrors: client.mailbox.errors,
            verification: verification.number == 0 ? nil : verification.text, verificationNumber: verification.number
        ).error(at: time.utc)
    }
}
