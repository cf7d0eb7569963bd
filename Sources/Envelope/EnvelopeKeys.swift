internal import COpenSSL
internal import Identity
package import Telemetry

/// A public key: of a gateway, to check its signatures, or of a recipient, to wrap content keys for it.
package final class EnvelopePublicKey: Sendable {
    let handle: KeyHandle
    package let curve: EnvelopeCurve
    /// The first eight bytes of the digest of the key (SubjectPublicKeyInfo, RFC 5280, 4.1.2.7): of SHA-256, or of SM3 on the curve of SM2.
    package let identifier: [UInt8]

    /// Reads a key in PEM form (RFC 7468, 13).
    ///
    /// Throws a `GatewayError` with code `certificateInvalid` when it is none, or not on P-256 or the curve of SM2.
    package convenience init(pem: [UInt8], name: String) throws(GatewayError) {
        do throws(CryptoFailure) {
            let stream = try MemoryBIO.reading(pem)
            guard let pointer = PEM_read_bio_PUBKEY(stream.pointer, nil, nil, nil) else { throw CryptoFailure("read the PEM") }
            try self.init(owning: pointer)
        } catch {
            throw EnvelopeKeyFile.invalid(name, "it is no public key in PEM form on P-256 or the curve of SM2", error)
        }
    }

    /// Reads a file in PEM form.
    package convenience init(file: String) throws(GatewayError) {
        try self.init(pem: PEMFile.read(file), name: file)
    }

    init(owning pointer: OpaquePointer) throws(CryptoFailure) {
        handle = KeyHandle(owning: pointer)
        curve = try EnvelopeKeyFile.curve(of: pointer)
        identifier = try EnvelopeKeyFile.identifier(of: pointer, on: curve)
    }
}

/// A key pair: a gateway's, to sign, or a recipient's, to unwrap content keys. OpenSSL wipes it when it is let go.
package final class EnvelopePrivateKey: Sendable {
    let handle: KeyHandle
    package let curve: EnvelopeCurve
    /// The identifier of its public key.
    package let identifier: [UInt8]

    /// Reads a key in PEM form without a passphrase (RFC 7468, 10; RFC 5915).
    ///
    /// Throws a `GatewayError` with code `certificateInvalid` when it is none, or not on P-256 or the curve of SM2.
    package convenience init(pem: [UInt8], name: String) throws(GatewayError) {
        do throws(CryptoFailure) {
            let stream = try MemoryBIO.reading(pem)
            guard let pointer = PEM_read_bio_PrivateKey(stream.pointer, nil, { _, _, _, _ in -1 }, nil) else {
                throw CryptoFailure("read the PEM")
            }
            try self.init(owning: pointer)
        } catch {
            throw EnvelopeKeyFile.invalid(name, "it is no private key in PEM form without a passphrase on P-256 or the curve of SM2", error)
        }
    }

    /// Reads a file in PEM form.
    package convenience init(file: String) throws(GatewayError) {
        try self.init(pem: PEMFile.read(file), name: file)
    }

    init(owning pointer: OpaquePointer) throws(CryptoFailure) {
        handle = KeyHandle(owning: pointer)
        curve = try EnvelopeKeyFile.curve(of: pointer)
        identifier = try EnvelopeKeyFile.identifier(of: pointer, on: curve)
    }

    /// Makes a new key pair.
    package static func generate(_ curve: EnvelopeCurve) throws(GatewayError) -> EnvelopePrivateKey {
        do throws(CryptoFailure) {
            let made = curve == .sm2 ? copenssl_generate_sm2() : copenssl_generate_p256()
            guard let made else { throw CryptoFailure("make a key pair") }
            return try EnvelopePrivateKey(owning: made)
        } catch {
            throw EnvelopeKeyFile.invalid("key", "a key pair cannot be made", error)
        }
    }

    /// Its public key in PEM form.
    package func publicPEM() throws(GatewayError) -> [UInt8] {
        try EnvelopeKeyFile.pem("public key") { stream in PEM_write_bio_PUBKEY(stream, handle.pointer) }
    }

    /// The key pair in PEM form, for a file that only its owner may read.
    package func privatePEM() throws(GatewayError) -> [UInt8] {
        try EnvelopeKeyFile.pem("private key") { stream in PEM_write_bio_PKCS8PrivateKey(stream, handle.pointer, nil, nil, 0, nil, nil) }
    }

    /// Its public key.
    package func publicKey() throws(GatewayError) -> EnvelopePublicKey { try EnvelopePublicKey(pem: publicPEM(), name: "public key") }
}

/// Files of envelope keys.
package enum EnvelopeKeyFile {
    /// Makes a key pair: `<path>.key` for its owner only, and `<path>.pub` for the other side. Neither may exist.
    ///
    /// Throws a `GatewayError` that names the file; what was created until then is removed.
    package static func create(_ path: String, _ curve: EnvelopeCurve) throws(GatewayError) -> (key: String, publicKey: String) {
        let files = (key: "\(path).key", publicKey: "\(path).pub")
        for file in [files.key, files.publicKey] where PEMFile.exists(file) {
            throw GatewayError(
                .configurationInvalid, resource: file, operation: "create key", "the file exists already, and keys are never overwritten")
        }
        let pair = try EnvelopePrivateKey.generate(curve)
        try PEMFile.create(files.key, try pair.privatePEM(), mode: 0o600)
        do throws(GatewayError) {
            try PEMFile.create(files.publicKey, try pair.publicPEM(), mode: 0o644)
        } catch {
            PEMFile.remove(files.key)
            throw error
        }
        return files
    }

    static func invalid(_ name: String, _ message: String, _ cause: CryptoFailure) -> GatewayError {
        GatewayError(.certificateInvalid, resource: name, operation: "read key", "\(message): \(cause)")
    }

    fileprivate static func curve(of key: OpaquePointer) throws(CryptoFailure) -> EnvelopeCurve {
        if EVP_PKEY_is_a(key, "SM2") == 1 { return .sm2 }
        var name = [CChar](repeating: 0, count: 64)
        var count = 0
        guard EVP_PKEY_is_a(key, "EC") == 1, EVP_PKEY_get_group_name(key, &name, name.count, &count) == 1,
            String(decoding: name.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self) == "prime256v1"
        else { throw CryptoFailure("find the curve P-256 or that of SM2") }
        return .p256
    }

    fileprivate static func identifier(of key: OpaquePointer, on curve: EnvelopeCurve) throws(CryptoFailure) -> [UInt8] {
        var encoded: UnsafeMutablePointer<UInt8>?
        let count = i2d_PUBKEY(key, &encoded)
        defer { CRYPTO_free(encoded, #file, #line) }
        guard let encoded, count > 0 else { throw CryptoFailure("encode the public key") }
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        let algorithm = curve == .sm2 ? EVP_sm3() : EVP_sha256()
        try succeed(EVP_Digest(encoded, Int(count), &digest, nil, algorithm, nil), "digest the public key")
        return Array(digest.prefix(COSEMessage.keyIdentifierBytes))
    }

    fileprivate static func pem(_ what: String, _ write: (OpaquePointer) -> Int32) throws(GatewayError) -> [UInt8] {
        do throws(CryptoFailure) {
            let stream = try MemoryBIO()
            try succeed(write(stream.pointer), "write the \(what)")
            return stream.bytes
        } catch {
            throw invalid(what, "it cannot be written", error)
        }
    }
}
