/// Reads one JSON text (RFC 8259) step by step, without building a tree. A step that goes wrong sets `flaw`, and everything after it reads as nothing.
struct JSONCursor {
    /// A scalar.
    enum Scalar: Equatable {
        case null
        case boolean(Bool)
        case integer(Int64)
        case number(Double)
        case text(String)
    }

    private var next: UnsafePointer<UInt8>
    private let base: UnsafePointer<UInt8>
    private let end: UnsafePointer<UInt8>
    /// What is wrong with the text, with the byte where.
    private(set) var flaw: String?

    /// The longest string that is taken, in bytes.
    static let stringBytesMax = 1 << 20

    init(_ bytes: UnsafeBufferPointer<UInt8>, base: UnsafePointer<UInt8>) {
        next = base
        self.base = base
        end = base + bytes.count
    }

    private mutating func fail(_ message: String) {
        if flaw == nil { flaw = "\(message) at byte \(next - base)" }
        next = end
    }

    @inline(__always)
    private mutating func skipSpace() {
        while next < end, next.pointee == 0x20 || (next.pointee >= 0x09 && next.pointee <= 0x0D) { next += 1 }
    }

    @inline(__always)
    private mutating func take(_ character: UInt8) -> Bool {
        skipSpace()
        guard next < end, next.pointee == character else { return false }
        next += 1
        return true
    }

    /// Whether nothing but white space is left.
    mutating func isAtEnd() -> Bool {
        skipSpace()
        return next == end
    }

    /// Walks through an object; `member` must read the member's value.
    mutating func object(_ member: (String, inout JSONCursor) -> Void) {
        guard take(UInt8(ascii: "{")) else { return fail("an object is expected") }
        if take(UInt8(ascii: "}")) { return }
        while flaw == nil {
            let name = string()
            guard flaw == nil, take(UInt8(ascii: ":")) else { return fail("a colon is expected") }
            member(name, &self)
            if take(UInt8(ascii: ",")) { continue }
            guard take(UInt8(ascii: "}")) else { return fail("a comma or the end of the object is expected") }
            return
        }
    }

    /// Reads a value that is neither object nor array.
    mutating func scalar() -> Scalar {
        skipSpace()
        guard next < end else {
            fail("a value is expected")
            return .null
        }
        switch next.pointee {
        case UInt8(ascii: "\""): return .text(string())
        case UInt8(ascii: "t"): return word("true", .boolean(true))
        case UInt8(ascii: "f"): return word("false", .boolean(false))
        case UInt8(ascii: "n"): return word("null", .null)
        case UInt8(ascii: "-"), 48...57: return number()
        default:
            fail("a number, string, true, false or null is expected")
            return .null
        }
    }

    /// Moves behind a value of any kind.
    mutating func skip() {
        var depth = 0
        repeat {
            skipSpace()
            guard next < end else { return fail("a value is expected") }
            switch next.pointee {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                next += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                next += 1
            case UInt8(ascii: ","), UInt8(ascii: ":"):
                guard depth > 0 else { return fail("a value is expected") }
                next += 1
            default: _ = scalar()
            }
            if depth < 0 { return fail("a value is expected") }
        } while depth > 0 && flaw == nil
    }

    private mutating func word(_ text: StaticString, _ meaning: Scalar) -> Scalar {
        guard end - next >= text.utf8CodeUnitCount, (0..<text.utf8CodeUnitCount).allSatisfy({ next[$0] == text.utf8Start[$0] }) else {
            fail("a value is expected")
            return .null
        }
        next += text.utf8CodeUnitCount
        return meaning
    }

    private mutating func number() -> Scalar {
        let start = next
        let isNegative = next.pointee == UInt8(ascii: "-")
        if isNegative { next += 1 }
        var mantissa: UInt64 = 0
        var digits = 0
        var decimals = 0
        var isPlain = true
        while next < end, next.pointee >= 48, next.pointee <= 57 {
            mantissa = mantissa &* 10 &+ UInt64(next.pointee - 48)
            digits += 1
            next += 1
        }
        if next < end, next.pointee == UInt8(ascii: ".") {
            next += 1
            while next < end, next.pointee >= 48, next.pointee <= 57 {
                mantissa = mantissa &* 10 &+ UInt64(next.pointee - 48)
                digits += 1
                decimals += 1
                next += 1
            }
        }
        if next < end, next.pointee | 0x20 == UInt8(ascii: "e") {
            isPlain = false
            next += 1
            while next < end, next.pointee == UInt8(ascii: "+") || next.pointee == UInt8(ascii: "-") || (48...57).contains(next.pointee) {
                next += 1
            }
        }
        guard digits > 0 else {
            fail("a number is expected")
            return .null
        }
        if isPlain, decimals == 0, digits <= 18 { return .integer(isNegative ? -Int64(mantissa) : Int64(mantissa)) }
        // Both parts are exact, so that the quotient is the double nearest to the text.
        if isPlain, digits <= 15 {
            let value = Double(mantissa) / Self.powersOfTen[decimals]
            return .number(isNegative ? -value : value)
        }
        let text = String(decoding: UnsafeBufferPointer(start: start, count: next - start), as: UTF8.self)
        if isPlain, decimals == 0, let integer = Int64(text) { return .integer(integer) }
        guard let value = Double(text) else {
            fail("a number is expected")
            return .null
        }
        return .number(value)
    }

    private static let powersOfTen: [Double] = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15]

    private mutating func string() -> String {
        guard take(UInt8(ascii: "\"")) else {
            fail("a string is expected")
            return ""
        }
        let start = next
        while next < end, next.pointee != UInt8(ascii: "\""), next.pointee != UInt8(ascii: "\\"), next.pointee >= 0x20 { next += 1 }
        guard next < end, next.pointee != UInt8(ascii: "\"") else {
            guard next < end else {
                fail("a string has no end")
                return ""
            }
            guard let text = String(validating: UnsafeBufferPointer(start: start, count: next - start), as: UTF8.self) else {
                fail("a string is not UTF-8")
                return ""
            }
            next += 1
            return text
        }
        return escapedString(from: start)
    }

    private mutating func escapedString(from start: UnsafePointer<UInt8>) -> String {
        next = start
        var units: [UInt8] = []
        while next < end, next.pointee != UInt8(ascii: "\"") {
            let byte = next.pointee
            guard byte >= 0x20, units.count < Self.stringBytesMax else {
                fail(byte < 0x20 ? "a control character in a string" : "a string of more than \(Self.stringBytesMax) bytes")
                return ""
            }
            next += 1
            guard byte == UInt8(ascii: "\\") else {
                units.append(byte)
                continue
            }
            guard next < end else { break }
            let escape = next.pointee
            next += 1
            switch escape {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): units.append(escape)
            case UInt8(ascii: "b"): units.append(8)
            case UInt8(ascii: "f"): units.append(12)
            case UInt8(ascii: "n"): units.append(10)
            case UInt8(ascii: "r"): units.append(13)
            case UInt8(ascii: "t"): units.append(9)
            case UInt8(ascii: "u"):
                guard let scalar = unicode() else {
                    fail("an escape is not one of JSON")
                    return ""
                }
                units += Array(String(Character(scalar)).utf8)
            default:
                fail("an escape is not one of JSON")
                return ""
            }
        }
        guard next < end else {
            fail("a string has no end")
            return ""
        }
        next += 1
        guard let text = String(validating: units, as: UTF8.self) else {
            fail("a string is not UTF-8")
            return ""
        }
        return text
    }

    /// `uXXXX` behind the `u`, with its other half where it is a surrogate.
    private mutating func unicode() -> Unicode.Scalar? {
        guard let first = fourHexDigits() else { return nil }
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xDC00, end - next >= 6, next[0] == UInt8(ascii: "\\"), next[1] == UInt8(ascii: "u") else { return nil }
        next += 2
        guard let second = fourHexDigits(), (0xDC00...0xDFFF).contains(second) else { return nil }
        return Unicode.Scalar(0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00))
    }

    private mutating func fourHexDigits() -> UInt16? {
        guard end - next >= 4 else { return nil }
        let digits = String(decoding: UnsafeBufferPointer(start: next, count: 4), as: UTF8.self)
        guard digits.allSatisfy(\.isHexDigit), let value = UInt16(digits, radix: 16) else { return nil }
        next += 4
        return value
    }
}
