import Telemetry

@testable import Envelope

/// A gateway and the receiving end that trusts it.
struct TestPair {
    static let time = Timestamp(nanoseconds: 1_800_000_000_000_000_000)

    let signing: EnvelopePrivateKey
    let recipient: EnvelopePrivateKey
    let sealer: EnvelopeSealer
    let opener: EnvelopeOpener

    init(_ suite: EnvelopeSuite, cluster: String = "east", epoch: UInt32 = 7, period: Duration = .seconds(86_400)) throws {
        try self.init(suite, .generate(suite.curve), .generate(suite.curve), cluster: cluster, epoch: epoch, period: period)
    }

    init(
        _ suite: EnvelopeSuite, _ signing: EnvelopePrivateKey, _ recipient: EnvelopePrivateKey, cluster: String = "east", epoch: UInt32 = 7,
        period: Duration = .seconds(86_400)
    ) throws {
        self.signing = signing
        self.recipient = recipient
        let keys = EnvelopeKeys(signing: signing, recipients: [try recipient.publicKey()])
        sealer = try EnvelopeSealer(
            suite: suite, gateway: "gateway-1", route: "central", cluster: cluster, epoch: epoch, period: period
        ) { () throws(GatewayError) in keys }
        opener = try EnvelopeOpener(
            cluster: "east", keys: [recipient], gateways: [TrustedGateway(name: "gateway-1", keys: [try signing.publicKey()])])
    }

    func seal(_ kind: EnvelopeKind = .data, _ payload: [UInt8] = [1, 2, 3], at time: Timestamp = TestPair.time) throws -> [UInt8] {
        try sealer.seal(kind, topic: "spBv1.0/g/DDATA/gateway-1/d", payload: payload, at: time).bytes
    }
}
