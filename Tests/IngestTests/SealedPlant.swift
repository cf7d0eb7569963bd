import Compression
import Envelope
import Sparkplug
import Telemetry

@testable import Ingest

/// A gateway that seals, and the receiving end that trusts it.
struct SealedPlant {
    let suite: EnvelopeSuite
    let signing: EnvelopePrivateKey
    let recipient: EnvelopePrivateKey
    let sealer: EnvelopeSealer

    /// The name of the edge node of `Plant`, and of the site of the documents that these tests send.
    static let gateway = "line-1"

    init(_ suite: EnvelopeSuite = .aes256gcm, epoch: UInt32 = 3) throws {
        try self.init(suite, signing: .generate(suite.curve), recipient: .generate(suite.curve), epoch: epoch)
    }

    init(
        _ suite: EnvelopeSuite, signing: EnvelopePrivateKey, recipient: EnvelopePrivateKey, gateway: String = SealedPlant.gateway,
        cluster: String = "east", epoch: UInt32 = 3
    ) throws {
        self.suite = suite
        self.signing = signing
        self.recipient = recipient
        let keys = EnvelopeKeys(signing: signing, recipients: [try recipient.publicKey()])
        sealer = try EnvelopeSealer(
            suite: suite, gateway: gateway, route: "central", cluster: cluster, epoch: epoch, period: .seconds(86_400)
        ) { () throws(GatewayError) in keys }
    }

    func opener(replayState: [UInt8] = []) throws -> EnvelopeOpener {
        try EnvelopeOpener(
            cluster: "east", keys: [recipient], gateways: [TrustedGateway(name: Self.gateway, keys: [try signing.publicKey()])],
            replayState: replayState)
    }

    /// The topic and payload on the broker.
    func seal(_ message: SparkplugMessage, compressed algorithm: CompressionAlgorithm? = nil) throws -> (topic: String, payload: [UInt8]) {
        var payload = message.payload
        if let algorithm, let smaller = Compressor(algorithm).compress(payload) {
            payload = try CompressedPayload(algorithm: algorithm.rawValue, body: smaller).encoded(around: payload)
        }
        let kind: EnvelopeKind = message.topic.contains("BIRTH/") ? .birth : .data
        return try seal(kind, message.topic, payload)
    }

    func seal(document: [UInt8]) throws -> (topic: String, payload: [UInt8]) {
        try seal(.data, "indusedge/\(Self.gateway)/pump-1/fast", document)
    }

    func seal(_ kind: EnvelopeKind, _ topic: String, _ payload: [UInt8]) throws -> (topic: String, payload: [UInt8]) {
        let sealed = try sealer.seal(kind, topic: topic, payload: payload, at: noon)
        return (sealed.topic, sealed.bytes)
    }

    /// A document whose number tells it from others.
    static func document(_ number: Int) -> [UInt8] {
        let more = (0..<40).map { #""speed\#($0)":\#(number * 100 + $0)"# }.joined(separator: ",")
        return Array(
            #"{"device":"pump-1","group":"fast","timestamp":1767268800000,"epoch":3,"stream":7,"sequence":\#(number),"values":{\#(more)}}"#
                .utf8)
    }
}
