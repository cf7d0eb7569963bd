internal import ArgumentParser
internal import Foundation

/// `mqtts://host:port` or `mqtt://host:port`.
struct BrokerAddress {
    let host: String
    let port: UInt16
    let isEncrypted: Bool

    init(_ text: String) throws {
        guard let components = URLComponents(string: text), let host = components.host, !host.isEmpty, components.user == nil,
            components.password == nil, components.path.isEmpty || components.path == "/",
            components.scheme == "mqtts" || components.scheme == "mqtt"
        else { throw ValidationError("--broker is '\(text)', expected mqtts://host:port or mqtt://host:port, without a user or password") }
        isEncrypted = components.scheme == "mqtts"
        self.host = host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
        guard let port = UInt16(exactly: components.port ?? (isEncrypted ? 8883 : 1883)), port > 0 else {
            throw ValidationError("--broker is '\(text)', whose port is not one of 1 to 65535")
        }
        self.port = port
    }
}

/// Where a database is.
enum DatabaseAddress {
    /// Whether a URL or connection string carries a password.
    static func hasPassword(_ text: String) -> Bool {
        if let scheme = text.range(of: "://") {
            let authority = text[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" }
            if let at = authority.lastIndex(of: "@"), authority[..<at].contains(":") { return true }
        }
        return text.range(of: #"(^|[\s?&])password\s*="#, options: [.regularExpression, .caseInsensitive]) != nil
    }
}

/// What must not stand on a command line.
enum Secret {
    /// The first line of a file, or a variable of the environment; `nil` for neither.
    static func read(file: String?, environment name: String) throws -> String? {
        guard let file else { return ProcessInfo.processInfo.environment[name] }
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
            throw ValidationError("the password file \(file) cannot be read")
        }
        let line = text.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        guard !line.isEmpty else { throw ValidationError("the password file \(file) is empty") }
        return line
    }
}
