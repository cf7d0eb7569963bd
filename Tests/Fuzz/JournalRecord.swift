import Historian
import Telemetry

/// A kind, then the payload of a journal record; and all of it as the header of a segment. What decodes must come back from its own encoding.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count >= 1 else { return 0 }
    let all = UnsafeRawBufferPointer(start: start, count: count)
    if let header = try? SegmentHeader(decoding: all) {
        var bytes: [UInt8] = []
        header.encode(into: &bytes)
        guard let again = bytes.withUnsafeBytes({ try? SegmentHeader(decoding: $0) }) else { preconditionFailure("refused") }
        precondition(again == header)
    }
    guard let kind = JournalRecord.Kind(rawValue: UInt32(start[0])),
        let record = JournalRecord(kind, payload: UnsafeRawBufferPointer(rebasing: all[1...]), epoch: 7)
    else { return 0 }
    var bytes: [UInt8] = []
    record.encode(into: &bytes)
    // Scale and offset may be NaN, so records are compared by their bytes.
    let payload = Array(bytes[JournalFormat.recordHeaderBytes...])
    guard let again = payload.withUnsafeBytes({ JournalRecord(kind, payload: $0, epoch: 7) }) else { preconditionFailure("refused") }
    var bytesAgain: [UInt8] = []
    again.encode(into: &bytesAgain)
    precondition(bytesAgain == bytes)
    return 0
}
