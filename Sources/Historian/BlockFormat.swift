internal import Telemetry

/// Numbers of the block format: `docs/format/block.md`.
package enum BlockFormat {
    /// The version this program writes, and the newest it reads.
    package static let version: UInt16 = 1
    static let headerBytes = 80
    static let magic: [UInt8] = Array("IEBLOCK\n".utf8)
    static let indexEntryBytes = 56
    /// Most bytes of an index.
    static let indexBytesMax = 64 << 20
    /// Most bytes of a chunk.
    static let chunkBytesMax = 256 << 20
    /// Columns of a group that share a checksum have this many bytes together, or one column alone has more.
    static let groupBytes = 2 << 10

    /// What flags of a row say.
    static let timeUncertain: Int64 = 1
    static let hasSourceTime: Int64 = 2
    static let isPartial: Int64 = 4
    static let isToBeCorrected: Int64 = 8

    /// `000000000123.block`; a thinned one `000000000123.1.block`.
    static func fileName(_ number: UInt64, level: UInt8) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 12 - digits.count)) + digits + (level > 0 ? ".\(level)" : "") + ".block"
    }

    /// Number and level of a block's file.
    static func parse(fileName: String) -> (number: UInt64, level: UInt8)? {
        let parts = fileName.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3, parts.last == "block", let number = UInt64(parts[0]) else { return nil }
        guard let level = parts.count == 3 ? UInt8(parts[1]) : 0, self.fileName(number, level: level) == fileName else { return nil }
        return (number, level)
    }
}

/// The first bytes of a block.
struct BlockHeader: Hashable {
    var epoch: UInt32
    var number: UInt64
    var firstNumber: UInt64
    var base: UInt64
    var end: UInt64
    var created: Timestamp
    var indexOffset: Int
    var indexBytes: Int
    var indexChecksum: UInt32
    var level: UInt8

    func encode() -> [UInt8] {
        var bytes = BlockFormat.magic
        bytes.append(littleEndian: BlockFormat.version)
        bytes.append(littleEndian: UInt16(BlockFormat.headerBytes))
        bytes.append(littleEndian: epoch)
        for field in [number, firstNumber, base, end, UInt64(bitPattern: created.nanoseconds), UInt64(indexOffset)] {
            bytes.append(littleEndian: field)
        }
        bytes.append(littleEndian: UInt32(indexBytes))
        bytes.append(littleEndian: indexChecksum)
        bytes += [level, 0, 0, 0]
        bytes.append(littleEndian: bytes.withUnsafeBytes { CRC32C.checksum($0) })
        return bytes
    }
}

extension BlockHeader {
    init(decoding bytes: UnsafeRawBufferPointer) throws(SegmentHeader.Refusal) {
        guard bytes.count >= BlockFormat.headerBytes else {
            throw .damaged("the file has \(bytes.count) bytes, but a header has \(BlockFormat.headerBytes)")
        }
        guard bytes.prefix(8).elementsEqual(BlockFormat.magic) else { throw .damaged("it does not begin like a block") }
        let stored = bytes.littleEndian(UInt32.self, at: 76)
        let computed = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[..<76]))
        let version = bytes.littleEndian(UInt16.self, at: 8)
        // A newer version may have its checksum elsewhere. One that was ours but for its number is damage.
        if version > BlockFormat.version, !BlockHeader.isWhole(bytes, withVersion: BlockFormat.version) { throw .newer(version: version) }
        guard stored == computed else { throw .damaged("the header's checksum is \(hex(computed)), expected \(hex(stored))") }
        if version == 0 { throw .damaged("its format version is 0") }
        let length = Int(bytes.littleEndian(UInt16.self, at: 10))
        guard length == BlockFormat.headerBytes, bytes[73] == 0, bytes[74] == 0, bytes[75] == 0 else {
            throw .damaged("the header's length is \(length), expected \(BlockFormat.headerBytes) and zeros behind the level")
        }
        epoch = bytes.littleEndian(UInt32.self, at: 12)
        number = bytes.littleEndian(UInt64.self, at: 16)
        firstNumber = bytes.littleEndian(UInt64.self, at: 24)
        base = bytes.littleEndian(UInt64.self, at: 32)
        end = bytes.littleEndian(UInt64.self, at: 40)
        created = Timestamp(nanoseconds: bytes.littleEndian(Int64.self, at: 48))
        let indexOffset = bytes.littleEndian(UInt64.self, at: 56)
        indexBytes = Int(bytes.littleEndian(UInt32.self, at: 64))
        indexChecksum = bytes.littleEndian(UInt32.self, at: 68)
        level = bytes[72]
        guard base > 0, base <= end, end < UInt64.max / 2, firstNumber <= number, number < UInt64.max / 2,
            indexOffset < UInt64(Int.max) / 2, indexBytes <= BlockFormat.indexBytesMax
        else {
            throw .damaged("positions \(base) to \(end) and an index of \(indexBytes) bytes make no sense")
        }
        self.indexOffset = Int(indexOffset)
    }

    /// Whether the checksum would hold if the version were another one.
    private static func isWhole(_ bytes: UnsafeRawBufferPointer, withVersion version: UInt16) -> Bool {
        var head = Array(bytes[..<76])
        head[8] = UInt8(truncatingIfNeeded: version)
        head[9] = UInt8(version >> 8)
        return head.withUnsafeBytes { CRC32C.checksum($0) } == bytes.littleEndian(UInt32.self, at: 76)
    }
}

/// Where the chunks of a block are, and its records that are not batches.
struct BlockIndex {
    enum Kind: UInt8 {
        case batches = 0
        case summaries = 1
    }
    struct Entry: Hashable {
        var stream: StreamID
        var kind: Kind
        var rows: Int
        var headBytes: Int
        var bytes: Int
        /// Checksum of the stream's descriptor.
        var fingerprint: UInt32
        var offset: Int
        var oldest: Timestamp
        var newest: Timestamp
        var suppressedPolls: UInt64
    }
    struct Record: Hashable {
        var kind: JournalRecord.Kind
        var epoch: UInt32
        var payload: [UInt8]

        var decoded: JournalRecord? { payload.withUnsafeBytes { JournalRecord(kind, payload: $0, epoch: epoch) } }
    }
    var entries: [Entry] = []
    var records: [Record] = []

    func encode() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt32(entries.count))
        for entry in entries {
            bytes.append(littleEndian: entry.stream.rawValue)
            bytes += [entry.kind.rawValue, 0, 0, 0]
            bytes.append(littleEndian: UInt32(entry.rows))
            bytes.append(littleEndian: UInt32(entry.headBytes))
            bytes.append(littleEndian: UInt32(entry.bytes))
            bytes.append(littleEndian: entry.fingerprint)
            bytes.append(littleEndian: UInt64(entry.offset))
            bytes.append(littleEndian: entry.oldest.nanoseconds)
            bytes.append(littleEndian: entry.newest.nanoseconds)
            bytes.append(littleEndian: entry.suppressedPolls)
        }
        bytes.append(littleEndian: UInt32(records.count))
        for record in records {
            bytes.append(littleEndian: record.kind.rawValue)
            bytes.append(littleEndian: record.epoch)
            bytes.append(littleEndian: UInt32(record.payload.count))
            bytes.append(contentsOf: record.payload)
        }
        return bytes
    }
}

extension BlockIndex {
    /// `nil` for bytes that make no sense; `dataEnd` is where the index begins in the file.
    init?(decoding bytes: UnsafeRawBufferPointer, dataEnd: Int) {
        var reader = ByteReader(bytes)
        guard let count = reader.count(ofWidth: BlockFormat.indexEntryBytes) else { return nil }
        entries.reserveCapacity(count)
        for _ in 0..<count {
            guard let entry = Entry(from: &reader, dataEnd: dataEnd) else { return nil }
            entries.append(entry)
        }
        guard let records = reader.count(ofWidth: 12) else { return nil }
        for _ in 0..<records {
            guard let code = reader.integer(UInt32.self), let kind = JournalRecord.Kind(rawValue: code),
                let epoch = reader.integer(UInt32.self), let length = reader.integer(UInt32.self), let payload = reader.bytes(Int(length))
            else { return nil }
            self.records.append(Record(kind: kind, epoch: epoch, payload: Array(payload)))
        }
        guard reader.remaining == 0 else { return nil }
    }
}

extension BlockIndex.Entry {
    fileprivate init?(from reader: inout ByteReader, dataEnd: Int) {
        guard let stream = reader.integer(UInt32.self), stream > 0, stream <= JournalFormat.streamsMax,
            let code = reader.integer(UInt32.self), code <= 1, let kind = BlockIndex.Kind(rawValue: UInt8(code)),
            let rows = reader.integer(UInt32.self), rows > 0, rows <= ChunkRows.rowsMax,
            let headBytes = reader.integer(UInt32.self), let bytes = reader.integer(UInt32.self), headBytes <= bytes,
            bytes <= BlockFormat.chunkBytesMax, let fingerprint = reader.integer(UInt32.self),
            let offset = reader.integer(UInt64.self), offset <= dataEnd, Int(bytes) <= dataEnd - Int(offset),
            let oldest = reader.integer(Int64.self), let newest = reader.integer(Int64.self), oldest <= newest,
            let suppressed = reader.integer(UInt64.self)
        else { return nil }
        self.init(
            stream: StreamID(rawValue: stream), kind: kind, rows: Int(rows), headBytes: Int(headBytes), bytes: Int(bytes),
            fingerprint: fingerprint, offset: Int(offset), oldest: Timestamp(nanoseconds: oldest), newest: Timestamp(nanoseconds: newest),
            suppressedPolls: suppressed)
    }
}
