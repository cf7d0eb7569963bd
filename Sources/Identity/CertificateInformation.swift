internal import COpenSSL
package import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// What a certificate says, for people and for checks (RFC 5280).
package struct CertificateInformation: Sendable, Hashable {
    /// The subject's distinguished name as RFC 2253 writes it, for example `CN=gateway,O=IndusEdge`.
    package let subject: String
    package let issuer: String
    package let notBefore: Timestamp
    package let notAfter: Timestamp
    /// The names a server may be reached by: DNS names and IP addresses.
    package let subjectAlternativeNames: [String]
    /// SHA-256 of the certificate, as pairs of hexadecimal digits with colons.
    package let fingerprint: String

    /// Reads the first certificate of a PEM file.
    ///
    /// Throws a `GatewayError` with code `certificateInvalid` that names the file when it is missing, unreadable or not PEM.
    package init(pemFile path: String) throws(GatewayError) {
        self = try PEMFile.withCertificates(of: path) { certificates throws(GatewayError) in
            try CertificateInformation(certificates[0], path: path)
        }
    }

    init(_ certificate: OpaquePointer, path: String) throws(GatewayError) {
        subject = try Self.text(of: X509_get_subject_name(certificate))
        issuer = try Self.text(of: X509_get_issuer_name(certificate))
        guard let start = Self.time(of: X509_get0_notBefore(certificate)), let end = Self.time(of: X509_get0_notAfter(certificate)) else {
            throw GatewayError(.certificateInvalid, resource: path, operation: "read", "the certificate's dates cannot be read")
        }
        notBefore = start
        notAfter = end
        subjectAlternativeNames = Self.alternativeNames(of: certificate)
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard X509_digest(certificate, EVP_sha256(), &digest, &count) == 1 else {
            throw OpenSSL.error(resource: path, operation: "fingerprint")
        }
        fingerprint = digest.prefix(Int(count)).map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }.joined(separator: ":")
    }

    private static func text(of name: OpaquePointer?) throws(GatewayError) -> String {
        let stream = try MemoryStream()
        copenssl_print_name(stream.pointer, name)
        return String(decoding: stream.bytes, as: UTF8.self)
    }

    private static func time(of time: UnsafePointer<ASN1_TIME>?) -> Timestamp? {
        var broken = tm()
        guard ASN1_TIME_to_tm(time, &broken) == 1 else { return nil }
        let seconds = Int64(timegm(&broken))
        // The last second of 9999 means “never” (RFC 5280, 4.1.2.5) and lies beyond what a timestamp holds.
        let (nanoseconds, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return Timestamp(nanoseconds: overflow ? (seconds < 0 ? .min : .max) : nanoseconds)
    }

    private static func alternativeNames(of certificate: OpaquePointer) -> [String] {
        guard let names = copenssl_alternative_names(certificate) else { return [] }
        defer { copenssl_names_free(names) }
        return (0..<copenssl_names_count(names)).compactMap { index in
            var type: Int32 = 0
            guard let value = GENERAL_NAME_get0_value(copenssl_names_at(names, index), &type) else { return nil }
            let string = value.assumingMemoryBound(to: ASN1_STRING.self)
            let bytes = [UInt8](
                UnsafeRawBufferPointer(start: ASN1_STRING_get0_data(string), count: Int(max(0, ASN1_STRING_length(string)))))
            return switch type {
            case GEN_DNS: String(decoding: bytes, as: UTF8.self)
            case GEN_IPADD: address(bytes)
            default: nil
            }
        }
    }

    private static func address(_ bytes: [UInt8]) -> String? {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(bytes.count == 4 ? AF_INET : AF_INET6, bytes, &text, socklen_t(text.count)) != nil else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
