internal import COpenSSL
package import Telemetry

/// SHA-256 (FIPS 180-4), by OpenSSL.
package enum SHA256 {
    /// Bytes of a digest.
    package static let bytes = 32

    /// The digest of bytes.
    ///
    /// Throws a `GatewayError` when OpenSSL refuses (a FIPS provider that was not set up, no memory).
    package static func digest(of message: [UInt8]) throws(GatewayError) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard EVP_Digest(message, message.count, &digest, &count, EVP_sha256(), nil) == 1, Int(count) == bytes else {
            throw OpenSSL.error(resource: "SHA-256", operation: "digest")
        }
        return Array(digest.prefix(bytes))
    }
}
