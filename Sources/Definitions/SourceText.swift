/// The bytes of a file, checked for what a YAML parser must not be given.
struct SourceText {
    struct Problem {
        var position: SourcePosition
        var message: String
        var suggestion: String?
    }

    private(set) var text = ""
    private(set) var problem: Problem?

    init(_ bytes: [UInt8]) {
        var bytes = bytes[...]
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes = bytes.dropFirst(3) }
        if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
            problem = Problem(position: .start, message: "the file is UTF-16, but must be UTF-8", suggestion: "save it as UTF-8")
            return
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            problem = Problem(
                position: SourceText.firstInvalid(in: bytes), message: "the file is not valid UTF-8", suggestion: "save it as UTF-8")
            return
        }
        self.text = text
        problem = SourceText.forbidden(in: bytes)
    }

    /// The place after the longest prefix that is UTF-8.
    private static func firstInvalid(in bytes: ArraySlice<UInt8>) -> SourcePosition {
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        var position = SourcePosition.start
        while case .scalarValue(let scalar) = decoder.decode(&iterator) { position.advance(over: scalar) }
        return position
    }

    /// Control characters, and keys that are lists, mappings or aliases where the file also has aliases: comparing such keys
    /// would write the aliases out, which a few lines can make take for ever.
    private static func forbidden(in bytes: ArraySlice<UInt8>) -> Problem? {
        var position = SourcePosition.start
        var previous = UInt8(ascii: "\n")
        var hasAlias = false
        var complexKey: SourcePosition?
        var index = bytes.startIndex
        func next(_ offset: Int) -> UInt8 { index + offset < bytes.endIndex ? bytes[index + offset] : UInt8(ascii: "\n") }
        while index < bytes.endIndex {
            let byte = bytes[index]
            switch byte {
            case 0..<9, 11, 12, 14..<32, 127:
                return Problem(
                    position: position, message: "control character \(byte) is not allowed in YAML", suggestion: "remove it")
            case 0xC2 where (0x80..<0xA0).contains(next(1)) && next(1) != 0x85, 0xEF where next(1) == 0xBF && next(2) >= 0xBE,
                0xEF where next(1) == 0xBB && next(2) == 0xBF:
                return Problem(
                    position: position, message: "an invisible control character is not allowed in YAML", suggestion: "remove it")
            case UInt8(ascii: "*") where isBoundary(previous) && !isBlank(next(1)):
                hasAlias = true
                if aliasIsKey(bytes[(index + 1)...]) { complexKey = complexKey ?? position }
            case UInt8(ascii: "?") where isBoundary(previous): complexKey = complexKey ?? position
            case UInt8(ascii: "$") where next(1) == UInt8(ascii: "{"):
                if let end = variableEnd(bytes[(index + 2)...]) {
                    for skipped in bytes[index..<end] { position.advance(overByte: skipped) }
                    index = end
                    previous = UInt8(ascii: "}")
                    continue
                }
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                if bytes[(index + 1)...].first(where: { $0 != UInt8(ascii: " ") && $0 != 9 }) == UInt8(ascii: ":") {
                    complexKey = complexKey ?? position
                }
            default: break
            }
            position.advance(overByte: byte)
            previous = byte
            index += 1
        }
        guard hasAlias, let complexKey else { return nil }
        return Problem(
            position: complexKey, message: "a key must be a plain name in a file that uses aliases (*name)",
            suggestion: "write the aliases out, or put this text in a quoted value without ':' after the bracket")
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 10 || byte == 13 }

    /// Whether a token may begin after this byte.
    private static func isBoundary(_ byte: UInt8) -> Bool { isBlank(byte) || "[]{},:?-".utf8.contains(byte) }

    /// Whether the alias whose name begins here is followed by a colon.
    private static func aliasIsKey(_ bytes: ArraySlice<UInt8>) -> Bool {
        let rest = bytes.drop { !isBlank($0) && !"[]{},:".utf8.contains($0) }.drop { $0 == 32 || $0 == 9 }
        return rest.first == UInt8(ascii: ":")
    }

    /// The index after `NAME}` or `NAME:-default}`, where the default has no brackets, spaces or quotes.
    private static func variableEnd(_ bytes: ArraySlice<UInt8>) -> Int? {
        for index in bytes.indices {
            let byte = bytes[index]
            if byte == UInt8(ascii: "}") { return index + 1 }
            if isBlank(byte) || "{[]\"'*,?".utf8.contains(byte) { return nil }
        }
        return nil
    }
}

extension SourceText {
    /// The index of a position; `nil` if the text has no such place.
    static func index(of position: SourcePosition, in scalars: String.UnicodeScalarView) -> String.Index? {
        var current = SourcePosition.start
        var index = scalars.startIndex
        while index < scalars.endIndex, current < position {
            current.advance(over: scalars[index])
            index = scalars.index(after: index)
        }
        return index < scalars.endIndex && current == position ? index : nil
    }

    static func position(ofCharacter offset: Int, in text: String) -> SourcePosition {
        var position = SourcePosition.start
        for scalar in text.prefix(offset).unicodeScalars { position.advance(over: scalar) }
        return position
    }

    /// Advice on a syntax error from the line it is on or ended on.
    static func hint(for position: SourcePosition, in text: String) -> String? {
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        func line(_ number: Int) -> Substring { lines.indices.contains(number - 1) ? lines[number - 1] : "" }
        for number in [position.line, position.line - 1] {
            let indent = line(number).prefix { $0 == " " || $0 == "\t" }
            if indent.contains("\t") { return "line \(number) is indented with a tab; YAML wants spaces" }
        }
        if line(position.line).contains(": ") || line(position.line - 1).contains(": ") {
            return "check the indentation, and put text that contains ': ' or '#' or begins with a special character in quotes"
        }
        return nil
    }
}

extension SourcePosition {
    mutating func advance(over scalar: Unicode.Scalar) {
        if scalar == "\n" {
            line += 1
            column = 1
        } else {
            column += 1
        }
    }

    /// Continuation bytes of UTF-8 do not count.
    fileprivate mutating func advance(overByte byte: UInt8) {
        if byte == UInt8(ascii: "\n") {
            line += 1
            column = 1
        } else if byte & 0xC0 != 0x80 {
            column += 1
        }
    }
}
