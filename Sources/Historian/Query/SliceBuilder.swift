internal import Telemetry

/// Turns batches of one stream into columns.
struct SliceBuilder {
    fileprivate struct Column {
        let tag: Int
        let type: DataType
        let offset: Int
        let capacity: Int
        var rows: [UInt32] = []
        var isSparse = false
        var quality: [QualityRun] = []
        var integers: [Int64] = []
        var reals: [Double] = []
        var texts: [String] = []
    }

    let stream: StreamID
    let descriptor: StreamDescriptor
    private let tags: [Int]
    private var positions: [UInt64] = []
    private var times: [Int64] = []
    private var isTimeUncertain: [Bool] = []
    private var sourceTimes: [Int: Int64] = [:]
    private var columns: [Column] = []
    /// The presence words that the chosen tags have.
    private var chosen: [UInt64]

    init(stream: StreamID, descriptor: StreamDescriptor, tags: [Int]) {
        self.stream = stream
        self.descriptor = descriptor
        self.tags = tags
        chosen = [UInt64](repeating: 0, count: (descriptor.tags.count + 63) / 64)
        for tag in tags { chosen[tag >> 6] |= 1 << UInt64(tag & 63) }
        reset()
    }

    private mutating func reset() {
        positions = []
        times = []
        isTimeUncertain = []
        sourceTimes = [:]
        columns = tags.map {
            let tag = descriptor.tags[$0]
            return Column(tag: $0, type: tag.dataType, offset: descriptor.offsets[$0], capacity: tag.stringCapacity)
        }
    }

    var isEmpty: Bool { times.isEmpty }

    /// What one row of all columns takes in memory, in values of eight bytes.
    var rowCost: Int { 2 + tags.reduce(0) { $0 + 1 + descriptor.tags[$1].stringCapacity / 8 } }

    /// Adds a batch that fits the descriptor; `false` for one with none of the chosen tags.
    mutating func append(_ batch: SampleBatch, at position: UInt64) -> Bool {
        if !batch.isComplete, !zip(batch.presence, chosen).contains(where: { $0 & $1 != 0 }) { return false }
        let row = UInt32(truncatingIfNeeded: times.count)
        positions.append(position)
        if batch.isTimeUncertain != (isTimeUncertain.last ?? false), isTimeUncertain.isEmpty {
            isTimeUncertain = [Bool](repeating: false, count: times.count)
        }
        if batch.isTimeUncertain || !isTimeUncertain.isEmpty { isTimeUncertain.append(batch.isTimeUncertain) }
        if let source = batch.sourceTime { sourceTimes[times.count] = source.nanoseconds }
        times.append(batch.time.nanoseconds)
        batch.values.withUnsafeBytes { bytes in
            var run = 0
            var runEnd = batch.quality.first?.count ?? 0
            for index in columns.indices {
                let tag = columns[index].tag
                guard batch.has(tag) else {
                    columns[index].leaveOut(row)
                    continue
                }
                while tag >= runEnd, run + 1 < batch.quality.count {
                    run += 1
                    runEnd += batch.quality[run].count
                }
                columns[index].append(bytes, status: batch.quality[run].status, row: row)
            }
        }
        return true
    }

    /// The rows so far as a slice; the builder is empty then.
    mutating func finish() -> StreamSlice {
        defer { reset() }
        var slice = StreamSlice(
            stream: stream, descriptor: descriptor, positions: positions, times: times,
            columns: columns.map { column in
                let values: TagColumn.Values =
                    switch column.type {
                    case .string: .texts(column.texts)
                    case .float32, .float64: .reals(column.reals)
                    default: .integers(column.integers)
                    }
                return TagColumn(tag: column.tag, rows: column.isSparse ? column.rows : nil, quality: column.quality, values: values)
            })
        slice.isTimeUncertain = isTimeUncertain
        slice.sourceTimes = sourceTimes
        return slice
    }
}

extension SliceBuilder.Column {
    fileprivate mutating func leaveOut(_ row: UInt32) {
        guard !isSparse else { return }
        isSparse = true
        rows = Array(0..<row)
    }

    @inline(__always)
    fileprivate mutating func append(_ bytes: UnsafeRawBufferPointer, status: StatusCode, row: UInt32) {
        if isSparse { rows.append(row) }
        if quality.last?.status == status {
            quality[quality.count - 1].count += 1
        } else {
            quality.append(QualityRun(count: 1, status: status))
        }
        switch type {
        case .bool: integers.append(bytes[offset] != 0 ? 1 : 0)
        case .int8: integers.append(Int64(Int8(bitPattern: bytes[offset])))
        case .uint8: integers.append(Int64(bytes[offset]))
        case .int16: integers.append(Int64(bytes.littleEndian(Int16.self, at: offset)))
        case .uint16: integers.append(Int64(bytes.littleEndian(UInt16.self, at: offset)))
        case .int32: integers.append(Int64(bytes.littleEndian(Int32.self, at: offset)))
        case .uint32: integers.append(Int64(bytes.littleEndian(UInt32.self, at: offset)))
        case .int64, .uint64: integers.append(bytes.littleEndian(Int64.self, at: offset))
        case .float32: reals.append(Double(Float(bitPattern: bytes.littleEndian(UInt32.self, at: offset))))
        case .float64: reals.append(Double(bitPattern: bytes.littleEndian(UInt64.self, at: offset)))
        case .string:
            let count = min(capacity, Int(bytes.littleEndian(UInt16.self, at: offset)))
            texts.append(String(decoding: bytes[(offset + 2)..<(offset + 2 + count)], as: UTF8.self))
        }
    }
}
