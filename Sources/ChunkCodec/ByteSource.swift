/// Reads bytes that anybody may have written: every read is checked against the end.
struct ByteSource {
    private(set) var next: UnsafeRawPointer
    let end: UnsafeRawPointer

    /// `nil` for no bytes at all, which no column with rows has.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return nil }
        next = start
        end = start + bytes.count
    }

    private init(next: UnsafeRawPointer, end: UnsafeRawPointer) {
        self.next = next
        self.end = end
    }

    @inline(__always)
    var remaining: Int { end - next }

    @inline(__always)
    mutating func byte() throws(ColumnError) -> UInt8 {
        guard next < end else { throw .damaged }
        let byte = next.load(as: UInt8.self)
        next += 1
        return byte
    }

    mutating func uvarint() throws(ColumnError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try byte()
            if shift == 63 {
                guard byte <= 1 else { throw .damaged }
            }
            value |= UInt64(byte & 0x7F) &<< shift
            if byte < 0x80 { return value }
            shift &+= 7
        }
    }

    @inline(__always)
    mutating func svarint() throws(ColumnError) -> Int64 { ColumnFormat.unzigzag(try uvarint()) }

    /// A count from 1 to `most`.
    mutating func count(upTo most: Int) throws(ColumnError) -> Int {
        let value = try uvarint()
        guard value >= 1, value <= UInt64(most) else { throw .damaged }
        return Int(value)
    }

    /// The next `count` bytes.
    @inline(__always)
    mutating func take(_ count: Int) throws(ColumnError) -> UnsafeRawPointer {
        guard count <= remaining else { throw .damaged }
        let start = next
        next += count
        return start
    }

    /// The bytes that a byte count announces, as a source of their own.
    mutating func counted() throws(ColumnError) -> ByteSource {
        let count = try uvarint()
        guard count <= UInt64(remaining) else { throw .damaged }
        let start = next
        next += Int(count)
        return ByteSource(next: start, end: next)
    }

    /// All that is left, as a source of its own.
    mutating func rest() -> ByteSource {
        let start = next
        next = end
        return ByteSource(next: start, end: end)
    }

    func expectEnd() throws(ColumnError) {
        guard next == end else { throw .damaged }
    }
}
