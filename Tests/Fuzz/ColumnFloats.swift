import ChunkCodec

/// Rows, then a column of floats of either width. What decodes must come back from its own encoding, and so must the input taken as patterns.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count >= 2 else { return 0 }
    let rows = 1 + Int(start[0]) + Int(start[1] & 0x0F) << 8
    let column = UnsafeRawBufferPointer(start: start + 2, count: count - 2)
    var scratch = ColumnScratch()
    let double = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: rows)
    defer { double.deallocate() }
    if (try? ColumnCodec.decode(float64: column, into: double, scratch: &scratch)) != nil { roundTrip(Array(double), &scratch) }
    let single = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: rows)
    defer { single.deallocate() }
    if (try? ColumnCodec.decode(float32: column, into: single, scratch: &scratch)) != nil { roundTrip(Array(single), &scratch) }
    roundTrip(stride(from: 0, to: column.count - 7, by: 8).map { column.loadUnaligned(fromByteOffset: $0, as: UInt64.self) }, &scratch)
    roundTrip(stride(from: 0, to: column.count - 3, by: 4).map { column.loadUnaligned(fromByteOffset: $0, as: UInt32.self) }, &scratch)
    roundTrip(column.map { (Double($0) / 10).bitPattern }, &scratch)
    return 0
}

private func roundTrip(_ patterns: [UInt64], _ scratch: inout ColumnScratch) {
    var bytes: [UInt8] = []
    patterns.withUnsafeBufferPointer { ColumnCodec.encode(float64: $0, into: &bytes, scratch: &scratch) }
    let decoded = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: patterns.count)
    defer { decoded.deallocate() }
    bytes.withUnsafeBytes { bytes in
        guard (try? ColumnCodec.decode(float64: bytes, into: decoded, scratch: &scratch)) != nil else { preconditionFailure("refused") }
    }
    precondition(Array(decoded) == patterns)
}

private func roundTrip(_ patterns: [UInt32], _ scratch: inout ColumnScratch) {
    var bytes: [UInt8] = []
    patterns.withUnsafeBufferPointer { ColumnCodec.encode(float32: $0, into: &bytes, scratch: &scratch) }
    let decoded = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: patterns.count)
    defer { decoded.deallocate() }
    bytes.withUnsafeBytes { bytes in
        guard (try? ColumnCodec.decode(float32: bytes, into: decoded, scratch: &scratch)) != nil else { preconditionFailure("refused") }
    }
    precondition(Array(decoded) == patterns)
}
