internal import COpenSSL
package import Telemetry

extension CertificateInformation {
    /// Looks, before anything connects, whether a client's files can work, and says exactly what is wrong with them.
    ///
    /// - Parameters:
    ///   - ca: PEM file of the authorities that are trusted.
    ///   - certificate: PEM file of the client's certificate, followed by its intermediates if there are any.
    ///   - key: PEM file of the certificate's private key, without a passphrase; or its PKCS#11 URI (RFC 7512).
    ///   - time: now.
    /// - Returns: what works but should be put right, a sentence each: a key that others can read.
    /// - Throws: a `GatewayError` with code `certificateInvalid`, whose resource is the file that is to blame.
    @discardableResult
    package static func check(
        ca: String, certificate: String, key: String, at time: Timestamp
    ) throws(GatewayError) -> [String] {
        let credentials = try TLSCredentials(TLSFiles(ca: ca, certificate: certificate, key: key))
        for authority in credentials.authorities { try authority.checkValidity(of: "the authority", path: ca, at: time) }
        try credentials.certificate?.checkValidity(of: "the certificate", path: certificate, at: time)
        if let error = credentials.foreignAuthority { throw error }
        return credentials.remarks
    }

    func checkValidity(of what: String, path: String, at time: Timestamp) throws(GatewayError) {
        if time > notAfter {
            throw GatewayError(
                .certificateInvalid, resource: path, operation: "check",
                "\(what) \(subject) expired on \(notAfter), it is now \(time); renew it, or set the clock if the clock is wrong", time: time
            )
        }
        if time < notBefore {
            throw GatewayError(
                .certificateInvalid, resource: path, operation: "check",
                "\(what) \(subject) is not valid before \(notBefore), it is now \(time); is the clock of this machine right?", time: time)
        }
    }

    /// Looks whether an authority of a file stands behind a chain of certificates, whatever their dates.
    static func verify(
        _ chain: [OpaquePointer], path: String, issuer: String, authorities: [OpaquePointer], ca: String
    ) throws(GatewayError) {
        guard let store = X509_STORE_new() else { throw OpenSSL.error(resource: ca, operation: "check") }
        defer { X509_STORE_free(store) }
        for authority in authorities { X509_STORE_add_cert(store, authority) }
        guard let untrusted = copenssl_certificates_new() else { throw OpenSSL.error(resource: path, operation: "check") }
        defer { copenssl_certificates_free(untrusted) }
        for intermediate in chain.dropFirst() {
            X509_up_ref(intermediate)
            guard copenssl_certificates_push(untrusted, intermediate) > 0 else {
                X509_free(intermediate)
                throw OpenSSL.error(resource: path, operation: "check")
            }
        }
        guard let context = X509_STORE_CTX_new() else { throw OpenSSL.error(resource: path, operation: "check") }
        defer { X509_STORE_CTX_free(context) }
        guard copenssl_verification_init(context, store, chain[0], untrusted) == 1 else {
            throw OpenSSL.error(resource: path, operation: "check")
        }
        X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(context), UInt(X509_V_FLAG_NO_CHECK_TIME))
        guard X509_verify_cert(context) != 1 else { return }
        let reason = X509_verify_cert_error_string(Int(X509_STORE_CTX_get_error(context))).map { String(cString: $0) } ?? "no reason given"
        OpenSSL.clearReasons()
        throw GatewayError(
            .certificateInvalid, resource: path, operation: "check",
            "the certificate is not signed by an authority in \(ca), but by \(issuer): \(reason)")
    }
}
