internal import Compression
internal import Sparkplug
internal import Telemetry

/// Brings payloads back that routes made smaller.
enum PayloadUnpacker {
    /// A JSON document; as it is when it is not compressed.
    ///
    /// Throws a `GatewayError` with code `limitExceeded` for one that is larger than any route sends, `protocolViolation` for broken bytes.
    static func document(_ payload: [UInt8]) throws(GatewayError) -> [UInt8] {
        guard let algorithm = CompressionAlgorithm.detected(in: payload) else { return payload }
        return try Decompressor.decompress(payload, algorithm)
    }

    /// Whether the `uuid` of a Sparkplug payload says that another payload is inside.
    static func isCompressed(_ uuid: String?) -> Bool { uuid == CompressedPayload.uuid }

    /// The payload inside of a Sparkplug payload that is marked as compressed.
    ///
    /// Throws a `GatewayError` as `document` does, and for an algorithm that is not known.
    static func inner(of payload: [UInt8]) throws(GatewayError) -> [UInt8] {
        guard let compressed = try CompressedPayload(decoding: payload) else { return payload }
        guard let algorithm = CompressionAlgorithm(rawValue: compressed.algorithm) else {
            let known = CompressionAlgorithm.allCases.map(\.rawValue).joined(separator: ", ")
            throw GatewayError(
                .unsupported, resource: "Sparkplug payload", operation: "decompress",
                "the algorithm is “\(compressed.algorithm.prefix(40))”, known are \(known)")
        }
        return try Decompressor.decompress(compressed.body, algorithm, atMost: SparkplugPayload.payloadBytesMax)
    }
}
