internal import COpenSSL
package import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// What a TLS client trusts and identifies itself by, as its files were at one moment: read, parsed and found to belong together.
///
/// What is changed on disk later does not touch it, so that it can serve on when the new files are no good.
package final class TLSCredentials: Sendable {
    package enum Version: String, Sendable {
        case tls12 = "1.2"
        case tls13 = "1.3"
    }

    /// What stands in the way of a connection, though the files can be read and belong together.
    package struct Trouble: Sendable {
        package enum Kind: Sendable, Hashable {
            /// Our certificate has expired, or is not valid yet.
            case dates
            /// No authority that we trust is valid now.
            case authorityDates
            /// None of the authorities that we trust stands behind our own certificate; a broker may know one that does.
            case foreignAuthority
        }
        package let kind: Kind
        package let error: GatewayError
    }

    package let files: TLSFiles
    /// See `TLSFileContents.digest`.
    package let digest: [UInt8]
    /// Our own; `nil` for a client without one.
    package let certificate: CertificateInformation?
    package let authorities: [CertificateInformation]
    /// Why our certificate is none of our own authorities; `nil` if it is.
    let foreignAuthority: GatewayError?
    /// What works but should be put right, a sentence each.
    package let remarks: [String]
    private let contents: TLSFileContents
    private let key: SharedKey?

    /// Reads and checks the files. Throws a `GatewayError` with code `certificateInvalid`, whose resource is the file to blame: when one cannot
    /// be read, is not PEM, or key and certificate do not belong together.
    package convenience init(_ files: TLSFiles) throws(GatewayError) { try self.init(TLSFileContents(reading: files)) }

    package init(_ contents: TLSFileContents) throws(GatewayError) {
        let files = contents.files
        self.files = files
        self.contents = contents
        digest = contents.digest
        authorities = try PEMFile.withCertificates(in: contents.ca, of: files.ca) { certificates throws(GatewayError) in
            var found: [CertificateInformation] = []
            for certificate in certificates { found.append(try CertificateInformation(certificate, path: files.ca)) }
            return found
        }
        guard let path = files.certificate, let keyName = files.key else {
            guard files.certificate == nil, files.key == nil else {
                throw GatewayError(
                    .certificateInvalid, resource: files.certificate ?? files.key ?? "", operation: "check",
                    "a certificate and its key belong together, but one is missing")
            }
            certificate = nil
            foreignAuthority = nil
            key = nil
            remarks = []
            return
        }
        let key = try SharedKey(contents, name: keyName)
        let own = try PEMFile.withCertificates(in: contents.certificate, of: path) { chain throws(GatewayError) in
            try Self.check(chain, key, path: path, keyName: keyName, contents)
        }
        certificate = own.certificate
        foreignAuthority = own.foreignAuthority
        self.key = key
        remarks =
            files.keyFile.map { PEMFile.isReadableByOthers($0) } ?? false
            ? ["the key \(keyName) can be read by other users of this machine; `chmod 600 \(keyName)` ends that"] : []
    }

    private static func check(
        _ chain: [OpaquePointer], _ key: SharedKey, path: String, keyName: String, _ contents: TLSFileContents
    ) throws(GatewayError) -> (certificate: CertificateInformation, foreignAuthority: GatewayError?) {
        let certificate = try CertificateInformation(chain[0], path: path)
        guard X509_check_private_key(chain[0], key.pointer) == 1 else {
            throw GatewayError(
                .certificateInvalid, resource: keyName, operation: "check",
                "the key does not match the certificate \(path): \(OpenSSL.takeReason())")
        }
        let ca = contents.files.ca
        return try PEMFile.withCertificates(in: contents.ca, of: ca) { authorities throws(GatewayError) in
            do throws(GatewayError) {
                try CertificateInformation.verify(chain, path: path, issuer: certificate.issuer, authorities: authorities, ca: ca)
                return (certificate, nil)
            } catch {
                return (certificate, error)
            }
        }
    }

    /// What stands in the way now. Nothing is said of dates while the clock is not known to be right: that would declare certificates
    /// expired, or not yet valid, of which nobody can know.
    package func troubles(at stamp: ClockStamp) -> [Trouble] {
        var troubles: [Trouble] = []
        if !stamp.isUncertain {
            if let certificate, let path = files.certificate {
                do throws(GatewayError) {
                    try certificate.checkValidity(of: "the certificate", path: path, at: stamp.time)
                } catch { troubles.append(Trouble(kind: .dates, error: error)) }
            }
            var first: GatewayError?
            let valid = authorities.filter { authority in
                do throws(GatewayError) {
                    try authority.checkValidity(of: "the authority", path: files.ca, at: stamp.time)
                    return true
                } catch {
                    first = first ?? error
                    return false
                }
            }
            if valid.isEmpty, let first { troubles.append(Trouble(kind: .authorityDates, error: first)) }
        }
        if let foreignAuthority { troubles.append(Trouble(kind: .foreignAuthority, error: foreignAuthority)) }
        return troubles
    }

    /// When the last of the trusted authorities ends.
    package var authorityNotAfter: Timestamp? { authorities.map(\.notAfter).max() }

    /// The time to check a server's certificate by. A clock that is not known to be right may stand before our own certificates were made:
    /// then it is at least that late.
    func verificationTime(at stamp: ClockStamp) -> Timestamp {
        guard stamp.isUncertain else { return stamp.time }
        let made = ([certificate].compactMap(\.self) + authorities).map(\.notBefore).filter { $0 <= Self.latestPossible }.max()
        return max(stamp.time, made ?? stamp.time)
    }

    /// A certificate that claims to be younger than this tells nothing of the time: 2100-01-01.
    private static let latestPossible = Timestamp(nanoseconds: 4_102_444_800_000_000_000)

    /// What OpenSSL needs for one connection.
    ///
    /// - Parameters:
    ///   - host: name or address that the server's certificate must carry.
    ///   - stamp: now; `nil` for what the system's clock says.
    package func context(for host: String, oldestVersion: Version, at stamp: ClockStamp?) throws(GatewayError) -> TLSContext {
        guard let pointer = SSL_CTX_new(TLS_client_method()) else {
            throw OpenSSL.error(.tlsFailed, resource: host, operation: "prepare TLS")
        }
        let context = TLSContext(owning: pointer)
        func require(_ isDone: Bool, _ resource: String, _ step: String) throws(GatewayError) {
            guard isDone else { throw OpenSSL.error(.tlsFailed, resource: resource, operation: step) }
        }
        try require(
            copenssl_set_oldest_version(pointer, oldestVersion == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION) == 1, host, "prepare TLS")
        try require(SSL_CTX_set_cipher_list(pointer, TLSContext.tls12Ciphers) == 1, host, "prepare TLS")
        copenssl_release_buffers(pointer)
        try PEMFile.withCertificates(in: contents.ca, of: files.ca) { authorities throws(GatewayError) in
            let store = SSL_CTX_get_cert_store(pointer)
            for authority in authorities { try require(X509_STORE_add_cert(store, authority) == 1, files.ca, "load authorities") }
        }
        if let key, let path = files.certificate {
            try PEMFile.withCertificates(in: contents.certificate, of: path) { chain throws(GatewayError) in
                try require(SSL_CTX_use_certificate(pointer, chain[0]) == 1, path, "load certificate")
                for intermediate in chain.dropFirst() {
                    try require(copenssl_add_chain_certificate(pointer, intermediate) == 1, path, "load certificate")
                }
            }
            try require(SSL_CTX_use_PrivateKey(pointer, key.pointer) == 1, files.key ?? path, "load key")
        }
        SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER, nil)
        let rules = SSL_CTX_get0_param(pointer)
        var address = in6_addr()
        let isAddress = inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1
        try require(
            (isAddress ? X509_VERIFY_PARAM_set1_ip_asc(rules, host) : X509_VERIFY_PARAM_set1_host(rules, host, 0)) == 1, host, "prepare TLS"
        )
        if let stamp { X509_VERIFY_PARAM_set_time(rules, time_t(verificationTime(at: stamp).nanoseconds / 1_000_000_000)) }
        return context
    }
}

/// The owner of an `SSL_CTX`.
package struct TLSContext: ~Copyable {
    /// Of TLS 1.2 only what has forward secrecy and authenticates what it encrypts: no NULL, and no HMAC with MD5 or SHA-1 (Modbus/TCP
    /// Security V3.6, R-14, R-37, R-50, R-51, R-53).
    fileprivate static let tls12Ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20"

    /// For who takes a reference of their own.
    package let pointer: OpaquePointer

    init(owning pointer: OpaquePointer) { self.pointer = pointer }

    deinit { SSL_CTX_free(pointer) }
}

/// A private key that several connections use. OpenSSL counts its users itself, and only reads it.
private final class SharedKey: @unchecked Sendable {
    private let key: Key
    var pointer: OpaquePointer { key.pointer }

    init(_ contents: TLSFileContents, name: String) throws(GatewayError) {
        key =
            if PKCS11URI.isMeant(by: name) { try PKCS11.privateKey(of: PKCS11URI(name)) } else {
                try PEMFile.privateKey(in: contents.key, of: name)
            }
    }
}
