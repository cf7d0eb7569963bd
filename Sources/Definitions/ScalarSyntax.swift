/// A finite number in the notation of YAML 1.2 (core schema, 10.3.2): decimal, exponent, `0x` and `0o` integers.
func parseNumber(_ text: some StringProtocol) -> Double? {
    if let integer = parseInteger(text) { return Double(integer) }
    var hasDigit = false
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): hasDigit = true
        case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"): break
        default: return nil
        }
    }
    guard hasDigit, let number = Double(text), number.isFinite else { return nil }
    return number
}

/// An integer in the notation of YAML 1.2 (core schema, 10.3.2).
func parseInteger(_ text: some StringProtocol) -> Int? {
    if text.hasPrefix("0x") { return unsignedInteger(text.dropFirst(2), radix: 16) }
    if text.hasPrefix("0o") { return unsignedInteger(text.dropFirst(2), radix: 8) }
    return Int(text)
}

private func unsignedInteger(_ digits: some StringProtocol, radix: Int) -> Int? {
    guard let first = digits.utf8.first, first != UInt8(ascii: "-"), first != UInt8(ascii: "+") else { return nil }
    return Int(digits, radix: radix)
}

/// A number as people write it: whole ones without a fraction.
func numberText(_ number: Double) -> String {
    Int(exactly: number).map(String.init) ?? "\(number)"
}

/// Splits `12.5ms` into 12.5 and `ms`; `nil` if it does not begin with a plain decimal number.
private func quantity(_ text: String) -> (number: Double, unit: Substring)? {
    let digits = text.prefix { ("0"..."9").contains($0) || $0 == "." }
    guard let first = digits.first, first != ".", digits.last != ".", let number = Double(digits) else { return nil }
    return (number, text[digits.endIndex...])
}

/// How durations and sizes are written.
enum QuantitySyntax {
    static let durationUnits: [(name: String, nanoseconds: Double)] = [
        ("ns", 1), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("min", 60e9), ("h", 3600e9), ("d", 86_400e9),
    ]
    static let sizeUnits: [(name: String, bytes: Double)] = [
        ("B", 1), ("KiB", 1024), ("MiB", 1_048_576), ("GiB", 1_073_741_824), ("TiB", 1_099_511_627_776), ("kB", 1e3), ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
    ]

    static let durationPattern = "^[0-9]+(\\.[0-9]+)?(ns|us|ms|s|m|min|h|d)$"
    static let sizePattern = "^[0-9]+(\\.[0-9]+)?(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)$"

    /// The duration of `100ms`; `nil` if the text is none or beyond 292 years.
    static func duration(_ text: String) -> Duration? {
        guard let (number, unit) = quantity(text), let factor = durationUnits.first(where: { $0.name == unit })?.nanoseconds,
            number * factor < 9.2e18
        else { return nil }
        return .nanoseconds(Int64((number * factor).rounded()))
    }

    /// The bytes of `1GiB`; `nil` if the text is no size or beyond 8 EiB.
    static func bytes(_ text: String) -> Int64? {
        guard let (number, unit) = quantity(text), let factor = sizeUnits.first(where: { $0.name == unit })?.bytes, number * factor < 9.2e18
        else { return nil }
        return Int64((number * factor).rounded())
    }

    /// A duration as the documents write it, in the largest unit that leaves a whole number.
    static func text(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        if attoseconds == 0 {
            for (size, name) in [(86_400, "d"), (3600, "h"), (60, "m")] as [(Int64, String)] where seconds != 0 && seconds % size == 0 {
                return "\(seconds / size)\(name)"
            }
            return "\(seconds)s"
        }
        for (size, name) in [(1_000_000_000_000_000, "ms"), (1_000_000_000_000, "us")] as [(Int64, String)] where attoseconds % size == 0 {
            return "\(seconds * (1_000_000_000_000_000_000 / size) + attoseconds / size)\(name)"
        }
        return "\(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)ns"
    }

    /// A size as the documents write it.
    static func text(bytes: Int64) -> String {
        for (size, name) in [(1_099_511_627_776, "TiB"), (1_073_741_824, "GiB"), (1_048_576, "MiB"), (1024, "KiB")] as [(Int64, String)]
        where bytes != 0 && bytes % size == 0 {
            return "\(bytes / size)\(name)"
        }
        return "\(bytes)B"
    }
}
