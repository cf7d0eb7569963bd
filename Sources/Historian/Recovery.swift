internal import Telemetry

/// What was found wrong, and put right, when a store was opened.
package struct RecoveryReport: Sendable, Hashable {
    /// Bytes behind the last whole record, cut off.
    package var tornBytes = 0
    /// Torn records among them: 1 for every segment with a torn tail.
    package var tornRecords = 0
    /// Bytes of damaged records between whole ones.
    package var damagedBytes = 0
    /// Files set aside, with the reason.
    package var setAside: [String: String] = [:]
    /// Segments that the catalogue knows and the journal has not.
    package var missingSegments: [String] = []
    /// The catalogue was lost or damaged and was made again from the journal.
    package var catalogueRebuilt = false
    /// Records that were on disk and not yet in the catalogue's counts.
    package var replayedRecords = 0

    package init() {}

    package var isClean: Bool { tornBytes == 0 && damagedBytes == 0 && setAside.isEmpty && missingSegments.isEmpty && !catalogueRebuilt }
}

/// Brings the state of a store up to date with its journal, without changing a file: what has to be changed is listed.
struct Recovery {
    enum Repair {
        case cut(path: String, bytes: Int)
        case setAside(path: String)
        case remove(path: String)
        /// Writes again what a file holds from a byte on.
        case confirm(path: String, from: Int)
    }

    private(set) var state: StoredState
    private(set) var report = RecoveryReport()
    private(set) var repairs: [Repair] = []
    private let journal: String
    /// Where the counts of the catalogue ended.
    private let counted: UInt64

    /// The first position of which nothing was ever written.
    var nextPosition: UInt64 {
        let written = state.segments.map(\.end).max() ?? 0
        let read = state.cursors.values.map(\.position).max() ?? 0
        return max(written, read, state.position) + 1
    }

    /// Looks at all segments of `journal` that `stored` does not vouch for.
    ///
    /// `stored` is `nil` where the database was lost. Throws `.unsupported` for a segment of a newer version.
    init(stored: StoredState?, journal: String) throws(GatewayError) {
        state = stored ?? StoredState()
        counted = state.position
        self.journal = journal
        let headers = try readHeaders()
        if stored == nil { state.epoch = 0 }
        let rows = Dictionary(state.segments.map { ($0.number, $0) }, uniquingKeysWith: { $1 })
        var segments: [Segment] = []
        for (index, header) in headers.enumerated() {
            state.epoch = max(state.epoch, header.epoch)
            // After a refused commit the next segment begins with what this one could not confirm.
            let limit = index + 1 < headers.count ? headers[index + 1].base - 1 : UInt64.max / 2
            try examine(header, row: rows[header.number], limit: limit, into: &segments)
        }
        let present = Set(headers.map(\.number))
        for var row in state.segments where !present.contains(row.number) {
            if !row.isMissing {
                report.missingSegments.append(row.fileName)
                row.isMissing = true
                row.bytes = 0
            }
            if row.end >= row.base { segments.append(row) }
        }
        state.segments = segments.sorted { $0.number < $1.number }
        state.position = max(counted, segments.map(\.end).max() ?? 0)
    }

    private mutating func readHeaders() throws(GatewayError) -> [SegmentHeader] {
        guard Files.exists(journal) else { return [] }
        var headers: [SegmentHeader] = []
        for name in try Files.names(in: journal) {
            guard let number = Segment.number(fileName: name) else { continue }
            let path = journal + "/" + name
            guard number > state.removedThrough else {
                repairs.append(.remove(path: path))
                continue
            }
            switch try SegmentReader.header(path: path) {
            case .success(let header) where header.number == number && header.base > (headers.last?.base ?? 1) - 1:
                headers.append(header)
            case .success(let header):
                setAside(path, name, "its header says number \(header.number) and base position \(header.base)")
            case .failure(.newer(let version)):
                throw GatewayError(
                    .unsupported, resource: "log \(path)", operation: "open",
                    "the segment has format version \(version), but this program knows versions up to \(JournalFormat.version): "
                        + "install a newer one; nothing was changed")
            case .failure(.damaged(let reason)): setAside(path, name, reason)
            }
        }
        return headers
    }

    private mutating func setAside(_ path: String, _ name: String, _ reason: String) {
        repairs.append(.setAside(path: path))
        report.setAside[name] = reason
    }

    private mutating func examine(_ header: SegmentHeader, row: Segment?, limit: UInt64, into segments: inout [Segment])
        throws(GatewayError)
    {
        let path = journal + "/" + Segment.fileName(header.number)
        let size = Files.size(path)
        // The catalogue vouches for a segment that it has seen sealed: one with a successor, or one wholly counted.
        if let row, row.end <= counted, size == row.bytes, row.end >= row.base {
            segments.append(row)
            return
        }
        var segment = Segment(number: header.number, epoch: header.epoch, base: header.base, end: header.base - 1, bytes: size)
        let known = state.streams
        let reader = try SegmentReader(path: path, epoch: header.epoch, end: size) { known[$0]?.descriptor }
        var countedTallies = StreamTallies()
        while let record = try reader.next(after: segment.end) {
            let last: UInt64
            switch record {
            case .batch(let position, let batch):
                guard position <= limit else { continue }
                last = position
                adopt(reader.descriptors[batch.stream], as: batch.stream)
                let tags = tagCount(batch.stream)
                if position <= counted {
                    countedTallies[batch.stream, default: Tally()].add(presence: batch.presence, tagCount: tags)
                } else {
                    segment.tallies[batch.stream, default: Tally()].add(presence: batch.presence, tagCount: tags)
                    state.streams[batch.stream]?.counts.add(batch, tagCount: tags)
                    state.streams[batch.stream]?.suppressedSinceBatch = 0
                }
                segment.include(time: batch.time)
            case .loss(let loss):
                guard loss.last <= limit else { continue }
                last = loss.last
                if last <= counted { countedTallies += loss.tallies } else { replay(loss, into: &segment) }
            case .descriptor: continue
            }
            if last > counted { report.replayedRecords += 1 }
            segment.end = last
        }
        let torn = size - reader.wholeThrough
        report.damagedBytes += reader.damagedBytes - (reader.offset == size && torn > 0 ? torn : 0)
        if torn > 0 {
            report.tornBytes += torn
            report.tornRecords += 1
            repairs.append(.cut(path: path, bytes: reader.wholeThrough))
        }
        segment.bytes = reader.wholeThrough
        if let row {
            // What the catalogue has counted and the file no longer shows stays part of the segment: as a gap.
            segment.end = max(segment.end, min(row.end, limit))
            segment.tallies += row.tallies
        } else {
            segment.tallies += countedTallies
        }
        guard segment.end >= segment.base else {
            repairs.append(.remove(path: path))
            return
        }
        segments.append(segment)
        if segment.end > counted { repairs.append(.confirm(path: path, from: min(row?.bytes ?? 0, segment.bytes))) }
    }

    private mutating func replay(_ loss: Loss, into segment: inout Segment) {
        for (stream, counts) in loss.counts where state.streams[stream] != nil {
            segment.tallies[stream, default: Tally()] += counts.stored
            state.streams[stream]?.counts += counts
            state.streams[stream]?.lost += counts.stored
            state.streams[stream]?.suppressedSinceBatch = 0
        }
    }

    private mutating func adopt(_ descriptor: StreamDescriptor?, as stream: StreamID) {
        guard state.streams[stream] == nil, let descriptor else { return }
        state.streams[stream] = StoredState.Stream(descriptor: descriptor)
    }

    private func tagCount(_ stream: StreamID) -> Int { state.streams[stream]?.descriptor.tags.count ?? 0 }

    /// Carries out the repairs.
    func repair(on disk: any StoreDisk) throws(GatewayError) {
        guard !repairs.isEmpty else { return }
        for repair in repairs {
            switch repair {
            case .cut(let path, let bytes): try Files.cut(path, to: bytes, on: disk)
            case .setAside(let path): try Files.rename(path, to: path + ".damaged", on: disk)
            case .remove(let path): try Files.remove(path, on: disk)
            case .confirm(let path, let start): try confirm(path, from: start, on: disk)
            }
        }
        try Files.synchronizeFolder(journal, on: disk)
    }

    /// Has the disk confirm what the last process wrote and no commit of its may have confirmed: readers will be given it.
    ///
    /// After a refused `fdatasync` the system may show bytes that never reached the disk and call the next synchronization a success, so
    /// they are written again, the same in the same place. A disk too full even for that keeps no log closed.
    private func confirm(_ path: String, from start: Int, on disk: any StoreDisk) throws(GatewayError) {
        do throws(GatewayError) {
            let file = try OpenFile(opening: path, on: disk)
            var offset = start
            while true {
                let bytes = try file.bytes(at: offset, count: Recovery.pieceBytes)
                if bytes.isEmpty { break }
                try file.write(bytes, at: offset, on: disk)
                offset += bytes.count
            }
            try file.synchronize(on: disk)
        } catch  where error.code == .storageFull {
            return
        }
    }

    /// Bytes that are written again at a time.
    private static let pieceBytes = 1 << 20
}
