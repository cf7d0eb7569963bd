internal import COpenSSL
package import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A complete set of certificates for demonstrations, development and tests: an authority of its own, a broker, a gateway and a subscriber.
///
/// Elliptic curve keys on P-256, valid for 90 days. Not for production: there the authority's key does not lie beside the others.
package enum DevelopmentIdentity {
    /// The files, in the order in which they are made.
    package static let fileNames = [
        "ca.key", "ca.crt", "broker.key", "broker.crt", "gateway.key", "gateway.crt", "subscriber.key", "subscriber.crt",
    ]

    /// How long the certificates are valid, in days.
    package static let validityDays = 90

    /// Makes the identity in a folder, which is created if it does not exist (mode 0700).
    ///
    /// Keys are readable by their owner only. Nothing is ever overwritten: a complete identity is kept.
    ///
    /// - Parameters:
    ///   - time: now; the certificates are valid from here on.
    ///   - hosts: DNS names and IP addresses of the broker besides `localhost`, `127.0.0.1` and `::1`.
    ///   - modbusRole: the role of the gateway towards Modbus devices, if its certificate is to carry one.
    /// - Returns: the names of the files that were created; none if the identity was there already.
    /// - Throws: a `GatewayError` that names the missing files when the folder holds a part of an identity, the host that is no
    ///   name and no address, or the file that cannot be written. What was created until then is removed.
    package static func create(in folder: String, at time: Timestamp, hosts: [String] = [], modbusRole: String? = nil) throws(GatewayError)
        -> [String]
    {
        let names = try alternativeNames(hosts)
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
            throw GatewayError(
                .storageFailed, resource: folder, operation: "create", "the folder cannot be made: \(String(cString: strerror(errno)))")
        }
        let missing = fileNames.filter { !PEMFile.exists("\(folder)/\($0)") }
        if missing.isEmpty { return [] }
        guard missing.count == fileNames.count else {
            throw GatewayError(
                .configurationInvalid, resource: folder, operation: "create identity",
                "the folder holds a part of an identity; missing: \(missing.sorted().joined(separator: ", ")). "
                    + "Bring the missing files back, or name an empty folder")
        }
        var created: [String] = []
        do throws(GatewayError) {
            try write(to: folder, at: time, names: names, modbusRole: modbusRole, created: &created)
        } catch {
            for name in created { unlink("\(folder)/\(name)") }
            throw error
        }
        return created
    }

    private static func write(
        to folder: String, at time: Timestamp, names: String, modbusRole: String?, created: inout [String]
    ) throws(GatewayError) {
        func save(_ name: String, _ bytes: [UInt8], mode: mode_t) throws(GatewayError) {
            try PEMFile.create("\(folder)/\(name)", bytes, mode: mode)
            created.append(name)
        }
        let authorityKey = try makeKey()
        let authority = try makeCertificate(Role.authority, key: authorityKey, at: time, extensions: Role.authority.extensions)
        try save("ca.key", pem(of: authorityKey), mode: 0o600)
        try save("ca.crt", pem(of: authority), mode: 0o644)
        for role in [Role.broker, .gateway, .subscriber] {
            let key = try makeKey()
            let extensions = role.extensions + (role == .broker ? [(NID_subject_alt_name, names)] : [])
            let certificate = try makeCertificate(
                role, key: key, at: time, extensions: extensions, authority: authority.pointer, authorityKey: authorityKey.pointer,
                modbusRole: role == .gateway ? modbusRole : nil)
            try save("\(role.rawValue).key", pem(of: key), mode: 0o600)
            try save("\(role.rawValue).crt", pem(of: certificate), mode: 0o644)
        }
    }

    /// Puts a new key and a new certificate in the place of those of `broker`, `gateway` or `subscriber`, by the authority of the folder.
    ///
    /// A broker keeps its names, a gateway its Modbus role. Each file is replaced at once, the key first.
    ///
    /// - Parameter time: now; the certificate is valid from here on.
    /// - Throws: a `GatewayError` when the name is another one, or a file cannot be read or written.
    package static func renew(_ name: String, in folder: String, at time: Timestamp) throws(GatewayError) {
        guard let role = Role(rawValue: name), role != .authority else {
            throw GatewayError(
                .configurationInvalid, resource: folder, operation: "renew identity",
                "there is no “\(name)”, only broker, gateway and subscriber")
        }
        let path = "\(folder)/\(name)"
        let old = try CertificateInformation(pemFile: "\(path).crt")
        let modbusRole = try ModbusRole.role(inPEMFile: "\(path).crt")
        let names = role == .broker ? [(NID_subject_alt_name, try alternativeNames(old.subjectAlternativeNames))] : []
        let authorityKey = try PEMFile.privateKey(of: "\(folder)/ca.key")
        let key = try makeKey()
        let certificate = try PEMFile.withCertificates(of: "\(folder)/ca.crt") { authorities throws(GatewayError) in
            try pem(
                of: makeCertificate(
                    role, key: key, at: time, extensions: role.extensions + names, authority: authorities[0],
                    authorityKey: authorityKey.pointer, modbusRole: modbusRole))
        }
        try PEMFile.replace("\(path).key", pem(of: key), mode: 0o600)
        try PEMFile.replace("\(path).crt", certificate, mode: 0o644)
    }

    /// What a certificate is for.
    private enum Role: String {
        case authority = "ca"
        case broker, gateway, subscriber

        var commonName: String { self == .authority ? "IndusEdge development authority" : self == .broker ? "localhost" : rawValue }

        /// By RFC 5280: 4.2.1.9 basic constraints, 4.2.1.3 key usage, 4.2.1.12 extended key usage, 4.2.1.2 and 4.2.1.1 key identifiers.
        var extensions: [(Int32, String)] {
            let purpose: [(Int32, String)] =
                switch self {
                case .authority:
                    [(NID_basic_constraints, "critical,CA:TRUE,pathlen:0"), (NID_key_usage, "critical,keyCertSign,cRLSign")]
                case .broker:
                    [
                        (NID_basic_constraints, "critical,CA:FALSE"), (NID_key_usage, "critical,digitalSignature"),
                        (NID_ext_key_usage, "serverAuth"),
                    ]
                case .gateway, .subscriber:
                    [
                        (NID_basic_constraints, "critical,CA:FALSE"), (NID_key_usage, "critical,digitalSignature"),
                        (NID_ext_key_usage, "clientAuth"),
                    ]
                }
            return purpose + [(NID_subject_key_identifier, "hash"), (NID_authority_key_identifier, "keyid:always")]
        }
    }

    private static func makeKey() throws(GatewayError) -> Key {
        guard let pointer = copenssl_generate_p256() else { throw OpenSSL.error(resource: "key", operation: "generate") }
        return Key(owning: pointer)
    }

    /// A certificate of `key`, signed by the authority, or by itself where there is none.
    private static func makeCertificate(
        _ role: Role, key: borrowing Key, at time: Timestamp, extensions: [(Int32, String)], authority: OpaquePointer? = nil,
        authorityKey: OpaquePointer? = nil, modbusRole: String? = nil
    ) throws(GatewayError) -> Certificate {
        let resource = "certificate \(role.commonName)"
        guard let pointer = X509_new() else { throw OpenSSL.error(resource: resource, operation: "create") }
        let certificate = Certificate(owning: pointer)
        func require(_ isDone: Bool, _ step: String) throws(GatewayError) {
            guard isDone else { throw OpenSSL.error(resource: resource, operation: step) }
        }
        try require(X509_set_version(pointer, Int(X509_VERSION_3)) == 1, "set version")
        // Twenty octets are the most, and at least 64 random bits are asked for (RFC 5280, 4.1.2.2; CA/Browser Forum BR 7.1).
        let serial = (0..<16).map { $0 == 0 ? UInt8.random(in: 1...127) : UInt8.random(in: 0...255) }
        let number = BN_bin2bn(serial, Int32(serial.count), nil)
        defer { BN_free(number) }
        try require(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(pointer)) != nil, "set serial number")
        let start = time_t(time.nanoseconds / 1_000_000_000)
        try require(ASN1_TIME_set(X509_getm_notBefore(pointer), start) != nil, "set notBefore")
        try require(ASN1_TIME_set(X509_getm_notAfter(pointer), start + time_t(validityDays) * 86_400) != nil, "set notAfter")
        let subject = X509_get_subject_name(pointer)
        for (field, value) in [("O", "IndusEdge"), ("CN", role.commonName)] {
            let bytes = Array(value.utf8)
            try require(
                X509_NAME_add_entry_by_txt(subject, field, MBSTRING_FLAG, bytes, Int32(bytes.count), -1, 0) == 1,
                "set subject")
        }
        try require(X509_set_issuer_name(pointer, X509_get_subject_name(authority ?? pointer)) == 1, "set issuer")
        try require(X509_set_pubkey(pointer, key.pointer) == 1, "set key")
        for (identifier, value) in extensions {
            var context = X509V3_CTX()
            X509V3_set_ctx(&context, authority ?? pointer, pointer, nil, nil, 0)
            guard let made = X509V3_EXT_conf_nid(nil, &context, identifier, value) else {
                throw OpenSSL.error(resource: resource, operation: "add extension \(value)")
            }
            defer { X509_EXTENSION_free(made) }
            try require(X509_add_ext(pointer, made, -1) == 1, "add extension \(value)")
        }
        if let modbusRole { try require(ModbusRole.add(modbusRole, to: pointer), "add role \(modbusRole)") }
        try require(X509_sign(pointer, authorityKey ?? key.pointer, EVP_sha256()) > 0, "sign")
        return certificate
    }

    private static func pem(of key: borrowing Key) throws(GatewayError) -> [UInt8] {
        let stream = try MemoryStream()
        guard PEM_write_bio_PKCS8PrivateKey(stream.pointer, key.pointer, nil, nil, 0, nil, nil) == 1 else {
            throw OpenSSL.error(resource: "key", operation: "write")
        }
        return stream.bytes
    }

    private static func pem(of certificate: borrowing Certificate) throws(GatewayError) -> [UInt8] {
        let stream = try MemoryStream()
        guard PEM_write_bio_X509(stream.pointer, certificate.pointer) == 1 else {
            throw OpenSSL.error(resource: "certificate", operation: "write")
        }
        return stream.bytes
    }

    /// The broker's names in OpenSSL's notation. Every host is checked first: a comma in one would add names nobody asked for.
    private static func alternativeNames(_ hosts: [String]) throws(GatewayError) -> String {
        var seen: Set<String> = []
        var names: [String] = []
        for host in ["localhost", "127.0.0.1", "::1"] + hosts where seen.insert(host).inserted {
            var address = in6_addr()
            if inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1 {
                names.append("IP:\(host)")
            } else if isDNSName(host) {
                names.append("DNS:\(host)")
            } else {
                throw GatewayError(
                    .configurationInvalid, resource: "host “\(host)”", operation: "create identity",
                    "it is neither an IP address nor a DNS name (letters, digits, hyphens and dots, at most 253 characters)")
            }
        }
        return names.joined(separator: ",")
    }

    private static func isDNSName(_ host: String) -> Bool {
        host.utf8.count <= 253
            && host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
                (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                    && label.utf8.allSatisfy { byte in
                        switch byte {
                        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                            UInt8(ascii: "0")...UInt8(ascii: "9"),
                            UInt8(ascii: "-"):
                            true
                        default: false
                        }
                    }
            }
    }
}
