/// How many bits it takes to tell of values, if they are what somebody takes them for. The reading that needs the fewest is the most
/// plausible one (minimum description length: J. Rissanen, "Modeling by shortest data description", Automatica 14, 1978).
enum CodeLength {
    /// The binary logarithm, within 0.09: exact enough to compare stories.
    static func log2(_ number: Double) -> Double {
        guard number > 0, number.isFinite else { return 0 }
        return Double(number.exponent) + number.significand - 1
    }

    /// An integer of unknown size (P. Elias, "Universal codeword sets", 1975), at most a bit more than its width.
    static func integer(_ magnitude: UInt64, width: Int) -> Double {
        let digits = log2(Double(magnitude) + 1)
        let universal = digits + 2 * log2(digits + 1) + 1
        return width == 16 ? min(universal, 17) : universal
    }

    /// A float as people meet it: of ordinary size, often with few decimal digits.
    static func float(_ value: Double, digits: Int, mantissaBits: Double) -> Double {
        if value == 0 { return 2 }
        let size = value.magnitude
        let exponent: Double
        switch size {
        case 0.01..<1e5: exponent = 4
        case 1e-4..<1e8: exponent = 8
        case 1e-9..<1e13: exponent = 16
        default: exponent = 40
        }
        return exponent + 1 + min(mantissaBits, 3.4 * Double(digits) + 1)
    }

    /// A step from one reading to the next.
    static func step(_ distance: UInt64) -> Double { distance == 0 ? 0.3 : log2(Double(distance)) + 2 }

    /// A character of a name or a number: letters and digits first of all.
    static func character(_ byte: UInt8) -> Double? {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): 5.2
        case UInt8(ascii: " "), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "/"): 5.5
        case 33...126: 8
        default: nil
        }
    }
}

/// How many significant decimal digits the shortest text of a number has that reads back as it.
func significantDigits(_ text: String) -> Int {
    var digits = 0
    var zeros = 0
    var isLeading = true
    for byte in text.utf8 {
        if byte == UInt8(ascii: "e") { break }
        guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { continue }
        if byte == UInt8(ascii: "0") {
            if !isLeading { zeros += 1 }
        } else {
            isLeading = false
            digits += 1 + zeros
            zeros = 0
        }
    }
    return digits
}
