internal import COpenSSL
internal import Synchronization
internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Keys that stay in a token (PKCS#11): used through OpenSSL's engine of libp11, never read.
enum PKCS11 {
    private struct State {
        /// By path of the module. Kept as long as the process: to end one would end the sessions of all who use its module.
        var engines: [String: SharedEngine] = [:]
        /// Digests of the PINs that tokens refused, by URI. To try one again and again would lock the token.
        var refusedPINs: [String: [UInt8]] = [:]
    }

    private struct SharedEngine: @unchecked Sendable {
        let pointer: UnsafeMutableRawPointer
    }

    private static let state = Mutex(State())

    /// The key of that name. May wait for the token as long as that takes.
    ///
    /// Throws a `GatewayError` with code `certificateInvalid` that says what to do when engine, module, token, PIN or key are not there.
    static func privateKey(of uri: PKCS11URI) throws(GatewayError) -> Key {
        let pin = try PIN(of: uri)
        let pointer = try state.withLock { state throws(GatewayError) in Address(try load(uri, pin, &state)) }
        return Key(owning: pointer.value)
    }

    /// A key on its way out of the lock.
    private struct Address: @unchecked Sendable {
        let value: OpaquePointer
        init(_ value: OpaquePointer) { self.value = value }
    }

    private static func load(_ uri: PKCS11URI, _ pin: PIN?, _ state: inout State) throws(GatewayError) -> OpaquePointer {
        let engine: SharedEngine
        if let known = state.engines[uri.modulePath ?? ""] {
            engine = known
        } else {
            guard let made = copenssl_pkcs11_engine(uri.modulePath) else {
                throw failure(uri, "there is no engine for PKCS#11; Debian has it in libengine-pkcs11-openssl: \(OpenSSL.takeReason())")
            }
            engine = SharedEngine(pointer: made)
            state.engines[uri.modulePath ?? ""] = engine
        }
        let digest = try pin?.digest() ?? []
        guard pin == nil || state.refusedPINs[uri.name] != digest else {
            throw failure(
                uri, "the token refused this PIN before; it is not tried again until another one is there, so that the token is not locked")
        }
        if let pin {
            guard pin.withCharacters({ copenssl_engine_set_pin(engine.pointer, $0) }) == 1 else {
                throw failure(uri, "the engine does not take the PIN: \(OpenSSL.takeReason())")
            }
        }
        if let key = copenssl_engine_key(engine.pointer, uri.name) {
            OpenSSL.clearReasons()
            state.refusedPINs[uri.name] = nil
            return key
        }
        let reasons = OpenSSL.takeReasons()
        if pin != nil, reasons.contains(where: { $0.contains("PIN") }) { state.refusedPINs[uri.name] = digest }
        throw failure(
            uri,
            "the token gives no such key (\(reasons.isEmpty ? "no reason given" : reasons.joined(separator: "; "))); "
                + (pin == nil ? "no PIN was found: \(PIN.places)" : "is the token there, is the PIN right, is the key's name right?"))
    }

    private static func failure(_ uri: PKCS11URI, _ message: String) -> GatewayError {
        GatewayError(.certificateInvalid, resource: uri.name, operation: "load the key", message)
    }
}

/// The PIN of a token, from a place where nobody else sees it.
private struct PIN {
    private var bytes: [UInt8]

    static let places =
        "name its file in the URI (?pin-source=/path), give systemd the credential \(credential), or set \(variable)"
    private static let credential = "pkcs11-pin"
    private static let variable = "INDUS_PKCS11_PIN"
    /// The longest PIN that is taken, in bytes.
    private static let bytesMax = 256

    /// By preference: the file of the URI, systemd's credential, the environment; `nil` where there is none.
    init?(of uri: PKCS11URI) throws(GatewayError) {
        let folder = getenv("CREDENTIALS_DIRECTORY").map { String(cString: $0) }
        let credentialFile = folder.map { "\($0)/\(Self.credential)" }.flatMap { PEMFile.exists($0) ? $0 : nil }
        if let path = uri.pinSource ?? credentialFile {
            guard !PEMFile.isReadableByOthers(path) else {
                throw GatewayError(
                    .certificateInvalid, resource: path, operation: "read the PIN",
                    "other users of this machine can read it, and so use the key; `chmod 600 \(path)` ends that")
            }
            bytes = try PEMFile.read(path)
        } else if let value = getenv(Self.variable) {
            bytes = Array(String(cString: value).utf8)
        } else {
            return nil
        }
        while let last = bytes.last, last == 0x0A || last == 0x0D { bytes.removeLast() }
        guard !bytes.isEmpty, bytes.count <= Self.bytesMax, !bytes.contains(0) else {
            throw GatewayError(
                .certificateInvalid, resource: uri.pinSource ?? credentialFile ?? Self.variable, operation: "read the PIN",
                "it has \(bytes.count) bytes, but a PIN has 1 to \(Self.bytesMax), none of them zero")
        }
    }

    func digest() throws(GatewayError) -> [UInt8] { try SHA256.digest(of: bytes) }

    /// As C wants it, for as long as the call takes.
    func withCharacters(_ body: (UnsafePointer<CChar>) -> Int32) -> Int32 {
        var characters = bytes.map { CChar(bitPattern: $0) } + [0]
        return characters.withUnsafeMutableBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return 0 }
            defer { explicit_bzero(start, buffer.count) }
            return body(start)
        }
    }
}
