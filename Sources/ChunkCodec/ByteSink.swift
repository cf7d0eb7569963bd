/// Writes a column to memory that is known to be large enough.
struct ByteSink {
    /// Where the next byte goes.
    var next: UnsafeMutableRawPointer

    @inline(__always)
    mutating func append(_ byte: UInt8) {
        next.storeBytes(of: byte, as: UInt8.self)
        next += 1
    }

    @inline(__always)
    mutating func append(uvarint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest &>>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }

    @inline(__always)
    mutating func append(svarint value: Int64) { append(uvarint: ColumnFormat.zigzag(value)) }

    /// Appends what `write` writes, with its byte count before it.
    @inline(__always)
    mutating func appendCounted(_ write: (inout ByteSink) -> Void) {
        let countBytesMax = 10
        let start = next
        var inner = ByteSink(next: start + countBytesMax)
        write(&inner)
        let count = inner.next - (start + countBytesMax)
        append(uvarint: UInt64(count))
        next.copyMemory(from: start + countBytesMax, byteCount: count)
        next += count
    }
}
