internal import COpenSSL
package import GatewayCore
package import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The client's side of TLS with certificates on both sides, over sockets that somebody else opens.
///
/// The files are read at each connection, so that renewed ones are taken without a restart.
package struct TLSClient: ChannelSecuring {
    package typealias Version = TLSCredentials.Version

    private let ca: String
    private let certificate: String
    private let key: String
    private let oldestVersion: Version
    private let modbusRole: String?

    /// - Parameters:
    ///   - ca: PEM file of the authorities that the server is checked against.
    ///   - certificate: PEM file of the client's certificate, followed by its intermediates if there are any.
    ///   - key: PEM file of its private key, without a passphrase; or its PKCS#11 URI (RFC 7512).
    ///   - modbusRole: what the client's certificate must carry as its Modbus role; `nil`: not looked at.
    package init(ca: String, certificate: String, key: String, oldestVersion: Version = .tls13, modbusRole: String? = nil) {
        self.ca = ca
        self.certificate = certificate
        self.key = key
        self.oldestVersion = oldestVersion
        self.modbusRole = modbusRole
    }

    @discardableResult
    package func check(at time: Timestamp) throws(GatewayError) -> [String] {
        let remarks = try CertificateInformation.check(ca: ca, certificate: certificate, key: key, at: time)
        if let modbusRole { try ModbusRole.check(modbusRole, ofPEMFile: certificate) }
        return remarks
    }

    package func secure(_ descriptor: Int32, host: String, within limit: Duration) throws(GatewayError) -> any ByteChannel {
        let deadline = SystemTime().now.advanced(by: limit)
        let credentials = try TLSCredentials(TLSFiles(ca: ca, certificate: certificate, key: key))
        let context = try credentials.context(for: host, oldestVersion: oldestVersion, at: nil)
        guard let connection = SSL_new(context.pointer), let input = BIO_new(BIO_s_mem()), let output = BIO_new(BIO_s_mem()) else {
            throw OpenSSL.error(.tlsFailed, resource: host, operation: "prepare TLS")
        }
        SSL_set_bio(connection, input, output)
        let channel = TLSChannel(owning: connection, input: input, output: output, descriptor: descriptor, host: host)
        var address = in6_addr()
        if inet_pton(AF_INET, host, &address) != 1, inet_pton(AF_INET6, host, &address) != 1 {
            guard copenssl_set_server_name(connection, host) == 1 else {
                throw OpenSSL.error(.tlsFailed, resource: host, operation: "prepare TLS")
            }
        }
        SSL_set_connect_state(connection)
        try channel.handshake(until: deadline)
        return channel
    }
}

/// One TLS connection. OpenSSL works on memory; the socket is read and written here, so that every wait has its end.
private final class TLSChannel: ByteChannel {
    private let connection: OpaquePointer
    private let input: OpaquePointer
    private let output: OpaquePointer
    private let descriptor: Int32
    private let host: String
    private var isClosed = false
    private var buffer = [UInt8](repeating: 0, count: TLSChannel.bufferBytes)

    /// One record and what is around it (RFC 8446, 5.2).
    private static let bufferBytes = 17 * 1024

    init(owning connection: OpaquePointer, input: OpaquePointer, output: OpaquePointer, descriptor: Int32, host: String) {
        self.connection = connection
        self.input = input
        self.output = output
        self.descriptor = descriptor
        self.host = host
    }

    deinit { SSL_free(connection) }

    func handshake(until deadline: MonotonicInstant) throws(GatewayError) {
        while true {
            let result = SSL_do_handshake(connection)
            let need = SSL_get_error(connection, result)
            try flush(until: deadline)
            if result == 1 { return }
            guard need == SSL_ERROR_WANT_READ else { throw handshakeFailure() }
            guard try fill(until: deadline) else { throw failure("the device does not finish the TLS handshake in time") }
        }
    }

    func read(into target: UnsafeMutableRawBufferPointer, within limit: Duration) throws(GatewayError) -> Int {
        let deadline = SystemTime().now.advanced(by: limit)
        while true {
            let count = SSL_read(connection, target.baseAddress, Int32(clamping: target.count))
            let need = SSL_get_error(connection, count)
            // A key update is answered.
            try flush(until: deadline)
            if count > 0 { return Int(count) }
            switch need {
            case SSL_ERROR_WANT_READ:
                guard try fill(until: deadline) else { return 0 }
            case SSL_ERROR_ZERO_RETURN: throw failure("the device closed the connection")
            default: throw failure("TLS broke: \(OpenSSL.takeReason())")
            }
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, within limit: Duration) throws(GatewayError) {
        // Into memory, so nothing is ever left over.
        guard SSL_write(connection, bytes.baseAddress, Int32(clamping: bytes.count)) == Int32(clamping: bytes.count) else {
            throw failure("TLS broke: \(OpenSSL.takeReason())")
        }
        try flush(until: SystemTime().now.advanced(by: limit))
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        SSL_shutdown(connection)
        try? flush(until: SystemTime().now)
        OpenSSL.clearReasons()
    }

    /// Sends what OpenSSL has written.
    private func flush(until deadline: MonotonicInstant) throws(GatewayError) {
        while copenssl_pending(output) > 0 {
            let count = BIO_read(output, &buffer, Int32(buffer.count))
            guard count > 0 else { return }
            var sent = 0
            while sent < count {
                let written = buffer.withUnsafeBytes {
                    send(descriptor, $0.baseAddress?.advanced(by: sent), Int(count) - sent, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
                }
                if written > 0 {
                    sent += written
                } else if errno == EAGAIN {
                    guard waits(for: POLLOUT, until: deadline) else { throw failure("the device takes no more data") }
                } else if errno != EINTR {
                    throw failure(String(cString: strerror(errno)))
                }
            }
        }
    }

    /// Gives OpenSSL what the socket has, waiting for it; `false` when the time is over.
    private func fill(until deadline: MonotonicInstant) throws(GatewayError) -> Bool {
        while true {
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count > 0 {
                guard BIO_write(input, buffer, Int32(count)) == Int32(count) else { throw failure("no memory for TLS") }
                return true
            }
            if count == 0 { throw failure("the device closed the connection") }
            switch errno {
            case EINTR: continue
            case EAGAIN: guard waits(for: POLLIN, until: deadline) else { return false }
            default: throw failure(String(cString: strerror(errno)))
            }
        }
    }

    private func waits(for event: Int32, until deadline: MonotonicInstant) -> Bool {
        let left = SystemTime().now.duration(to: deadline).nanoseconds
        guard left > 0 else { return false }
        var entry = pollfd(fd: descriptor, events: Int16(event), revents: 0)
        return poll(&entry, 1, Int32(clamping: (left + 999_999) / 1_000_000)) > 0
    }

    private func failure(_ message: String) -> GatewayError {
        GatewayError(.tlsFailed, resource: "TLS to \(host)", operation: "exchange", message)
    }

    private func handshakeFailure() -> GatewayError {
        let verification = SSL_get_verify_result(connection)
        let reason = OpenSSL.takeReason()
        guard verification == Int(X509_V_OK) else {
            let text = X509_verify_cert_error_string(verification).map { String(cString: $0) } ?? reason
            return GatewayError(
                .tlsFailed, resource: "TLS to \(host)", operation: "handshake", "the device's certificate is not accepted: \(text)")
        }
        return GatewayError(.tlsFailed, resource: "TLS to \(host)", operation: "handshake", "the device refused: \(reason)")
    }
}
