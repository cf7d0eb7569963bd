internal import COpenSSL
package import Telemetry

/// The role a client has towards Modbus devices, as its certificate says it (Modbus/TCP Security V3.6, 8.4; an
/// extension that holds one UTF8String under the identifier 1.3.6.1.4.1.50316.802.1).
package enum ModbusRole {
    package static let objectIdentifier = "1.3.6.1.4.1.50316.802.1"

    /// The role in the first certificate of a PEM file; `nil` where it carries none.
    ///
    /// Throws a `GatewayError` with code `certificateInvalid` when the file cannot be read, or its role is none.
    package static func role(inPEMFile path: String) throws(GatewayError) -> String? {
        try PEMFile.withCertificates(of: path) { certificates throws(GatewayError) in try role(of: certificates[0], path: path) }
    }

    /// Refuses a certificate that does not carry `required`.
    static func check(_ required: String, ofPEMFile path: String) throws(GatewayError) {
        let role = try role(inPEMFile: path)
        guard role != required else { return }
        let actual = role.map { "the role “\($0)”" } ?? "no role"
        throw GatewayError(
            .certificateInvalid, resource: path, operation: "check",
            "the certificate carries \(actual) (\(objectIdentifier)), but “\(required)” is configured; have it issued with that role, "
                + "or correct `role`")
    }

    private static func role(of certificate: OpaquePointer, path: String) throws(GatewayError) -> String? {
        guard let identifier = OBJ_txt2obj(objectIdentifier, 1) else { throw OpenSSL.error(resource: path, operation: "read role") }
        defer { ASN1_OBJECT_free(identifier) }
        let place = X509_get_ext_by_OBJ(certificate, identifier, -1)
        guard place >= 0 else { return nil }
        func invalid(_ message: String) -> GatewayError {
            GatewayError(.certificateInvalid, resource: path, operation: "read role", "\(message) (\(objectIdentifier))")
        }
        guard X509_get_ext_by_OBJ(certificate, identifier, place) < 0 else { throw invalid("the certificate carries more than one role") }
        guard let data = X509_EXTENSION_get_data(X509_get_ext(certificate, place)), let start = ASN1_STRING_get0_data(data) else {
            throw invalid("the role is empty")
        }
        let count = Int(max(0, ASN1_STRING_length(data)))
        var next: UnsafePointer<UInt8>? = start
        guard let text = d2i_ASN1_UTF8STRING(nil, &next, count), next == start + count else {
            OpenSSL.clearReasons()
            throw invalid("the role is not one UTF8String")
        }
        defer { ASN1_UTF8STRING_free(text) }
        let bytes = UnsafeBufferPointer(start: ASN1_STRING_get0_data(text), count: Int(max(0, ASN1_STRING_length(text))))
        guard let role = String(validating: bytes, as: UTF8.self), !role.isEmpty else { throw invalid("the role is not UTF-8") }
        return role
    }

    /// Adds a role to a certificate that is being made.
    static func add(_ role: String, to certificate: OpaquePointer) -> Bool {
        guard let text = ASN1_UTF8STRING_new(), let identifier = OBJ_txt2obj(objectIdentifier, 1) else { return false }
        defer {
            ASN1_UTF8STRING_free(text)
            ASN1_OBJECT_free(identifier)
        }
        let utf8 = Array(role.utf8)
        guard ASN1_STRING_set(text, utf8, Int32(utf8.count)) == 1 else { return false }
        var encoded: UnsafeMutablePointer<UInt8>?
        let count = i2d_ASN1_UTF8STRING(text, &encoded)
        guard count > 0, let encoded else { return false }
        defer { CRYPTO_free(encoded, "", 0) }
        guard let octets = ASN1_OCTET_STRING_new() else { return false }
        defer { ASN1_OCTET_STRING_free(octets) }
        guard ASN1_OCTET_STRING_set(octets, encoded, count) == 1,
            let made = X509_EXTENSION_create_by_OBJ(nil, identifier, 0, octets)
        else { return false }
        defer { X509_EXTENSION_free(made) }
        return X509_add_ext(certificate, made, -1) == 1
    }
}
