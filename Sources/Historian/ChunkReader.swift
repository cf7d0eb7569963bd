internal import Telemetry

/// The head of a chunk of batches, decoded as far as it is needed.
struct ChunkHead {
    let rows: Int
    let times: [Int64]
    let flags: [Int64]
    let sourceTimes: [Int64]
    let qualities: [[QualityRun]]
    let qualityOfRow: [Int64]
    /// Words of the rows that do not have all tags, a column per word; empty where all rows do.
    let presence: [[Int64]]
    let groups: [(firstTag: Int, tags: Int, offset: Int, bytes: Int)]
    let positions: [Int64]
    let epochs: [Int64]
    /// Decoded only for those who restore batches.
    let sequences: [Int64]
    let suppressed: [Int64]

    /// What of a head is wanted: times, qualities and the place of the groups are always decoded.
    enum Extent {
        /// Only the words of presence that have these tags.
        case columns([Int])
        case batches
    }

    /// `nil` for bytes that are no head of so many rows, or whose checksum does not hold.
    init?(
        _ bytes: UnsafeRawBufferPointer, rows: Int, descriptor: StreamDescriptor, chunkBytes: Int, extent: Extent, lanes: inout ColumnLanes
    ) {
        guard bytes.count >= 4,
            CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[4...])) == bytes.littleEndian(UInt32.self, at: 0)
        else { return nil }
        self.rows = rows
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[4...]))
        var isForBatches = false
        if case .batches = extent { isForBatches = true }
        guard let positions = reader.framed(), let epochs = reader.framed(), let sequences = reader.framed(), let times = reader.framed(),
            let suppressed = reader.framed(), let flags = reader.framed(),
            let decodedTimes = lanes.integers(times, count: rows), let decodedFlags = lanes.integers(flags, count: rows),
            let decodedPositions = lanes.integers(positions, count: rows), let decodedEpochs = lanes.integers(epochs, count: rows)
        else { return nil }
        self.positions = decodedPositions
        self.epochs = decodedEpochs
        self.times = decodedTimes
        self.flags = decodedFlags
        var partialRows = 0
        var sourceRows = 0
        for flag in decodedFlags {
            if flag & BlockFormat.isPartial != 0 { partialRows += 1 }
            if flag & BlockFormat.hasSourceTime != 0 { sourceRows += 1 }
        }
        if sourceRows > 0 {
            guard let column = reader.framed(), let decoded = lanes.integers(column, count: sourceRows) else { return nil }
            sourceTimes = decoded
        } else {
            sourceTimes = []
        }
        guard let qualities = ChunkHead.qualities(from: &reader, tags: descriptor.tags.count, rows: rows),
            let column = reader.framed(), let qualityOfRow = lanes.integers(column, count: rows),
            qualityOfRow.allSatisfy({ $0 >= 0 && $0 < Int64(qualities.count) })
        else { return nil }
        self.qualities = qualities
        self.qualityOfRow = qualityOfRow
        var presence: [[Int64]] = []
        if partialRows > 0 {
            let words = (descriptor.tags.count + 63) / 64
            guard reader.uvarint() == UInt64(words) else { return nil }
            for word in 0..<words {
                guard let column = reader.framed() else { return nil }
                if case .columns(let tags) = extent, !tags.contains(where: { $0 >> 6 == word }) {
                    presence.append([])
                    continue
                }
                guard let decoded = lanes.integers(column, count: partialRows) else { return nil }
                // Bits beyond the tags would be samples of tags that are not there.
                let bits = min(64, descriptor.tags.count - word * 64)
                if bits < 64, decoded.contains(where: { UInt64(bitPattern: $0) >> UInt64(bits) != 0 }) { return nil }
                presence.append(decoded)
            }
        }
        self.presence = presence
        guard let groups = ChunkHead.groups(from: &reader, tags: descriptor.tags.count, headBytes: bytes.count, chunkBytes: chunkBytes)
        else { return nil }
        self.groups = groups
        if isForBatches {
            guard let decodedSequences = lanes.integers(sequences, count: rows),
                let decodedSuppressed = lanes.integers(suppressed, count: rows)
            else { return nil }
            self.sequences = decodedSequences
            self.suppressed = decodedSuppressed
        } else {
            self.sequences = []
            self.suppressed = []
        }
    }

    private static func qualities(from reader: inout ByteReader, tags: Int, rows: Int) -> [[QualityRun]]? {
        guard let count = reader.uvarint(), count > 0, count <= UInt64(rows) else { return nil }
        var qualities: [[QualityRun]] = []
        for _ in 0..<count {
            // A run has at least five bytes.
            guard let length = reader.uvarint(), length <= UInt64(reader.remaining / 5) else { return nil }
            var runs: [QualityRun] = []
            var total = 0
            for _ in 0..<length {
                guard let tags = reader.uvarint(), tags <= UInt64(StreamDescriptor.tagsMax), let status = reader.integer(UInt32.self) else {
                    return nil
                }
                runs.append(QualityRun(count: Int(tags), status: StatusCode(rawValue: status)))
                total += Int(tags)
            }
            guard total == tags else { return nil }
            qualities.append(runs)
        }
        return qualities
    }

    static func groups(
        from reader: inout ByteReader, tags: Int, headBytes: Int, chunkBytes: Int
    ) -> [(firstTag: Int, tags: Int, offset: Int, bytes: Int)]? {
        guard let count = reader.uvarint(), count <= UInt64(tags) else { return nil }
        var groups: [(firstTag: Int, tags: Int, offset: Int, bytes: Int)] = []
        var tag = 0
        var offset = headBytes
        for _ in 0..<count {
            guard let members = reader.uvarint(), members > 0, members <= UInt64(tags - tag), let bytes = reader.uvarint(), bytes >= 4,
                bytes <= UInt64(chunkBytes - offset)
            else { return nil }
            groups.append((tag, Int(members), offset, Int(bytes)))
            tag += Int(members)
            offset += Int(bytes)
        }
        guard tag == tags, offset == chunkBytes, reader.remaining == 0 else { return nil }
        return groups
    }

    /// The rows that have a tag; `nil` for all.
    func rowsPresent(tag: Int) -> [Int32]? {
        guard !presence.isEmpty else { return nil }
        let words = presence[tag >> 6]
        var present: [Int32] = []
        present.reserveCapacity(rows)
        var partial = 0
        for row in 0..<rows {
            guard flags[row] & BlockFormat.isPartial != 0 else {
                present.append(Int32(row))
                continue
            }
            if UInt64(bitPattern: words[partial]) >> UInt64(tag & 63) & 1 == 1 { present.append(Int32(row)) }
            partial += 1
        }
        return present
    }

    /// The status of one tag over the rows that have it.
    func quality(of tag: Int, rows present: [Int32]?) -> [QualityRun] {
        let statuses = qualities.map { runs -> StatusCode in
            var end = 0
            for run in runs {
                end += run.count
                if tag < end { return run.status }
            }
            return .badUnexpectedError
        }
        let count = present?.count ?? rows
        guard count > 0 else { return [] }
        if statuses.allSatisfy({ $0 == statuses[0] }) { return [QualityRun(count: count, status: statuses[0])] }
        var runs: [QualityRun] = []
        for index in 0..<count {
            let status = statuses[Int(qualityOfRow[present.map { Int($0[index]) } ?? index])]
            if runs.last?.status == status {
                runs[runs.count - 1].count += 1
            } else {
                runs.append(QualityRun(count: 1, status: status))
            }
        }
        return runs
    }

    /// The columns of a group whose checksum holds, tag by tag; `nil` otherwise.
    static func columns(of group: UnsafeRawBufferPointer, tags: Int) -> [UnsafeRawBufferPointer]? {
        guard group.count >= 4, CRC32C.checksum(UnsafeRawBufferPointer(rebasing: group[4...])) == group.littleEndian(UInt32.self, at: 0)
        else { return nil }
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: group[4...]))
        var columns: [UnsafeRawBufferPointer] = []
        columns.reserveCapacity(tags)
        for _ in 0..<tags {
            guard let column = reader.framed() else { return nil }
            columns.append(column)
        }
        return reader.remaining == 0 ? columns : nil
    }
}

/// A chunk of batches, restored row by row.
struct RestoredChunk {
    let stream: StreamID
    private let head: ChunkHead
    private let words: Int
    private let valueBytes: Int
    private let values: [UInt8]
    /// For each row, which of the partial rows, and of those with a source time, it is.
    private let partialOfRow: [Int32]
    private let sourceOfRow: [Int32]

    /// Most bytes of the values of one restored chunk: what one segment can hold, generously.
    static let valueBytesMax = 256 << 20

    /// `nil` for bytes that are no whole chunk of the stream.
    init?(
        _ bytes: UnsafeRawBufferPointer, entry: BlockIndex.Entry, descriptor: StreamDescriptor, lanes: inout ColumnLanes
    ) {
        guard bytes.count == entry.bytes,
            entry.rows * max(1, descriptor.valueBytes) <= RestoredChunk.valueBytesMax,
            let head = ChunkHead(
                UnsafeRawBufferPointer(rebasing: bytes[..<entry.headBytes]), rows: entry.rows, descriptor: descriptor,
                chunkBytes: bytes.count, extent: .batches, lanes: &lanes)
        else { return nil }
        stream = entry.stream
        self.head = head
        words = head.presence.count
        valueBytes = descriptor.valueBytes
        var values = [UInt8](repeating: 0, count: entry.rows * descriptor.valueBytes)
        for group in head.groups {
            let part = UnsafeRawBufferPointer(rebasing: bytes[group.offset..<(group.offset + group.bytes)])
            guard let columns = ChunkHead.columns(of: part, tags: group.tags) else { return nil }
            for (index, column) in columns.enumerated() {
                let tag = group.firstTag + index
                let isWhole = values.withUnsafeMutableBytes { slots in
                    lanes.scatter(
                        column, tag: descriptor.tags[tag], at: descriptor.offsets[tag], into: slots, stride: descriptor.valueBytes,
                        count: entry.rows, rows: head.rowsPresent(tag: tag))
                }
                guard isWhole else { return nil }
            }
        }
        self.values = values
        var partial: Int32 = 0
        var source: Int32 = 0
        partialOfRow = head.flags.map { flag in
            defer { if flag & BlockFormat.isPartial != 0 { partial += 1 } }
            return partial
        }
        sourceOfRow = head.flags.map { flag in
            defer { if flag & BlockFormat.hasSourceTime != 0 { source += 1 } }
            return source
        }
        guard head.positions.allSatisfy({ $0 > 0 }) else { return nil }
    }

    var count: Int { head.rows }

    /// The time of a row, corrected by what is known of the clock now.
    func time(of row: Int, clock: ClockBook) -> Int64 {
        let flag = head.flags[row]
        guard flag & BlockFormat.isToBeCorrected != 0 else { return head.times[row] }
        let stamp = ClockStamp(time: Timestamp(nanoseconds: head.times[row]), isUncertain: true, mapping: 1)
        return clock.corrected(stamp, epoch: UInt32(truncatingIfNeeded: head.epochs[row]), at: position(of: row)).time.nanoseconds
    }

    /// Hands over each tag that a row has, with its status and its slot.
    func forEachValue(in row: Int, of descriptor: StreamDescriptor, _ body: (Int, StatusCode, UnsafeRawBufferPointer) -> Void) {
        let partial = head.flags[row] & BlockFormat.isPartial != 0 ? Int(partialOfRow[row]) : nil
        values.withUnsafeBytes { values in
            let slots = UnsafeRawBufferPointer(rebasing: values[(row * valueBytes)..<((row + 1) * valueBytes)])
            var tag = 0
            for run in head.qualities[Int(head.qualityOfRow[row])] {
                for _ in 0..<run.count {
                    let isPresent = partial.map { UInt64(bitPattern: head.presence[tag >> 6][$0]) >> UInt64(tag & 63) & 1 == 1 } ?? true
                    if isPresent {
                        let offset = descriptor.offsets[tag]
                        body(
                            tag, run.status,
                            UnsafeRawBufferPointer(rebasing: slots[offset..<(offset + descriptor.tags[tag].slotWidth)]))
                    }
                    tag += 1
                }
            }
        }
    }

    func position(of row: Int) -> UInt64 { UInt64(bitPattern: head.positions[row]) }

    func batch(_ row: Int) -> SampleBatch {
        var batch = SampleBatch(
            stream: stream, time: Timestamp(nanoseconds: head.times[row]), quality: head.qualities[Int(head.qualityOfRow[row])],
            values: Array(values[(row * valueBytes)..<((row + 1) * valueBytes)]))
        batch.sequence = UInt64(bitPattern: head.sequences[row])
        batch.epoch = UInt32(truncatingIfNeeded: head.epochs[row])
        batch.suppressedPolls = UInt32(truncatingIfNeeded: head.suppressed[row])
        let flag = head.flags[row]
        batch.isTimeUncertain = flag & BlockFormat.timeUncertain != 0
        batch.clockMapping = flag & BlockFormat.isToBeCorrected != 0 ? 1 : 0
        if flag & BlockFormat.hasSourceTime != 0 {
            batch.sourceTime = Timestamp(nanoseconds: head.sourceTimes[Int(sourceOfRow[row])])
        }
        if flag & BlockFormat.isPartial != 0 {
            let partial = Int(partialOfRow[row])
            batch.presence = (0..<words).map { UInt64(bitPattern: head.presence[$0][partial]) }
        }
        return batch
    }
}
