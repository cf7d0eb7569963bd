/// Reads an interlock expression by recursive descent.
///
///     any        = all { ("||" | "or") all }
///     all        = unary { ("&&" | "and") unary }
///     unary      = ("!" | "not") unary | "(" any ")" | comparison
///     comparison = operand [ ("<" | "<=" | ">" | ">=" | "==" | "!=") operand ]
///     operand    = number | "true" | "false" | device "." tag
struct InterlockParser {
    private enum Symbol: Equatable {
        case word(String)
        case comparison(Interlock.Comparison)
        case and, or, not, open, close, end
    }

    private struct Token {
        var symbol: Symbol
        var text: String
        var column: Int
    }

    private var tokens: [Token] = []
    private var next = 0
    private var depth = 0

    init(_ text: String) throws(InterlockError) {
        guard text.utf8.count <= Interlock.textBytesMax else {
            throw InterlockError(
                column: 1, message: "the condition has \(text.utf8.count) bytes, at most \(Interlock.textBytesMax) are allowed")
        }
        try scan(Array(text.unicodeScalars))
    }

    mutating func parse() throws(InterlockError) -> Interlock.Node {
        let node = try any()
        guard current.symbol == .end else { throw unexpected("'&&', '||' or the end") }
        var found: Set<TagReference> = []
        for token in tokens {
            if case .word(let word) = token.symbol, let reference = InterlockParser.reference(word) { found.insert(reference) }
        }
        guard found.count <= Interlock.referencesMax else {
            throw InterlockError(
                column: 1, message: "the condition names \(found.count) tags, at most \(Interlock.referencesMax) are allowed")
        }
        return node
    }

    // MARK: - Words

    private mutating func scan(_ scalars: [Unicode.Scalar]) throws(InterlockError) {
        var index = 0
        func peek(_ offset: Int) -> Unicode.Scalar? { index + offset < scalars.count ? scalars[index + offset] : nil }
        while index < scalars.count {
            let scalar = scalars[index]
            let column = index + 1
            var symbol: Symbol
            var length = 1
            switch scalar {
            case " ", "\t", "\n", "\r":
                index += 1
                continue
            case "(": symbol = .open
            case ")": symbol = .close
            case "<", ">", "!", "=":
                length = peek(1) == "=" ? 2 : 1
                let text = String(String.UnicodeScalarView(scalars[index..<index + length]))
                if let comparison = Interlock.Comparison(rawValue: text) {
                    symbol = .comparison(comparison)
                } else if text == "!" {
                    symbol = .not
                } else {
                    throw InterlockError(column: column, message: "'=' does not compare; write '=='")
                }
            case "&", "|":
                guard peek(1) == scalar else {
                    throw InterlockError(column: column, message: "'\(scalar)' alone means nothing; write '\(scalar)\(scalar)'")
                }
                length = 2
                symbol = scalar == "&" ? .and : .or
            case _ where InterlockParser.isWordPart(scalar) || scalar == "+":
                while let following = peek(length), InterlockParser.isWordPart(following) || isExponentSign(scalars, index + length) {
                    length += 1
                }
                let word = String(String.UnicodeScalarView(scalars[index..<index + length]))
                symbol =
                    switch word {
                    case "and": .and
                    case "or": .or
                    case "not": .not
                    default: .word(word)
                    }
            default: throw InterlockError(column: column, message: "'\(scalar)' has no place in a condition")
            }
            tokens.append(
                Token(symbol: symbol, text: String(String.UnicodeScalarView(scalars[index..<index + length])), column: column))
            index += length
        }
        tokens.append(Token(symbol: .end, text: "the end", column: scalars.count + 1))
    }

    private static func isWordPart(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "_", "-", ".", "/": true
        default: false
        }
    }

    /// `+` belongs to a word only in `1e+3`.
    private func isExponentSign(_ scalars: [Unicode.Scalar], _ index: Int) -> Bool {
        scalars[index] == "+" && index > 1 && (scalars[index - 1] == "e" || scalars[index - 1] == "E")
    }

    // MARK: - Grammar

    private var current: Token { tokens[next] }

    private mutating func take(_ symbol: Symbol) -> Bool {
        guard current.symbol == symbol else { return false }
        next += 1
        return true
    }

    private mutating func any() throws(InterlockError) -> Interlock.Node {
        var nodes = [try all()]
        while take(.or) { nodes.append(try all()) }
        return nodes.count == 1 ? nodes[0] : .any(nodes)
    }

    private mutating func all() throws(InterlockError) -> Interlock.Node {
        var nodes = [try unary()]
        while take(.and) { nodes.append(try unary()) }
        return nodes.count == 1 ? nodes[0] : .all(nodes)
    }

    private mutating func unary() throws(InterlockError) -> Interlock.Node {
        let opening = current
        guard opening.symbol == .not || opening.symbol == .open else { return try comparison() }
        next += 1
        depth += 1
        defer { depth -= 1 }
        guard depth <= Interlock.depthMax else {
            throw InterlockError(column: opening.column, message: "the condition nests deeper than \(Interlock.depthMax)")
        }
        if opening.symbol == .not { return .not(try unary()) }
        let node = try any()
        guard take(.close) else { throw unexpected("')' for the '(' at character \(opening.column)") }
        if case .comparison = current.symbol {
            throw InterlockError(column: current.column, message: "a condition in parentheses cannot be compared; compare tags and numbers")
        }
        return node
    }

    private mutating func comparison() throws(InterlockError) -> Interlock.Node {
        let first = current
        let left = try operand()
        guard case .comparison(let comparison) = current.symbol else {
            if case .number = left {
                throw InterlockError(column: first.column, message: "the number \(first.text) is no condition by itself; compare it")
            }
            return .truth(left)
        }
        next += 1
        let right = try operand()
        if case .comparison = current.symbol {
            throw InterlockError(column: current.column, message: "comparisons cannot be chained; write a < b && b < c")
        }
        return .compare(left, comparison, right)
    }

    private mutating func operand() throws(InterlockError) -> Interlock.Operand {
        let token = current
        guard case .word(let word) = token.symbol else { throw unexpected("a tag (device.tag) or a number") }
        next += 1
        if word == "true" || word == "false" { return .bool(word == "true") }
        if let number = InterlockParser.number(word) { return .number(number) }
        if let reference = InterlockParser.reference(word) { return .tag(reference) }
        throw InterlockError(
            column: token.column,
            message: "'\(word)' is neither a number nor a tag; write device.\(word), or this.\(word) for the same device")
    }

    private func unexpected(_ expected: String) -> InterlockError {
        InterlockError(
            column: current.column,
            message: "expected \(expected), but here is \(current.symbol == .end ? current.text : "'\(current.text)'")")
    }

    /// Decimal numbers only: what `Double` reads besides (`inf`, `nan`, `0x1p3`) is none here.
    private static func number(_ word: String) -> Double? {
        let allowed = word.utf8.allSatisfy { byte in
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "+-.eE".utf8.contains(byte)
        }
        guard allowed, let number = Double(word), number.isFinite else { return nil }
        return number
    }

    private static func reference(_ word: String) -> TagReference? {
        guard number(word) == nil, let first = word.unicodeScalars.first, first != "-", first != "/", first != "+",
            let reference = TagReference(word), reference.device.utf8.allSatisfy({ $0 != UInt8(ascii: "/") })
        else { return nil }
        return reference
    }
}
