internal import COpenSSL
internal import Telemetry

/// The owner of a key pair or of a public key.
struct Key: ~Copyable {
    let pointer: OpaquePointer

    init(owning pointer: OpaquePointer) { self.pointer = pointer }

    deinit { EVP_PKEY_free(pointer) }
}

/// The owner of one X.509 certificate.
struct Certificate: ~Copyable {
    let pointer: OpaquePointer

    init(owning pointer: OpaquePointer) { self.pointer = pointer }

    deinit { X509_free(pointer) }
}

/// The owner of a BIO over memory: what OpenSSL reads PEM from and writes it to.
struct MemoryStream: ~Copyable {
    let pointer: OpaquePointer

    /// An empty stream to write to.
    init() throws(GatewayError) {
        guard let pointer = BIO_new(BIO_s_mem()) else { throw OpenSSL.error(resource: "memory stream", operation: "create") }
        self.pointer = pointer
    }

    /// A stream that reads a copy of `bytes`.
    static func reading(_ bytes: [UInt8]) throws(GatewayError) -> MemoryStream {
        let stream = try MemoryStream()
        guard bytes.isEmpty || BIO_write(stream.pointer, bytes, Int32(bytes.count)) == Int32(bytes.count) else {
            throw OpenSSL.error(resource: "memory stream", operation: "write")
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

/// What all uses of OpenSSL share.
enum OpenSSL {
    /// An error with OpenSSL's own reason, which is taken off its queue.
    static func error(
        _ code: GatewayError.Code = .certificateInvalid, resource: String, operation: String, _ message: String = "OpenSSL refused"
    ) -> GatewayError {
        GatewayError(code, resource: resource, operation: operation, "\(message): \(takeReason())")
    }

    /// The newest reason on this thread's error queue, which is emptied.
    static func takeReason() -> String {
        let number = ERR_peek_last_error()
        ERR_clear_error()
        guard number != 0, let reason = ERR_reason_error_string(number) else { return "no reason given" }
        return String(cString: reason)
    }

    /// The reasons on this thread's error queue, oldest first, which is emptied.
    static func takeReasons() -> [String] {
        var reasons: [String] = []
        while case let number = ERR_get_error(), number != 0 {
            guard let reason = ERR_reason_error_string(number).map({ String(cString: $0) }), !reasons.contains(reason) else { continue }
            reasons.append(reason)
        }
        return reasons
    }

    /// Empties this thread's error queue.
    static func clearReasons() { ERR_clear_error() }
}
