import ChunkCodec

/// Rows, then a column of texts. What decodes must come back from its own encoding, and so must the input cut into pieces.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count >= 2 else { return 0 }
    let rows = 1 + Int(start[0]) + Int(start[1] & 0x0F) << 8
    let column = UnsafeRawBufferPointer(start: start + 2, count: count - 2)
    var scratch = ColumnScratch()
    var ranges = [TextRange](repeating: TextRange(offset: 0, count: 0), count: rows)
    if decode(column, &ranges, &scratch) { roundTrip(column, ranges, &scratch) }
    // Pieces as long as the low bits of their first byte.
    var pieces: [TextRange] = []
    var offset = 0
    while offset < column.count {
        let length = min(Int(column[offset] & 7), column.count - offset)
        pieces.append(TextRange(offset: UInt32(offset), count: UInt32(length)))
        offset += max(1, length)
    }
    roundTrip(column, pieces, &scratch)
    return 0
}

private func decode(_ bytes: UnsafeRawBufferPointer, _ ranges: inout [TextRange], _ scratch: inout ColumnScratch) -> Bool {
    let buffer = UnsafeMutableBufferPointer<TextRange>.allocate(capacity: ranges.count)
    defer { buffer.deallocate() }
    buffer.initialize(repeating: TextRange(offset: 0, count: 0))
    guard (try? ColumnCodec.decode(texts: bytes, into: buffer, scratch: &scratch)) != nil else { return false }
    ranges = Array(buffer)
    return true
}

private func roundTrip(_ texts: UnsafeRawBufferPointer, _ ranges: [TextRange], _ scratch: inout ColumnScratch) {
    var bytes: [UInt8] = []
    ranges.withUnsafeBufferPointer { ColumnCodec.encode(texts: texts, ranges: $0, into: &bytes, scratch: &scratch) }
    var decoded = ranges
    bytes.withUnsafeBytes { bytes in
        precondition(decode(bytes, &decoded, &scratch))
        for (one, other) in zip(ranges, decoded) {
            let (start, end) = (Int(other.offset), Int(other.offset) + Int(other.count))
            precondition(texts[Int(one.offset)..<Int(one.offset) + Int(one.count)].elementsEqual(bytes[start..<end]))
        }
    }
}
