/// Why a broker answers as it does: a reason code of MQTT 5.0 (2.4, Table 2-6), with words for people.
///
/// Codes that the standard does not know are kept as they came.
package struct ReasonCode: RawRepresentable, Sendable, Hashable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The packet that carries the code: the same code can mean different things to do.
    package enum Packet: String, Sendable, Hashable, CaseIterable {
        /// MQTT 5.0, 3.2.2.2.
        case connectAnswer = "CONNACK"
        /// MQTT 5.0, 3.4.2.1.
        case publishAnswer = "PUBACK"
        /// MQTT 5.0, 3.9.3.
        case subscribeAnswer = "SUBACK"
        /// MQTT 5.0, 3.14.2.1.
        case disconnect = "DISCONNECT"
    }

    /// What helps against a refusal.
    package enum Remedy: String, Sendable, Hashable {
        /// It passes: the same again, later.
        case retryLater
        /// This broker will not do it, another may.
        case tryAnotherCluster
        /// Somebody has to change something, at the gateway or at the broker; until then it stays refused.
        case configurationWrong
        /// This very message will be refused for ever; others may pass.
        case messageRefused
    }

    package static let success = ReasonCode(rawValue: 0x00)
    package static let noMatchingSubscribers = ReasonCode(rawValue: 0x10)
    package static let unspecifiedError = ReasonCode(rawValue: 0x80)
    package static let malformedPacket = ReasonCode(rawValue: 0x81)
    package static let protocolError = ReasonCode(rawValue: 0x82)
    package static let implementationSpecificError = ReasonCode(rawValue: 0x83)
    package static let unsupportedProtocolVersion = ReasonCode(rawValue: 0x84)
    package static let clientIdentifierNotValid = ReasonCode(rawValue: 0x85)
    package static let badUserNameOrPassword = ReasonCode(rawValue: 0x86)
    package static let notAuthorized = ReasonCode(rawValue: 0x87)
    package static let serverUnavailable = ReasonCode(rawValue: 0x88)
    package static let serverBusy = ReasonCode(rawValue: 0x89)
    package static let banned = ReasonCode(rawValue: 0x8A)
    package static let serverShuttingDown = ReasonCode(rawValue: 0x8B)
    package static let badAuthenticationMethod = ReasonCode(rawValue: 0x8C)
    package static let keepAliveTimeout = ReasonCode(rawValue: 0x8D)
    package static let sessionTakenOver = ReasonCode(rawValue: 0x8E)
    package static let topicFilterInvalid = ReasonCode(rawValue: 0x8F)
    package static let topicNameInvalid = ReasonCode(rawValue: 0x90)
    package static let packetIdentifierInUse = ReasonCode(rawValue: 0x91)
    package static let packetIdentifierNotFound = ReasonCode(rawValue: 0x92)
    package static let receiveMaximumExceeded = ReasonCode(rawValue: 0x93)
    package static let topicAliasInvalid = ReasonCode(rawValue: 0x94)
    package static let packetTooLarge = ReasonCode(rawValue: 0x95)
    package static let messageRateTooHigh = ReasonCode(rawValue: 0x96)
    package static let quotaExceeded = ReasonCode(rawValue: 0x97)
    package static let administrativeAction = ReasonCode(rawValue: 0x98)
    package static let payloadFormatInvalid = ReasonCode(rawValue: 0x99)
    package static let retainNotSupported = ReasonCode(rawValue: 0x9A)
    package static let qualityOfServiceNotSupported = ReasonCode(rawValue: 0x9B)
    package static let useAnotherServer = ReasonCode(rawValue: 0x9C)
    package static let serverMoved = ReasonCode(rawValue: 0x9D)
    package static let sharedSubscriptionsNotSupported = ReasonCode(rawValue: 0x9E)
    package static let connectionRateExceeded = ReasonCode(rawValue: 0x9F)
    package static let maximumConnectTime = ReasonCode(rawValue: 0xA0)
    package static let subscriptionIdentifiersNotSupported = ReasonCode(rawValue: 0xA1)
    package static let wildcardSubscriptionsNotSupported = ReasonCode(rawValue: 0xA2)

    /// Codes from 0x80 on say that something failed (MQTT 5.0, 2.4).
    package var isFailure: Bool { rawValue >= 0x80 }

    /// The code as the standard writes it, for example `0x87`.
    package var number: String {
        let digits = String(rawValue, radix: 16, uppercase: true)
        return "0x" + (digits.count < 2 ? "0" : "") + digits
    }

    /// What to do about it.
    package func remedy(in packet: Packet) -> Remedy {
        switch self {
        case .serverBusy, .connectionRateExceeded, .messageRateTooHigh, .keepAliveTimeout, .packetIdentifierInUse,
            .packetIdentifierNotFound,
            .receiveMaximumExceeded, .administrativeAction, .unspecifiedError, .implementationSpecificError, .maximumConnectTime:
            .retryLater
        case .quotaExceeded: .retryLater
        case .serverUnavailable, .serverShuttingDown, .useAnotherServer, .serverMoved: .tryAnotherCluster
        case .topicNameInvalid, .payloadFormatInvalid, .packetTooLarge: packet == .connectAnswer ? .configurationWrong : .messageRefused
        case .malformedPacket, .protocolError: packet == .publishAnswer ? .messageRefused : .tryAnotherCluster
        case .unsupportedProtocolVersion, .clientIdentifierNotValid, .badUserNameOrPassword, .notAuthorized, .banned,
            .badAuthenticationMethod, .sessionTakenOver, .topicFilterInvalid, .topicAliasInvalid, .retainNotSupported,
            .qualityOfServiceNotSupported, .sharedSubscriptionsNotSupported, .subscriptionIdentifiersNotSupported,
            .wildcardSubscriptionsNotSupported:
            .configurationWrong
        default: .retryLater
        }
    }

    /// What happened, and what to do: a sentence without a full stop.
    ///
    /// - Parameters:
    ///   - packet: what carried the code.
    ///   - clientID: who we are to the broker, for the sentences in which that matters.
    package func words(in packet: Packet, clientID: String) -> String {
        "\(sentence(packet, clientID)) (\(packet.rawValue) \(number))"
    }

    private func sentence(_ packet: Packet, _ clientID: String) -> String {
        switch self {
        case .unspecifiedError: "the broker refuses and gives no reason; its log says why"
        case .malformedPacket:
            "the broker could not read what we sent; this is a fault of one of the two, please report it with the broker's log"
        case .protocolError:
            "the broker says that we broke the rules of MQTT; this is a fault of one of the two, please report it with the broker's log"
        case .implementationSpecificError: "the broker refuses for a reason of its own; its log says why"
        case .unsupportedProtocolVersion: "the broker does not speak this version of MQTT; set `mqtt: {version: \"3.1.1\"}` for this route"
        case .clientIdentifierNotValid: "the broker refuses the client ID “\(clientID)”; give the route another `clientID`"
        case .badUserNameOrPassword:
            "the broker refuses the user name or password; this gateway identifies itself by its certificate, which the broker must be set up for"
        case .notAuthorized: notAuthorized(packet, clientID)
        case .serverUnavailable: "the broker's MQTT service is not available at the moment"
        case .serverBusy: "the broker is busy; it is tried again later"
        case .banned: "the broker has banned the client ID “\(clientID)”; its administrator must lift that"
        case .serverShuttingDown: "the broker is shutting down"
        case .badAuthenticationMethod:
            "the broker wants another way of authentication; this gateway identifies itself by its certificate, which the broker must be set up for"
        case .keepAliveTimeout: "the broker heard nothing from us for longer than the keep-alive; the network or this machine hangs"
        case .sessionTakenOver:
            "another client took over the client ID “\(clientID)”; two gateways have the same name, give one of them another `clientID`"
        case .topicFilterInvalid: "the broker does not accept the topic that we subscribe to; its rules for topics must allow it"
        case .topicNameInvalid: "the broker does not accept this topic; change the route's `topic`, or the broker's rules for topics"
        case .packetIdentifierInUse: "the broker still holds a message of this number; it is sent again"
        case .packetIdentifierNotFound: "the broker does not know the message that an answer was for"
        case .receiveMaximumExceeded: "we sent more messages at once than the broker takes; lower the route's `inFlight`"
        case .topicAliasInvalid: "the broker does not know the topic alias that we used; set `mqtt: {topicAliases: false}` for this route"
        case .packetTooLarge: "the message is larger than the broker takes; raise its maximum packet size, or split the scan group"
        case .messageRateTooHigh: "we sent faster than the broker allows; raise its limit, or give the route a lower rate"
        case .quotaExceeded: quotaExceeded(packet)
        case .administrativeAction: "the broker's administrator ended the connection"
        case .payloadFormatInvalid: "the broker does not accept the form of this message; its schema rules must allow the route's `payload`"
        case .retainNotSupported: "the broker keeps no retained messages"
        case .qualityOfServiceNotSupported: "the broker takes QoS 0 only, but samples need acknowledgements; allow QoS 1 there"
        case .useAnotherServer: "the broker asks us to use another server for now"
        case .serverMoved: "the broker has moved; change the cluster's `url`"
        case .sharedSubscriptionsNotSupported: "the broker has no shared subscriptions; enable them there"
        case .connectionRateExceeded: "the broker refuses because connections come too fast; it is tried again later"
        case .maximumConnectTime: "the connection has lasted as long as the broker allows; a new one is made"
        case .subscriptionIdentifiersNotSupported: "the broker has no subscription identifiers"
        case .wildcardSubscriptionsNotSupported: "the broker allows no subscriptions with wildcards (`+`, `#`); enable them there"
        default: isFailure ? "the broker refuses with a code that the standard does not know" : "the broker agrees"
        }
    }

    private func notAuthorized(_ packet: Packet, _ clientID: String) -> String {
        switch packet {
        case .connectAnswer:
            "the broker does not authorise us; its access list must admit the certificate's subject or the client ID “\(clientID)”"
        case .publishAnswer: "the broker does not let us publish on this topic; its access list must allow writing there"
        case .subscribeAnswer: "the broker does not let us subscribe to this topic; its access list must allow reading there"
        case .disconnect: "the broker no longer authorises us; its access list must admit the certificate's subject"
        }
    }

    private func quotaExceeded(_ packet: Packet) -> String {
        switch packet {
        case .publishAnswer: "the broker has no room for more messages at the moment; it is sent again later"
        case .connectAnswer, .subscribeAnswer, .disconnect: "a limit of the broker is used up; raise it there, or wait"
        }
    }
}

extension ReasonCode: CustomStringConvertible {
    package var description: String { number }
}
