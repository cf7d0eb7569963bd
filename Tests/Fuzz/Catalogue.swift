import Telemetry

@testable import Historian

/// The file of descriptors behind a byte that chooses: as it is, or with the checksums of its records put right, or little would come past
/// them. What decodes must come back from its own encoding.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count >= 1 else { return 0 }
    var bytes = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
    if start[0] % 4 != 0 { seal(&bytes) }
    let streams = bytes.withUnsafeBytes { CatalogueFormat.decode($0) }
    let encoded = CatalogueFormat.encode(streams)
    let again = encoded.withUnsafeBytes { CatalogueFormat.decode($0) }
    // Scale and offset may be NaN, so streams are compared by their bytes.
    precondition(again.count == streams.count && CatalogueFormat.encode(again) == encoded)
    return 0
}

/// Follows the lengths of the records as far as they lie in the bytes.
private func seal(_ bytes: inout [UInt8]) {
    let magicBytes = CatalogueFormat.encode([:]).count
    bytes.withUnsafeMutableBytes { bytes in
        var place = magicBytes
        while place + JournalFormat.recordHeaderBytes <= bytes.count {
            let length = Int(UnsafeRawBufferPointer(bytes).littleEndian(UInt32.self, at: place))
            let end = place + JournalFormat.recordHeaderBytes + length
            guard end <= bytes.count else { return }
            let record = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[place..<end])
            bytes.storeLittleEndian(JournalRecord.checksum(record), at: place + 8)
            place = end
        }
    }
}
