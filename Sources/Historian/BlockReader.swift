internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Records in the order of positions: a segment, or the block that it was sealed into.
protocol RecordSource: AnyObject {
    /// The next batch, loss or correction with a position beyond `position`; `nil` at the end.
    func next(after position: UInt64) throws(GatewayError) -> JournalRecord?
}

extension SegmentReader: RecordSource {}

/// Reads one block: all of it back as batches, or single columns of it.
final class BlockReader {
    let header: BlockHeader
    /// `nil` where it is damaged: then nothing of the block can be read.
    let index: BlockIndex?
    private let file: OpenFile
    private let catalogue: Catalogue

    /// Throws `.storageCorrupt` for a file that is no block.
    init(path: String, catalogue: @escaping Catalogue) throws(GatewayError) {
        file = try OpenFile(path, O_RDONLY)
        self.catalogue = catalogue
        let bytes = try file.bytes(at: 0, count: BlockFormat.headerBytes)
        switch BlockReader.header(bytes) {
        case .success(let header): self.header = header
        case .failure(.newer(let version)):
            throw GatewayError(
                .unsupported, resource: "log \(path)", operation: "open",
                "the block has format version \(version), but this program knows versions up to \(BlockFormat.version): install a newer one"
            )
        case .failure(.damaged(let reason)): throw GatewayError(.storageCorrupt, resource: "log \(path)", operation: "open", reason)
        }
        let tail = try file.bytes(at: header.indexOffset, count: header.indexBytes)
        index = tail.withUnsafeBytes { [header] tail in
            guard tail.count == header.indexBytes, CRC32C.checksum(tail) == header.indexChecksum else { return nil }
            return BlockIndex(decoding: tail, dataEnd: header.indexOffset)
        }
    }

    /// Reads and checks the head of a block's file.
    static func header(path: String) throws(GatewayError) -> Result<BlockHeader, SegmentHeader.Refusal> {
        guard Files.isFile(path) else { return .failure(.damaged("it is no file")) }
        return header(try OpenFile(path, O_RDONLY).bytes(at: 0, count: BlockFormat.headerBytes))
    }

    private static func header(_ bytes: [UInt8]) -> Result<BlockHeader, SegmentHeader.Refusal> {
        bytes.withUnsafeBytes { bytes in Result { () throws(SegmentHeader.Refusal) in try BlockHeader(decoding: bytes) } }
    }

    /// The stream's descriptor, if it is the one that the chunk was made with.
    func descriptor(of entry: BlockIndex.Entry) -> StreamDescriptor? {
        guard let descriptor = catalogue(entry.stream), BlockWriter.fingerprint(of: descriptor, entry.stream) == entry.fingerprint else {
            return nil
        }
        return descriptor
    }

    /// What was said of the clock in the segments.
    var statements: [ClockStatement] {
        (index?.records ?? []).compactMap { record in
            if case .clock(let statement)? = record.decoded { statement } else { nil }
        }
    }

    /// Some bytes of a chunk.
    func bytes(of entry: BlockIndex.Entry, from offset: Int, count: Int) throws(GatewayError) -> [UInt8] {
        try file.bytes(at: entry.offset + offset, count: count)
    }

    /// All batches of a chunk; `nil` where it is damaged.
    func restore(_ entry: BlockIndex.Entry, lanes: inout ColumnLanes) throws(GatewayError) -> RestoredChunk? {
        guard entry.kind == .batches, let descriptor = descriptor(of: entry) else { return nil }
        let bytes = try file.bytes(at: entry.offset, count: entry.bytes)
        return bytes.withUnsafeBytes { RestoredChunk($0, entry: entry, descriptor: descriptor, lanes: &lanes) }
    }

    /// The summaries of a chunk, of these tags or of all; `nil` where it is damaged.
    func summaries(_ entry: BlockIndex.Entry, only tags: Set<Int>? = nil, lanes: inout ColumnLanes) throws(GatewayError) -> StreamSummaries?
    {
        guard entry.kind == .summaries, let descriptor = descriptor(of: entry) else { return nil }
        let bytes = try file.bytes(at: entry.offset, count: entry.bytes)
        return bytes.withUnsafeBytes { StreamSummaries($0, entry: entry, descriptor: descriptor, only: tags, lanes: &lanes) }
    }
}

/// A block's records in the order of positions. All its chunks are decoded at the first of them.
final class BlockRecords: RecordSource {
    private struct Place {
        var position: UInt64
        /// Index of the chunk; of the record, where `row` is below zero.
        var chunk: Int32
        var row: Int32
    }

    private let reader: BlockReader
    private var chunks: [RestoredChunk] = []
    private var records: [JournalRecord] = []
    private var places: [Place] = []
    private var next = 0
    private var isLoaded = false

    init(_ reader: BlockReader) { self.reader = reader }

    func next(after position: UInt64) throws(GatewayError) -> JournalRecord? {
        if !isLoaded { try load() }
        while next < places.count, places[next].position <= position { next += 1 }
        guard next < places.count else { return nil }
        let place = places[next]
        next += 1
        if place.row < 0 { return records[Int(place.chunk)] }
        return .batch(position: place.position, chunks[Int(place.chunk)].batch(Int(place.row)))
    }

    private func load() throws(GatewayError) {
        isLoaded = true
        guard let index = reader.index else { return }
        var lanes = ColumnLanes()
        for entry in index.entries {
            guard let chunk = try reader.restore(entry, lanes: &lanes) else { continue }
            let number = Int32(chunks.count)
            for row in 0..<chunk.count { places.append(Place(position: chunk.position(of: row), chunk: number, row: Int32(row))) }
            chunks.append(chunk)
        }
        for record in index.records {
            guard let decoded = record.decoded, case .loss(let loss) = decoded else { continue }
            places.append(Place(position: loss.last, chunk: Int32(records.count), row: -1))
            records.append(decoded)
        }
        places.sort { $0.position < $1.position }
    }
}
