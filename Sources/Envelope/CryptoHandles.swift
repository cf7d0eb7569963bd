internal import COpenSSL

/// A step that OpenSSL refused, with its reason.
struct CryptoFailure: Error, CustomStringConvertible {
    var step: String
    var reason: String

    /// Takes the newest reason off this thread's error queue, which is emptied.
    init(_ step: String) {
        self.step = step
        let number = ERR_peek_last_error()
        ERR_clear_error()
        reason = number == 0 ? "no reason given" : ERR_reason_error_string(number).map { String(cString: $0) } ?? "error \(number)"
    }

    var description: String { "\(step): \(reason)" }
}

/// Throws unless OpenSSL said 1.
func succeed(_ result: Int32, _ step: @autoclosure () -> String) throws(CryptoFailure) {
    if result != 1 { throw CryptoFailure(step()) }
}

/// Bytes that are wiped when they are let go.
struct Secret: ~Copyable {
    let bytes: UnsafeMutableRawBufferPointer

    /// Zeros.
    init(count: Int) {
        bytes = .allocate(byteCount: count, alignment: 16)
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit {
        OPENSSL_cleanse(bytes.baseAddress, bytes.count)
        bytes.deallocate()
    }

    var pointer: UnsafeMutablePointer<UInt8>? { bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) }

    /// Draws from the system's generator (NIST SP 800-90A).
    static func random(count: Int) throws(CryptoFailure) -> Secret {
        let secret = Secret(count: count)
        try succeed(RAND_bytes(secret.pointer, Int32(count)), "draw a key")
        return secret
    }
}

/// The owner of a public key or of a key pair. OpenSSL counts its references under a lock, and nobody changes a key that was read.
struct KeyHandle: ~Copyable, @unchecked Sendable {
    let pointer: OpaquePointer

    init(owning pointer: OpaquePointer) { self.pointer = pointer }

    deinit { EVP_PKEY_free(pointer) }
}

/// The owner of a cipher's context.
struct CipherContext: ~Copyable {
    let pointer: OpaquePointer

    init() throws(CryptoFailure) {
        guard let pointer = EVP_CIPHER_CTX_new() else { throw CryptoFailure("make a cipher context") }
        self.pointer = pointer
    }

    deinit { EVP_CIPHER_CTX_free(pointer) }
}

/// The owner of a context that digests, signs or verifies.
struct DigestContext: ~Copyable {
    let pointer: OpaquePointer

    init() throws(CryptoFailure) {
        guard let pointer = EVP_MD_CTX_new() else { throw CryptoFailure("make a digest context") }
        self.pointer = pointer
    }

    deinit { EVP_MD_CTX_free(pointer) }
}

/// The owner of an operation with a key.
struct KeyContext: ~Copyable {
    let pointer: OpaquePointer

    init(_ key: borrowing KeyHandle) throws(CryptoFailure) {
        guard let pointer = EVP_PKEY_CTX_new(key.pointer, nil) else { throw CryptoFailure("make a key context") }
        self.pointer = pointer
    }

    /// An operation without a key, such as a derivation.
    init(identifier: Int32) throws(CryptoFailure) {
        guard let pointer = EVP_PKEY_CTX_new_id(identifier, nil) else { throw CryptoFailure("make a key context") }
        self.pointer = pointer
    }

    deinit { EVP_PKEY_CTX_free(pointer) }
}

/// The owner of a BIO over memory: what OpenSSL reads PEM from and writes it to.
struct MemoryBIO: ~Copyable {
    let pointer: OpaquePointer

    /// An empty stream to write to.
    init() throws(CryptoFailure) {
        guard let pointer = BIO_new(BIO_s_mem()) else { throw CryptoFailure("make a memory stream") }
        self.pointer = pointer
    }

    /// A stream that reads a copy of `bytes`.
    static func reading(_ bytes: [UInt8]) throws(CryptoFailure) -> MemoryBIO {
        let stream = try MemoryBIO()
        guard bytes.isEmpty || BIO_write(stream.pointer, bytes, Int32(clamping: bytes.count)) == bytes.count else {
            throw CryptoFailure("fill a memory stream")
        }
        return stream
    }

    deinit { BIO_free(pointer) }

    /// Everything that was written.
    var bytes: [UInt8] {
        var start: UnsafeMutablePointer<CChar>?
        let count = copenssl_memory(pointer, &start)
        guard let start, count > 0 else { return [] }
        return [UInt8](UnsafeRawBufferPointer(start: start, count: count))
    }
}
