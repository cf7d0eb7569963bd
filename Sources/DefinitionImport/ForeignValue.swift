internal import Definitions

/// A value of a TOML or JSON file with its place.
struct ForeignValue: Equatable {
    struct Entry: Equatable {
        var key: String
        var position: SourcePosition
        var value: ForeignValue
    }

    enum Content: Equatable {
        case string(String)
        case integer(Int64)
        case number(Double)
        case boolean(Bool)
        case null
        /// A date or a time, which nothing here needs.
        case other(String)
        case list([ForeignValue])
        /// In the order of the file; keys are unique.
        case table([Entry])
    }

    var content: Content
    var position: SourcePosition

    var entries: [Entry]? {
        guard case .table(let entries) = content else { return nil }
        return entries
    }

    subscript(key: String) -> ForeignValue? { entries?.first { $0.key == key }?.value }

    /// What the value is, for messages.
    var kindDescription: String {
        switch content {
        case .string(let text): "the text '\(text.prefix(40))'"
        case .integer(let value): "the number \(value)"
        case .number(let value): "the number \(value)"
        case .boolean(let value): "\(value)"
        case .null: "null"
        case .other(let text): "'\(text.prefix(40))'"
        case .list: "a list"
        case .table: "a table"
        }
    }
}

/// How deep values may stand in each other, and how many there may be.
enum ForeignLimits {
    static let depthMax = 32
    static let valuesMax = 500_000
    static let textBytesMax = 65_536
}
