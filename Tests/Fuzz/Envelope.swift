@testable import Envelope

/// An envelope, what is inside of one, and what a receiver keeps of them, as anybody may give them.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    _ = try? COSEMessage(bytes)
    _ = try? EnvelopeContent(decoding: bytes)
    // What was read must be written as it was read, or differ only where the order of a map's keys is free.
    if let kept = try? ReplayGuard(decoding: bytes), let again = try? ReplayGuard(decoding: kept.encoded()), again != kept {
        fatalError("what was kept reads differently")
    }
    return 0
}
