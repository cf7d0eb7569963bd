@testable import Compression

/// Columns as anybody may send them; and payloads, which must come back to the byte where they have columns.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    if let joined = try? MetricColumns.join(bytes, atMost: 1 << 20), joined.count > 1 << 20 { fatalError("the limit did not hold") }
    if let columns = MetricColumns.split(bytes) {
        let back = try? MetricColumns.join(columns, atMost: 1 << 20)
        if back != bytes { fatalError("the payload came back differently") }
    }
    for algorithm in CompressionAlgorithm.allCases { _ = try? Decompressor.decompress(bytes, algorithm, atMost: 1 << 16) }
    return 0
}
