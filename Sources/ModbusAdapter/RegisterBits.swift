internal import Telemetry

/// The bits of a value of up to four registers, and back.
enum RegisterBits {
    /// The value's bits in a row, the most significant first, whatever order the registers hold them in.
    ///
    /// Precondition: `count` is 1, 2 or 4, and the registers are there.
    static func bits(of registers: UnsafeBufferPointer<UInt16>, at source: Int, count: Int, order: ByteOrder) -> UInt64 {
        let swap = order.registerSwap(of: count)
        var bits: UInt64 = 0
        for place in 0..<count {
            let register = registers[source + (place ^ swap)]
            bits = bits << 16 | UInt64(order.bytesSwapped ? register.byteSwapped : register)
        }
        return bits
    }

    /// The registers that hold the lowest `count` × 16 bits in this order.
    static func registers(of bits: UInt64, count: Int, order: ByteOrder) -> [UInt16] {
        let swap = order.registerSwap(of: count)
        var registers = [UInt16](repeating: 0, count: count)
        for place in 0..<count {
            let register = UInt16(truncatingIfNeeded: bits >> UInt64(16 * (count - 1 - place)))
            registers[place ^ swap] = order.bytesSwapped ? register.byteSwapped : register
        }
        return registers
    }

    /// The number that packed BCD digits stand for; `nil` if one of them is above 9.
    static func number(ofDecimal bits: UInt64) -> UInt64? {
        var number: UInt64 = 0
        for shift in stride(from: 60, through: 0, by: -4) {
            let digit = bits >> UInt64(shift) & 0xF
            guard digit <= 9 else { return nil }
            number = number * 10 + digit
        }
        return number
    }

    /// The packed BCD digits of a number; `nil` if it has more than `digits`, at most 16.
    static func decimal(of number: UInt64, digits: Int) -> UInt64? {
        var rest = number
        var bits: UInt64 = 0
        for digit in 0..<digits {
            bits |= (rest % 10) << UInt64(4 * digit)
            rest /= 10
        }
        return rest == 0 ? bits : nil
    }

    /// The two's complement number in the lowest `width` bits.
    static func signExtended(_ bits: UInt64, width: Int) -> Int64 {
        let shift = UInt64(64 - width)
        return Int64(bitPattern: bits << shift) >> Int64(shift)
    }
}
