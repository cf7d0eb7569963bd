internal import Compression
internal import Envelope
internal import GatewayCore
internal import Sparkplug
internal import Telemetry

/// What is done to the messages of a route before they leave: made smaller, then sealed.
package struct MessageForm: Sendable, Hashable {
    /// How messages are made smaller, where that pays.
    package enum Compression: String, Sendable, Hashable, CaseIterable {
        case none
        /// What hosts with Eclipse Tahu's libraries understand.
        case gzip
        /// Smaller, and for our own receiving end.
        case zstd
    }

    /// End-to-end encryption, whatever the broker is.
    package struct Sealing: Sendable, Hashable {
        /// The name of the suite: `aes256gcm`, `chacha20poly1305` or `sm`.
        package var suite: String
        /// The file of the gateway's signing key.
        package var signingKey: String
        /// The files of the public keys that content keys are wrapped for, by cluster.
        package var recipients: [String: [String]]
        /// After how long a new content key is made, and the files are read again.
        package var period: Duration

        package init(suite: String, signingKey: String, recipients: [String: [String]], period: Duration) {
            self.suite = suite
            self.signingKey = signingKey
            self.recipients = recipients
            self.period = period
        }
    }

    package var compression = Compression.none
    package var sealing: Sealing?

    package init(compression: Compression = .none, sealing: Sealing? = nil) {
        self.compression = compression
        self.sealing = sealing
    }
}

/// Brings the messages for one cluster into the form in which they leave.
struct MessageFormer {
    /// In the order in which they are tried.
    private let compressors: [Compressor]
    private let sealer: EnvelopeSealer?

    /// Throws a `GatewayError` when a key cannot be read, or does not fit the suite.
    init(_ configuration: RouteConfiguration, cluster: String) throws(GatewayError) {
        var isSparkplug = false
        if case .sparkplugB = configuration.payload { isSparkplug = true }
        compressors =
            switch configuration.form.compression {
            case .none: []
            case .gzip: [Compressor(.gzip)]
            case .zstd: isSparkplug ? [Compressor(.columns), Compressor(.zstd)] : [Compressor(.zstd)]
            }
        guard let sealing = configuration.form.sealing else {
            sealer = nil
            return
        }
        guard let suite = EnvelopeSuite(rawValue: sealing.suite), let recipients = sealing.recipients[cluster] else {
            throw GatewayError(
                .configurationInvalid, resource: configuration.resource, operation: "configure",
                "the envelope has the suite “\(sealing.suite)” and recipients for \(sealing.recipients.keys.sorted().joined(separator: ", ")), "
                    + "but cluster \(cluster) needs one of its own")
        }
        sealer = try EnvelopeSealer(
            suite: suite, gateway: configuration.site, route: configuration.name, cluster: cluster, epoch: configuration.epoch,
            period: sealing.period
        ) { () throws(GatewayError) in
            var keys: [EnvelopePublicKey] = []
            for file in recipients { keys.append(try EnvelopePublicKey(file: file)) }
            return EnvelopeKeys(signing: try EnvelopePrivateKey(file: sealing.signingKey), recipients: keys)
        }
    }

    /// Whether commands can come back: whoever holds the broker could write them, so that a sealed route takes none but the rebirth.
    var isSealed: Bool { sealer != nil }

    /// The message as it leaves.
    ///
    /// - Parameter batch: the batch that it carries, if it is one.
    /// - Throws: a `GatewayError`; a message that cannot be sealed must not leave.
    func form(_ message: MQTTSession.Message, batch: SampleBatch? = nil, at time: Timestamp) throws(GatewayError) -> MQTTSession.Message {
        if compressors.isEmpty, sealer == nil { return message }
        var message = message
        let topic = SparkplugTopic(message.topic)
        try compress(&message, isSparkplug: topic != nil)
        if let sealer {
            let kind: EnvelopeKind =
                switch topic?.type {
                case .nodeBirth, .deviceBirth: .birth
                case .deviceDeath: .death
                case .nodeDeath: .will
                default: .data
                }
            let key =
                kind == .data ? batch.map { EnvelopeBatchKey(epoch: $0.epoch, stream: $0.stream.rawValue, sequence: $0.sequence) } : nil
            let sealed = try sealer.seal(kind, topic: message.topic, payload: message.payload, batch: key, at: time)
            message.topic = sealed.topic
            message.payload = sealed.bytes
            message.contentType = nil
        }
        return message
    }

    private func compress(_ message: inout MQTTSession.Message, isSparkplug: Bool) throws(GatewayError) {
        for compressor in compressors {
            guard let compressed = compressor.compress(message.payload) else { continue }
            if isSparkplug {
                let outer = CompressedPayload(algorithm: compressor.algorithm.rawValue, body: compressed)
                let encoded = try outer.encoded(around: message.payload)
                guard encoded.count < message.payload.count else { continue }
                message.payload = encoded
            } else {
                message.payload = compressed
                message.contentType = nil
            }
            return
        }
    }
}
