internal import COpenSSL
package import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The system's `read`, which a method of the same name would hide.
private func readBytes(_ descriptor: Int32, _ bytes: UnsafeMutableRawPointer?, _ count: Int) -> Int { read(descriptor, bytes, count) }

/// Reading and creating PEM files (RFC 7468).
package enum PEMFile {
    /// The largest PEM file that is read, in bytes: room for long chains and bundles of authorities.
    package static let sizeMax = 1 << 20
    /// The most certificates that are taken from one file.
    static let certificatesMax = 256

    /// The whole file.
    package static func read(_ path: String) throws(GatewayError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path, "read", errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(path, "read", errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw GatewayError(.certificateInvalid, resource: path, operation: "read", "it is not a file")
        }
        guard status.st_size <= sizeMax else {
            throw GatewayError(
                .certificateInvalid, resource: path, operation: "read",
                "the file has \(status.st_size) bytes, a PEM file at most \(sizeMax)")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var filled = 0
        while filled < bytes.count {
            let count = bytes.withUnsafeMutableBytes { readBytes(descriptor, $0.baseAddress?.advanced(by: filled), $0.count - filled) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(path, "read", errno) }
            if count == 0 { break }
            filled += count
        }
        return Array(bytes.prefix(filled))
    }

    /// Creates a file that must not exist, and brings it to the disk.
    package static func create(_ path: String, _ bytes: [UInt8], mode: UInt32) throws(GatewayError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw failure(path, "create", errno) }
        defer { close(descriptor) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress?.advanced(by: written), $0.count - written) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure(path, "write", errno) }
            written += count
        }
        // The mode of `open` is narrowed by the umask; a certificate must stay readable for the broker's user.
        guard fchmod(descriptor, mode) == 0, fsync(descriptor) == 0 else { throw failure(path, "write", errno) }
    }

    /// Puts a new file in the place of another one at once: who reads sees the old or the new one, never a part.
    package static func replace(_ path: String, _ bytes: [UInt8], mode: UInt32) throws(GatewayError) {
        let temporary = path + ".new"
        unlink(temporary)
        try create(temporary, bytes, mode: mode)
        guard rename(temporary, path) == 0 else {
            let number = errno
            unlink(temporary)
            throw failure(path, "replace", number)
        }
    }

    /// Whether anything of that name exists.
    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Removes a file that this process created; nothing is said when it is gone already.
    package static func remove(_ path: String) { unlink(path) }

    /// Whether people other than the owner may read the file.
    package static func isReadableByOthers(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & (S_IRGRP | S_IROTH) != 0
    }

    /// The certificates of a file, in its order: at least one.
    static func withCertificates<Result>(
        of path: String, _ body: ([OpaquePointer]) throws(GatewayError) -> Result
    ) throws(GatewayError) -> Result {
        try withCertificates(in: read(path), of: path, body)
    }

    /// The same with the contents that the file had.
    static func withCertificates<Result>(
        in bytes: [UInt8], of path: String, _ body: ([OpaquePointer]) throws(GatewayError) -> Result
    ) throws(GatewayError) -> Result {
        let stream = try MemoryStream.reading(bytes)
        guard let list = copenssl_certificates_new() else { throw OpenSSL.error(resource: path, operation: "read") }
        defer { copenssl_certificates_free(list) }
        var certificates: [OpaquePointer] = []
        while certificates.count < certificatesMax, let certificate = PEM_read_bio_X509(stream.pointer, nil, nil, nil) {
            guard copenssl_certificates_push(list, certificate) > 0 else {
                X509_free(certificate)
                throw OpenSSL.error(resource: path, operation: "read")
            }
            certificates.append(certificate)
        }
        let reason = OpenSSL.takeReason()
        guard !certificates.isEmpty else {
            throw GatewayError(
                .certificateInvalid, resource: path, operation: "read",
                "the file holds no certificate in PEM form (“-----BEGIN CERTIFICATE-----” is expected): \(reason)")
        }
        return try body(certificates)
    }

    /// The private key of a file. Keys under a passphrase are refused: nobody is there to type it.
    static func privateKey(of path: String) throws(GatewayError) -> Key { try privateKey(in: read(path), of: path) }

    /// The same with the contents that the file had.
    static func privateKey(in bytes: [UInt8], of path: String) throws(GatewayError) -> Key {
        let stream = try MemoryStream.reading(bytes)
        guard let pointer = PEM_read_bio_PrivateKey(stream.pointer, nil, { _, _, _, _ in -1 }, nil) else {
            throw GatewayError(
                .certificateInvalid, resource: path, operation: "read",
                "the file holds no private key in PEM form without a passphrase: \(OpenSSL.takeReason())")
        }
        return Key(owning: pointer)
    }

    private static func failure(_ path: String, _ operation: String, _ number: Int32) -> GatewayError {
        let reason = String(cString: strerror(number))
        return switch number {
        case ENOENT where operation == "read":
            GatewayError(.certificateInvalid, resource: path, operation: operation, "the file does not exist")
        case EACCES, EPERM:
            GatewayError(
                .certificateInvalid, resource: path, operation: operation, "the gateway's user may not \(operation) it (\(reason))")
        default: GatewayError(.certificateInvalid, resource: path, operation: operation, reason)
        }
    }
}
