package import Telemetry

/// A payload within a payload: the form in which Eclipse Tahu's libraries carry compressed ones.
///
/// The outer payload has the uuid `SPBV1.0_COMPRESSED`, a metric `algorithm` with the name of the algorithm, and the compressed bytes of
/// the whole inner payload as its body. Timestamp and sequence number are repeated outside, where every host expects them.
package struct CompressedPayload: Sendable, Equatable {
    /// `GZIP` or `DEFLATE`, which Tahu knows; others are extensions.
    package var algorithm: String
    package var body: [UInt8]

    package static let uuid = "SPBV1.0_COMPRESSED"
    package static let algorithmMetric = "algorithm"

    package init(algorithm: String, body: [UInt8]) {
        self.algorithm = algorithm
        self.body = body
    }

    /// Reads the outer payload; `nil` for one that is not compressed, whose fields are only skipped.
    ///
    /// Throws a `GatewayError` with code `protocolViolation` for bytes that are no payload, or a mark without algorithm or body.
    package init?(decoding bytes: [UInt8]) throws(GatewayError) {
        var reader = ProtobufReader(bytes)
        var isCompressed = false
        var body: [UInt8] = []
        while !reader.isAtEnd {
            let (number, type) = try reader.field()
            switch (number, type) {
            case (4, .lengthDelimited): isCompressed = try reader.blob(atMost: bytes.count) == Array(CompressedPayload.uuid.utf8)
            case (5, .lengthDelimited): body = try reader.blob(atMost: bytes.count)
            default: try reader.skip(number, type)
            }
        }
        guard isCompressed else { return nil }
        let named = try SparkplugPayload(decoding: bytes).metrics.first { $0.name == CompressedPayload.algorithmMetric }
        guard case .string(let algorithm) = named?.value, !body.isEmpty else {
            throw ProtobufReader.violation(
                "the payload says that it is compressed, but has \(body.count) bytes of body and \(named == nil ? "no" : "an") algorithm")
        }
        self.init(algorithm: algorithm, body: body)
    }

    /// The outer payload in protobuf.
    ///
    /// - Parameter inner: the whole payload that was compressed, for its timestamp and sequence number.
    package func encoded(around inner: [UInt8]) throws(GatewayError) -> [UInt8] {
        var reader = ProtobufReader(inner)
        var timestamp: UInt64?
        var sequence: UInt64?
        while !reader.isAtEnd {
            let (number, type) = try reader.field()
            switch (number, type) {
            case (1, .varint): timestamp = try reader.varint()
            case (3, .varint): sequence = try reader.varint()
            default: try reader.skip(number, type)
            }
        }
        var writer = ProtobufWriter()
        if let timestamp { writer.write(1, varint: timestamp) }
        writer.write(2) { metric in
            metric.write(1, text: CompressedPayload.algorithmMetric)
            if let timestamp { metric.write(3, varint: timestamp) }
            metric.write(4, varint: UInt64(SparkplugDataType.string.rawValue))
            metric.write(15, text: algorithm)
        }
        if let sequence { writer.write(3, varint: sequence) }
        writer.write(4, text: CompressedPayload.uuid)
        writer.write(5, bytes: body)
        return writer.bytes
    }
}
