internal import COpenSSL

/// Signatures of gateways: ES256 (FIPS 186-4, 6) and SM2 with SM3 (GM/T 0003.2-2012), as raw r ‖ s of 64 bytes.
enum Signature {
    /// The identity of the signer in SM2's digest where nothing else was agreed (GM/T 0009-2012, 10).
    static let sm2Identity = Array("1234567812345678".utf8)

    /// Signs a prefix and the payload behind it.
    static func sign(_ prefix: [UInt8], _ payload: [UInt8], with key: EnvelopePrivateKey) throws(CryptoFailure) -> [UInt8] {
        let context = try DigestContext()
        let operation = try KeyContext(key.handle)
        defer { withExtendedLifetime(operation) {} }
        try prepare(context, operation, key.curve)
        try succeed(EVP_DigestSignInit(context.pointer, nil, digest(key.curve), nil, key.handle.pointer), "begin to sign")
        try succeed(EVP_DigestSignUpdate(context.pointer, prefix, prefix.count), "sign")
        try succeed(EVP_DigestSignUpdate(context.pointer, payload, payload.count), "sign")
        var encoded = [UInt8](repeating: 0, count: 128)
        var count = encoded.count
        try succeed(EVP_DigestSignFinal(context.pointer, &encoded, &count), "finish to sign")
        return try raw(ofDER: encoded, count)
    }

    /// Whether the signature fits.
    static func isGenuine(
        _ signature: ArraySlice<UInt8>, over prefix: [UInt8], _ payload: ArraySlice<UInt8>, by key: EnvelopePublicKey
    ) throws(CryptoFailure) -> Bool {
        let context = try DigestContext()
        let operation = try KeyContext(key.handle)
        defer { withExtendedLifetime(operation) {} }
        try prepare(context, operation, key.curve)
        try succeed(EVP_DigestVerifyInit(context.pointer, nil, digest(key.curve), nil, key.handle.pointer), "begin to verify")
        try succeed(EVP_DigestVerifyUpdate(context.pointer, prefix, prefix.count), "verify")
        try succeed(payload.withUnsafeBytes { EVP_DigestVerifyUpdate(context.pointer, $0.baseAddress, $0.count) }, "verify")
        let encoded = try der(ofRaw: Array(signature))
        let isGenuine = EVP_DigestVerifyFinal(context.pointer, encoded, encoded.count) == 1
        ERR_clear_error()
        return isGenuine
    }

    private static func digest(_ curve: EnvelopeCurve) -> OpaquePointer? { curve == .sm2 ? EVP_sm3() : EVP_sha256() }

    /// SM2 digests the signer's identity and key before the message. The digest's context does not own the operation it is given.
    private static func prepare(
        _ context: borrowing DigestContext, _ operation: borrowing KeyContext, _ curve: EnvelopeCurve
    ) throws(CryptoFailure) {
        guard curve == .sm2 else { return }
        try succeed(EVP_PKEY_CTX_set1_id(operation.pointer, sm2Identity, Int32(sm2Identity.count)), "set the signer's identity")
        EVP_MD_CTX_set_pkey_ctx(context.pointer, operation.pointer)
    }

    private static func raw(ofDER encoded: [UInt8], _ count: Int) throws(CryptoFailure) -> [UInt8] {
        let parsed: OpaquePointer? = encoded.withUnsafeBufferPointer { buffer in
            var position = buffer.baseAddress
            return d2i_ECDSA_SIG(nil, &position, count)
        }
        guard let parsed else { throw CryptoFailure("decode the signature") }
        defer { ECDSA_SIG_free(parsed) }
        var raw = [UInt8](repeating: 0, count: COSEMessage.signatureBytes)
        let isWritten = raw.withUnsafeMutableBufferPointer { buffer in
            BN_bn2binpad(ECDSA_SIG_get0_r(parsed), buffer.baseAddress, 32) == 32
                && BN_bn2binpad(ECDSA_SIG_get0_s(parsed), buffer.baseAddress?.advanced(by: 32), 32) == 32
        }
        guard isWritten else { throw CryptoFailure("write the signature") }
        return raw
    }

    /// Throws when memory is out; any 64 bytes have a form in ASN.1.
    private static func der(ofRaw raw: [UInt8]) throws(CryptoFailure) -> [UInt8] {
        guard let signature = ECDSA_SIG_new() else { throw CryptoFailure("make a signature") }
        defer { ECDSA_SIG_free(signature) }
        let r = BN_bin2bn(raw, 32, nil)
        let s = raw.withUnsafeBufferPointer { BN_bin2bn($0.baseAddress?.advanced(by: 32), 32, nil) }
        guard ECDSA_SIG_set0(signature, r, s) == 1 else {
            BN_free(r)
            BN_free(s)
            throw CryptoFailure("make a signature")
        }
        var encoded: UnsafeMutablePointer<UInt8>?
        let count = i2d_ECDSA_SIG(signature, &encoded)
        defer { CRYPTO_free(encoded, #file, #line) }
        guard let encoded, count > 0 else { throw CryptoFailure("encode the signature") }
        return Array(UnsafeBufferPointer(start: encoded, count: Int(count)))
    }
}
