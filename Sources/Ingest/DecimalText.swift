/// Numbers as text, written into a growing buffer without making strings where that can be avoided.
enum DecimalText {
    @inline(__always)
    static func append(_ value: Int64, to bytes: inout [UInt8]) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        append(value.magnitude, to: &bytes)
    }

    static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var digits: InlineArray<20, UInt8> = .init(repeating: 0)
        var first = 20
        var rest = value
        repeat {
            first -= 1
            digits[first] = UInt8(48 + rest % 10)
            rest /= 10
        } while rest > 0
        while first < 20 {
            bytes.append(digits[first])
            first += 1
        }
    }

    /// Text that reads back as the same double.
    static func append(_ value: Double, to bytes: inout [UInt8]) {
        // Measured values have few decimals: scaled to an integer and back, they show by themselves whether the text is exact.
        if value.magnitude < 1e12 {
            let scaled = (value * 1000).rounded()
            if scaled / 1000 == value, value != 0 || value.sign == .plus {
                let number = Int64(scaled)
                if number < 0 { bytes.append(UInt8(ascii: "-")) }
                append(number.magnitude / 1000, to: &bytes)
                let rest = number.magnitude % 1000
                guard rest > 0 else { return }
                bytes.append(UInt8(ascii: "."))
                bytes.append(UInt8(48 + rest / 100))
                guard rest % 100 > 0 else { return }
                bytes.append(UInt8(48 + rest / 10 % 10))
                guard rest % 10 > 0 else { return }
                bytes.append(UInt8(48 + rest % 10))
                return
            }
        }
        bytes.append(contentsOf: value.description.utf8)
    }
}
