internal import GatewayCore
internal import Telemetry

/// Old blocks, oldest first, that one block of summaries is to replace.
struct ThinningJob: Sendable {
    /// Neighbours of one level, below `level`.
    var blocks: [Segment]
    var level: UInt8
    var bucket: Duration

    /// Writes the block. Returns it, and the samples that are not kept singly any more.
    func carryOut(
        journal: String, disk: any StoreDisk, created: Timestamp, clock: ClockBook, catalogue: @escaping Catalogue
    ) throws(GatewayError) -> (block: Segment, thinned: StreamTallies) {
        guard let first = blocks.first, var thin = blocks.last else { preconditionFailure("nothing to thin") }
        thin.firstNumber = first.firstNumber
        thin.base = first.base
        thin.level = level
        var thinned = StreamTallies()
        // What was never on disk stays what it was: lost.
        thin.lost = blocks.reduce([:]) { $0.adding($1.lost ?? [:]) }
        thin.tallies = thin.lost ?? [:]
        for block in blocks {
            for (stream, tally) in block.tallies.subtracting(block.lost ?? [:]) {
                if ThinningJob.isKept(catalogue(stream)) {
                    thin.tallies[stream, default: Tally()] += tally
                } else {
                    thinned[stream, default: Tally()] += tally
                }
            }
            if let times = clock.times(of: block) {
                thin.include(time: times.lowerBound)
                thin.include(time: times.upperBound)
            }
        }
        var writer = try BlockWriter(number: thin.number, level: level, journal: journal, disk: disk)
        do throws(GatewayError) {
            var readers: [BlockReader] = []
            for block in blocks where !block.isMissing {
                readers.append(try BlockReader(path: journal + "/" + block.fileName, catalogue: catalogue))
            }
            let streams = Set(readers.flatMap { $0.index?.entries.map(\.stream) ?? [] }).sorted()
            for stream in streams { try write(stream, from: readers, into: &writer, clock: clock, catalogue: catalogue) }
            for reader in readers { for record in reader.index?.records ?? [] { writer.append(record) } }
            thin.bytes = try writer.finish(
                BlockHeader(
                    epoch: thin.epoch, number: thin.number, firstNumber: thin.firstNumber, base: thin.base, end: thin.end, created: created,
                    indexOffset: 0, indexBytes: 0, indexChecksum: 0, level: level))
        } catch {
            writer.abandon()
            throw error
        }
        return (thin, thinned)
    }

    private func write(
        _ stream: StreamID, from readers: [BlockReader], into writer: inout BlockWriter, clock: ClockBook, catalogue: Catalogue
    ) throws(GatewayError) {
        guard let descriptor = catalogue(stream) else { return }
        var summaries = StreamSummaries(descriptor: descriptor, bucket: bucket)
        var lanes = ColumnLanes()
        for reader in readers {
            for entry in reader.index?.entries ?? [] where entry.stream == stream {
                if ThinningJob.isKept(descriptor) {
                    try writer.append(entry, bytes: try reader.bytes(of: entry, from: 0, count: entry.bytes))
                } else if entry.kind == .batches {
                    guard let chunk = try reader.restore(entry, lanes: &lanes) else { throw damaged(stream) }
                    summaries.add(chunk, clock: clock)
                } else {
                    guard let finer = try reader.summaries(entry, lanes: &lanes) else { throw damaged(stream) }
                    summaries.add(finer)
                }
            }
        }
        try writer.append(summaries, of: stream)
    }

    /// What cannot be read must not be booked as thinned.
    private func damaged(_ stream: StreamID) -> GatewayError {
        GatewayError(
            .storageCorrupt, resource: "log block \(blocks.first?.fileName ?? "")", operation: "thin",
            "a chunk of stream \(stream.rawValue) cannot be read: the block stays as it is")
    }

    /// Health and alarms stay as they are to the last.
    private static func isKept(_ descriptor: StreamDescriptor?) -> Bool { descriptor?.group == StreamDescriptor.healthGroup }
}
