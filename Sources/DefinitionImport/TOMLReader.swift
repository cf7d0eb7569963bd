internal import Definitions

/// Reads TOML 1.0 with the place of every value. Dates are kept as texts.
struct TOMLReader {
    /// A table that is being filled: headers of tables may come back to it.
    private final class Table {
        enum Member {
            case value(ForeignValue)
            case table(Table)
            case tables([Table])
        }
        let position: SourcePosition
        var keys: [(key: String, position: SourcePosition)] = []
        var members: [String: Member] = [:]
        /// Whether a header of its own, or the array it stands in, has defined it.
        var isDefined = false

        init(_ position: SourcePosition) { self.position = position }

        func add(_ key: String, at position: SourcePosition, _ member: Member) {
            keys.append((key, position))
            members[key] = member
        }

        var value: ForeignValue {
            let entries = keys.compactMap { key -> ForeignValue.Entry? in
                guard let member = members[key.key] else { return nil }
                let value: ForeignValue
                switch member {
                case .value(let plain): value = plain
                case .table(let table): value = table.value
                case .tables(let tables): value = ForeignValue(content: .list(tables.map(\.value)), position: key.position)
                }
                return ForeignValue.Entry(key: key.key, position: key.position, value: value)
            }
            return ForeignValue(content: .table(entries), position: position)
        }
    }

    private typealias Key = [(name: String, position: SourcePosition)]
    private var cursor: TextCursor
    private var valueCount = 0

    static func read(_ utf8: [UInt8]) throws(ImportError) -> ForeignValue {
        var reader = TOMLReader(cursor: TextCursor(utf8))
        return try reader.document().value
    }

    private init(cursor: TextCursor) { self.cursor = cursor }

    private mutating func document() throws(ImportError) -> Table {
        let root = Table(.start)
        var current = root
        while true {
            skipBlankLines()
            guard let byte = cursor.peek else { return root }
            if byte == UInt8(ascii: "[") {
                current = try header(root)
            } else {
                try assignment(into: current)
            }
            try endOfLine()
        }
    }

    // MARK: - Lines

    private mutating func skipBlankLines() {
        while let byte = cursor.peek {
            if byte.isBlank || byte.isLineEnd {
                cursor.skip(1)
            } else if byte == UInt8(ascii: "#") {
                cursor.skip { !$0.isLineEnd }
            } else {
                return
            }
        }
    }

    private mutating func skipBlanks() { cursor.skip { $0.isBlank } }

    private mutating func endOfLine() throws(ImportError) {
        skipBlanks()
        if cursor.peek == UInt8(ascii: "#") { cursor.skip { !$0.isLineEnd } }
        if cursor.peek == UInt8(ascii: "\r") { cursor.skip(1) }
        guard cursor.isAtEnd || cursor.peek == UInt8(ascii: "\n") else { throw unexpected("the end of the line") }
    }

    private mutating func header(_ root: Table) throws(ImportError) -> Table {
        let position = cursor.position
        let isArray = cursor.starts(with: "[[")
        cursor.skip(isArray ? 2 : 1)
        skipBlanks()
        let key = try key()
        skipBlanks()
        guard isArray ? cursor.starts(with: "]]") : cursor.peek == UInt8(ascii: "]") else { throw unexpected(isArray ? "']]'" : "']'") }
        cursor.skip(isArray ? 2 : 1)
        var table = root
        for part in key.dropLast() { table = try descend(into: table, part) }
        guard let last = key.last else { throw ImportError("a header without a name", at: position) }
        if isArray {
            let new = Table(position)
            new.isDefined = true
            switch table.members[last.name] {
            case nil: table.add(last.name, at: last.position, .tables([new]))
            case .tables(let tables):
                try count(at: position)
                table.members[last.name] = .tables(tables + [new])
            default: throw ImportError("'\(last.name)' is no array of tables", at: last.position)
            }
            return new
        }
        let found = try descend(into: table, last)
        guard !found.isDefined else { throw ImportError("the table '\(last.name)' stands twice", at: last.position) }
        found.isDefined = true
        return found
    }

    /// The table of that name, the last one of an array of tables; made where there is none.
    private mutating func descend(into table: Table, _ part: (name: String, position: SourcePosition)) throws(ImportError) -> Table {
        switch table.members[part.name] {
        case .table(let inner): return inner
        case .tables(let tables):
            guard let last = tables.last else { throw ImportError("'\(part.name)' is empty", at: part.position) }
            return last
        case .value: throw ImportError("'\(part.name)' has a value already and is no table", at: part.position)
        case nil:
            try count(at: part.position)
            let inner = Table(part.position)
            table.add(part.name, at: part.position, .table(inner))
            return inner
        }
    }

    private mutating func assignment(into table: Table) throws(ImportError) {
        let key = try key()
        skipBlanks()
        guard cursor.peek == UInt8(ascii: "=") else { throw unexpected("'='") }
        cursor.skip(1)
        skipBlanks()
        let value = try value(depth: 0)
        try put(value, under: key, into: table)
    }

    private mutating func put(_ value: ForeignValue, under key: Key, into table: Table) throws(ImportError) {
        var table = table
        for part in key.dropLast() { table = try descend(into: table, part) }
        guard let last = key.last else { return }
        guard table.members[last.name] == nil else {
            throw ImportError("the key '\(last.name.prefix(40))' stands twice", at: last.position)
        }
        table.add(last.name, at: last.position, .value(value))
    }

    private mutating func key() throws(ImportError) -> Key {
        var key: Key = []
        while true {
            skipBlanks()
            let position = cursor.position
            let name: String
            switch cursor.peek {
            case UInt8(ascii: "\""), UInt8(ascii: "'"): name = try string()
            default:
                name = cursor.take { $0.isLetter || $0.isDigit || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") }
                guard !name.isEmpty else { throw unexpected("a key") }
            }
            key.append((name, position))
            guard key.count <= ForeignLimits.depthMax else {
                throw ImportError("a key of more than \(ForeignLimits.depthMax) parts", at: position)
            }
            skipBlanks()
            guard cursor.peek == UInt8(ascii: ".") else { return key }
            cursor.skip(1)
        }
    }

    private mutating func count(at position: SourcePosition) throws(ImportError) {
        valueCount += 1
        guard valueCount <= ForeignLimits.valuesMax else { throw ImportError("more than \(ForeignLimits.valuesMax) values", at: position) }
    }

    private func unexpected(_ wanted: String) -> ImportError {
        let found =
            cursor.peek.map { $0.isLineEnd ? "the line ends" : "found '\(Character(Unicode.Scalar($0)))'" }
            ?? "the file ends: it is cut off"
        return ImportError("expected \(wanted), \(found)", at: cursor.position)
    }

    // MARK: - Values

    private mutating func value(depth: Int) throws(ImportError) -> ForeignValue {
        let position = cursor.position
        try count(at: position)
        guard depth < ForeignLimits.depthMax else { throw ImportError("more than \(ForeignLimits.depthMax) levels", at: position) }
        switch cursor.peek {
        case UInt8(ascii: "\""), UInt8(ascii: "'"): return ForeignValue(content: .string(try string()), position: position)
        case UInt8(ascii: "["): return ForeignValue(content: .list(try list(depth: depth)), position: position)
        case UInt8(ascii: "{"): return try inlineTable(depth: depth)
        default:
            let word = cursor.take {
                $0.isLetter || $0.isDigit || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
                    || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ":")
            }
            guard !word.isEmpty else { throw unexpected("a value") }
            guard let content = TOMLReader.scalar(word) else { throw ImportError("'\(word.prefix(40))' is no TOML value", at: position) }
            return ForeignValue(content: content, position: position)
        }
    }

    private static func scalar(_ word: String) -> ForeignValue.Content? {
        if word == "true" || word == "false" { return .boolean(word == "true") }
        let digits = word.filter { $0 != "_" }
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where digits.hasPrefix(prefix) {
            return Int64(digits.dropFirst(2), radix: radix).map { .integer($0) }
        }
        if let integer = Int64(digits) { return .integer(integer) }
        guard let first = digits.utf8.first, first.isDigit || first == UInt8(ascii: "+") || first == UInt8(ascii: "-") else {
            return nil
        }
        if let number = Double(digits), number.isFinite { return .number(number) }
        return digits.contains(":") || digits.dropFirst(4).first == "-" ? .other(word) : nil
    }

    private mutating func list(depth: Int) throws(ImportError) -> [ForeignValue] {
        cursor.skip(1)
        var values: [ForeignValue] = []
        while true {
            skipBlankLines()
            if cursor.peek == UInt8(ascii: "]") { break }
            values.append(try value(depth: depth + 1))
            skipBlankLines()
            if cursor.peek == UInt8(ascii: ",") {
                cursor.skip(1)
            } else if cursor.peek != UInt8(ascii: "]") {
                throw unexpected("',' or ']'")
            }
        }
        cursor.skip(1)
        return values
    }

    /// Line ends and a comma at the end are let pass, as newer versions of TOML do.
    private mutating func inlineTable(depth: Int) throws(ImportError) -> ForeignValue {
        let table = Table(cursor.position)
        cursor.skip(1)
        while true {
            skipBlankLines()
            if cursor.peek == UInt8(ascii: "}") { break }
            let key = try key()
            skipBlanks()
            guard cursor.peek == UInt8(ascii: "=") else { throw unexpected("'='") }
            cursor.skip(1)
            skipBlanks()
            let value = try value(depth: depth + 1)
            try put(value, under: key, into: table)
            skipBlankLines()
            if cursor.peek == UInt8(ascii: ",") {
                cursor.skip(1)
            } else if cursor.peek != UInt8(ascii: "}") {
                throw unexpected("',' or '}'")
            }
        }
        cursor.skip(1)
        return table.value
    }

    private mutating func string() throws(ImportError) -> String {
        let start = cursor.position
        let quote = cursor.peek ?? 0
        let isLiteral = quote == UInt8(ascii: "'")
        let isLong = isLiteral ? cursor.starts(with: "'''") : cursor.starts(with: "\"\"\"")
        cursor.skip(isLong ? 3 : 1)
        if isLong, cursor.peek == UInt8(ascii: "\r") { cursor.skip(1) }
        if isLong, cursor.peek == UInt8(ascii: "\n") { cursor.skip(1) }
        var bytes: [UInt8] = []
        while let byte = cursor.peek {
            if byte == quote, !isLong || (cursor.peek(ahead: 1) == quote && cursor.peek(ahead: 2) == quote) {
                cursor.skip(isLong ? 3 : 1)
                return String(decoding: bytes, as: UTF8.self)
            }
            guard isLong || !byte.isLineEnd else { throw ImportError("the line ends within the text that begins here", at: start) }
            cursor.skip(1)
            if byte == UInt8(ascii: "\\"), !isLiteral {
                if let scalar = try escape() { bytes += Array(String(scalar).utf8) }
            } else {
                bytes.append(byte)
            }
            guard bytes.count <= ForeignLimits.textBytesMax else {
                throw ImportError("a text has more than \(ForeignLimits.textBytesMax) bytes", at: start)
            }
        }
        throw ImportError("the text that begins here does not end: the file is cut off", at: start)
    }

    /// What a backslash and the characters behind it stand for; `nil` for a line end that is taken back.
    private mutating func escape() throws(ImportError) -> Unicode.Scalar? {
        let position = cursor.position
        guard let byte = cursor.next() else { throw ImportError("the file ends within a text: it is cut off", at: position) }
        switch byte {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "r"), UInt8(ascii: "e"): return " "
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"), UInt8(ascii: "U"):
            var value: UInt32 = 0
            for _ in 0..<(byte == UInt8(ascii: "u") ? 4 : 8) {
                guard let digit = cursor.next()?.hexadecimalValue else { throw ImportError("too few hexadecimal digits", at: position) }
                value = value << 4 | digit
            }
            return Unicode.Scalar(value) ?? "\u{FFFD}"
        case _ where byte.isLineEnd || byte.isBlank:
            cursor.skip { $0.isBlank || $0.isLineEnd }
            return nil
        default: throw ImportError("unknown escape in a text", at: position)
        }
    }
}
