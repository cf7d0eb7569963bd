import ChunkCodec

/// Rows, then a column of integers. What decodes must come back from its own encoding, and so must the input taken as numbers.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count >= 2 else { return 0 }
    let rows = 1 + Int(start[0]) + Int(start[1] & 0x0F) << 8
    let column = UnsafeRawBufferPointer(start: start + 2, count: count - 2)
    var scratch = ColumnScratch()
    let values = UnsafeMutableBufferPointer<Int64>.allocate(capacity: rows)
    defer { values.deallocate() }
    if (try? ColumnCodec.decode(integers: column, into: values, scratch: &scratch)) != nil { roundTrip(Array(values), &scratch) }
    roundTrip(stride(from: 0, to: column.count - 7, by: 8).map { column.loadUnaligned(fromByteOffset: $0, as: Int64.self) }, &scratch)
    roundTrip(column.map { Int64($0) }, &scratch)
    return 0
}

private func roundTrip(_ values: [Int64], _ scratch: inout ColumnScratch) {
    var bytes: [UInt8] = []
    values.withUnsafeBufferPointer { ColumnCodec.encode(integers: $0, into: &bytes, scratch: &scratch) }
    let decoded = UnsafeMutableBufferPointer<Int64>.allocate(capacity: values.count)
    defer { decoded.deallocate() }
    bytes.withUnsafeBytes { bytes in
        // A trap is what the fuzzer sees.
        guard (try? ColumnCodec.decode(integers: bytes, into: decoded, scratch: &scratch)) != nil else { preconditionFailure("refused") }
    }
    precondition(Array(decoded) == values)
}
