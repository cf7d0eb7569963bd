internal import GatewayCore
internal import Telemetry

/// Decides what a consumer says to a packet, and when it pings or gives up.
struct ConsumerMachine: Sendable {
    enum Action: Equatable {
        case none
        /// Connected: subscribe.
        case subscribe(ConnectionProperties)
        case deliver(ReceivedMessage)
    }

    /// Why a connection must end: what the broker is told, and what people are told.
    struct Ending: Error {
        /// `nil` where the broker ended it.
        var farewell: ReasonCode?
        var code: GatewayError.Code
        var message: String
    }

    private let clientID: String
    private let filters: [String]
    private var keepAlive: Duration
    private var lastSent: MonotonicInstant
    private var lastReceived: MonotonicInstant
    private var isConnected = false

    init(_ settings: Consumer.Settings, at now: MonotonicInstant) {
        clientID = settings.clientID
        filters = settings.subscriptions.map { $0.filter }
        keepAlive = settings.keepAlive
        lastSent = now
        lastReceived = now
    }

    mutating func receive(_ packet: ReceivedPacket, at now: MonotonicInstant) throws(Ending) -> Action {
        lastReceived = now
        switch packet {
        case .connectAnswer(let reason, let isSessionPresent, let properties):
            guard !isConnected else { throw violation("the broker answers CONNECT twice") }
            return try connectAnswer(reason, isSessionPresent, properties)
        case _ where !isConnected:
            if case .disconnect(let reason, let properties) = packet { throw farewell(reason, properties) }
            throw violation("the broker sends before it has answered CONNECT")
        case .subscribeAnswer(_, let reasons, let properties):
            guard reasons.count == filters.count else {
                throw violation("the broker answers \(reasons.count) subscriptions, but \(filters.count) were asked for")
            }
            for (filter, reason) in zip(filters, reasons) where reason.isFailure {
                throw Ending(
                    farewell: .success, code: .refused,
                    message: "“\(filter)”: " + reason.words(in: .subscribeAnswer, clientID: clientID) + said(properties))
            }
            return .none
        case .publish(let message):
            guard message.qualityOfService < 2 else { throw violation("the broker sends with QoS 2, but QoS 1 was asked for") }
            return .deliver(message)
        case .pingAnswer: return .none
        case .disconnect(let reason, let properties): throw farewell(reason, properties)
        }
    }

    private mutating func connectAnswer(
        _ reason: ReasonCode, _ isSessionPresent: Bool, _ properties: ReceivedProperties
    ) throws(Ending) -> Action {
        guard reason == .success else {
            // 1 is how a broker of 3.1.1 says that it knows no 5 (MQTT 3.1.1, 3.2.2.3).
            let known = reason.rawValue == 1 ? .unsupportedProtocolVersion : reason
            throw Ending(
                farewell: nil, code: .refused, message: known.words(in: .connectAnswer, clientID: clientID) + said(properties))
        }
        isConnected = true
        var accepted = ConnectionProperties()
        accepted.isSessionPresent = isSessionPresent
        accepted.receiveMaximum = UInt16(clamping: max(1, properties.number(.receiveMaximum) ?? 65_535))
        accepted.maximumQualityOfService = UInt8(clamping: properties.number(.maximumQualityOfService) ?? 2)
        accepted.keepsRetained = properties.number(.retainAvailable) != 0
        accepted.maximumPacketSize = properties.number(.maximumPacketSize)
        accepted.assignedClientID = properties.text(.assignedClientIdentifier)
        accepted.serverKeepAlive = properties.number(.serverKeepAlive).map { UInt16(clamping: $0) }
        accepted.hasSharedSubscriptions = properties.number(.sharedSubscriptionAvailable) != 0
        accepted.reasonString = properties.text(.reasonString)
        if let seconds = accepted.serverKeepAlive { keepAlive = .seconds(Int64(seconds)) }
        if !accepted.hasSharedSubscriptions, filters.contains(where: { $0.hasPrefix("$share/") }) {
            throw Ending(
                farewell: .success, code: .refused,
                message: ReasonCode.sharedSubscriptionsNotSupported.words(in: .connectAnswer, clientID: clientID))
        }
        return .subscribe(accepted)
    }

    mutating func didSend(at now: MonotonicInstant) { lastSent = now }

    /// Whether to ping now. Throws when the broker has been silent for too long.
    func isPingDue(at now: MonotonicInstant) throws(Ending) -> Bool {
        guard isConnected, keepAlive > .zero else { return false }
        guard lastReceived.duration(to: now) < keepAlive + keepAlive / 2 else {
            throw Ending(
                farewell: .keepAliveTimeout, code: .timedOut,
                message: "nothing came from the broker for \(keepAlive + keepAlive / 2); the network or the broker hangs")
        }
        // At half time, so that an answer is there before the other half is over.
        return lastSent.duration(to: now) >= keepAlive / 2 || lastReceived.duration(to: now) >= keepAlive / 2 && lastSent <= lastReceived
    }

    func violation(_ malformed: MalformedPacket) -> Ending {
        Ending(farewell: malformed.reason, code: .protocolViolation, message: "the broker does not keep to MQTT: \(malformed.message)")
    }

    private func violation(_ message: String) -> Ending { violation(MalformedPacket(message, .protocolError)) }

    private func farewell(_ reason: ReasonCode, _ properties: ReceivedProperties) -> Ending {
        let message =
            reason == .success ? "the broker ended the connection" : reason.words(in: .disconnect, clientID: clientID) + said(properties)
        return Ending(farewell: nil, code: .connectionLost, message: message)
    }

    private func said(_ properties: ReceivedProperties) -> String {
        properties.text(.reasonString).map { ": “\($0.prefix(IncomingProperties.textMax))”" } ?? ""
    }
}
