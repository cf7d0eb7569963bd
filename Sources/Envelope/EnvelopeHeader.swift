/// What a message is for the receiving end, and the last level of its topic.
package enum EnvelopeKind: UInt8, Sendable, Hashable, CaseIterable {
    /// Samples. Several receivers may share them, and the key of the batch removes duplicates.
    case data
    /// What must be known before data: every receiver needs it, and only the newest counts.
    case birth
    /// The end of a device, told by the gateway itself.
    case death
    /// The end of the node. It is sealed when the connection is made and may be published much later, by the broker as the will.
    case will

    /// The last level of the topic.
    package var topicLevel: String {
        switch self {
        case .data: "data"
        case .birth: "birth"
        case .death, .will: "death"
        }
    }
}

/// The key of a batch within its gateway, by which duplicates are removed.
package struct EnvelopeBatchKey: Sendable, Hashable {
    package var epoch: UInt32
    package var stream: UInt32
    package var sequence: UInt64

    package init(epoch: UInt32, stream: UInt32, sequence: UInt64) {
        self.epoch = epoch
        self.stream = stream
        self.sequence = sequence
    }
}

/// The period of one content key: who sends to whom, since when.
package struct EnvelopeSession: Sendable, Hashable {
    package var gateway: String
    package var route: String
    package var cluster: String
    /// The number of the start of the gateway's process.
    package var epoch: UInt32
    /// The number of the content key within the epoch, from 0.
    package var generation: UInt32
    /// When the content key was made, in nanoseconds since 1970-01-01 UTC by the gateway's clock.
    package var startedAt: Int64
    /// Drawn at random with the content key.
    package var identifier: [UInt8]
}

/// Which envelope it is: what a receiver remembers of it.
package struct EnvelopeIdentity: Sendable, Hashable {
    package var session: EnvelopeSession
    package var kind: EnvelopeKind
    /// The number of the envelope within its session, from 1.
    package var counter: UInt64
}

/// The limits of an envelope, checked before anything is allocated for it.
package enum EnvelopeLimits {
    /// The largest envelope, in bytes: the largest document of a route and what goes around it.
    package static let envelopeBytesMax = (64 << 20) + (64 << 10)
    /// The most recipients of one envelope: a few per cluster while keys change.
    package static let recipientsMax = 16
    /// The longest name of a gateway or cluster, in bytes of UTF-8.
    package static let nameBytesMax = 128
    /// The longest topic (MQTT 5, 1.5.4).
    package static let topicBytesMax = 65_535
}

extension EnvelopeIdentity {
    /// The number of the format in every envelope.
    static let version: UInt64 = 1
    static let identifierBytes = 8

    /// The header parameter of the content layer.
    func write(to writer: inout CBORWriter) {
        writer.array(9)
        writer.unsigned(EnvelopeIdentity.version)
        writer.text(session.gateway)
        writer.text(session.route)
        writer.text(session.cluster)
        writer.unsigned(UInt64(kind.rawValue))
        writer.unsigned(UInt64(session.epoch))
        writer.unsigned(UInt64(session.generation))
        writer.integer(session.startedAt)
        writer.byteString(session.identifier)
    }

    /// The nonce of the content: four zero bytes and the counter, which no key meets twice.
    static func nonce(_ counter: UInt64) -> [UInt8] {
        [0, 0, 0, 0] + (0..<8).reversed().map { UInt8(truncatingIfNeeded: counter >> UInt64(8 * $0)) }
    }

    /// The header parameter without the counter, which the nonce holds.
    static func read(_ reader: inout CBORReader) throws(EnvelopeRefusal) -> (session: EnvelopeSession, kind: EnvelopeKind) {
        let count = try reader.array("the envelope's header", 1...16)
        let version = try reader.unsigned("the version")
        guard version == EnvelopeIdentity.version, count == 9 else {
            throw EnvelopeRefusal(
                .unsupported, "version \(version) with \(count) fields, expected version \(EnvelopeIdentity.version) with 9")
        }
        let names = 1...EnvelopeLimits.nameBytesMax
        let gateway = try reader.text("the gateway's name", names)
        let route = try reader.text("the route's name", names)
        let cluster = try reader.text("the cluster's name", names)
        let kind = try reader.unsigned("the kind", atMost: 255)
        guard let known = EnvelopeKind(rawValue: UInt8(kind)) else {
            throw EnvelopeRefusal(.unsupported, "kind \(kind), expected 0 to \(EnvelopeKind.allCases.count - 1)")
        }
        let epoch = try reader.unsigned("the epoch", atMost: UInt64(UInt32.max))
        let generation = try reader.unsigned("the generation", atMost: UInt64(UInt32.max))
        let startedAt = try reader.integer("the session's start")
        let identifier = try reader.byteString("the session", identifierBytes...identifierBytes)
        return (
            EnvelopeSession(
                gateway: gateway, route: route, cluster: cluster, epoch: UInt32(epoch), generation: UInt32(generation),
                startedAt: startedAt,
                identifier: Array(reader.bytes[identifier])), known
        )
    }
}
