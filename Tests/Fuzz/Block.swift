import Telemetry

@testable import Historian

/// What a block may hold: a byte that chooses, then a header, an index, or a chunk. Checksums are put right first, or nothing would come past them.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count >= 8 else { return 0 }
    var bytes = Array(UnsafeBufferPointer(start: start + 4, count: count - 4))
    let rows = 1 + (Int(start[1]) | Int(start[2] & 7) << 8)
    switch start[0] % 4 {
    case 0:
        if bytes.count >= 80 { seal(&bytes, at: 76, of: 0..<76) }
        bytes.withUnsafeBytes {
            if let header = try? BlockHeader(decoding: $0) { precondition(header.encode().elementsEqual($0.prefix(80))) }
        }
    case 1:
        bytes.withUnsafeBytes { bytes in
            if let index = BlockIndex(decoding: bytes, dataEnd: 1 << 20) { precondition(index.encode().elementsEqual(bytes)) }
        }
    case 2: chunk(&bytes, rows: rows, headBytes: Int(start[3]), kind: .batches)
    default: chunk(&bytes, rows: rows, headBytes: Int(start[3]), kind: .summaries)
    }
    return 0
}

private let descriptor = StreamDescriptor(
    device: "d", group: "g",
    tags: [
        Tag("i", .int16), Tag("f", .float32), Tag("t", .string, stringCapacity: 6), Tag("b", .bool), Tag("d", .float64), Tag("u", .uint64),
    ])

private func seal(_ bytes: inout [UInt8], at place: Int, of range: Range<Int>) {
    bytes.withUnsafeMutableBytes { bytes in
        let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[range]))
        bytes.storeLittleEndian(checksum, at: place)
    }
}

/// The checksums of the head and of the one group behind it are put right; a chunk of so few rows has no second one.
private func chunk(_ bytes: inout [UInt8], rows: Int, headBytes: Int, kind: BlockIndex.Kind) {
    guard headBytes >= 4, bytes.count >= headBytes + 4 else { return }
    seal(&bytes, at: 0, of: 4..<headBytes)
    seal(&bytes, at: headBytes, of: (headBytes + 4)..<bytes.count)
    let entry = BlockIndex.Entry(
        stream: StreamID(rawValue: 1), kind: kind, rows: rows, headBytes: headBytes, bytes: bytes.count, fingerprint: 0, offset: 80,
        oldest: Timestamp(nanoseconds: 0), newest: Timestamp(nanoseconds: 0), suppressedPolls: 0)
    var lanes = ColumnLanes()
    bytes.withUnsafeBytes { bytes in
        if kind == .summaries {
            if let found = StreamSummaries(bytes, entry: entry, descriptor: descriptor, lanes: &lanes) {
                var coarser = StreamSummaries(descriptor: descriptor, bucket: .seconds(3600))
                coarser.add(found)
            }
            return
        }
        guard let restored = RestoredChunk(bytes, entry: entry, descriptor: descriptor, lanes: &lanes) else { return }
        var summaries = StreamSummaries(descriptor: descriptor, bucket: .seconds(60))
        summaries.add(restored, clock: ClockBook())
        for row in 0..<restored.count { precondition(restored.batch(row).fits(descriptor)) }
    }
}
