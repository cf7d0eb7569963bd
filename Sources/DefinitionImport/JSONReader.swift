internal import Definitions

/// Reads JSON (RFC 8259) with the place of every value; keys that stand twice are an error.
struct JSONReader {
    private var cursor: TextCursor
    private var valueCount = 0

    static func read(_ utf8: [UInt8]) throws(ImportError) -> ForeignValue {
        var reader = JSONReader(cursor: TextCursor(utf8))
        let value = try reader.value(depth: 0)
        reader.skipBlanks()
        guard reader.cursor.isAtEnd else { throw ImportError("something follows the end of the document", at: reader.cursor.position) }
        return value
    }

    private init(cursor: TextCursor) { self.cursor = cursor }

    private mutating func skipBlanks() { cursor.skip { $0.isBlank || $0.isLineEnd } }

    private mutating func value(depth: Int) throws(ImportError) -> ForeignValue {
        skipBlanks()
        let position = cursor.position
        guard depth < ForeignLimits.depthMax else { throw ImportError("more than \(ForeignLimits.depthMax) levels", at: position) }
        valueCount += 1
        guard valueCount <= ForeignLimits.valuesMax else { throw ImportError("more than \(ForeignLimits.valuesMax) values", at: position) }
        switch cursor.peek {
        case UInt8(ascii: "{"): return ForeignValue(content: .table(try table(depth: depth)), position: position)
        case UInt8(ascii: "["): return ForeignValue(content: .list(try list(depth: depth)), position: position)
        case UInt8(ascii: "\""): return ForeignValue(content: .string(try string()), position: position)
        case nil: throw ImportError("the file ends where a value should stand: it is cut off", at: position)
        default:
            let word = cursor.take {
                $0.isLetter || $0.isDigit || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: ".")
            }
            return ForeignValue(content: try scalar(word, at: position), position: position)
        }
    }

    private func scalar(_ word: String, at position: SourcePosition) throws(ImportError) -> ForeignValue.Content {
        switch word {
        case "true": return .boolean(true)
        case "false": return .boolean(false)
        case "null": return .null
        default:
            if let first = word.utf8.first, first.isDigit || first == UInt8(ascii: "-") {
                if let integer = Int64(word) { return .integer(integer) }
                if let number = Double(word), number.isFinite { return .number(number) }
            }
            throw ImportError("'\(word.prefix(40))' is no JSON value", at: position)
        }
    }

    private mutating func table(depth: Int) throws(ImportError) -> [ForeignValue.Entry] {
        let start = cursor.position
        cursor.skip(1)
        var entries: [ForeignValue.Entry] = []
        var keys: Set<String> = []
        skipBlanks()
        if cursor.peek == UInt8(ascii: "}") {
            cursor.skip(1)
            return []
        }
        while true {
            skipBlanks()
            let position = cursor.position
            guard cursor.peek == UInt8(ascii: "\"") else { throw unexpected("a key in quotes", start) }
            let key = try string()
            guard keys.insert(key).inserted else { throw ImportError("the key '\(key.prefix(40))' stands twice", at: position) }
            skipBlanks()
            guard cursor.peek == UInt8(ascii: ":") else { throw unexpected("':'", start) }
            cursor.skip(1)
            entries.append(ForeignValue.Entry(key: key, position: position, value: try value(depth: depth + 1)))
            skipBlanks()
            switch cursor.peek {
            case UInt8(ascii: ","): cursor.skip(1)
            case UInt8(ascii: "}"):
                cursor.skip(1)
                return entries
            default: throw unexpected("',' or '}'", start)
            }
        }
    }

    private mutating func list(depth: Int) throws(ImportError) -> [ForeignValue] {
        let start = cursor.position
        cursor.skip(1)
        var values: [ForeignValue] = []
        skipBlanks()
        if cursor.peek == UInt8(ascii: "]") {
            cursor.skip(1)
            return []
        }
        while true {
            values.append(try value(depth: depth + 1))
            skipBlanks()
            switch cursor.peek {
            case UInt8(ascii: ","): cursor.skip(1)
            case UInt8(ascii: "]"):
                cursor.skip(1)
                return values
            default: throw unexpected("',' or ']'", start)
            }
        }
    }

    private func unexpected(_ wanted: String, _ start: SourcePosition) -> ImportError {
        let found = cursor.peek.map { "found '\(Character(Unicode.Scalar($0)))'" } ?? "the file ends: it is cut off"
        return ImportError("expected \(wanted) in what begins at \(start.line):\(start.column), \(found)", at: cursor.position)
    }

    private mutating func string() throws(ImportError) -> String {
        let start = cursor.position
        cursor.skip(1)
        var bytes: [UInt8] = []
        while let byte = cursor.next() {
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: bytes, as: UTF8.self)
            case UInt8(ascii: "\\"): bytes += Array(String(try escape()).utf8)
            case 0..<0x20:
                throw ImportError("a line ends within the text that begins at \(start.line):\(start.column)", at: cursor.position)
            default: bytes.append(byte)
            }
            guard bytes.count <= ForeignLimits.textBytesMax else {
                throw ImportError("a text has more than \(ForeignLimits.textBytesMax) bytes", at: start)
            }
        }
        throw ImportError("the text that begins here does not end: the file is cut off", at: start)
    }

    private mutating func escape() throws(ImportError) -> Unicode.Scalar {
        switch cursor.next() {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return " "
        case UInt8(ascii: "f"): return " "
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return " "
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            let high = try hexadecimal()
            if (0xD800...0xDBFF).contains(high), cursor.starts(with: "\\u") {
                cursor.skip(2)
                let low = try hexadecimal()
                guard (0xDC00...0xDFFF).contains(low) else { return "\u{FFFD}" }
                return Unicode.Scalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00)) ?? "\u{FFFD}"
            }
            return Unicode.Scalar(high) ?? "\u{FFFD}"
        default: throw ImportError("unknown escape in a text", at: cursor.position)
        }
    }

    private mutating func hexadecimal() throws(ImportError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = cursor.next()?.hexadecimalValue else {
                throw ImportError("\\u needs four hexadecimal digits", at: cursor.position)
            }
            value = value << 4 | digit
        }
        return value
    }
}
