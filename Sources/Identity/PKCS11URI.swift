package import Telemetry

/// The name of a key in a token (RFC 7512).
///
/// Of its query, `module-path` and `pin-source` are understood; a PIN itself (`pin-value`) is refused, because names stand in documents and logs.
package struct PKCS11URI: Sendable, Hashable {
    /// Scheme and path, which name the key.
    package let name: String
    /// The library of the token; `nil`: what p11-kit is set up for.
    package let modulePath: String?
    /// The file that has the PIN.
    package let pinSource: String?

    static let scheme = "pkcs11:"
    /// The longest URI that is taken, in bytes.
    static let bytesMax = 1024

    /// Whether a text is meant as such a name, and not as a path.
    package static func isMeant(by text: String) -> Bool { text.hasPrefix(scheme) }

    /// Throws a `GatewayError` with code `configurationInvalid`; it never repeats what could be a PIN.
    package init(_ text: String) throws(GatewayError) {
        func refuse(_ message: String) -> GatewayError {
            GatewayError(.configurationInvalid, resource: "PKCS#11 key", operation: "read its URI", message)
        }
        guard Self.isMeant(by: text), text.utf8.count <= Self.bytesMax, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw refuse(
                "it must begin with pkcs11:, have at most \(Self.bytesMax) printable ASCII characters and no space (%20 stands for one)")
        }
        let parts = text.dropFirst(Self.scheme.count).split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var names: Set<String> = []
        for attribute in parts[0].split(separator: ";") {
            let pair = attribute.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = String(pair[0])
            guard key != "pin-value" else { throw refuse(Self.pinRefusal) }
            guard Self.pathAttributes.contains(key), pair.count == 2 else {
                throw refuse("its path may have \(Self.pathAttributes.sorted().joined(separator: ", ")), each with a value")
            }
            guard names.insert(key).inserted else { throw refuse("it has \(key) twice") }
            guard key != "type" || pair[1] == "private" else { throw refuse("its type must be private") }
        }
        guard names.contains("object") || names.contains("id") else { throw refuse("it must name the key by object= or id=") }
        // The PIN is told to no other token than the one that is meant: a few wrong ones lock it.
        guard !names.isDisjoint(with: ["token", "serial", "slot-id"]) else {
            throw refuse("it must name the token by token=, serial= or slot-id=")
        }
        name = Self.scheme + parts[0] + (names.contains("type") ? "" : ";type=private")
        var module: String?
        var source: String?
        for attribute in parts.count > 1 ? parts[1].split(separator: "&") : [] {
            let pair = attribute.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = pair.count == 2 ? Self.decoded(pair[1]) : nil
            switch pair[0] {
            case "pin-value": throw refuse(Self.pinRefusal)
            case "module-path", "pin-source":
                let path = value.map { $0.hasPrefix("file:") ? String($0.dropFirst($0.hasPrefix("file://") ? 7 : 5)) : $0 }
                guard let path, path.hasPrefix("/"), !path.utf8.contains(0) else {
                    throw refuse("\(pair[0]) must be the absolute path of a file")
                }
                if pair[0] == "pin-source" { source = path } else { module = path }
            default: throw refuse("its query may have module-path and pin-source")
            }
        }
        modulePath = module
        pinSource = source
    }

    private static let pinRefusal =
        "a PIN must not stand in it (pin-value); put it into a file that only the gateway's user can read, and name that: pin-source=/path"
    private static let pathAttributes: Set<String> = [
        "token", "manufacturer", "serial", "model", "library-manufacturer", "library-version", "library-description", "object", "type",
        "id",
        "slot-id", "slot-manufacturer", "slot-description",
    ]

    /// Without percent-encoding (RFC 3986, 2.1); `nil` where that is broken.
    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
            rest = rest.dropFirst(2)
            bytes.append(value)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
