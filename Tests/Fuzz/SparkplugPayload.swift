import Sparkplug

/// A Sparkplug B payload, as anybody may send it.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    _ = try? SparkplugPayload(decoding: Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
}
