/// Writes CBOR in its deterministic form: shortest heads, definite lengths. Whoever writes a map gives its keys in order.
///
/// Source: RFC 8949, 3 and 4.2.1.
struct CBORWriter {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    mutating func unsigned(_ value: UInt64) { head(.unsigned, value) }

    mutating func integer(_ value: Int64) {
        if value >= 0 { head(.unsigned, UInt64(value)) } else { head(.negative, UInt64(bitPattern: ~value)) }
    }

    mutating func byteString(_ value: some Collection<UInt8>) {
        head(.bytes, UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    mutating func text(_ value: String) {
        let count = value.utf8.count
        head(.text, UInt64(count))
        bytes.append(contentsOf: value.utf8)
    }

    /// The head of an array; its items follow.
    mutating func array(_ count: Int) { head(.array, UInt64(count)) }

    /// The head of a map; its keys and values follow, keys in the bytewise order of their encodings.
    mutating func map(_ count: Int) { head(.map, UInt64(count)) }

    mutating func tag(_ number: UInt64) { head(.tag, number) }

    mutating func null() { bytes.append(0xF6) }

    /// The head of a byte string whose bytes the caller appends with `raw`.
    mutating func byteStringHead(_ count: Int) { head(.bytes, UInt64(count)) }

    /// Bytes that are encoded already.
    mutating func raw(_ value: some Collection<UInt8>) { bytes.append(contentsOf: value) }

    /// The content of a byte string, or encoded items, from memory.
    mutating func raw(_ value: UnsafeRawBufferPointer) { bytes.append(contentsOf: value) }

    private mutating func head(_ type: CBORMajorType, _ argument: UInt64) {
        let first = type.rawValue << 5
        switch argument {
        case 0..<24: bytes.append(first | UInt8(argument))
        case 24...0xFF: append(first | 24, argument, byteCount: 1)
        case 0x100...0xFFFF: append(first | 25, argument, byteCount: 2)
        case 0x1_0000...0xFFFF_FFFF: append(first | 26, argument, byteCount: 4)
        default: append(first | 27, argument, byteCount: 8)
        }
    }

    private mutating func append(_ first: UInt8, _ argument: UInt64, byteCount: Int) {
        bytes.append(first)
        for index in (0..<byteCount).reversed() { bytes.append(UInt8(truncatingIfNeeded: argument >> UInt64(8 * index))) }
    }
}

/// The upper three bits of an item's first byte (RFC 8949, 3.1).
enum CBORMajorType: UInt8 {
    case unsigned, negative, bytes, text, array, map, tag, simple
}
