/// The algorithms of an envelope, chosen together.
package enum EnvelopeSuite: String, Sendable, Hashable, CaseIterable {
    /// AES-256-GCM, ECDH-ES+A256KW and ES256 on P-256.
    case aes256gcm
    /// ChaCha20-Poly1305, ECDH-ES+A256KW and ES256 on P-256: fast where the processor has no AES instructions.
    case chacha20poly1305
    /// SM4-CTR with HMAC-SM3, SM2 encryption and SM2 signature: the national suite.
    case sm

    /// The algorithm of the content (RFC 9053, 4.1 and 4.3; private use for SM).
    var contentAlgorithm: Int64 {
        switch self {
        case .aes256gcm: COSEAlgorithm.aes256GCM
        case .chacha20poly1305: COSEAlgorithm.chacha20Poly1305
        case .sm: COSEAlgorithm.sm4CTRHMACSM3
        }
    }

    /// The algorithm of the gateway's signature (RFC 9053, 2.1; private use for SM).
    var signatureAlgorithm: Int64 { self == .sm ? COSEAlgorithm.sm2Signature : COSEAlgorithm.es256 }

    /// The algorithm that brings the content key to a recipient (RFC 9053, 6.4.1; private use for SM).
    var recipientAlgorithm: Int64 { self == .sm ? COSEAlgorithm.sm2Encryption : COSEAlgorithm.ecdhESA256KW }

    /// The curve that the keys of signer and recipients are on.
    package var curve: EnvelopeCurve { self == .sm ? .sm2 : .p256 }

    /// Bytes of the authentication at the end of the ciphertext.
    var authenticationBytes: Int { self == .sm ? 32 : 16 }

    /// Bytes of the content key.
    static let contentKeyBytes = 32

    init?(contentAlgorithm: Int64) {
        guard let suite = EnvelopeSuite.allCases.first(where: { $0.contentAlgorithm == contentAlgorithm }) else { return nil }
        self = suite
    }
}

/// The curve of an envelope key.
package enum EnvelopeCurve: String, Sendable, Hashable, CaseIterable {
    /// P-256 (FIPS 186-4, D.1.2.3).
    case p256
    /// The curve of SM2 (GM/T 0003.5-2012).
    case sm2
}

/// Identifiers of algorithms: those of the registry, and private use below -65536.
enum COSEAlgorithm {
    static let aes256GCM: Int64 = 3
    static let chacha20Poly1305: Int64 = 24
    static let es256: Int64 = -7
    static let ecdhESA256KW: Int64 = -31
    static let a256KW: Int64 = -5
    static let sm4CTRHMACSM3: Int64 = -70_010
    static let sm2Signature: Int64 = -70_011
    static let sm2Encryption: Int64 = -70_012
}
