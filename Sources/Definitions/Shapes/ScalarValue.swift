/// Why a scalar is not what its type wants.
struct ScalarProblem: Error {
    var message: String
    var allowed: String?
    var suggestion: String?
}

extension ValueType {
    /// Reads a scalar whose environment variables are filled in.
    func value(of text: String) -> Result<Value, ScalarProblem> {
        switch self {
        case .text(let format): ValueType.text(text, format)
        case .bool: ValueType.bool(text)
        case .integer(let range): ValueType.integer(text, range)
        case .number: ValueType.number(text)
        case .duration(let range): ValueType.duration(text, range)
        case .size(let range): ValueType.size(text, range)
        case .word(let words, let refused): ValueType.word(text, words, refused: refused)
        case .literal:
            parseNumber(text) != nil || text.hasPrefix("0x") && UInt64(text.dropFirst(2), radix: 16) != nil
                ? .success(.text(text)) : .failure(ScalarProblem(message: "expected \(summary), got '\(text)'"))
        case .object, .oneOrMore, .list, .map: .failure(ScalarProblem(message: "expected \(summary)"))
        }
    }

    /// What is expected, for messages.
    var summary: String {
        switch self {
        case .text(let format): format.description
        case .bool: "true or false"
        case .integer(let range): "an integer, \(ValueType.text(range))"
        case .number: "a number"
        case .duration: "a duration such as 100ms, 1s, 10m"
        case .size: "a size such as 512MiB, 1GiB"
        case .word(let words, _): "one of \(words.joined(separator: ", "))"
        case .object(let shape): "a mapping (\(shape.fields.map(\.name).joined(separator: ", ")))"
        case .literal: "a number, or 0x and the hexadecimal digits of its bits"
        case .oneOrMore(let element, _): "\(element.summary), or a list of them"
        case .list: "a list"
        case .map: "a mapping"
        }
    }

    static func text(_ range: ClosedRange<Int>) -> String { "\(range.lowerBound)…\(range.upperBound)" }

    private static func text(_ text: String, _ format: TextFormat) -> Result<Value, ScalarProblem> {
        if text.unicodeScalars.count > format.lengthMax {
            return .failure(
                ScalarProblem(
                    message: "the text has \(text.unicodeScalars.count) characters, at most \(format.lengthMax) are allowed",
                    allowed: format.description))
        }
        guard format.accepts(text) else {
            return .failure(
                ScalarProblem(
                    message: "'\(text)' is not \(format.description)", allowed: format.description,
                    suggestion: "for example \(format.example)"))
        }
        return .success(.text(text))
    }

    private static func bool(_ text: String) -> Result<Value, ScalarProblem> {
        switch text {
        case "true": return .success(.bool(true))
        case "false": return .success(.bool(false))
        default:
            let meant =
                ["yes", "on", "1", "y", "true"].contains(text.lowercased())
                ? "true" : ["no", "off", "0", "n", "false"].contains(text.lowercased()) ? "false" : nil
            return .failure(
                ScalarProblem(
                    message: "expected true or false, got '\(text)'", allowed: "true, false", suggestion: meant.map { "write \($0)" }))
        }
    }

    private static func integer(_ text: String, _ range: ClosedRange<Int>) -> Result<Value, ScalarProblem> {
        guard let number = parseInteger(text) else {
            return .failure(ScalarProblem(message: "expected an integer, got '\(text)'", allowed: self.text(range)))
        }
        guard range.contains(number) else {
            return .failure(ScalarProblem(message: "\(number) is out of range \(self.text(range))", allowed: self.text(range)))
        }
        return .success(.integer(number))
    }

    private static func number(_ text: String) -> Result<Value, ScalarProblem> {
        guard let number = parseNumber(text) else {
            return .failure(ScalarProblem(message: "expected a finite number, got '\(text)'"))
        }
        return .success(.number(number))
    }

    private static func duration(_ text: String, _ range: ClosedRange<Duration>) -> Result<Value, ScalarProblem> {
        let allowed = "\(QuantitySyntax.text(range.lowerBound))…\(QuantitySyntax.text(range.upperBound))"
        guard let duration = QuantitySyntax.duration(text) else {
            let units = QuantitySyntax.durationUnits.map(\.name).joined(separator: ", ")
            return .failure(
                ScalarProblem(
                    message: "expected a duration such as 100ms, got '\(text)'", allowed: allowed,
                    suggestion: parseNumber(text) == nil ? "units are \(units)" : "add a unit: \(units)"))
        }
        guard range.contains(duration) else {
            return .failure(ScalarProblem(message: "\(text) is out of range \(allowed)", allowed: allowed))
        }
        return .success(.duration(duration))
    }

    private static func size(_ text: String, _ range: ClosedRange<Int64>) -> Result<Value, ScalarProblem> {
        let allowed = "\(QuantitySyntax.text(bytes: range.lowerBound))…\(QuantitySyntax.text(bytes: range.upperBound))"
        guard let bytes = QuantitySyntax.bytes(text) else {
            let units = QuantitySyntax.sizeUnits.map(\.name).joined(separator: ", ")
            return .failure(
                ScalarProblem(message: "expected a size such as 1GiB, got '\(text)'", allowed: allowed, suggestion: "units are \(units)"))
        }
        guard range.contains(bytes) else {
            return .failure(ScalarProblem(message: "\(text) is out of range \(allowed)", allowed: allowed))
        }
        return .success(.size(bytes))
    }

    private static func word(_ text: String, _ words: [String], refused: [String: Refusal]) -> Result<Value, ScalarProblem> {
        if words.contains(text) { return .success(.text(text)) }
        let list = words.joined(separator: ", ")
        if let refusal = refused[text] {
            return .failure(ScalarProblem(message: refusal.reason, allowed: list, suggestion: refusal.suggestion))
        }
        return .failure(
            ScalarProblem(
                message: "'\(text)' is not one of \(list)", allowed: list,
                suggestion: nearestName(to: text, among: words).map { "did you mean '\($0)'?" }))
    }
}
