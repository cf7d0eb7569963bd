internal import Synchronization
internal import Telemetry

/// A gateway whose envelopes are taken.
package struct TrustedGateway: Sendable {
    package var name: String
    /// The keys it may sign with: several while they change.
    package var keys: [EnvelopePublicKey]
    /// MQTT topic filters that the topics of its messages must match, so that no gateway speaks for another.
    package var topicFilters: [String]

    /// - Parameter topicFilters: where none are given, Sparkplug topics whose node is the gateway's name, and the default topics of JSON.
    package init(name: String, keys: [EnvelopePublicKey], topicFilters: [String]? = nil) {
        self.name = name
        self.keys = keys
        self.topicFilters = topicFilters ?? ["spBv1.0/+/+/\(name)/#", "indusedge/\(name)/#"]
    }
}

/// A message that came in an envelope.
package struct OpenedEnvelope: Sendable {
    /// Which envelope it was, for `EnvelopeOpener.record`.
    package var identity: EnvelopeIdentity
    package var freshness: EnvelopeFreshness
    package var topic: String
    package var payload: [UInt8]
    /// The key of its batch within its gateway, where it carries one.
    package var batch: EnvelopeBatchKey?

    package var gateway: String { identity.session.gateway }
    package var kind: EnvelopeKind { identity.kind }
}

/// The receiving end of one cluster: checks who sealed an envelope, for whom and when, and opens it.
package final class EnvelopeOpener: Sendable {
    package let cluster: String
    private let state: Mutex<State>

    private struct State: ~Copyable {
        var keys: [EnvelopePrivateKey]
        var gateways: [String: TrustedGateway]
        var replay: ReplayGuard
        /// Content keys by the recipient structures they came in: unwrapping is the costly step.
        var ciphers: [[UInt8]: Opened] = [:]
        /// The order in which they were unwrapped, oldest first.
        var order: [[UInt8]] = []

        mutating func keep(_ made: Opened, as place: [UInt8]) {
            if order.count >= EnvelopeOpener.contentKeysMax { ciphers[order.removeFirst()] = nil }
            ciphers[place] = made
            order.append(place)
        }
    }

    /// An owner that a dictionary can hold.
    private final class Opened {
        let cipher: ContentCipher

        init(_ cipher: consuming ContentCipher) { self.cipher = cipher }
    }

    /// The most content keys that are kept unwrapped.
    static let contentKeysMax = 4096

    /// - Parameters:
    ///   - cluster: the name that gateways seal for.
    ///   - keys: the receiver's key pairs: several while they change.
    ///   - replayState: what `replayState` gave before a restart; empty for none.
    /// - Throws: an `EnvelopeRefusal` when the replay state cannot be read.
    package init(
        cluster: String, keys: [EnvelopePrivateKey], gateways: [TrustedGateway], replayState: [UInt8] = []
    ) throws(EnvelopeRefusal) {
        self.cluster = cluster
        let replay = replayState.isEmpty ? ReplayGuard() : try ReplayGuard(decoding: replayState)
        state = Mutex(State(keys: keys, gateways: EnvelopeOpener.byName(gateways), replay: replay))
    }

    private static func byName(_ gateways: [TrustedGateway]) -> [String: TrustedGateway] {
        Dictionary(gateways.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    }

    /// Takes other keys and gateways from the next envelope on. What was dealt with stays remembered; what only a key that is gone could open
    /// is refused from then on.
    package func replace(keys: [EnvelopePrivateKey], gateways: [TrustedGateway]) {
        let named = EnvelopeOpener.byName(gateways)
        state.withLock { state in
            state.keys = keys
            state.gateways = named
        }
    }

    /// Checks and opens an envelope. Nothing is remembered of it until `record`.
    ///
    /// A duplicate is opened as well, and says so: whoever receives it acknowledges it and does nothing more.
    ///
    /// - Throws: an `EnvelopeRefusal`. All but `failed` are final: the same bytes will never be opened, except with other keys.
    package func open(_ bytes: [UInt8]) throws(EnvelopeRefusal) -> OpenedEnvelope {
        let message = try COSEMessage(bytes)
        let session = message.identity.session
        let (known, count) = state.withLock { ($0.gateways[session.gateway], $0.gateways.count) }
        guard let gateway = known else {
            throw EnvelopeRefusal(.unknownGateway, "gateway “\(session.gateway)” is not among the \(count) that are trusted")
        }
        try verify(message, gateway)
        guard session.cluster == cluster else {
            throw EnvelopeRefusal(.wrongCluster, "it is for cluster “\(session.cluster)”, this is “\(cluster)”")
        }
        let content: EnvelopeContent
        let freshness: EnvelopeFreshness
        (content, freshness) = try state.withLock { state throws(EnvelopeRefusal) in
            (try decrypt(message, &state), try state.replay.judge(message.identity))
        }
        guard gateway.topicFilters.contains(where: { TopicFilter.matches($0, content.topic) }) else {
            throw EnvelopeRefusal(.foreignTopic, "gateway “\(gateway.name)” may not use the topic “\(content.topic)”")
        }
        return OpenedEnvelope(
            identity: message.identity, freshness: freshness, topic: content.topic, payload: content.payload, batch: content.batch)
    }

    /// Remembers that an opened envelope was dealt with, so that it counts as a duplicate from now on. To be called when its effect lasts,
    /// before it is acknowledged to the broker.
    package func record(_ identity: EnvelopeIdentity) { state.withLock { $0.replay.record(identity) } }

    /// What was dealt with, to be kept over a restart. Without it nothing is lost: the keys of the batches still remove duplicates.
    package var replayState: [UInt8] { state.withLock { $0.replay.encoded() } }

    private func verify(_ message: COSEMessage, _ gateway: TrustedGateway) throws(EnvelopeRefusal) {
        guard let suite = EnvelopeSuite(contentAlgorithm: message.contentAlgorithm) else {
            throw EnvelopeRefusal(.unsupported, "the content's algorithm is \(message.contentAlgorithm)")
        }
        guard message.signatureAlgorithm == suite.signatureAlgorithm else {
            throw EnvelopeRefusal(
                .unsupported,
                "the signature's algorithm is \(message.signatureAlgorithm), the suite \(suite.rawValue) has \(suite.signatureAlgorithm)")
        }
        guard let key = gateway.keys.first(where: { $0.identifier == message.signer && $0.curve == suite.curve }) else {
            throw EnvelopeRefusal(
                .foreignSigned, "key \(hexadecimal(message.signer)) is not among the \(gateway.keys.count) of gateway “\(gateway.name)”")
        }
        let isGenuine: Bool
        do throws(CryptoFailure) {
            let protected = message.bytes[message.signatureProtected]
            isGenuine = try Signature.isGenuine(
                message.bytes[message.signature],
                over: COSEStructure.signaturePrefix(protected: protected, payloadBytes: message.content.count),
                message.bytes[message.content], by: key)
        } catch {
            throw EnvelopeRefusal(.failed, error.description)
        }
        guard isGenuine else {
            throw EnvelopeRefusal(.invalidSignature, "the signature of key \(hexadecimal(message.signer)) does not fit")
        }
    }

    private func decrypt(_ message: COSEMessage, _ state: inout State) throws(EnvelopeRefusal) -> EnvelopeContent {
        guard let suite = EnvelopeSuite(contentAlgorithm: message.contentAlgorithm) else {
            throw EnvelopeRefusal(.unsupported, "the content's algorithm is \(message.contentAlgorithm)")
        }
        let opened = try opened(message, suite, &state)
        let additional = COSEStructure.encryption(protected: message.bytes[message.contentProtected], signer: message.signer)
        let nonce = Array(message.bytes[message.nonce])
        let plaintext = try EnvelopeOpener.attempt { () throws(CryptoFailure) in
            try opened.cipher.open(message.bytes[message.ciphertext], nonce: nonce, additional: additional)
        }
        guard let plaintext else {
            throw EnvelopeRefusal(.undecipherable, "the content does not pass its authentication under the content key")
        }
        return try EnvelopeContent(decoding: plaintext)
    }

    /// The content key of an envelope, unwrapped now or before.
    private func opened(_ message: COSEMessage, _ suite: EnvelopeSuite, _ state: inout State) throws(EnvelopeRefusal) -> Opened {
        var isForUs = false
        for recipient in message.recipients where recipient.algorithm == suite.recipientAlgorithm {
            for key in state.keys where key.identifier == recipient.keyIdentifier && key.curve == suite.curve {
                isForUs = true
                // The algorithm is part of it: a key must never serve two.
                let place = [UInt8(truncatingIfNeeded: suite.contentAlgorithm)] + message.bytes[recipient.extent]
                if let known = state.ciphers[place] { return known }
                let made: Opened? = try EnvelopeOpener.attempt { () throws(CryptoFailure) in
                    guard let contentKey = try KeyTransport.unwrap(recipient, in: message.bytes, with: key) else { return nil }
                    return Opened(try ContentCipher(suite, key: contentKey))
                }
                guard let made else { continue }
                state.keep(made, as: place)
                return made
            }
        }
        if isForUs { throw EnvelopeRefusal(.undecipherable, "the wrapped content key does not pass its authentication") }
        let named = message.recipients.map { hexadecimal($0.keyIdentifier) }.joined(separator: ", ")
        throw EnvelopeRefusal(
            .unknownRecipient,
            "it is for \(named), this receiver has \(state.keys.map { hexadecimal($0.identifier) }.joined(separator: ", "))")
    }

    private static func attempt<Result>(_ body: () throws(CryptoFailure) -> Result) throws(EnvelopeRefusal) -> Result {
        do {
            return try body()
        } catch {
            throw EnvelopeRefusal(.failed, error.description)
        }
    }
}

/// Bytes as people compare them.
func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef")
    return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
}

/// MQTT topic filters (MQTT 5, 4.7).
enum TopicFilter {
    static func matches(_ filter: String, _ topic: String) -> Bool {
        var levels = topic.split(separator: "/", omittingEmptySubsequences: false)[...]
        for level in filter.split(separator: "/", omittingEmptySubsequences: false) {
            if level == "#" { return true }
            guard let first = levels.popFirst(), level == "+" || level == first else { return false }
        }
        return levels.isEmpty
    }
}
