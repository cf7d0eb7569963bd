internal import COpenSSL

/// Keys from secrets.
enum KeyDerivation {
    /// The digest inside of HKDF.
    enum Digest {
        case sha256, sm3
    }

    /// HKDF with an empty salt (RFC 5869, 2): extract and expand.
    static func expand(_ secret: borrowing Secret, digest: Digest, context: [UInt8], count: Int) throws(CryptoFailure) -> Secret {
        let derivation = try KeyContext(identifier: EVP_PKEY_HKDF)
        try succeed(EVP_PKEY_derive_init(derivation.pointer), "begin HKDF")
        try succeed(EVP_PKEY_CTX_set_hkdf_md(derivation.pointer, digest == .sm3 ? EVP_sm3() : EVP_sha256()), "set HKDF's digest")
        try succeed(EVP_PKEY_CTX_set1_hkdf_key(derivation.pointer, secret.pointer, Int32(secret.bytes.count)), "set HKDF's key")
        try succeed(EVP_PKEY_CTX_add1_hkdf_info(derivation.pointer, context, Int32(context.count)), "set HKDF's context")
        let result = Secret(count: count)
        var written = count
        try succeed(EVP_PKEY_derive(derivation.pointer, result.pointer, &written), "derive with HKDF")
        guard written == count else { throw CryptoFailure("derive with HKDF \(count) bytes, not \(written)") }
        return result
    }

    /// The shared secret of ECDH (SEC 1, 3.3.1).
    static func agree(_ own: borrowing KeyHandle, _ peer: borrowing KeyHandle) throws(CryptoFailure) -> Secret {
        let agreement = try KeyContext(own)
        try succeed(EVP_PKEY_derive_init(agreement.pointer), "begin ECDH")
        try succeed(EVP_PKEY_derive_set_peer(agreement.pointer, peer.pointer), "accept the other's key")
        let result = Secret(count: 32)
        var written = result.bytes.count
        try succeed(EVP_PKEY_derive(agreement.pointer, result.pointer, &written), "derive with ECDH")
        guard written == result.bytes.count else { throw CryptoFailure("derive with ECDH 32 bytes, not \(written)") }
        return result
    }
}
