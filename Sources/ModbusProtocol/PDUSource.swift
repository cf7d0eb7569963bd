/// Reads a protocol data unit field by field; every read is checked against the end and names what is missing.
struct PDUSource<Bytes: Collection<UInt8>> {
    private var left: Bytes.SubSequence

    init(_ bytes: Bytes) { left = bytes[...] }

    mutating func byte(_ name: String) throws(ModbusFrameError) -> UInt8 {
        guard let byte = left.popFirst() else { throw ModbusFrameError("the \(name) is missing") }
        return byte
    }

    /// Two bytes, the most significant first (4.2).
    mutating func word(_ name: String) throws(ModbusFrameError) -> UInt16 {
        let high = try byte(name)
        let low = try byte(name)
        return UInt16(high) << 8 | UInt16(low)
    }

    /// A quantity that is allowed and does not run over the last address.
    mutating func quantity(_ allowed: ClosedRange<Int>, from start: UInt16) throws(ModbusFrameError) -> Int {
        let count = Int(try word("quantity"))
        guard allowed.contains(count) else {
            throw ModbusFrameError("quantity is \(count), allowed are \(allowed.lowerBound)…\(allowed.upperBound)")
        }
        guard Int(start) + count <= ModbusLimits.addressCount else {
            throw ModbusFrameError("\(count) from address \(start) run over the last address")
        }
        return count
    }

    /// A byte count that must be `expected`, and that many bytes.
    mutating func counted(_ expected: Int) throws(ModbusFrameError) -> [UInt8] {
        let count = Int(try byte("byte count"))
        guard count == expected else { throw ModbusFrameError("byte count is \(count), \(expected) were expected") }
        return try take(count)
    }

    mutating func take(_ count: Int) throws(ModbusFrameError) -> [UInt8] {
        let taken = Array(left.prefix(count))
        guard taken.count == count else { throw ModbusFrameError("\(count) bytes were expected, \(taken.count) came") }
        left = left.dropFirst(count)
        return taken
    }

    mutating func rest() -> [UInt8] {
        defer { left = left.dropFirst(left.count) }
        return Array(left)
    }

    func end() throws(ModbusFrameError) {
        guard left.isEmpty else { throw ModbusFrameError("\(left.count) bytes too many") }
    }
}

/// The first bit is the least significant of the first byte (6.1); the last byte is filled with zeros.
func packBits(_ values: [Bool]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: (values.count + 7) / 8)
    for (index, value) in values.enumerated() where value { bytes[index / 8] |= 1 << UInt8(index % 8) }
    return bytes
}

func unpackBits(_ bytes: [UInt8], count: Int) -> [Bool] { (0..<count).map { bytes[$0 / 8] >> UInt8($0 % 8) & 1 == 1 } }

func words(_ bytes: [UInt8]) -> [UInt16] {
    stride(from: 0, to: bytes.count - 1, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
}

extension [UInt8] {
    /// Most significant byte first (4.2).
    mutating func append(words: [UInt16]) {
        for word in words {
            append(UInt8(word >> 8))
            append(UInt8(truncatingIfNeeded: word))
        }
    }
}
