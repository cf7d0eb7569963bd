/// The bit pattern of a float of 32 or of 64 bits, as the lane of an integer column.
protocol FloatPattern: FixedWidthInteger & UnsignedInteger & BitwiseCopyable {
    /// The pattern as an integer that sorts as the numbers do, negative ones below zero.
    var ordered: Int64 { get }
    init(ordered: Int64)
    /// The number.
    var number: Double { get }
    /// The pattern of the number nearest to `number`.
    init(nearest number: Double)
}

extension UInt64: FloatPattern {
    @inline(__always)
    var ordered: Int64 {
        let signed = Int64(bitPattern: self)
        return signed ^ (signed &>> 63 & Int64.max)
    }

    @inline(__always)
    init(ordered: Int64) { self = UInt64(bitPattern: ordered ^ (ordered &>> 63 & Int64.max)) }

    @inline(__always)
    var number: Double { Double(bitPattern: self) }

    @inline(__always)
    init(nearest number: Double) { self = number.bitPattern }
}

extension UInt32: FloatPattern {
    @inline(__always)
    var ordered: Int64 {
        let signed = Int32(bitPattern: self)
        return Int64(signed ^ (signed &>> 31 & Int32.max))
    }

    @inline(__always)
    init(ordered: Int64) {
        let signed = Int32(truncatingIfNeeded: ordered)
        self = UInt32(bitPattern: signed ^ (signed &>> 31 & Int32.max))
    }

    @inline(__always)
    var number: Double { Double(Float(bitPattern: self)) }

    @inline(__always)
    init(nearest number: Double) { self = Float(number).bitPattern }
}

/// Powers of ten and the way to decimal integers, as encoder and decoder both need them.
enum Decimal {
    /// Added and taken away again, it rounds numbers within ±2^51 to integers, ties to even.
    private static var rounding: Double { 0x1.8p52 }

    /// Ten to the power of `exponent`, 0 to 15; exact.
    static func power(_ exponent: Int) -> Double {
        var power = 1.0
        for _ in 0..<exponent { power *= 10 }
        return power
    }

    /// The integer nearest to `number` × `power`, if that is within ±2^51; else any.
    @inline(__always)
    static func digits(_ number: Double, _ power: Double) -> Int64 {
        Int64(bitPattern: (number * power + rounding).bitPattern) &- Int64(bitPattern: rounding.bitPattern)
    }

    /// What the decoder makes of `digits`.
    @inline(__always)
    static func pattern<Pattern: FloatPattern>(_ digits: Int64, _ power: Double) -> Pattern { Pattern(nearest: Double(digits) / power) }
}
