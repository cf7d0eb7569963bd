/// Reads protobuf from memory without copying; every step is checked against the end. A step that goes wrong sets `isBroken` and reads as zero,
/// so that the hot path checks once per message and not once per byte.
struct WireCursor {
    var next: UnsafePointer<UInt8>
    let end: UnsafePointer<UInt8>
    var isBroken = false

    init(_ next: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) {
        self.next = next
        self.end = end
    }

    @inline(__always) var isAtEnd: Bool { next >= end }

    @inline(__always)
    mutating func varint() -> UInt64 {
        if next < end, next.pointee < 0x80 {
            defer { next += 1 }
            return UInt64(next.pointee)
        }
        return longVarint()
    }

    private mutating func longVarint() -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while next < end, shift < 70 {
            let byte = next.pointee
            next += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        fail()
        return 0
    }

    @inline(__always)
    mutating func fixed<Value: FixedWidthInteger>(_ type: Value.Type) -> Value {
        guard end - next >= MemoryLayout<Value>.size else {
            fail()
            return 0
        }
        defer { next += MemoryLayout<Value>.size }
        return Value(littleEndian: UnsafeRawPointer(next).loadUnaligned(as: Value.self))
    }

    /// A cursor over a length-delimited field; this one moves behind it.
    @inline(__always)
    mutating func nested() -> WireCursor {
        let count = varint()
        guard count <= UInt64(max(0, end - next)) else {
            fail()
            return WireCursor(end, end)
        }
        defer { next += Int(count) }
        return WireCursor(next, next + Int(count))
    }

    /// The field's content as text; broken when it is not UTF-8.
    mutating func text() -> String {
        let content = nested()
        guard let text = String(validating: UnsafeBufferPointer(start: content.next, count: content.end - content.next), as: UTF8.self)
        else {
            fail()
            return ""
        }
        return text
    }

    /// Moves behind a field of no interest. Groups are not in use since protobuf 3 and count as broken.
    @inline(__always)
    mutating func skip(_ wireType: UInt64) {
        switch wireType {
        case 0: _ = varint()
        case 1: _ = fixed(UInt64.self)
        case 2: _ = nested()
        case 5: _ = fixed(UInt32.self)
        default: fail()
        }
    }

    mutating func fail() {
        isBroken = true
        next = end
    }
}
