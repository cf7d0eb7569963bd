internal import CMosquitto
internal import Identity
internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The owner of one libmosquitto client, for one connection. Used by one thread, which makes every call.
///
/// The library is left in its single-threaded mode and polled by us: it writes at once in `publish`, needs no locks and no second thread.
struct MosquittoClient: ~Copyable {
    /// What a call into the library gave: its code, and the system's error number at that moment.
    struct Result {
        var code: Int32
        var errorNumber: Int32
        var isSuccess: Bool { code == Int32(MOSQ_ERR_SUCCESS.rawValue) }
    }

    private let handle: OpaquePointer
    let mailbox: ClientMailbox
    private let userData: Unmanaged<ClientMailbox>

    /// The library is set up once per process and never torn down.
    private static let library: Void = { _ = mosquitto_lib_init() }()

    private let version: MQTTSettings.Version

    /// Throws a `GatewayError` when the library refuses the client ID, the TLS files are no good, or there is no memory.
    init(_ parameters: MQTTSession.Parameters, version: MQTTSettings.Version, at stamp: ClockStamp) throws(GatewayError) {
        Self.library
        self.version = version
        let mailbox = ClientMailbox()
        let userData = Unmanaged.passRetained(mailbox)
        guard let handle = mosquitto_new(parameters.clientID, true, userData.toOpaque()) else {
            userData.release()
            throw GatewayError(
                .configurationInvalid, resource: parameters.resource, operation: "connect",
                "libmosquitto refuses the client ID “\(parameters.clientID)”: \(String(cString: strerror(errno)))")
        }
        do throws(GatewayError) {
            try Self.configure(handle, parameters, version, at: stamp)
        } catch {
            mosquitto_destroy(handle)
            userData.release()
            throw error
        }
        self.handle = handle
        self.mailbox = mailbox
        self.userData = userData
    }

    deinit {
        mosquitto_destroy(handle)
        userData.release()
    }

    private static func configure(
        _ handle: OpaquePointer, _ parameters: MQTTSession.Parameters, _ version: MQTTSettings.Version, at stamp: ClockStamp
    ) throws(GatewayError) {
        func require(_ code: Int32, _ what: String) throws(GatewayError) {
            guard code != Int32(MOSQ_ERR_SUCCESS.rawValue) else { return }
            throw GatewayError(
                .configurationInvalid, resource: parameters.resource, operation: "connect",
                "libmosquitto refuses \(what): \(text(of: code))")
        }
        let number = version == .v5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311
        try require(mosquitto_int_option(handle, MOSQ_OPT_PROTOCOL_VERSION, Int32(number)), "MQTT \(version.rawValue)")
        try require(mosquitto_int_option(handle, MOSQ_OPT_TCP_NODELAY, 1), "TCP_NODELAY")
        // Our own window rules; the library's, of 20 messages, would queue what goes beyond it.
        try require(mosquitto_int_option(handle, MOSQ_OPT_SEND_MAXIMUM, 65_535), "the send maximum")
        if let tls = parameters.tls {
            // The library reads files itself only when it connects, and knows no keys of a token under their own PIN.
            let credentials = if let given = parameters.credentials { given } else { try TLSCredentials(tls.files) }
            let context = try credentials.context(for: parameters.cluster.host, oldestVersion: tls.oldestVersion, at: stamp)
            try require(mosquitto_int_option(handle, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0), "the TLS context")
            // It takes a reference of its own.
            try require(
                mosquitto_void_option(handle, MOSQ_OPT_SSL_CTX, UnsafeMutableRawPointer(context.pointer)), "the TLS context")
        }
        if let will = parameters.will {
            var properties = OutgoingProperties()
            let delay = MQTTSettings.seconds(parameters.mqtt.willDelay)
            if version == .v5, delay > 0 { properties.add(.willDelayInterval, int32: delay) }
            let code = mosquitto_will_set_v5(
                handle, will.topic, Int32(will.payload.count), will.payload, will.qualityOfService, will.retain, properties.take())
            try require(code, "the will")
        }
        mosquitto_connect_v5_callback_set(handle) { _, data, code, flags, properties in
            ClientMailbox.of(data)?.put(.connectAnswer(ConnectAnswer(code, flags: flags, IncomingProperties(list: properties))))
        }
        mosquitto_publish_v5_callback_set(handle) { _, data, messageID, code, properties in
            let reason = ReasonCode(rawValue: UInt8(truncatingIfNeeded: code))
            let text = reason.isFailure ? IncomingProperties(list: properties).text(.reasonString) : nil
            ClientMailbox.of(data)?.put(.acknowledged(messageID: messageID, reason: reason, text: text))
        }
        mosquitto_subscribe_v5_callback_set(handle) { _, data, messageID, count, codes, properties in
            let granted = UnsafeBufferPointer(start: codes, count: Int(min(max(0, count), ClientMailbox.subscriptionCodesMax)))
            ClientMailbox.of(data)?.put(
                .subscribed(
                    messageID: messageID, reasons: granted.map { ReasonCode(rawValue: UInt8(truncatingIfNeeded: $0)) },
                    text: IncomingProperties(list: properties).text(.reasonString)))
        }
        mosquitto_disconnect_v5_callback_set(handle) { _, data, code, _ in
            // Smaller numbers are the library's own; what it said is told by the call that failed.
            guard let reason = UInt8(exactly: code).map(ReasonCode.init), reason.isFailure else { return }
            ClientMailbox.of(data)?.put(.disconnected(reason))
        }
        mosquitto_message_callback_set(handle) { _, data, message in
            guard let mailbox = ClientMailbox.of(data), let message, let topic = message.pointee.topic else { return }
            let count = Int(message.pointee.payloadlen)
            guard count <= ClientMailbox.messageBytesMax else { return mailbox.dropMessage() }
            mailbox.put(
                .message(
                    topic: String(cString: topic), payload: [UInt8](UnsafeRawBufferPointer(start: message.pointee.payload, count: count))))
        }
        mosquitto_log_callback_set(handle) { handle, data, level, text in
            guard level == MOSQ_LOG_ERR, let handle, let text, let mailbox = ClientMailbox.of(data) else { return }
            mailbox.putError(String(cString: text))
            // The library may free the session before it returns; what its verification found is there only now.
            let verification = cmosquitto_verify_result(handle)
            if verification != 0 { mailbox.verification = verification }
        }
    }

    /// Resolves the name, connects TCP (both block) and begins the TLS handshake.
    func connect(host: String, port: UInt16, keepAliveSeconds: Int32, sessionExpirySeconds: UInt32) -> Result {
        var properties = OutgoingProperties()
        if version == .v5 {
            if sessionExpirySeconds > 0 { properties.add(.sessionExpiryInterval, int32: sessionExpirySeconds) }
            properties.add(.maximumPacketSize, int32: UInt32(ClientMailbox.packetBytesMax))
        }
        errno = 0
        let code = mosquitto_connect_bind_v5(handle, host, Int32(port), keepAliveSeconds, nil, properties.list)
        return Result(code: code, errorNumber: errno)
    }

    /// -1 where there is none.
    var socket: Int32 { mosquitto_socket(handle) }
    var wantsToWrite: Bool { mosquitto_want_write(handle) }
    var isHandshakeOver: Bool { cmosquitto_tls_is_established(handle) != 0 }
    var tlsVersion: String? { cmosquitto_tls_version(handle).map { String(cString: $0) } }
    var cipher: String? { cmosquitto_tls_cipher(handle).map { String(cString: $0) } }
    /// Why the broker's certificate was refused, in OpenSSL's number and words.
    var verification: (number: Int, text: String) {
        let present = cmosquitto_verify_result(handle)
        let result = present != 0 ? present : mailbox.verification
        return (result, String(cString: cmosquitto_verify_text(result)))
    }

    func read() -> Result {
        errno = 0
        let code = mosquitto_loop_read(handle, 1)
        return Result(code: code, errorNumber: errno)
    }

    func write() -> Result {
        errno = 0
        let code = mosquitto_loop_write(handle, 1)
        return Result(code: code, errorNumber: errno)
    }

    /// Pings, and notices when a ping is not answered.
    func keepAlive() -> Result {
        errno = 0
        let code = mosquitto_loop_misc(handle)
        return Result(code: code, errorNumber: errno)
    }

    /// `topic` may be empty where the properties have an alias for it.
    func publish(
        _ message: borrowing MQTTSession.Message, topic: String, _ properties: borrowing OutgoingProperties
    ) -> (messageID: Int32, result: Result) {
        var messageID: Int32 = 0
        errno = 0
        let code = mosquitto_publish_v5(
            handle, &messageID, topic, Int32(message.payload.count), message.payload, message.qualityOfService, message.retain,
            properties.list)
        return (messageID, Result(code: code, errorNumber: errno))
    }

    func subscribe(_ topic: String, messageID: inout Int32) -> Result {
        errno = 0
        let code = mosquitto_subscribe(handle, &messageID, topic, 1)
        return Result(code: code, errorNumber: errno)
    }

    /// With MQTT 5, `withWill` asks the broker to publish the will all the same (MQTT 5, 3.14.2.1, reason code 0x04).
    func disconnect(withWill: Bool) { _ = mosquitto_disconnect_v5(handle, withWill ? 4 : 0, nil) }

    static func text(of code: Int32) -> String { String(cString: mosquitto_strerror(code)) }
}

extension ClientMailbox {
    fileprivate static func of(_ data: UnsafeMutableRawPointer?) -> ClientMailbox? {
        data.map { Unmanaged<ClientMailbox>.fromOpaque($0).takeUnretainedValue() }
    }
}
