internal import Telemetry

/// Reads little-endian fields from foreign bytes; a read past the end gives `nil` and never traps.
struct ByteReader {
    private let bytes: UnsafeRawBufferPointer
    private(set) var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var remaining: Int { bytes.count - offset }

    mutating func integer<Integer: FixedWidthInteger & BitwiseCopyable>(_: Integer.Type) -> Integer? {
        guard remaining >= MemoryLayout<Integer>.size else { return nil }
        defer { offset += MemoryLayout<Integer>.size }
        return bytes.littleEndian(Integer.self, at: offset)
    }

    mutating func bytes(_ count: Int) -> UnsafeRawBufferPointer? {
        guard count >= 0, remaining >= count else { return nil }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)])
    }

    /// A byte count in 16 bits, then UTF-8; `nil` too for what is not UTF-8.
    mutating func text() -> String? {
        guard let count = integer(UInt16.self), let utf8 = bytes(Int(count)) else { return nil }
        return String(validating: utf8, as: UTF8.self)
    }

    /// A count in 32 bits whose elements of `width` bytes must all be there, so that nothing is allocated for a lie.
    mutating func count(ofWidth width: Int) -> Int? {
        guard let count = integer(UInt32.self), Int(count) <= remaining / width else { return nil }
        return Int(count)
    }
}

extension [UInt8] {
    /// Appends the little-endian bytes of an integer.
    mutating func append<Integer: FixedWidthInteger & BitwiseCopyable>(littleEndian value: Integer) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }

    /// Appends a byte count in 16 bits, then UTF-8, cut where it would be longer than 65,535 bytes.
    mutating func append(text: String) {
        var text = text
        text.withUTF8 { utf8 in
            let count = Swift.min(utf8.count, Int(UInt16.max))
            append(littleEndian: UInt16(count))
            append(contentsOf: UnsafeBufferPointer(rebasing: utf8[..<count]))
        }
    }
}

extension [UInt8] {
    /// Appends a number in groups of seven bits, the lowest first (LEB128).
    mutating func append(uvarint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(rest))
    }
}

extension ByteReader {
    /// A number in groups of seven bits; `nil` for more than 64 bits.
    mutating func uvarint() -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while let byte = integer(UInt8.self) {
            let bits = UInt64(byte & 0x7F)
            if shift == 63, bits > 1 { return nil }
            value |= bits << shift
            if byte < 0x80 { return value }
            shift += 7
            if shift > 63 { return nil }
        }
        return nil
    }

    /// A byte count, then so many bytes.
    mutating func framed() -> UnsafeRawBufferPointer? {
        guard let count = uvarint(), count <= UInt64(remaining) else { return nil }
        return bytes(Int(count))
    }
}
