/// Puts the values of environment variables into a scalar: `${NAME}`, `${NAME:-default}`; `$${` stands for a literal `${`.
struct EnvironmentExpansion {
    /// The longest text an expansion may give, in bytes.
    static let bytesMax = 65_536

    enum Outcome: Equatable {
        case text(String)
        /// What is wrong, and what to do.
        case failure(message: String, suggestion: String)
    }

    let environment: [String: String]

    func expand(_ text: String) -> Outcome {
        var result = ""
        var rest = text[...]
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            rest = rest[dollar...]
            if rest.hasPrefix("$${") {
                result += "${"
                rest = rest.dropFirst(3)
            } else if rest.hasPrefix("${") {
                guard let end = rest.firstIndex(of: "}") else {
                    return .failure(
                        message: "'${' has no closing '}'", suggestion: "write ${NAME} or ${NAME:-default}; $${ gives a literal ${")
                }
                let inside = rest[rest.index(rest.startIndex, offsetBy: 2)..<end]
                rest = rest[rest.index(after: end)...]
                switch value(of: inside) {
                case .text(let value): result += value
                case .failure(let message, let suggestion): return .failure(message: message, suggestion: suggestion)
                }
            } else {
                result += "$"
                rest = rest.dropFirst()
            }
            guard result.utf8.count <= EnvironmentExpansion.bytesMax else {
                return .failure(
                    message: "the text is longer than \(EnvironmentExpansion.bytesMax) bytes with its environment variables",
                    suggestion: "shorten the variables")
            }
        }
        return .text(result + rest)
    }

    private func value(of inside: Substring) -> Outcome {
        let name = inside.prefix { $0 != ":" }
        let rest = inside[name.endIndex...]
        let isName = name.utf8.allSatisfy { isASCIILetter($0) || isASCIIDigit($0) || $0 == UInt8(ascii: "_") }
        guard let first = name.utf8.first, !isASCIIDigit(first), isName, rest.isEmpty || rest.hasPrefix(":-") else {
            return .failure(
                message: "'${\(inside)}' is not an environment variable",
                suggestion: "write ${NAME} or ${NAME:-default}; names have letters, digits and _")
        }
        // As in a shell, ":-" also covers a variable that is set to nothing.
        if let value = environment[String(name)], !value.isEmpty || rest.isEmpty { return .text(value) }
        guard rest.isEmpty else { return .text(String(rest.dropFirst(2))) }
        return .failure(
            message: "environment variable '\(name)' is not set", suggestion: "set it, or give a default: ${\(name):-value}")
    }
}

func isASCIILetter(_ byte: UInt8) -> Bool { (65...90).contains(byte) || (97...122).contains(byte) }
func isASCIIDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
