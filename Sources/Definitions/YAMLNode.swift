/// A node of a YAML document with its place in the file.
struct YAMLNode {
    struct Pair {
        var key: String
        var keyPosition: SourcePosition
        var value: YAMLNode
    }

    enum Content {
        /// A scalar's text; `isPlain` if it stands without quotes, so that it may be a number, a boolean or null.
        case scalar(String, isPlain: Bool)
        case sequence([YAMLNode])
        /// Pairs in the order of the file; keys are unique.
        case mapping([Pair])
    }

    var content: Content
    var position: SourcePosition

    /// Whether the node is an empty value, `null` or `~`.
    var isNull: Bool {
        guard case .scalar(let text, isPlain: true) = content else { return false }
        return text.isEmpty || text == "~" || text == "null" || text == "Null" || text == "NULL"
    }

    func value(of key: String) -> YAMLNode? {
        guard case .mapping(let pairs) = content else { return nil }
        return pairs.first { $0.key == key }?.value
    }

    /// What the node is, for messages: `the number 12`, `a list`.
    var kindDescription: String {
        switch content {
        case .sequence: return "a list"
        case .mapping: return "a mapping"
        case .scalar(let text, let isPlain):
            if isNull { return "nothing" }
            guard isPlain else { return "the text '\(text)'" }
            if text == "true" || text == "false" { return "the boolean \(text)" }
            return parseNumber(text) == nil ? "the text '\(text)'" : "the number \(text)"
        }
    }

    /// Whether YAML 1.2 (core schema, 10.3.2) takes the scalar for something other than text.
    var isOtherThanText: Bool {
        guard case .scalar(let text, isPlain: true) = content else { return false }
        return isNull || parseNumber(text) != nil || text == "true" || text == "false"
    }
}
