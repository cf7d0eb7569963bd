internal import COpenSSL

/// Encrypts and decrypts contents under one key.
///
/// AES-256-GCM (NIST SP 800-38D) and ChaCha20-Poly1305 (RFC 8439) as OpenSSL has them. For SM, OpenSSL 3.0 has no mode that authenticates:
/// SM4-CTR (GM/T 0002-2012) and then HMAC-SM3 (GM/T 0004-2012, RFC 2104) over the additional data, then the ciphertext, with two keys that
/// HKDF-SM3 makes of the content key under different labels.
struct ContentCipher: ~Copyable {
    let suite: EnvelopeSuite
    private let context: CipherContext
    /// Of HMAC-SM3; empty for the others.
    private let authenticationKey: Secret

    static let sm4Label = "IndusEdge envelope 1 SM4-CTR"
    static let hmacLabel = "IndusEdge envelope 1 HMAC-SM3"

    init(_ suite: EnvelopeSuite, key: borrowing Secret) throws(CryptoFailure) {
        let isSM = suite == .sm
        let context = try CipherContext()
        let authenticationKey = isSM ? try ContentCipher.derive(key, ContentCipher.hmacLabel, count: 32) : Secret(count: 0)
        if isSM {
            let encryptionKey = try ContentCipher.derive(key, ContentCipher.sm4Label, count: 16)
            try succeed(EVP_CipherInit_ex(context.pointer, EVP_sm4_ctr(), nil, encryptionKey.pointer, nil, 1), "set the content key")
        } else {
            let cipher = suite == .aes256gcm ? EVP_aes_256_gcm() : EVP_chacha20_poly1305()
            try succeed(EVP_CipherInit_ex(context.pointer, cipher, nil, key.pointer, nil, 1), "set the content key")
        }
        self.suite = suite
        self.context = context
        self.authenticationKey = authenticationKey
    }

    private static func derive(_ key: borrowing Secret, _ label: String, count: Int) throws(CryptoFailure) -> Secret {
        try KeyDerivation.expand(key, digest: .sm3, context: Array(label.utf8), count: count)
    }

    /// The ciphertext with its authentication at the end.
    ///
    /// - Parameter nonce: 12 bytes that this key has not met before.
    func seal(_ plaintext: [UInt8], nonce: [UInt8], additional: [UInt8]) throws(CryptoFailure) -> [UInt8] {
        try start(nonce, encrypts: true)
        var failure: CryptoFailure?
        let sealed = [UInt8](unsafeUninitializedCapacity: plaintext.count + suite.authenticationBytes) { buffer, count in
            do throws(CryptoFailure) {
                let output = buffer.baseAddress
                let tag = output?.advanced(by: plaintext.count)
                if suite != .sm { try authenticate(additional) }
                var written: Int32 = 0
                try succeed(EVP_CipherUpdate(context.pointer, output, &written, plaintext, Int32(clamping: plaintext.count)), "encrypt")
                if suite == .sm {
                    try sm3(additional, UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<plaintext.count]), into: tag)
                } else {
                    try succeed(EVP_CipherFinal_ex(context.pointer, tag, &written), "finish encryption")
                    try succeed(EVP_CIPHER_CTX_ctrl(context.pointer, EVP_CTRL_AEAD_GET_TAG, 16, tag), "take the authentication")
                }
                count = plaintext.count + suite.authenticationBytes
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return sealed
    }

    /// The plaintext; `nil` when the authentication does not fit.
    func open(_ sealed: ArraySlice<UInt8>, nonce: [UInt8], additional: [UInt8]) throws(CryptoFailure) -> [UInt8]? {
        let size = sealed.count - suite.authenticationBytes
        guard size >= 0 else { return nil }
        try start(nonce, encrypts: false)
        var failure: CryptoFailure?
        var isGenuine = false
        let plaintext = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            sealed.withUnsafeBytes { sealed in
                do throws(CryptoFailure) {
                    let ciphertext = UnsafeRawBufferPointer(rebasing: sealed[..<size])
                    let tag = UnsafeRawBufferPointer(rebasing: sealed[size...])
                    isGenuine = try decrypt(ciphertext, tag, additional, buffer.baseAddress)
                } catch {
                    failure = error
                }
            }
            // What does not pass leaves no trace.
            if !isGenuine { OPENSSL_cleanse(buffer.baseAddress, size) }
            count = isGenuine ? size : 0
        }
        if let failure { throw failure }
        return isGenuine ? plaintext : nil
    }

    private func decrypt(
        _ ciphertext: UnsafeRawBufferPointer, _ tag: UnsafeRawBufferPointer, _ additional: [UInt8], _ output: UnsafeMutablePointer<UInt8>?
    ) throws(CryptoFailure) -> Bool {
        let input = ciphertext.baseAddress?.assumingMemoryBound(to: UInt8.self)
        var written: Int32 = 0
        if suite == .sm {
            var expected = [UInt8](repeating: 0, count: 32)
            try sm3(additional, ciphertext, into: &expected)
            guard CRYPTO_memcmp(expected, tag.baseAddress, 32) == 0 else { return false }
            try succeed(EVP_CipherUpdate(context.pointer, output, &written, input, Int32(clamping: ciphertext.count)), "decrypt")
            return true
        }
        let given = UnsafeMutableRawPointer(mutating: tag.baseAddress)
        try succeed(EVP_CIPHER_CTX_ctrl(context.pointer, EVP_CTRL_AEAD_SET_TAG, 16, given), "set the authentication")
        try authenticate(additional)
        try succeed(EVP_CipherUpdate(context.pointer, output, &written, input, Int32(clamping: ciphertext.count)), "decrypt")
        let isGenuine = EVP_CipherFinal_ex(context.pointer, output, &written) == 1
        ERR_clear_error()
        return isGenuine
    }

    private func start(_ nonce: [UInt8], encrypts: Bool) throws(CryptoFailure) {
        // The counter of the blocks is the last four bytes and begins with 0; an envelope has fewer blocks than it can count.
        let initial = suite == .sm ? nonce + [0, 0, 0, 0] : nonce
        try succeed(EVP_CipherInit_ex(context.pointer, nil, nil, nil, initial, encrypts ? 1 : 0), "set the nonce")
    }

    private func authenticate(_ additional: [UInt8]) throws(CryptoFailure) {
        var written: Int32 = 0
        try succeed(EVP_CipherUpdate(context.pointer, nil, &written, additional, Int32(additional.count)), "authenticate the header")
    }

    /// HMAC-SM3 over the additional data, which tells its own length, and the ciphertext.
    private func sm3(_ additional: [UInt8], _ ciphertext: UnsafeRawBufferPointer, into tag: UnsafeMutablePointer<UInt8>?)
        throws(CryptoFailure)
    {
        var message = [UInt8]()
        message.reserveCapacity(additional.count + ciphertext.count)
        message += additional
        message += ciphertext
        var count: UInt32 = 0
        guard HMAC(EVP_sm3(), authenticationKey.pointer, Int32(authenticationKey.bytes.count), message, message.count, tag, &count) != nil,
            count == 32
        else { throw CryptoFailure("authenticate with HMAC-SM3") }
    }
}
