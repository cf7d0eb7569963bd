/// The yardstick of time-series compression, for the table only.
///
/// Source: T. Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", VLDB 2015, section 4.1.
struct Gorilla {
    private(set) var bits = 0

    /// Bytes, rounded up.
    var bytes: Int { (bits + 7) / 8 }

    /// Counts the bits of timestamps as differences of differences.
    mutating func append(times: [Int64]) {
        var previous: Int64 = 0
        var delta: Int64 = 0
        for (row, time) in times.enumerated() {
            if row == 0 {
                bits += 64
            } else {
                let next = time - previous
                switch next - delta {
                case _ where row == 1: bits += 64
                case 0: bits += 1
                case -63...64: bits += 2 + 7
                case -255...256: bits += 3 + 9
                case -2047...2048: bits += 4 + 12
                default: bits += 4 + 32
                }
                delta = next
            }
            previous = time
        }
    }

    /// Counts the bits of numbers, each XORed with the one before.
    mutating func append(numbers: [Double]) {
        var previous: UInt64 = 0
        var leading = 65
        var trailing = 0
        for (row, number) in numbers.enumerated() {
            let pattern = number.bitPattern
            defer { previous = pattern }
            if row == 0 {
                bits += 64
                continue
            }
            let difference = pattern ^ previous
            if difference == 0 {
                bits += 1
                continue
            }
            let leadingNow = min(difference.leadingZeroBitCount, 31)
            let trailingNow = difference.trailingZeroBitCount
            if leadingNow >= leading && trailingNow >= trailing {
                bits += 2 + 64 - leading - trailing
            } else {
                bits += 2 + 5 + 6 + 64 - leadingNow - trailingNow
                leading = leadingNow
                trailing = trailingNow
            }
        }
    }
}
