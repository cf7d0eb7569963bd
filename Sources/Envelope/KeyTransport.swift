internal import COpenSSL

/// Brings content keys to recipients.
enum KeyTransport {
    /// The ECDH-ES+A256KW or SM2 layer for one recipient, as COSE_recipient (RFC 9052, 5.1).
    static func wrap(_ contentKey: borrowing Secret, for recipient: EnvelopePublicKey) throws(CryptoFailure) -> [UInt8] {
        var writer = CBORWriter(capacity: 192)
        writer.array(3)
        let algorithm = recipient.curve == .sm2 ? COSEAlgorithm.sm2Encryption : COSEAlgorithm.ecdhESA256KW
        let protected = header(algorithm)
        writer.byteString(protected)
        if recipient.curve == .sm2 {
            writer.map(1)
            writer.unsigned(4)
            writer.byteString(recipient.identifier)
            writer.byteString(try encrypt(contentKey, recipient.handle))
        } else {
            guard let pair = copenssl_generate_p256() else { throw CryptoFailure("make an ephemeral key") }
            let ephemeral = KeyHandle(owning: pair)
            let point = try publicPoint(of: ephemeral)
            let wrapping = try wrappingKey(KeyDerivation.agree(ephemeral, recipient.handle), protected)
            writer.map(2)
            writer.unsigned(4)
            writer.byteString(recipient.identifier)
            writer.integer(-1)
            writer.map(4)
            writer.unsigned(1)
            writer.unsigned(2)
            writer.integer(-1)
            writer.unsigned(1)
            writer.integer(-2)
            writer.byteString(point[1...32])
            writer.integer(-3)
            writer.byteString(point[33...64])
            writer.byteString(try keyWrap(contentKey, wrapping))
        }
        return writer.bytes
    }

    /// The content key that was wrapped for `key`; `nil` when it does not pass its authentication.
    static func unwrap(
        _ recipient: COSEMessage.Recipient, in bytes: [UInt8], with key: EnvelopePrivateKey
    ) throws(CryptoFailure) -> Secret? {
        let ciphertext = Array(bytes[recipient.ciphertext])
        if key.curve == .sm2 { return try decrypt(ciphertext, key.handle) }
        guard let peer = try? publicKey(ofPoint: recipient.ephemeralKey, like: key.handle),
            let shared = try? KeyDerivation.agree(key.handle, peer)
        else { return nil }
        return try keyUnwrap(ciphertext, wrappingKey(shared, Array(bytes[recipient.protected])))
    }

    private static func header(_ algorithm: Int64) -> [UInt8] {
        var writer = CBORWriter(capacity: 8)
        writer.map(1)
        writer.unsigned(1)
        writer.integer(algorithm)
        return writer.bytes
    }

    // MARK: - ECDH-ES+A256KW (RFC 9053, 6.4.1)

    private static func wrappingKey(_ shared: consuming Secret, _ protected: [UInt8]) throws(CryptoFailure) -> Secret {
        try KeyDerivation.expand(shared, digest: .sha256, context: COSEStructure.keyDerivation(protected: protected), count: 32)
    }

    private static func keyWrap(_ contentKey: borrowing Secret, _ wrapping: borrowing Secret) throws(CryptoFailure) -> [UInt8] {
        let context = try CipherContext()
        try succeed(copenssl_key_wrap_init(context.pointer, wrapping.pointer, 1), "begin key wrap")
        var wrapped = [UInt8](repeating: 0, count: contentKey.bytes.count + 16)
        var count: Int32 = 0
        let size = Int32(contentKey.bytes.count)
        try succeed(EVP_CipherUpdate(context.pointer, &wrapped, &count, contentKey.pointer, size), "wrap the content key")
        return Array(wrapped.prefix(Int(count)))
    }

    private static func keyUnwrap(_ wrapped: [UInt8], _ wrapping: borrowing Secret) throws(CryptoFailure) -> Secret? {
        guard wrapped.count == EnvelopeSuite.contentKeyBytes + 8 else { return nil }
        let context = try CipherContext()
        try succeed(copenssl_key_wrap_init(context.pointer, wrapping.pointer, 0), "begin key unwrap")
        // OpenSSL asks for room for what it was given.
        let room = Secret(count: wrapped.count + 8)
        var count: Int32 = 0
        let isGenuine = EVP_CipherUpdate(context.pointer, room.pointer, &count, wrapped, Int32(wrapped.count)) == 1
        ERR_clear_error()
        guard isGenuine, Int(count) == EnvelopeSuite.contentKeyBytes else { return nil }
        return copy(room, count: EnvelopeSuite.contentKeyBytes)
    }

    private static func publicPoint(of key: borrowing KeyHandle) throws(CryptoFailure) -> [UInt8] {
        var encoded: UnsafeMutablePointer<UInt8>?
        let count = EVP_PKEY_get1_encoded_public_key(key.pointer, &encoded)
        defer { CRYPTO_free(encoded, #file, #line) }
        guard let encoded, count == 65, encoded[0] == 0x04 else { throw CryptoFailure("encode the ephemeral key") }
        return Array(UnsafeBufferPointer(start: encoded, count: count))
    }

    /// A public key from an uncompressed point, which OpenSSL refuses unless it is on the curve.
    private static func publicKey(ofPoint point: [UInt8], like key: borrowing KeyHandle) throws(CryptoFailure) -> KeyHandle {
        guard let pointer = EVP_PKEY_new() else { throw CryptoFailure("make a key") }
        let made = KeyHandle(owning: pointer)
        try succeed(EVP_PKEY_copy_parameters(pointer, key.pointer), "set the curve of the ephemeral key")
        try succeed(EVP_PKEY_set1_encoded_public_key(pointer, point, point.count), "decode the ephemeral key")
        return made
    }

    // MARK: - SM2 encryption (GM/T 0003.4-2012; ciphertext in ASN.1 by GM/T 0009-2012, 7.2)

    private static func encrypt(_ contentKey: borrowing Secret, _ recipient: borrowing KeyHandle) throws(CryptoFailure) -> [UInt8] {
        let context = try KeyContext(recipient)
        try succeed(EVP_PKEY_encrypt_init(context.pointer), "begin SM2 encryption")
        var count = COSEMessage.wrappedKeyBytes.upperBound
        var wrapped = [UInt8](repeating: 0, count: count)
        try succeed(
            EVP_PKEY_encrypt(context.pointer, &wrapped, &count, contentKey.pointer, contentKey.bytes.count),
            "encrypt the content key with SM2")
        return Array(wrapped.prefix(count))
    }

    private static func decrypt(_ wrapped: [UInt8], _ key: borrowing KeyHandle) throws(CryptoFailure) -> Secret? {
        let context = try KeyContext(key)
        try succeed(EVP_PKEY_decrypt_init(context.pointer), "begin SM2 decryption")
        let room = Secret(count: COSEMessage.wrappedKeyBytes.upperBound)
        var count = 0
        // Asked first how much room it needs: a ciphertext of another length must not be decrypted into ours.
        guard EVP_PKEY_decrypt(context.pointer, nil, &count, wrapped, wrapped.count) == 1, count <= room.bytes.count else {
            ERR_clear_error()
            return nil
        }
        count = room.bytes.count
        let isGenuine = EVP_PKEY_decrypt(context.pointer, room.pointer, &count, wrapped, wrapped.count) == 1
        ERR_clear_error()
        guard isGenuine, count == EnvelopeSuite.contentKeyBytes else { return nil }
        return copy(room, count: EnvelopeSuite.contentKeyBytes)
    }

    private static func copy(_ secret: borrowing Secret, count: Int) -> Secret {
        let result = Secret(count: count)
        result.bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: secret.bytes[..<count]))
        return result
    }
}
