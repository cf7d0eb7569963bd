/// Writes JSON tokens (RFC 8259) to memory that the caller made large enough.
///
/// No allocation for integers, decimals and most floating-point values.
struct JSONWriter {
    /// The most bytes of one number: `-2.2250738585072014e-308` has 24.
    static let numberBytesMax = 32
    /// The most bytes that one byte of a string becomes: `\u001f`, or a repaired character.
    static let escapeBytesMax = 6

    var next: UnsafeMutablePointer<UInt8>
    private let pairs = Self.digitPairs.utf8Start

    init(next: UnsafeMutablePointer<UInt8>) { self.next = next }

    @inline(__always)
    mutating func byte(_ value: UInt8) {
        next.pointee = value
        next += 1
    }

    @inline(__always)
    mutating func bytes(_ source: UnsafePointer<UInt8>, _ count: Int) {
        next.update(from: source, count: count)
        next += count
    }

    mutating func bytes(_ source: [UInt8]) {
        source.withUnsafeBufferPointer { if let base = $0.baseAddress { bytes(base, $0.count) } }
    }

    @inline(__always)
    mutating func literal(_ text: StaticString) { bytes(text.utf8Start, text.utf8CodeUnitCount) }

    @inline(__always)
    mutating func integer(_ value: Int64) {
        if value < 0 { byte(UInt8(ascii: "-")) }
        unsigned(value.magnitude)
    }

    @inline(__always)
    mutating func unsigned(_ value: UInt64) {
        if value <= UInt64(UInt32.max) { small(UInt32(value)) } else { large(value) }
    }

    /// 32-bit arithmetic is enough for what registers hold, and divides faster.
    @inline(__always)
    private mutating func small(_ value: UInt32) {
        if value < 10 { return byte(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value)) }
        let digits =
            value < 10_000
            ? (value < 100 ? 2 : value < 1000 ? 3 : 4)
            : value < 1_000_000
                ? (value < 100_000 ? 5 : 6) : value < 100_000_000 ? (value < 10_000_000 ? 7 : 8) : value < 1_000_000_000 ? 9 : 10
        var rest = value
        var end = next + digits
        next = end
        while rest >= 100 {
            let quotient = rest / 100
            end -= 2
            end.update(from: pairs + Int(rest &- quotient &* 100) &* 2, count: 2)
            rest = quotient
        }
        if rest >= 10 {
            (end - 2).update(from: pairs + Int(rest) &* 2, count: 2)
        } else {
            (end - 1).pointee = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest)
        }
    }

    private mutating func large(_ value: UInt64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: 1_000_000_000)
        unsigned(quotient)
        fraction(UInt32(remainder), digits: 9)
    }

    /// Exactly `digits` digits, with leading zeros.
    @inline(__always)
    private mutating func fraction(_ value: UInt32, digits: Int) {
        var rest = value
        var left = digits
        while left > 0 {
            left -= 1
            let quotient = rest / 10
            next[left] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest &- quotient &* 10)
            rest = quotient
        }
        next += digits
    }

    /// `value / 10^decimals`, exactly, without zeros at the end. `decimals` is 1...9.
    @inline(__always)
    mutating func decimal(negative: Bool, magnitude: UInt64, decimals: Int) {
        if negative, magnitude != 0 { byte(UInt8(ascii: "-")) }
        let divisor = Self.powers[decimals]
        let whole: UInt64
        var part: UInt32
        if magnitude <= UInt64(UInt32.max) {
            let (quotient, remainder) = UInt32(magnitude).quotientAndRemainder(dividingBy: divisor)
            whole = UInt64(quotient)
            part = remainder
        } else {
            let (quotient, remainder) = magnitude.quotientAndRemainder(dividingBy: UInt64(divisor))
            whole = quotient
            part = UInt32(remainder)
        }
        unsigned(whole)
        guard part != 0 else { return }
        var digits = decimals
        while part % 10 == 0 {
            part /= 10
            digits -= 1
        }
        byte(UInt8(ascii: "."))
        fraction(part, digits: digits)
    }

    /// The shortest text that reads back as the same value; `null` for what JSON cannot say (NaN, infinities).
    mutating func double(_ value: Double) {
        guard value.isFinite else { return literal("null") }
        // Up to 15 significant digits a decimal is the shortest text of its nearest double (IEEE 754, 5.12.2). Most measured values have few.
        let thousandths = (value * 1000).rounded()
        if abs(thousandths) < 1e15, thousandths / 1000 == value, value != 0 {
            return decimal(negative: value < 0, magnitude: UInt64(abs(thousandths)), decimals: 3)
        }
        text(value.description)
    }

    /// As `double`, with the precision of 32 bits: 0.1, not 0.10000000149011612.
    mutating func float(_ value: Float) {
        guard value.isFinite else { return literal("null") }
        let thousandths = (Double(value) * 1000).rounded()
        if abs(thousandths) < 1e6, Float(thousandths / 1000) == value, value != 0 {
            return decimal(negative: value < 0, magnitude: UInt64(abs(thousandths)), decimals: 3)
        }
        text(value.description)
    }

    private mutating func text(_ text: String) {
        for unit in text.utf8 { byte(unit) }
    }

    /// A string with its quotes. Bytes that are not UTF-8 become U+FFFD.
    mutating func string(_ source: UnsafeBufferPointer<UInt8>) {
        byte(UInt8(ascii: "\""))
        if source.allSatisfy({ $0 < 0x80 }) {
            for unit in source { escaped(unit) }
        } else {
            for unit in String(decoding: source, as: UTF8.self).utf8 { escaped(unit) }
        }
        byte(UInt8(ascii: "\""))
    }

    private mutating func escaped(_ unit: UInt8) {
        switch unit {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            byte(UInt8(ascii: "\\"))
            byte(unit)
        case 0..<0x20:
            literal("\\u00")
            byte(unit < 0x10 ? UInt8(ascii: "0") : UInt8(ascii: "1"))
            let low = unit & 15
            byte(low < 10 ? UInt8(ascii: "0") + low : UInt8(ascii: "a") + low - 10)
        default: byte(unit)
        }
    }

    /// A string's JSON text, for what is written once and used often.
    static func quoted(_ text: String) -> [UInt8] {
        let source = Array(text.utf8)
        return [UInt8](unsafeUninitializedCapacity: source.count * escapeBytesMax + 2) { buffer, count in
            guard let base = buffer.baseAddress else { return }
            var writer = JSONWriter(next: base)
            source.withUnsafeBufferPointer { writer.string($0) }
            count = writer.next - base
        }
    }

    /// `00` to `99`.
    private static let digitPairs: StaticString = """
        00010203040506070809101112131415161718192021222324\
        25262728293031323334353637383940414243444546474849\
        50515253545556575859606162636465666768697071727374\
        75767778798081828384858687888990919293949596979899
        """

    private static let powers: [UInt32] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000]
}
