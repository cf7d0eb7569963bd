internal import Synchronization
package import Telemetry

/// The keys a gateway seals with: its own to sign, and those of everybody who may read.
package struct EnvelopeKeys: Sendable {
    package var signing: EnvelopePrivateKey
    package var recipients: [EnvelopePublicKey]

    package init(signing: EnvelopePrivateKey, recipients: [EnvelopePublicKey]) {
        self.signing = signing
        self.recipients = recipients
    }
}

/// Closes messages of one gateway for one cluster, in the order in which it is asked to.
///
/// A content key lives in memory only and for one period; the costly steps with the recipients' keys are done once per period. Each
/// envelope is complete: it carries the wrapped content key, so that whoever joins later, or takes over, opens it without what came before.
package final class EnvelopeSealer: Sendable {
    package let suite: EnvelopeSuite
    package let gateway: String
    package let route: String
    package let cluster: String
    private let epoch: UInt32
    private let period: Duration
    private let loadKeys: @Sendable () throws(GatewayError) -> EnvelopeKeys
    private let state: Mutex<State>

    private struct State: ~Copyable {
        var keys: EnvelopeKeys
        var nextGeneration: UInt32 = 0
        var current: Period?
        var lastError: GatewayError?
    }

    /// What stays the same for one content key.
    private struct Period: ~Copyable {
        let cipher: ContentCipher
        let session: EnvelopeSession
        /// The array of recipients, encoded.
        let recipients: [UInt8]
        let began: Timestamp
        var counter: UInt64 = 0
    }

    /// The most envelopes under one content key: far below what AES-GCM allows (RFC 9053, 4.1).
    static let envelopesMax: UInt64 = 1 << 32

    /// - Parameters:
    ///   - gateway, route, cluster: 1 to 128 bytes each; the gateway's name is a level of the topic.
    ///   - epoch: the number of this start of the process.
    ///   - period: after how long a new content key is made.
    ///   - keys: reads the keys; asked now and at the beginning of each period. What it throws later keeps the keys of before.
    /// - Throws: a `GatewayError` with code `configurationInvalid`, or what `keys` throws.
    package init(
        suite: EnvelopeSuite, gateway: String, route: String, cluster: String, epoch: UInt32, period: Duration,
        keys: @escaping @Sendable () throws(GatewayError) -> EnvelopeKeys
    ) throws(GatewayError) {
        self.suite = suite
        self.gateway = gateway
        self.route = route
        self.cluster = cluster
        self.epoch = epoch
        self.period = period
        loadKeys = keys
        for name in [gateway, route, cluster] {
            guard (1...EnvelopeLimits.nameBytesMax).contains(name.utf8.count), !name.utf8.contains(where: { "/+#\0".utf8.contains($0) })
            else {
                throw GatewayError(
                    .configurationInvalid, resource: "envelope", operation: "configure",
                    "the name “\(name)” has \(name.utf8.count) bytes, but 1 to \(EnvelopeLimits.nameBytesMax) without / + # are needed")
            }
        }
        let first = try keys()
        try EnvelopeSealer.check(first, suite, cluster)
        state = Mutex(State(keys: first))
    }

    private static func check(_ keys: EnvelopeKeys, _ suite: EnvelopeSuite, _ cluster: String) throws(GatewayError) {
        func refuse(_ message: String) -> GatewayError {
            GatewayError(.configurationInvalid, resource: "envelope for cluster \(cluster)", operation: "configure", message)
        }
        guard (1...EnvelopeLimits.recipientsMax).contains(keys.recipients.count) else {
            throw refuse("there are \(keys.recipients.count) recipients, but 1 to \(EnvelopeLimits.recipientsMax) are needed")
        }
        for curve in [keys.signing.curve] + keys.recipients.map(\.curve) where curve != suite.curve {
            throw refuse("a key is on the curve \(curve.rawValue), but the suite \(suite.rawValue) needs \(suite.curve.rawValue)")
        }
    }

    /// The topic and the bytes that go to the broker.
    ///
    /// - Parameters:
    ///   - topic: of the message inside; the broker does not see it.
    ///   - batch: the key of its batch, for a message that carries one.
    ///   - time: now; a period that is over ends.
    /// - Throws: a `GatewayError` with code `limitExceeded` for a message that is too large, or with the reason of OpenSSL.
    package func seal(
        _ kind: EnvelopeKind, topic: String, payload: [UInt8], batch: EnvelopeBatchKey? = nil, at time: Timestamp
    ) throws(GatewayError) -> (topic: String, bytes: [UInt8]) {
        let plaintext = try EnvelopeContent(topic: topic, payload: payload, batch: batch).encoded()
        let bytes = try state.withLock { state throws(GatewayError) in
            do throws(CryptoFailure) {
                try beginPeriodIfDue(&state, at: time)
                return try seal(kind, plaintext, &state)
            } catch {
                throw GatewayError(.unsupported, resource: "envelope for cluster \(cluster)", operation: "seal", error.description)
            }
        }
        return ("ie/1/\(gateway)/\(kind.topicLevel)", bytes)
    }

    /// Why the keys could not be read again at the beginning of the current period; `nil` when they could.
    package var lastError: GatewayError? { state.withLock { $0.lastError } }

    private func beginPeriodIfDue(_ state: inout State, at time: Timestamp) throws(CryptoFailure) {
        if let current = state.current?.began {
            let age = time.since(current)
            // A clock that was set back ends the period as well.
            let isOver = age >= period || age < .zero || (state.current?.counter ?? 0) >= EnvelopeSealer.envelopesMax
            if !isOver { return }
            do throws(GatewayError) {
                let keys = try loadKeys()
                try EnvelopeSealer.check(keys, suite, cluster)
                state.keys = keys
                state.lastError = nil
            } catch {
                state.lastError = error
            }
        }
        let contentKey = try Secret.random(count: EnvelopeSuite.contentKeyBytes)
        let identifier = try Secret.random(count: EnvelopeIdentity.identifierBytes)
        var recipients = CBORWriter(capacity: 192 * state.keys.recipients.count)
        recipients.array(state.keys.recipients.count)
        for recipient in state.keys.recipients { recipients.raw(try KeyTransport.wrap(contentKey, for: recipient)) }
        state.current = Period(
            cipher: try ContentCipher(suite, key: contentKey),
            session: EnvelopeSession(
                gateway: gateway, route: route, cluster: cluster, epoch: epoch, generation: state.nextGeneration,
                startedAt: time.nanoseconds, identifier: Array(identifier.bytes)),
            recipients: recipients.bytes, began: time)
        state.nextGeneration &+= 1
    }

    private func seal(_ kind: EnvelopeKind, _ plaintext: [UInt8], _ state: inout State) throws(CryptoFailure) -> [UInt8] {
        guard state.current != nil else { throw CryptoFailure("find the content key") }
        state.current?.counter += 1
        let counter = state.current?.counter ?? 0
        guard let session = state.current?.session, let recipients = state.current?.recipients else {
            throw CryptoFailure("find the session")
        }
        let nonce = EnvelopeIdentity.nonce(counter)
        let signer = state.keys.signing
        let protected = contentHeader(EnvelopeIdentity(session: session, kind: kind, counter: counter), nonce)
        let additional = COSEStructure.encryption(protected: protected, signer: signer.identifier)
        guard let sealed = try state.current?.cipher.seal(plaintext, nonce: nonce, additional: additional) else {
            throw CryptoFailure("find the content key")
        }
        var content = CBORWriter(capacity: sealed.count + protected.count + recipients.count + 32)
        content.tag(COSEMessage.encryptTag)
        content.array(4)
        content.byteString(protected)
        content.map(0)
        content.byteString(sealed)
        content.raw(recipients)

        let signatureHeader = signatureHeader(signer)
        let prefix = COSEStructure.signaturePrefix(protected: signatureHeader, payloadBytes: content.bytes.count)
        let signature = try Signature.sign(prefix, content.bytes, with: signer)
        var envelope = CBORWriter(capacity: content.bytes.count + 128)
        envelope.tag(COSEMessage.sign1Tag)
        envelope.array(4)
        envelope.byteString(signatureHeader)
        envelope.map(0)
        envelope.byteString(content.bytes)
        envelope.byteString(signature)
        return envelope.bytes
    }

    private func contentHeader(_ identity: EnvelopeIdentity, _ nonce: [UInt8]) -> [UInt8] {
        var writer = CBORWriter(capacity: 96)
        writer.map(3)
        writer.unsigned(1)
        writer.integer(suite.contentAlgorithm)
        writer.unsigned(5)
        writer.byteString(nonce)
        writer.integer(COSEMessage.envelopeLabel)
        identity.write(to: &writer)
        return writer.bytes
    }

    private func signatureHeader(_ signer: EnvelopePrivateKey) -> [UInt8] {
        var writer = CBORWriter(capacity: 24)
        writer.map(2)
        writer.unsigned(1)
        writer.integer(suite.signatureAlgorithm)
        writer.unsigned(4)
        writer.byteString(signer.identifier)
        return writer.bytes
    }
}
