internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Writes one block: chunks go in one after the other, and the file gets its name when all of it is on the medium.
struct BlockWriter: ~Copyable {
    private let path: String
    private let journal: String
    private let disk: any StoreDisk
    private let file: OpenFile
    private var index = BlockIndex()
    private var buffer: [UInt8] = []
    /// Where the buffer begins in the file.
    private var written = BlockFormat.headerBytes
    private var encoder = ChunkEncoder()
    private var isNamed = false

    /// Bytes encoded before they are written.
    private static let bufferBytes = 256 << 10
    /// What a block is called while it is not whole.
    static let unfinished = ".new"

    init(number: UInt64, level: UInt8 = 0, journal: String, disk: any StoreDisk) throws(GatewayError) {
        self.journal = journal
        self.disk = disk
        path = journal + "/" + BlockFormat.fileName(number, level: level)
        file = try OpenFile(creating: path + BlockWriter.unfinished, on: disk)
    }

    static func fingerprint(of descriptor: StreamDescriptor, _ stream: StreamID) -> UInt32 {
        var bytes: [UInt8] = []
        JournalRecord.encode(descriptor, of: stream, into: &bytes)
        return bytes.withUnsafeBytes { CRC32C.checksum($0) }
    }

    mutating func append(_ rows: borrowing ChunkRows, of stream: StreamID) throws(GatewayError) {
        guard rows.count > 0 else { return }
        let start = buffer.count
        let headBytes = encoder.encode(rows, into: &buffer)
        add(
            stream, .batches, rows: rows.count, headBytes: headBytes, start: start, times: rows.times,
            suppressed: rows.suppressed.reduce(0) { $0 + UInt64($1) }, descriptor: rows.descriptor)
        try flush(above: BlockWriter.bufferBytes)
    }

    mutating func append(_ summaries: borrowing StreamSummaries, of stream: StreamID) throws(GatewayError) {
        guard !summaries.times.isEmpty else { return }
        let start = buffer.count
        let headBytes = encoder.encode(summaries, into: &buffer)
        add(
            stream, .summaries, rows: summaries.times.count, headBytes: headBytes, start: start, times: summaries.times, suppressed: 0,
            descriptor: summaries.descriptor)
        try flush(above: BlockWriter.bufferBytes)
    }

    /// Takes a chunk over as it is.
    mutating func append(_ entry: BlockIndex.Entry, bytes: [UInt8]) throws(GatewayError) {
        var entry = entry
        entry.offset = written + buffer.count
        buffer.append(contentsOf: bytes)
        index.entries.append(entry)
        try flush(above: BlockWriter.bufferBytes)
    }

    mutating func append(_ record: BlockIndex.Record) { index.records.append(record) }

    private mutating func add(
        _ stream: StreamID, _ kind: BlockIndex.Kind, rows: Int, headBytes: Int, start: Int, times: [Int64], suppressed: UInt64,
        descriptor: StreamDescriptor
    ) {
        index.entries.append(
            BlockIndex.Entry(
                stream: stream, kind: kind, rows: rows, headBytes: headBytes, bytes: buffer.count - start,
                fingerprint: BlockWriter.fingerprint(of: descriptor, stream), offset: written + start,
                oldest: Timestamp(nanoseconds: times.min() ?? 0), newest: Timestamp(nanoseconds: times.max() ?? 0),
                suppressedPolls: suppressed))
    }

    private mutating func flush(above limit: Int) throws(GatewayError) {
        guard buffer.count > limit else { return }
        try file.write(buffer, at: written, on: disk)
        // Piece by piece, or a commit would have to wait until the whole block is on the medium.
        disk.writeOut(file.descriptor, at: written, count: buffer.count)
        written += buffer.count
        buffer.removeAll(keepingCapacity: true)
    }

    /// Writes the index and the header, waits for the medium, and gives the file its name. Returns its bytes.
    mutating func finish(_ header: BlockHeader) throws(GatewayError) -> Int {
        try flush(above: 0)
        let tail = index.encode()
        guard tail.count <= BlockFormat.indexBytesMax else {
            throw GatewayError(
                .limitExceeded, resource: "log \(path)", operation: "seal",
                "the index has \(tail.count) bytes, at most \(BlockFormat.indexBytesMax)")
        }
        var header = header
        header.indexOffset = written
        header.indexBytes = tail.count
        header.indexChecksum = tail.withUnsafeBytes { CRC32C.checksum($0) }
        try file.write(tail, at: written, on: disk)
        try file.write(header.encode(), at: 0, on: disk)
        let result = disk.synchronize(file.descriptor)
        if result != 0 { throw .storage(Int32(-result), file.path, "synchronize") }
        try Files.rename(file.path, to: path, on: disk)
        isNamed = true
        try Files.synchronizeFolder(journal, on: disk)
        return written + tail.count
    }

    /// Takes away what was begun, whether it has its name already or not.
    func abandon() {
        try? Files.remove(file.path, on: disk)
        if isNamed { try? Files.remove(path, on: disk) }
    }
}

extension BlockWriter {
    /// Seals neighbouring segments, oldest first, into one block, and returns what it is in the catalogue.
    ///
    /// Reads the segments twice: once to see which records there are, once to gather them stream by stream, so that no more than one
    /// stream's rows are in memory at a time.
    static func seal(
        _ segments: [Segment], journal: String, disk: any StoreDisk, created: Timestamp, catalogue: @escaping Catalogue
    ) throws(GatewayError) -> Segment {
        guard let first = segments.first, let newest = segments.last else { preconditionFailure("no segment to seal") }
        var sealed = newest
        sealed.firstNumber = first.firstNumber
        sealed.base = first.base
        sealed.isSealed = true
        for segment in segments.dropLast() {
            sealed.tallies += segment.tallies
            sealed.lost = (sealed.lost ?? [:]).adding(segment.lost ?? [:])
            if let times = segment.times {
                sealed.include(time: times.lowerBound)
                sealed.include(time: times.upperBound)
            }
        }
        var writer = try BlockWriter(number: newest.number, journal: journal, disk: disk)
        do throws(GatewayError) {
            var census = try SegmentCensus(segments, journal: journal, catalogue: catalogue)
            for stream in census.streams {
                guard let descriptor = catalogue(stream) else { throw census.damaged("stream \(stream.rawValue) is not in the catalogue") }
                // Rows of one chunk are limited; a segment of tiny batches may have more.
                while let rows = try census.rows(of: stream, descriptor: descriptor) { try writer.append(rows, of: stream) }
            }
            for record in census.records { writer.append(record) }
            sealed.bytes = try writer.finish(
                BlockHeader(
                    epoch: newest.epoch, number: newest.number, firstNumber: sealed.firstNumber, base: sealed.base, end: sealed.end,
                    created: created, indexOffset: 0, indexBytes: 0, indexChecksum: 0, level: 0))
        } catch {
            writer.abandon()
            throw error
        }
        return sealed
    }
}

/// Where the records of some segments are, stream by stream.
struct SegmentCensus: ~Copyable {
    private struct Place {
        var file: Int32
        var kind: JournalRecord.Kind
        var offset: Int
        var bytes: Int
    }

    private let files: [OpenFile]
    private let epochs: [UInt32]
    private var places: [StreamID: [Place]] = [:]
    private var taken: [StreamID: Int] = [:]
    /// What is not a batch.
    private(set) var records: [BlockIndex.Record] = []

    var streams: [StreamID] { places.keys.sorted() }

    init(_ segments: [Segment], journal: String, catalogue: @escaping Catalogue) throws(GatewayError) {
        var files: [OpenFile] = []
        for (number, segment) in segments.enumerated() {
            let path = journal + "/" + segment.fileName
            files.append(try OpenFile(path, O_RDONLY))
            // Rows are gathered by the catalogue's descriptors anyway.
            let reader = try SegmentReader(
                path: path, epoch: segment.epoch, end: segment.bytes, isCatalogueFirst: true, catalogue: catalogue)
            var seen = segment.base - 1
            while let record = try reader.next(after: seen) {
                let place = reader.lastPayload
                switch record {
                case .batch(let position, let batch):
                    guard position <= segment.end else { continue }
                    seen = position
                    places[batch.stream, default: []]
                        .append(Place(file: Int32(number), kind: reader.lastKind, offset: place.lowerBound, bytes: place.count))
                case .loss(let loss):
                    guard loss.last <= segment.end else { continue }
                    seen = loss.last
                    let payload = try files[number].bytes(at: place.lowerBound, count: place.count)
                    records.append(BlockIndex.Record(kind: reader.lastKind, epoch: segment.epoch, payload: payload))
                case .descriptor, .clock: continue
                }
            }
            if reader.damagedBytes > 0 {
                throw GatewayError(
                    .storageCorrupt, resource: "log \(path)", operation: "seal",
                    "\(reader.damagedBytes) bytes cannot be read: it stays a segment")
            }
            for statement in reader.statements {
                var record: [UInt8] = []
                JournalRecord.clock(statement).encode(into: &record)
                let payload = Array(record.dropFirst(JournalFormat.recordHeaderBytes))
                records.append(BlockIndex.Record(kind: .clock, epoch: segment.epoch, payload: payload))
            }
        }
        self.files = files
        epochs = segments.map(\.epoch)
    }

    /// A segment that is not sealed because part of it would be missing from the block for ever.
    func damaged(_ reason: String) -> GatewayError {
        GatewayError(.storageCorrupt, resource: "log \(files.first?.path ?? "")", operation: "seal", "\(reason): it stays a segment")
    }

    /// The next rows of a stream, at most as many as a chunk may have; `nil` when there are no more.
    mutating func rows(of stream: StreamID, descriptor: StreamDescriptor) throws(GatewayError) -> ChunkRows? {
        guard let places = places[stream] else { return nil }
        let first = taken[stream] ?? 0
        let last = min(places.count, first + ChunkRows.rowsMax)
        guard first < last else { return nil }
        taken[stream] = last
        var rows = ChunkRows(descriptor: descriptor)
        rows.reserve(last - first)
        for place in places[first..<last] {
            let head = JournalFormat.recordHeaderBytes
            let bytes = try files[Int(place.file)].bytes(at: place.offset - head, count: place.bytes + head)
            let record = bytes.withUnsafeBytes { bytes -> JournalRecord? in
                // Read a second time, it may come otherwise: a sector that has just gone bad reads as zeros.
                guard bytes.count == place.bytes + head, JournalRecord.checksum(bytes) == bytes.littleEndian(UInt32.self, at: 8) else {
                    return nil
                }
                return JournalRecord(place.kind, payload: UnsafeRawBufferPointer(rebasing: bytes[head...]), epoch: epochs[Int(place.file)])
            }
            guard case .batch(let position, let batch)? = record, batch.fits(descriptor) else {
                throw damaged("a batch of stream \(stream.rawValue) cannot be read again")
            }
            rows.append(batch, at: position)
        }
        return rows
    }
}
