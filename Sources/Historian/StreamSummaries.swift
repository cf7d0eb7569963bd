internal import Telemetry

/// What is left of a stream's batches when they are thinned: buckets of time, and each tag's summary in them.
struct StreamSummaries {
    let descriptor: StreamDescriptor
    let bucketNanoseconds: Int64
    /// When each bucket begins; in the order of the log, which clock steps may lead back in time.
    private(set) var times: [Int64] = []
    /// The newest time in each bucket.
    private(set) var ends: [Int64] = []
    /// Batches in each bucket.
    private(set) var batches: [Int64] = []
    private(set) var tags: [TagSummary]

    init(descriptor: StreamDescriptor, bucket: Duration) {
        self.descriptor = descriptor
        bucketNanoseconds = max(1, bucket.nanoseconds)
        tags = descriptor.tags.map { TagSummary($0) }
    }

    /// Adds all batches of a chunk.
    mutating func add(_ chunk: borrowing RestoredChunk, clock: ClockBook) {
        for row in 0..<chunk.count {
            let time = chunk.time(of: row, clock: clock)
            begin(bucketOf: time)
            ends[ends.count - 1] = max(ends[ends.count - 1], time)
            batches[batches.count - 1] += 1
            chunk.forEachValue(in: row, of: descriptor) { tag, status, slot in
                tags[tag].add(time: time, status: status, slot: slot)
            }
        }
    }

    /// Adds the buckets of summaries with a shorter bucket.
    mutating func add(_ finer: borrowing StreamSummaries) {
        var next = [Int](repeating: 0, count: tags.count)
        for bucket in finer.times.indices {
            begin(bucketOf: finer.times[bucket])
            ends[ends.count - 1] = max(ends[ends.count - 1], finer.ends[bucket])
            batches[batches.count - 1] += finer.batches[bucket]
            for tag in tags.indices {
                let summary = finer.tags[tag]
                let first = next[tag]
                while next[tag] < summary.changes.count, summary.changes[next[tag]].bucket <= bucket { next[tag] += 1 }
                tags[tag].add(summary, bucket: bucket, changes: summary.changes[first..<next[tag]])
            }
        }
    }

    private mutating func begin(bucketOf time: Int64) {
        let remainder = time % bucketNanoseconds
        let start = time &- (remainder < 0 ? remainder + bucketNanoseconds : remainder)
        if times.last == start { return }
        times.append(start)
        ends.append(start)
        batches.append(0)
        for tag in tags.indices { tags[tag].beginBucket() }
    }
}

// MARK: - Bytes

extension StreamSummaries {
    private enum Kind {
        static let range: UInt8 = 0
        static let changes: UInt8 = 1
    }

    /// Appends one tag's part of a group.
    func encode(tag: Int, into bytes: inout [UInt8], lanes: inout ColumnLanes) {
        let summary = tags[tag]
        bytes.append(summary.keepsChanges ? Kind.changes : Kind.range)
        lanes.append(summary.good, to: &bytes)
        lanes.append(summary.bad, to: &bytes)
        if summary.keepsChanges {
            bytes.append(uvarint: UInt64(summary.changes.count))
            guard !summary.changes.isEmpty else { return }
            lanes.append(summary.changes.map(\.time), to: &bytes)
            lanes.append(summary.changes.map { Int64($0.status.rawValue) }, to: &bytes)
            lanes.append(summary.changes.map { Int64($0.bucket) }, to: &bytes)
            let slots = summary.changes.flatMap(\.slot)
            slots.withUnsafeBytes { slots in
                lanes.append(
                    summary.tag, at: 0, of: slots, stride: summary.tag.slotWidth, count: summary.changes.count, rows: nil, to: &bytes)
            }
        } else {
            for column in [summary.minimum, summary.maximum, summary.last] { lanes.append(column, to: &bytes) }
            lanes.append(summary.sum, to: &bytes)
        }
    }

    /// Reads a chunk of summaries; only these tags, or all. `nil` for bytes that are no such chunk.
    init?(
        _ bytes: UnsafeRawBufferPointer, entry: BlockIndex.Entry, descriptor: StreamDescriptor, only: Set<Int>? = nil,
        lanes: inout ColumnLanes
    ) {
        guard bytes.count == entry.bytes, entry.headBytes >= 4 else { return nil }
        let head = UnsafeRawBufferPointer(rebasing: bytes[..<entry.headBytes])
        guard CRC32C.checksum(UnsafeRawBufferPointer(rebasing: head[4...])) == head.littleEndian(UInt32.self, at: 0) else { return nil }
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: head[4...]))
        guard let bucket = reader.uvarint(), bucket > 0, bucket <= UInt64(Int64.max), let times = reader.framed(),
            let ends = reader.framed(), let batches = reader.framed(), let decodedEnds = lanes.integers(ends, count: entry.rows),
            let decodedTimes = lanes.integers(times, count: entry.rows),
            let decodedBatches = lanes.integers(batches, count: entry.rows),
            let groups = ChunkHead.groups(from: &reader, tags: descriptor.tags.count, headBytes: entry.headBytes, chunkBytes: bytes.count)
        else { return nil }
        self.descriptor = descriptor
        bucketNanoseconds = Int64(bucket)
        self.times = decodedTimes
        self.ends = decodedEnds
        self.batches = decodedBatches
        tags = descriptor.tags.map { TagSummary($0) }
        for group in groups {
            let members = group.firstTag..<(group.firstTag + group.tags)
            if let only, !members.contains(where: { only.contains($0) }) { continue }
            let part = UnsafeRawBufferPointer(rebasing: bytes[group.offset..<(group.offset + group.bytes)])
            guard CRC32C.checksum(UnsafeRawBufferPointer(rebasing: part[4...])) == part.littleEndian(UInt32.self, at: 0) else { return nil }
            var reader = ByteReader(UnsafeRawBufferPointer(rebasing: part[4...]))
            for tag in members {
                guard let summary = TagSummary(descriptor.tags[tag], buckets: entry.rows, from: &reader, lanes: &lanes) else { return nil }
                tags[tag] = summary
            }
            guard reader.remaining == 0 else { return nil }
        }
    }
}

extension TagSummary {
    fileprivate init?(_ tag: Tag, buckets: Int, from reader: inout ByteReader, lanes: inout ColumnLanes) {
        self.init(tag)
        guard let kind = reader.integer(UInt8.self), kind <= 1, let goodColumn = reader.framed(), let badColumn = reader.framed(),
            let good = lanes.integers(goodColumn, count: buckets), let bad = lanes.integers(badColumn, count: buckets)
        else { return nil }
        if kind == 0 {
            var columns: [[Int64]] = []
            for _ in 0..<3 {
                guard let column = reader.framed(), let values = lanes.integers(column, count: buckets) else { return nil }
                columns.append(values)
            }
            guard let column = reader.framed(), let sum = lanes.floats(column, count: buckets) else { return nil }
            restore(good: good, bad: bad, minimum: columns[0], maximum: columns[1], last: columns[2], sum: sum)
            return
        }
        guard let count = reader.uvarint(), count <= UInt64(ChunkRows.rowsMax) else { return nil }
        var changes: [Change] = []
        if count > 0 {
            let count = Int(count)
            guard let timeColumn = reader.framed(), let statusColumn = reader.framed(), let bucketColumn = reader.framed(),
                let slotColumn = reader.framed(), let times = lanes.integers(timeColumn, count: count),
                let statuses = lanes.integers(statusColumn, count: count), let places = lanes.integers(bucketColumn, count: count),
                places.allSatisfy({ $0 >= 0 && $0 < Int64(buckets) }), count * tag.slotWidth <= RestoredChunk.valueBytesMax
            else { return nil }
            var slots = [UInt8](repeating: 0, count: count * tag.slotWidth)
            let isWhole = slots.withUnsafeMutableBytes { slots in
                lanes.scatter(slotColumn, tag: tag, at: 0, into: slots, stride: tag.slotWidth, count: count, rows: nil)
            }
            guard isWhole else { return nil }
            for index in 0..<count {
                changes.append(
                    Change(
                        time: times[index], status: StatusCode(rawValue: UInt32(truncatingIfNeeded: statuses[index])),
                        slot: Array(slots[(index * tag.slotWidth)..<((index + 1) * tag.slotWidth)]), bucket: Int(places[index])))
            }
        }
        restore(good: good, bad: bad, changes: changes)
    }
}
