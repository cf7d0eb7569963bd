internal import Telemetry

/// What is left of a stream's thinned samples, of the chosen tags.
struct SummarySlice: Sendable {
    var stream: StreamID
    /// When each bucket begins, nanoseconds since 1970.
    var times: [Int64]
    /// The newest time in each bucket.
    var ends: [Int64]
    /// One per chosen tag, in the order of the selection.
    var tags: [TagSummary]
}

/// Rows of a segment that is a block: of its columns only those are decoded that were asked for.
struct BlockSections: SectionSource {
    private let request: ReadRequest
    private let segment: Segment
    /// `nil` where the file is no block any more.
    private let reader: BlockReader?
    private let newest: Timestamp
    private var isDone = false
    private(set) var interruptedAt: Timestamp?
    private(set) var report = ReadReport()
    private(set) var summaries: [SummarySlice] = []

    /// Throws `.notFound` when the file is gone.
    init(_ segment: Segment, journal: String, newest: Timestamp, for request: ReadRequest) throws(GatewayError) {
        self.segment = segment
        self.request = request
        self.newest = newest
        let streams = request.streams
        do throws(GatewayError) {
            reader = try BlockReader(path: journal + "/" + segment.fileName) { streams[$0] }
        } catch  where error.code == .storageCorrupt {
            reader = nil
        }
    }

    mutating func next() throws(GatewayError) -> [StreamSlice]? {
        interruptedAt = nil
        summaries = []
        guard !isDone else { return nil }
        isDone = true
        var slices: [StreamSlice] = []
        var counts: [StreamID: [UInt64]] = [:]
        var lanes = ColumnLanes()
        for entry in reader?.index?.entries ?? [] {
            guard let tags = request.selection.tags[entry.stream], let reader, let descriptor = reader.descriptor(of: entry) else {
                continue
            }
            switch entry.kind {
            case .batches:
                guard let chunk = try ChunkColumns(entry, of: reader, descriptor: descriptor, tags: tags, lanes: &lanes) else { continue }
                for (place, count) in chunk.counts.enumerated() {
                    counts[entry.stream, default: [UInt64](repeating: 0, count: tags.count)][place] += UInt64(count)
                }
                if let slice = chunk.slice(for: request) { slices.append(slice) }
            case .summaries:
                guard entry.newest >= request.times.lowerBound else { continue }
                guard let found = try reader.summaries(entry, only: Set(tags), lanes: &lanes) else {
                    report.damagedSummaries &+= 1
                    continue
                }
                let chosen = tags.map { found.tags[$0] }
                for tag in chosen { report.thinned &+= UInt64(clamping: zip(tag.good, tag.bad).reduce(Int64(0)) { $0 &+ $1.0 &+ $1.1 }) }
                summaries.append(
                    SummarySlice(stream: entry.stream, times: found.times, ends: found.ends, tags: chosen))
            }
        }
        if segment.level > 0, reader?.index == nil { report.damagedSummaries &+= 1 }
        countMissing(counts)
        return slices
    }

    /// Takes note of samples that the block should have and that cannot be delivered.
    private mutating func countMissing(_ found: [StreamID: [UInt64]]) {
        let lost = segment.lost ?? [:]
        report.givenUp &+= request.selection.samples(in: lost)
        let tallies = segment.tallies
        var damaged: UInt64 = 0
        for (stream, tags) in request.selection.tags {
            guard let tally = tallies[stream] else { continue }
            for (place, tag) in tags.enumerated() {
                let expected = tally[tag] &- min(tally[tag], lost[stream]?[tag] ?? 0)
                let read = found[stream]?[place] ?? 0
                if expected > read { damaged &+= expected - read }
            }
        }
        report.damaged &+= damaged
        // Where in the block is not known.
        if damaged > 0 || report.givenUp > 0 || report.damagedSummaries > 0 { interruptedAt = newest }
    }
}

/// Some columns of a chunk.
private struct ChunkColumns {
    private let stream: StreamID
    private let descriptor: StreamDescriptor
    private let head: ChunkHead
    private let columns: [TagColumn]

    /// How many values each column has.
    var counts: [Int] { columns.map(\.count) }

    /// `nil` where the head is damaged; a tag whose group is damaged has no values.
    init?(
        _ entry: BlockIndex.Entry, of reader: BlockReader, descriptor: StreamDescriptor, tags: [Int], lanes: inout ColumnLanes
    ) throws(GatewayError) {
        let bytes = try reader.bytes(of: entry, from: 0, count: entry.headBytes)
        let decoded = bytes.withUnsafeBytes {
            ChunkHead($0, rows: entry.rows, descriptor: descriptor, chunkBytes: entry.bytes, extent: .columns(tags), lanes: &lanes)
        }
        guard bytes.count == entry.headBytes, let head = decoded else { return nil }
        stream = entry.stream
        self.descriptor = descriptor
        self.head = head
        var columns: [TagColumn] = []
        columns.reserveCapacity(tags.count)
        var next = 0
        for group in head.groups {
            let end = group.firstTag + group.tags
            guard next < tags.count, tags[next] < end else { continue }
            let part = try reader.bytes(of: entry, from: group.offset, count: group.bytes)
            part.withUnsafeBytes { part in
                let encoded = ChunkHead.columns(of: part, tags: group.tags)
                while next < tags.count, tags[next] < end {
                    let tag = tags[next]
                    let column = encoded.flatMap {
                        ChunkColumns.column($0[tag - group.firstTag], tag: tag, descriptor: descriptor, head: head, lanes: &lanes)
                    }
                    columns.append(
                        column ?? TagColumn(tag: tag, rows: [], quality: [], values: ChunkColumns.none(descriptor.tags[tag].dataType)))
                    next += 1
                }
            }
        }
        self.columns = columns
    }

    private static func none(_ type: DataType) -> TagColumn.Values {
        switch type {
        case .string: .texts([])
        case .float32, .float64: .reals([])
        default: .integers([])
        }
    }

    private static func column(
        _ bytes: UnsafeRawBufferPointer, tag: Int, descriptor: StreamDescriptor, head: ChunkHead, lanes: inout ColumnLanes
    ) -> TagColumn? {
        let present = head.rowsPresent(tag: tag)
        let count = present?.count ?? head.rows
        let values: TagColumn.Values?
        switch descriptor.tags[tag].dataType {
        case .string: values = lanes.texts(bytes, count: count, capacity: descriptor.tags[tag].stringCapacity).map { .texts($0) }
        case .float32: values = lanes.floats32(bytes, count: count).map { .reals($0) }
        case .float64: values = lanes.floats(bytes, count: count).map { .reals($0) }
        default: values = lanes.integers(bytes, count: count).map { .integers($0) }
        }
        guard let values else { return nil }
        return TagColumn(tag: tag, rows: present.map { $0.map(UInt32.init) }, quality: head.quality(of: tag, rows: present), values: values)
    }

    /// The rows of the wanted times; `nil` if there are none.
    func slice(for request: ReadRequest) -> StreamSlice? {
        var times = head.times
        var uncertain: [Bool] = []
        if head.flags.contains(where: { $0 & (BlockFormat.timeUncertain | BlockFormat.isToBeCorrected) != 0 }) {
            uncertain = head.flags.map { $0 & BlockFormat.timeUncertain != 0 }
            for row in times.indices where head.flags[row] & BlockFormat.isToBeCorrected != 0 {
                let stamp = request.clock.corrected(
                    ClockStamp(time: Timestamp(nanoseconds: times[row]), isUncertain: uncertain[row], mapping: 1),
                    epoch: UInt32(truncatingIfNeeded: head.epochs[row]), at: UInt64(bitPattern: head.positions[row]))
                times[row] = stamp.time.nanoseconds
                uncertain[row] = stamp.isUncertain
            }
        }
        var sourceTimes: [Int: Int64] = [:]
        if !head.sourceTimes.isEmpty {
            var next = 0
            for row in times.indices where head.flags[row] & BlockFormat.hasSourceTime != 0 {
                sourceTimes[row] = head.sourceTimes[next]
                next += 1
            }
        }
        let (from, to) = (request.times.lowerBound.nanoseconds, request.times.upperBound.nanoseconds)
        let end = Int64(clamping: request.end)
        let isWhole = times.allSatisfy { $0 >= from && $0 < to } && head.positions.allSatisfy { $0 <= end }
        if isWhole {
            var slice = StreamSlice(
                stream: stream, descriptor: descriptor, positions: head.positions.map { UInt64(bitPattern: $0) }, times: times,
                columns: columns)
            slice.isTimeUncertain = uncertain
            slice.sourceTimes = sourceTimes
            return slice
        }
        let kept = times.indices.filter { times[$0] >= from && times[$0] < to && head.positions[$0] <= end }
        guard !kept.isEmpty else { return nil }
        var slice = StreamSlice(
            stream: stream, descriptor: descriptor, positions: kept.map { UInt64(bitPattern: head.positions[$0]) },
            times: kept.map { times[$0] },
            columns: columns.map { $0.keeping(kept, of: times.count) })
        if !uncertain.isEmpty { slice.isTimeUncertain = kept.map { uncertain[$0] } }
        if !sourceTimes.isEmpty { for (place, row) in kept.enumerated() { slice.sourceTimes[place] = sourceTimes[row] } }
        return slice
    }
}

extension TagColumn {
    /// The values of some of the rows, which are numbered anew.
    fileprivate func keeping(_ kept: [Int], of total: Int) -> TagColumn {
        var newRow = [Int32](repeating: -1, count: total)
        for (place, row) in kept.enumerated() { newRow[row] = Int32(place) }
        var indices: [Int] = []
        var keptRows: [UInt32] = []
        for index in 0..<count {
            let row = newRow[rows.map { Int($0[index]) } ?? index]
            guard row >= 0 else { continue }
            indices.append(index)
            keptRows.append(UInt32(row))
        }
        let values: Values =
            switch values {
            case .integers(let values): .integers(indices.map { values[$0] })
            case .reals(let values): .reals(indices.map { values[$0] })
            case .texts(let values): .texts(indices.map { values[$0] })
            }
        var runs: [QualityRun] = []
        var run = 0
        var runEnd = quality.first?.count ?? 0
        for index in indices {
            while index >= runEnd, run + 1 < quality.count {
                run += 1
                runEnd += quality[run].count
            }
            if runs.last?.status == quality[run].status {
                runs[runs.count - 1].count += 1
            } else {
                runs.append(QualityRun(count: 1, status: quality[run].status))
            }
        }
        return TagColumn(tag: tag, rows: rows == nil ? nil : keptRows, quality: runs, values: values)
    }
}
