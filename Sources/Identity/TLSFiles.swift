package import Telemetry

/// Where a TLS client has what it trusts and what it identifies itself by.
package struct TLSFiles: Sendable, Hashable {
    /// PEM file of the authorities that servers are checked against.
    package var ca: String
    /// PEM file of the client's certificate, followed by its intermediates if there are any; `nil` for a client without one.
    package var certificate: String?
    /// PEM file of its private key, without a passphrase, or the key's PKCS#11 URI (RFC 7512); `nil` for a client without one.
    package var key: String?

    package init(ca: String, certificate: String?, key: String?) {
        self.ca = ca
        self.certificate = certificate
        self.key = key
    }

    /// The file of the key; `nil` where it is in a token, or there is none.
    var keyFile: String? { key.flatMap { PKCS11URI.isMeant(by: $0) ? nil : $0 } }
}

/// What these files held at one moment.
package struct TLSFileContents: Sendable {
    package let files: TLSFiles
    let ca: [UInt8]
    let certificate: [UInt8]
    /// Of a key in a token, its URI.
    let key: [UInt8]
    /// SHA-256 over everything: another one means that a file was changed, and not only touched.
    package let digest: [UInt8]

    /// Reads the files. Throws a `GatewayError` with code `certificateInvalid` for the first that cannot be read.
    package init(reading files: TLSFiles) throws(GatewayError) {
        self.files = files
        ca = try PEMFile.read(files.ca)
        certificate = if let path = files.certificate { try PEMFile.read(path) } else { [] }
        key = if let path = files.keyFile { try PEMFile.read(path) } else { Array((files.key ?? "").utf8) }
        var parts: [UInt8] = []
        for part in [ca, certificate, key] { parts += try SHA256.digest(of: part) }
        digest = try SHA256.digest(of: parts)
    }
}
