/// The holding registers of one machine, addressed from 0, with the first word of a longer value the high one.
struct RegisterBlock: Sendable {
    private(set) var words: [UInt16]

    init(count: Int) { words = [UInt16](repeating: 0, count: count) }

    /// An unsigned register that holds `value / scale`, held at the ends of its range.
    mutating func setUnsigned(_ address: Int, _ value: Double, scale: Double = 1) {
        words[address] = UInt16(min(max((value / scale).rounded(), 0), 65_535))
    }

    /// A two's complement register that holds `value / scale`, held at the ends of its range.
    mutating func setSigned(_ address: Int, _ value: Double, scale: Double = 1) {
        words[address] = UInt16(bitPattern: Int16(min(max((value / scale).rounded(), -32_768), 32_767)))
    }

    mutating func set(_ address: Int, _ value: UInt16) { words[address] = value }

    mutating func set(_ address: Int, _ value: UInt32) {
        words[address] = UInt16(truncatingIfNeeded: value >> 16)
        words[address + 1] = UInt16(truncatingIfNeeded: value)
    }

    mutating func set(_ address: Int, _ value: Float) { set(address, value.bitPattern) }

    mutating func set(_ address: Int, _ value: Double) {
        set(address, UInt32(truncatingIfNeeded: value.bitPattern >> 32))
        set(address + 2, UInt32(truncatingIfNeeded: value.bitPattern))
    }

    /// ASCII, two characters a register, the first one in the high byte; padded with zeros to `registerCount`.
    mutating func set(_ address: Int, ascii text: String, registerCount: Int) {
        var bytes = Array(text.utf8.prefix(2 * registerCount))
        bytes += [UInt8](repeating: 0, count: 2 * registerCount - bytes.count)
        for index in 0..<registerCount { words[address + index] = UInt16(bytes[2 * index]) << 8 | UInt16(bytes[2 * index + 1]) }
    }
}
