internal import CMosquitto
internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Everything that is known about why a connection failed or ended, and the words for it.
struct ConnectionFailure: Sendable {
    enum Phase: Sendable {
        /// Resolving the name and connecting TCP.
        case connecting
        case handshake
        /// Between CONNECT and CONNACK.
        case consent
        case connected
    }

    static let connectionLost = Int32(MOSQ_ERR_CONN_LOST.rawValue)
    static let systemError = Int32(MOSQ_ERR_ERRNO.rawValue)

    private let resource: String
    private let cluster: RouteConfiguration.Cluster
    private let tls: RouteConfiguration.TLS?
    private let clientID: String
    private let keepAliveSeconds: Int32
    private let phase: Phase
    private let connectAnswer: ConnectAnswer?
    private let disconnect: ReasonCode?
    private let code: Int32
    private let errorNumber: Int32
    private let libraryErrors: [String]
    private let verification: String?
    private let verificationNumber: Int

    init(
        _ parameters: MQTTSession.Parameters, phase: Phase, connectAnswer: ConnectAnswer? = nil, disconnect: ReasonCode? = nil,
        code: Int32 = 0, errorNumber: Int32 = 0, libraryErrors: [String] = [], verification: String? = nil, verificationNumber: Int = 0
    ) {
        resource = parameters.resource
        cluster = parameters.cluster
        tls = parameters.tls
        clientID = parameters.clientID
        keepAliveSeconds = parameters.keepAliveSeconds
        self.phase = phase
        self.connectAnswer = connectAnswer
        self.disconnect = disconnect
        self.code = code
        self.errorNumber = errorNumber
        self.libraryErrors = libraryErrors
        self.verification = verification
        self.verificationNumber = verificationNumber
    }

    /// The error, whose causes are what the library and OpenSSL said.
    func error(at time: Timestamp) -> GatewayError {
        let (kind, message) = diagnosis
        var cause: GatewayError?
        for line in libraryErrors.reversed() {
            cause = GatewayError(.tlsFailed, resource: "libmosquitto", operation: "report", line, time: time, cause: cause)
        }
        if let verification {
            cause = GatewayError(.tlsFailed, resource: "OpenSSL", operation: "verify", verification, time: time, cause: cause)
        }
        return GatewayError(
            kind, resource: "\(resource), cluster \(cluster.name) (\(cluster.address))",
            operation: phase == .connected ? "connection" : "connect", message, time: time, cause: cause)
    }

    private var diagnosis: (GatewayError.Code, String) {
        if let connectAnswer { return refusal(connectAnswer) }
        if let disconnect {
            let code: GatewayError.Code = phase == .connected ? .connectionLost : .refused
            return (code, disconnect.words(in: .disconnect, clientID: clientID))
        }
        if let failure = certificateFailure ?? alert { return failure }
        switch (phase, code) {
        case (_, Int32(MOSQ_ERR_EAI.rawValue)):
            let reason = String(cString: gai_strerror(errorNumber))
            return (
                .connectionFailed, "the name \(cluster.host) cannot be resolved (\(reason)); check the name, and the DNS of this machine"
            )
        // The library begins the handshake before its connect returns; this is how it says that the handshake broke there.
        case (.connecting, Self.systemError) where errorNumber == EPROTO: return brokenHandshake
        case (.connecting, _): return unreachable
        case (_, Int32(MOSQ_ERR_KEEPALIVE.rawValue)):
            return (.timedOut, "the broker did not answer a ping for \(keepAliveSeconds) s; the network or the broker hangs")
        case (.handshake, _): return brokenHandshake
        case (.consent, _):
            return (
                .connectionFailed,
                "the broker closed the connection before it accepted us\(cluster.isTLS ? "; it may refuse our certificate" : "; does it expect TLS?"): "
                    + "the broker's log says why; one that knows only MQTT 3.1.1 may need `mqtt: {version: \"3.1.1\"}`"
            )
        case (.connected, Self.connectionLost), (.connected, Int32(MOSQ_ERR_NO_CONN.rawValue)):
            return (
                .connectionLost,
                "the broker closed the connection; it was stopped, or another client took over the client ID “\(clientID)”"
            )
        case (.connected, _):
            let reason = code == Self.systemError ? String(cString: strerror(errorNumber)) : MosquittoClient.text(of: code)
            return (.connectionLost, "the connection broke: \(reason)")
        }
    }

    private var brokenHandshake: (GatewayError.Code, String) {
        (.tlsFailed, "the broker closed the connection during the TLS handshake; it may refuse our certificate: the broker's log says why")
    }

    private var unreachable: (GatewayError.Code, String) {
        if code == Self.systemError {
            switch errorNumber {
            case ECONNREFUSED:
                return (.connectionFailed, "nothing listens there (connection refused); is the broker running, is the port right?")
            case EHOSTUNREACH, ENETUNREACH:
                return (
                    .connectionFailed,
                    "there is no way to this address (\(String(cString: strerror(errorNumber)))); check cable, route and firewall"
                )
            case ETIMEDOUT: return (.timedOut, "no answer from this address; check the address and the firewalls in between")
            default: return (.connectionFailed, String(cString: strerror(errorNumber)))
            }
        }
        if code == Int32(MOSQ_ERR_TLS.rawValue) {
            return (.tlsFailed, "TLS cannot be set up with the files of this route\(libraryErrors.first.map { ": \($0)" } ?? "")")
        }
        return (.connectionFailed, MosquittoClient.text(of: code))
    }

    /// Why a message will never be taken, by the library's code of its publishing; `nil` where the connection is to blame, or nothing.
    static func refusal(of message: borrowing MQTTSession.Message, code: Int32) -> PublishRefusal? {
        let reason: ReasonCode
        switch code {
        case Int32(MOSQ_ERR_INVAL.rawValue), Int32(MOSQ_ERR_MALFORMED_UTF8.rawValue): reason = .topicNameInvalid
        case Int32(MOSQ_ERR_PAYLOAD_SIZE.rawValue), Int32(MOSQ_ERR_OVERSIZE_PACKET.rawValue): reason = .packetTooLarge
        case Int32(MOSQ_ERR_QOS_NOT_SUPPORTED.rawValue): reason = .qualityOfServiceNotSupported
        default: return nil
        }
        return PublishRefusal(
            reason: reason, isPermanent: true,
            message:
                "a message of \(message.payload.count) bytes cannot be sent on topic “\(message.topic)”: \(MosquittoClient.text(of: code))")
    }

    private func refusal(_ answer: ConnectAnswer) -> (GatewayError.Code, String) {
        guard answer.code >= 0x80, let code = UInt8(exactly: answer.code) else { return refusal(answer.code) }
        var words = ReasonCode(rawValue: code).words(in: .connectAnswer, clientID: clientID)
        if let text = answer.properties.reasonString { words += ": “\(text)”" }
        if let server = answer.properties.serverReference { words += "; it names “\(server)”" }
        return (.refused, words)
    }

    /// CONNACK return codes (MQTT 3.1.1, 3.2.2.3).
    private func refusal(_ answer: Int32) -> (GatewayError.Code, String) {
        switch answer {
        case 1: (.refused, "the broker does not speak MQTT 3.1.1 (CONNACK 1)")
        case 2: (.refused, "the broker refuses the client ID “\(clientID)” (CONNACK 2)")
        case 3: (.refused, "the broker's MQTT service is not available at the moment (CONNACK 3)")
        case 4: (.refused, "the broker refuses the user name or password (CONNACK 4); this gateway identifies itself by its certificate")
        case 5:
            (
                .refused,
                "the broker does not authorise us (CONNACK 5); its access list must admit the certificate's subject or the client ID “\(clientID)”"
            )
        default: (.protocolViolation, "the broker answered CONNECT with \(answer), but only 0 to 5 are defined")
        }
    }

    /// Our refusal of the broker's certificate.
    private var certificateFailure: (GatewayError.Code, String)? {
        guard let verification else { return nil }
        switch verificationNumber {
        case Int(X509_V_ERR_CERT_HAS_EXPIRED):
            return (
                .certificateInvalid, "the broker's certificate has expired; renew it there, or set the clock of this machine if it is wrong"
            )
        case Int(X509_V_ERR_CERT_NOT_YET_VALID):
            return (.certificateInvalid, "the broker's certificate is not valid yet; is the clock of this machine right?")
        case Int(X509_V_ERR_CERT_REVOKED): return (.certificateInvalid, "the broker's certificate was revoked")
        case Int(X509_V_ERR_HOSTNAME_MISMATCH), Int(X509_V_ERR_IP_ADDRESS_MISMATCH):
            return (
                .certificateInvalid,
                "the broker's certificate is not for “\(cluster.host)”; reach it by a name its certificate carries, or add this name to the certificate"
            )
        case Int(X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT), Int(X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN),
            Int(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT), Int(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY),
            Int(X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE), Int(X509_V_ERR_CERT_SIGNATURE_FAILURE):
            return (
                .certificateInvalid,
                "the broker's certificate is not signed by an authority in \(tls?.ca ?? "the CA file"); is it the right CA file, and the right broker?"
            )
        default: return (.certificateInvalid, "the broker's certificate is refused: \(verification)")
        }
    }

    /// TLS alerts of the broker (RFC 8446, 6.2), and answers that are no TLS, by OpenSSL's words for them.
    private var alert: (GatewayError.Code, String)? {
        func said(_ words: String...) -> Bool { libraryErrors.contains { line in words.contains { line.contains($0) } } }
        let certificate = tls?.certificate ?? "(none configured)"
        let oldest = tls?.minimumVersion.rawValue ?? "1.3"
        if said("alert protocol version", "unsupported protocol", "no protocols available", "version too low") {
            return (
                .tlsFailed,
                "the broker offers no TLS \(oldest); enable it there"
                    + (tls?.minimumVersion == .tls13 ? ", or, if that is impossible, set `minimumVersion: \"1.2\"` for this route" : "")
            )
        }
        if said("certificate required", "peer did not return a certificate") {
            return (
                .tlsFailed,
                tls?.certificate == nil
                    ? "the broker requires a client certificate; give the route `certificate` and `key`"
                    : "the broker requires a client certificate and did not accept \(certificate)"
            )
        }
        if said("alert unknown ca") {
            return (
                .tlsFailed, "the broker does not know the authority that signed our certificate \(certificate); its CA file must contain it"
            )
        }
        if said("alert certificate expired") {
            return (
                .certificateInvalid,
                "the broker says that our certificate \(certificate) has expired; renew it, or check the broker's clock"
            )
        }
        if said("alert certificate revoked") {
            return (.certificateInvalid, "the broker says that our certificate \(certificate) was revoked")
        }
        if said("alert bad certificate", "alert unsupported certificate", "alert certificate unknown", "alert access denied") {
            return (.tlsFailed, "the broker refuses our certificate \(certificate): the broker's log says why")
        }
        if said("wrong version number", "packet length too long", "http request", "record layer failure") {
            return (.tlsFailed, "what listens there does not speak TLS; is it the broker's TLS port (often 8883)?")
        }
        if said("alert handshake failure", "no shared cipher", "insufficient security") {
            return (
                .tlsFailed, "the broker and we have no cipher suite in common, or it refuses our certificate: the broker's log says why"
            )
        }
        return nil
    }
}
