/// A place in a text file; both count from 1, columns in Unicode scalars.
package struct SourcePosition: Sendable, Hashable, Codable, Comparable {
    package var line: Int
    package var column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    /// The first character of a file.
    package static let start = SourcePosition(line: 1, column: 1)

    package static func < (left: SourcePosition, right: SourcePosition) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// One problem of a configuration file: where it is, what is wrong, and what would be right.
package struct Diagnostic: Sendable, Hashable, Codable {
    package enum Severity: String, Sendable, Hashable, Codable {
        /// The configuration cannot be used.
        case error
        /// The configuration can be used, but something in it has no effect or is risky.
        case warning
    }

    package var severity: Severity
    /// The path of the file as it was given or written.
    package var file: String
    package var line: Int
    package var column: Int
    /// The place within the document, for example `spec.tags[3].unit`; empty for the document itself.
    package var path: String
    package var message: String
    /// The offending value as the file has it.
    package var value: String?
    /// What may stand there instead: a range, or the allowed words.
    package var allowed: String?
    /// The nearest valid value or name, or what to do.
    package var suggestion: String?

    package init(
        _ severity: Severity, file: String, at position: SourcePosition, path: String, _ message: String, value: String? = nil,
        allowed: String? = nil, suggestion: String? = nil
    ) {
        self.severity = severity
        self.file = file
        line = position.line
        column = position.column
        self.path = path
        self.message = message
        self.value = value
        self.allowed = allowed
        self.suggestion = suggestion
    }

    package var position: SourcePosition { SourcePosition(line: line, column: column) }
}

extension Diagnostic: CustomStringConvertible {
    /// As compilers print it: `file:line:column: error: message`, then indented lines with the path, what is allowed and a hint.
    package var description: String {
        var text = "\(file):\(line):\(column): \(severity.rawValue): \(message)"
        if !path.isEmpty { text += "\n    at: \(path)" }
        if let allowed { text += "\n    allowed: \(allowed)" }
        if let suggestion { text += "\n    hint: \(suggestion)" }
        return text
    }
}
