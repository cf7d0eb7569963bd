/// Offsets of up to 64 bits side by side, the first in the lowest bits: the inner loops of the codec.
///
/// They work on groups of eight, which fill `width` whole bytes. For widths of a literal number the compiler unrolls a group into shifts
/// by constants, so the usual widths have a copy of their own.
enum BitPacking {
    /// Bytes that ``pack(_:count:base:width:into:)`` may write behind the last offset, and ``unpack(_:count:base:width:into:)`` may read.
    static let slack = 80

    /// Bytes of `count` offsets.
    @inline(__always)
    static func bytes(_ count: Int, width: Int) -> Int { (count &* width &+ 7) &>> 3 }

    /// Writes `values - base` for `count` values rounded up to eight, and zeros behind them in the last group's bytes.
    ///
    /// Every difference fits into `width` bits. Behind `count` the values up to the next multiple of eight equal `base`.
    static func pack(
        _ values: UnsafePointer<Int64>, count: Int, base: Int64, width: Int, into destination: UnsafeMutableRawPointer
    ) {
        switch width {
        case 0: break
        case 1: packGroups(values, count, base, 1, destination)
        case 2: packGroups(values, count, base, 2, destination)
        case 3: packGroups(values, count, base, 3, destination)
        case 4: packGroups(values, count, base, 4, destination)
        case 5: packGroups(values, count, base, 5, destination)
        case 6: packGroups(values, count, base, 6, destination)
        case 7: packGroups(values, count, base, 7, destination)
        case 8: packGroups(values, count, base, 8, destination)
        case 9: packGroups(values, count, base, 9, destination)
        case 10: packGroups(values, count, base, 10, destination)
        case 11: packGroups(values, count, base, 11, destination)
        case 12: packGroups(values, count, base, 12, destination)
        case 13: packGroups(values, count, base, 13, destination)
        case 14: packGroups(values, count, base, 14, destination)
        case 15: packGroups(values, count, base, 15, destination)
        case 16: packGroups(values, count, base, 16, destination)
        case 17: packGroups(values, count, base, 17, destination)
        case 18: packGroups(values, count, base, 18, destination)
        case 19: packGroups(values, count, base, 19, destination)
        case 20: packGroups(values, count, base, 20, destination)
        case 21: packGroups(values, count, base, 21, destination)
        case 22: packGroups(values, count, base, 22, destination)
        case 23: packGroups(values, count, base, 23, destination)
        case 24: packGroups(values, count, base, 24, destination)
        case 25: packGroups(values, count, base, 25, destination)
        case 26: packGroups(values, count, base, 26, destination)
        case 27: packGroups(values, count, base, 27, destination)
        case 28: packGroups(values, count, base, 28, destination)
        case 29: packGroups(values, count, base, 29, destination)
        case 30: packGroups(values, count, base, 30, destination)
        case 31: packGroups(values, count, base, 31, destination)
        case 32: packGroups(values, count, base, 32, destination)
        default: packGroups(values, count, base, width, destination)
        }
    }

    /// Reads `count` offsets, rounded up to eight, and writes `base + offset`.
    static func unpack(
        _ source: UnsafeRawPointer, count: Int, base: Int64, width: Int, into values: UnsafeMutablePointer<Int64>
    ) {
        switch width {
        case 0: values.update(repeating: base, count: (count &+ 7) & ~7)
        case 1: unpackGroups(source, count, base, 1, values)
        case 2: unpackGroups(source, count, base, 2, values)
        case 3: unpackGroups(source, count, base, 3, values)
        case 4: unpackGroups(source, count, base, 4, values)
        case 5: unpackGroups(source, count, base, 5, values)
        case 6: unpackGroups(source, count, base, 6, values)
        case 7: unpackGroups(source, count, base, 7, values)
        case 8: unpackGroups(source, count, base, 8, values)
        case 9: unpackGroups(source, count, base, 9, values)
        case 10: unpackGroups(source, count, base, 10, values)
        case 11: unpackGroups(source, count, base, 11, values)
        case 12: unpackGroups(source, count, base, 12, values)
        case 13: unpackGroups(source, count, base, 13, values)
        case 14: unpackGroups(source, count, base, 14, values)
        case 15: unpackGroups(source, count, base, 15, values)
        case 16: unpackGroups(source, count, base, 16, values)
        case 17: unpackGroups(source, count, base, 17, values)
        case 18: unpackGroups(source, count, base, 18, values)
        case 19: unpackGroups(source, count, base, 19, values)
        case 20: unpackGroups(source, count, base, 20, values)
        case 21: unpackGroups(source, count, base, 21, values)
        case 22: unpackGroups(source, count, base, 22, values)
        case 23: unpackGroups(source, count, base, 23, values)
        case 24: unpackGroups(source, count, base, 24, values)
        case 25: unpackGroups(source, count, base, 25, values)
        case 26: unpackGroups(source, count, base, 26, values)
        case 27: unpackGroups(source, count, base, 27, values)
        case 28: unpackGroups(source, count, base, 28, values)
        case 29: unpackGroups(source, count, base, 29, values)
        case 30: unpackGroups(source, count, base, 30, values)
        case 31: unpackGroups(source, count, base, 31, values)
        case 32: unpackGroups(source, count, base, 32, values)
        default: unpackGroups(source, count, base, width, values)
        }
    }

    @inline(__always)
    private static func packGroups(
        _ values: UnsafePointer<Int64>, _ count: Int, _ base: Int64, _ width: Int, _ destination: UnsafeMutableRawPointer
    ) {
        var values = values
        var destination = destination
        var remaining = count
        while remaining > 0 {
            var word: UInt64 = 0
            var filled = 0
            var target = destination
            for index in 0..<8 {
                let offset = UInt64(bitPattern: values[index] &- base)
                word |= offset &<< UInt64(truncatingIfNeeded: filled)
                filled &+= width
                if filled >= 64 {
                    target.storeBytes(of: word.littleEndian, as: UInt64.self)
                    target += 8
                    filled &-= 64
                    word = filled == 0 ? 0 : offset &>> UInt64(truncatingIfNeeded: width &- filled)
                }
            }
            target.storeBytes(of: word.littleEndian, as: UInt64.self)
            destination += width
            values += 8
            remaining &-= 8
        }
    }

    @inline(__always)
    private static func unpackGroups(
        _ source: UnsafeRawPointer, _ count: Int, _ base: Int64, _ width: Int, _ values: UnsafeMutablePointer<Int64>
    ) {
        let mask: UInt64 = ~0 &>> UInt64(truncatingIfNeeded: 64 &- width)
        var source = source
        var values = values
        var remaining = count
        while remaining > 0 {
            for index in 0..<8 {
                let bit = index &* width
                let place = source + (bit &>> 3)
                let shift = bit & 7
                var offset = UInt64(littleEndian: place.loadUnaligned(as: UInt64.self)) &>> UInt64(truncatingIfNeeded: shift)
                if width > 57 && shift &+ width > 64 {
                    offset |= UInt64((place + 8).load(as: UInt8.self)) &<< UInt64(truncatingIfNeeded: 64 &- shift)
                }
                values[index] = base &+ Int64(bitPattern: offset & mask)
            }
            source += width
            values += 8
            remaining &-= 8
        }
    }
}
