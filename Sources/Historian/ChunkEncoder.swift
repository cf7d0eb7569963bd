internal import Telemetry

/// Rows to the bytes of a chunk: `docs/format/block.md`.
struct ChunkEncoder: ~Copyable {
    private var lanes = ColumnLanes()
    private var head: [UInt8] = []
    private var groups: [UInt8] = []
    private var group: [UInt8] = []
    private var directory: [(tags: Int, bytes: Int)] = []

    /// Appends the chunk of `rows` to `bytes`; returns how many of its bytes are its head.
    mutating func encode(_ rows: borrowing ChunkRows, into bytes: inout [UInt8]) -> Int {
        beginHead()
        lanes.append(rows.positions, to: &head)
        lanes.append(rows.epochs, to: &head)
        lanes.append(rows.sequences, to: &head)
        lanes.append(rows.times, to: &head)
        lanes.append(rows.suppressed, to: &head)
        lanes.append(rows.flags, to: &head)
        if !rows.sourceTimes.isEmpty { lanes.append(rows.sourceTimes, to: &head) }
        ChunkEncoder.append(rows.qualities, to: &head)
        lanes.append(rows.qualityOfRow, to: &head)
        if rows.partialRows > 0 { appendPresence(rows) }
        appendGroups(rows)
        return finish(into: &bytes)
    }

    private mutating func beginHead() {
        head.removeAll(keepingCapacity: true)
        head.append(littleEndian: UInt32(0))
        groups.removeAll(keepingCapacity: true)
        directory.removeAll(keepingCapacity: true)
        beginGroup()
    }

    private static func append(_ qualities: [[QualityRun]], to bytes: inout [UInt8]) {
        bytes.append(uvarint: UInt64(qualities.count))
        for runs in qualities {
            bytes.append(uvarint: UInt64(runs.count))
            for run in runs {
                bytes.append(uvarint: UInt64(run.count))
                bytes.append(littleEndian: run.status.rawValue)
            }
        }
    }

    private mutating func appendPresence(_ rows: borrowing ChunkRows) {
        let words = rows.presenceWords
        head.append(uvarint: UInt64(words))
        for word in 0..<words {
            let column = (0..<rows.partialRows).map { Int64(bitPattern: rows.presence[$0 * words + word]) }
            lanes.append(column, to: &head)
        }
    }

    private mutating func appendGroups(_ rows: borrowing ChunkRows) {
        let descriptor = rows.descriptor
        var tags = 0
        for (index, tag) in descriptor.tags.enumerated() {
            let present = rows.partialRows > 0 ? rows.rowsPresent(tag: index) : nil
            rows.values.withUnsafeBytes { slots in
                lanes.append(
                    tag, at: descriptor.offsets[index], of: slots, stride: descriptor.valueBytes, count: rows.count, rows: present,
                    to: &group)
            }
            tags += 1
            if group.count >= BlockFormat.groupBytes {
                endGroup(tags)
                tags = 0
            }
        }
        if tags > 0 { endGroup(tags) }
    }

    private mutating func beginGroup() {
        group.removeAll(keepingCapacity: true)
        group.append(littleEndian: UInt32(0))
    }

    private mutating func endGroup(_ tags: Int) {
        ChunkEncoder.seal(&group)
        groups.append(contentsOf: group)
        directory.append((tags, group.count))
        beginGroup()
    }

    private mutating func finish(into bytes: inout [UInt8]) -> Int {
        head.append(uvarint: UInt64(directory.count))
        for group in directory {
            head.append(uvarint: UInt64(group.tags))
            head.append(uvarint: UInt64(group.bytes))
        }
        ChunkEncoder.seal(&head)
        bytes.append(contentsOf: head)
        bytes.append(contentsOf: groups)
        return head.count
    }

    /// Puts the checksum of what follows into the first four bytes.
    private static func seal(_ bytes: inout [UInt8]) {
        bytes.withUnsafeMutableBytes { bytes in
            let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[4...]))
            bytes.storeLittleEndian(checksum, at: 0)
        }
    }
}

extension ChunkEncoder {
    /// Appends a chunk of summaries; returns how many of its bytes are its head.
    mutating func encode(_ summaries: borrowing StreamSummaries, into bytes: inout [UInt8]) -> Int {
        beginHead()
        head.append(uvarint: UInt64(summaries.bucketNanoseconds))
        lanes.append(summaries.times, to: &head)
        lanes.append(summaries.ends, to: &head)
        lanes.append(summaries.batches, to: &head)
        var tags = 0
        for tag in 0..<summaries.descriptor.tags.count {
            summaries.encode(tag: tag, into: &group, lanes: &lanes)
            tags += 1
            if group.count >= BlockFormat.groupBytes {
                endGroup(tags)
                tags = 0
            }
        }
        if tags > 0 { endGroup(tags) }
        return finish(into: &bytes)
    }
}
