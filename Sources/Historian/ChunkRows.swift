internal import ChunkCodec
internal import Telemetry

/// Batches of one stream side by side, on their way into a chunk or out of it.
struct ChunkRows {
    let descriptor: StreamDescriptor
    private(set) var positions: [Int64] = []
    private(set) var epochs: [Int64] = []
    private(set) var sequences: [Int64] = []
    private(set) var times: [Int64] = []
    private(set) var suppressed: [Int64] = []
    private(set) var flags: [Int64] = []
    /// Of the rows that have one.
    private(set) var sourceTimes: [Int64] = []
    private(set) var qualities: [[QualityRun]] = []
    private(set) var qualityOfRow: [Int64] = []
    /// Words of the rows that do not have all tags, row after row.
    private(set) var presence: [UInt64] = []
    private(set) var partialRows = 0
    /// Slots as in `SampleBatch.values`, row after row.
    private(set) var values: [UInt8] = []
    private var places: [[QualityRun]: Int] = [:]

    static let rowsMax = ColumnCodec.rowsMax

    init(descriptor: StreamDescriptor) { self.descriptor = descriptor }

    var count: Int { positions.count }
    /// Words of presence per row that has any.
    var presenceWords: Int { (descriptor.tags.count + 63) / 64 }

    /// Adds a batch that fits the descriptor.
    mutating func append(_ batch: SampleBatch, at position: UInt64) {
        positions.append(Int64(bitPattern: position))
        epochs.append(Int64(batch.epoch))
        sequences.append(Int64(bitPattern: batch.sequence))
        times.append(batch.time.nanoseconds)
        suppressed.append(Int64(batch.suppressedPolls))
        var flag: Int64 = 0
        if batch.isTimeUncertain { flag |= BlockFormat.timeUncertain }
        if batch.clockMapping != 0 { flag |= BlockFormat.isToBeCorrected }
        if let source = batch.sourceTime {
            flag |= BlockFormat.hasSourceTime
            sourceTimes.append(source.nanoseconds)
        }
        if !batch.presence.isEmpty {
            flag |= BlockFormat.isPartial
            partialRows += 1
            presence.append(contentsOf: batch.presence)
        }
        flags.append(flag)
        qualityOfRow.append(Int64(place(of: batch.quality)))
        values.append(contentsOf: batch.values)
    }

    private mutating func place(of quality: [QualityRun]) -> Int {
        // Nearly every batch is of the quality of the one before it.
        if let last = qualityOfRow.last, qualities[Int(last)] == quality { return Int(last) }
        if let known = places[quality] { return known }
        places[quality] = qualities.count
        qualities.append(quality)
        return qualities.count - 1
    }

    mutating func reserve(_ rows: Int) { values.reserveCapacity(rows * descriptor.valueBytes) }
}

extension ChunkRows {
    /// The rows that have a tag.
    func rowsPresent(tag: Int) -> [Int32] {
        var present: [Int32] = []
        present.reserveCapacity(count)
        let words = presenceWords
        var partial = 0
        for row in 0..<count {
            guard flags[row] & BlockFormat.isPartial != 0 else {
                present.append(Int32(row))
                continue
            }
            if presence[partial * words + tag >> 6] >> UInt64(tag & 63) & 1 == 1 { present.append(Int32(row)) }
            partial += 1
        }
        return present
    }
}
