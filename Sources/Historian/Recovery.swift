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
    /// Newest files that were begun and got no header, so that nothing can have been confirmed in them: removed.
    package var unfinished: [String] = []
    /// Segments that the catalogue knows and the journal has not.
    package var missingSegments: [String] = []
    /// The catalogue was lost or damaged and was made again from the journal.
    package var catalogueRebuilt = false
    /// Records that were on disk and not yet in the catalogue's counts.
    package var replayedRecords = 0

    package init() {}

    /// Takes over what another look found.
    mutating func merge(_ other: RecoveryReport) {
        tornBytes += other.tornBytes
        tornRecords += other.tornRecords
        damagedBytes += other.damagedBytes
        setAside.merge(other.setAside) { $1 }
        unfinished += other.unfinished
        missingSegments += other.missingSegments
        replayedRecords += other.replayedRecords
    }

    package var isClean: Bool {
        tornBytes == 0 && damagedBytes == 0 && setAside.isEmpty && unfinished.isEmpty && missingSegments.isEmpty && !catalogueRebuilt
    }
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
        let read = state.cursors.values.map { $0.ahead.last?.through ?? $0.position }.max() ?? 0
        return max(written, read, state.position) + 1
    }

    /// Looks at all segments of `journal` that `stored` does not vouch for.
    ///
    /// `stored` is `nil` where the database was lost. Throws `.unsupported` for a segment of a newer version.
    init(stored: StoredState?, folder: String, journal: String) throws(GatewayError) {
        state = stored ?? StoredState()
        counted = state.position
        self.journal = journal
        let files = try readHeaders(newestKnown: stored?.segments.last?.number ?? (stored == nil ? .max : 0))
        if stored == nil { state.epoch = 0 }
        if stored == nil || files.contains(where: { file in file.rank > 0 && !state.segments.contains { file.isNamed(by: $0) } }) {
            // The catalogue's own file, then: blocks do not describe their streams.
            for (id, descriptor) in try CatalogueFile.read(folder: folder) { adopt(descriptor, as: id) }
        }
        let rows = Dictionary(state.segments.map { ($0.number, $0) }, uniquingKeysWith: { $1 })
        var segments: [Segment] = []
        for (index, file) in files.enumerated() {
            state.epoch = max(state.epoch, file.epoch)
            // After a refused commit the next segment begins with what this one could not confirm.
            let limit = index + 1 < files.count ? files[index + 1].base - 1 : UInt64.max / 2
            try examine(file, row: rows[file.number].flatMap { file.isNamed(by: $0) ? $0 : nil }, limit: limit, into: &segments)
        }
        for var row in state.segments where !files.contains(where: { $0.isNamed(by: row) || $0.standsFor(row) }) {
            if !row.isMissing {
                report.missingSegments.append(row.fileName)
                row.isMissing = true
                row.bytes = 0
            }
            row.lost = row.lost ?? [:]
            if row.end >= row.base { segments.append(row) }
        }
        state.segments = segments.sorted { $0.number < $1.number }
        state.position = max(counted, segments.map(\.end).max() ?? 0)
        let stored = state.storedSamples
        for (name, cursor) in state.cursors {
            let settled = state.settledSamples(of: cursor) &- cursor.settledAhead
            state.cursors[name]?.outages = cursor.outages.recovered(settled: settled, stored: stored &- cursor.settledAhead)
        }
        state.clock.removeUnreached(after: state.position)
    }

    /// What the head of a file of the journal says.
    private struct LogFile {
        var name: String
        var number: UInt64
        var firstNumber: UInt64
        var epoch: UInt32
        var base: UInt64
        /// The last position; a segment does not know it yet.
        var end: UInt64?
        /// 0 for a segment, 1 for a block, more for a thinned one.
        var rank: UInt8

        func isNamed(by row: Segment) -> Bool { row.fileName == name }
        /// Whether it has what a row of the catalogue counts, or part of it.
        func standsFor(_ row: Segment) -> Bool { firstNumber <= row.number && row.firstNumber <= number }
        /// How many segments it can stand for.
        var span: UInt64 { number - firstNumber }
        /// Whether both stand for a segment.
        func overlaps(_ other: LogFile) -> Bool { firstNumber <= other.number && other.firstNumber <= number }
    }

    /// `newestKnown` is the number of the newest segment that the catalogue knows; the highest number there is where it knows nothing any more.
    private mutating func readHeaders(newestKnown: UInt64) throws(GatewayError) -> [LogFile] {
        guard Files.exists(journal) else { return [] }
        var files: [LogFile] = []
        for name in try Files.names(in: journal) {
            let path = journal + "/" + name
            if name.hasSuffix(".block" + BlockWriter.unfinished) {
                repairs.append(.remove(path: path))
                continue
            }
            guard let number = Segment.number(fileName: name) ?? BlockFormat.parse(fileName: name)?.number else { continue }
            guard number > state.removedThrough else {
                repairs.append(.remove(path: path))
                continue
            }
            switch try Recovery.header(of: name, path: path) {
            case .success(let file) where file.number == number: files.append(file)
            case .success(let file): setAside(path, name, "its header says number \(file.number)")
            case .failure(.newer(let version)):
                throw GatewayError(
                    .unsupported, resource: "log \(path)", operation: "open",
                    "the file has format version \(version), but this program knows segments up to version \(JournalFormat.version) and blocks "
                        + "up to version \(BlockFormat.version): install a newer one; nothing was changed")
            case .failure(.damaged)
            where Segment.number(fileName: name) != nil && number > newestKnown && Files.isFile(path)
                && Files.size(path) < JournalFormat.segmentHeaderBytes:
                // A process ended between making the file and writing its first bytes. Blocks get their name when they are whole.
                repairs.append(.remove(path: path))
                report.unfinished.append(name)
            case .failure(.damaged(let reason)): setAside(path, name, reason)
            }
        }
        return inOrder(withoutReplaced(files))
    }

    private static func header(of name: String, path: String) throws(GatewayError) -> Result<LogFile, SegmentHeader.Refusal> {
        if let block = BlockFormat.parse(fileName: name) {
            return try BlockReader.header(path: path)
                .flatMap { header in
                    guard header.level == block.level else { return .failure(.damaged("its header says level \(header.level)")) }
                    return .success(
                        LogFile(
                            name: name, number: header.number, firstNumber: header.firstNumber, epoch: header.epoch, base: header.base,
                            end: header.end, rank: header.level + 1))
                }
        }
        return try SegmentReader.header(path: path)
            .map { header in
                LogFile(
                    name: name, number: header.number, firstNumber: header.number, epoch: header.epoch, base: header.base, end: nil, rank: 0
                )
            }
    }

    /// Where a file and those that it was made of are both there, as a process leaves them that ends or is refused in between, one side is
    /// removed.
    ///
    /// What the catalogue names stays. Among files that it does not name, a block gives way to its parts while the oldest of them is there:
    /// they are removed oldest first, and only when the catalogue names the block. Of two tries to seal, the larger one stays.
    private mutating func withoutReplaced(_ files: [LogFile]) -> [LogFile] {
        let named = files.filter { file in state.segments.contains { file.isNamed(by: $0) } }
        var kept = files.filter { file in
            !named.contains { $0.name != file.name && $0.overlaps(file) } || named.contains { $0.name == file.name }
        }
        for block in kept.sorted(by: { ($0.rank, $1.span) < ($1.rank, $0.span) }) where block.rank > 0 {
            guard kept.contains(where: { $0.name == block.name }), !named.contains(where: { $0.name == block.name }) else { continue }
            let parts = kept.filter { $0.name != block.name && $0.overlaps(block) }
            let isWhole = parts.contains { $0.rank < block.rank && $0.firstNumber == block.firstNumber }
            let leaving = isWhole ? [block] : parts
            kept.removeAll { file in leaving.contains { $0.name == file.name } }
        }
        for file in files where !kept.contains(where: { $0.name == file.name }) { repairs.append(.remove(path: journal + "/" + file.name)) }
        return kept
    }

    /// Files whose positions go on where those of the file before ended; others are set aside.
    private mutating func inOrder(_ files: [LogFile]) -> [LogFile] {
        var ordered: [LogFile] = []
        for file in files.sorted(by: { $0.number < $1.number }) {
            if let before = ordered.last, file.base < before.base || before.end.map({ file.base <= $0 }) ?? false {
                setAside(
                    journal + "/" + file.name, file.name, "its header says base position \(file.base), after \(before.end ?? before.base)")
            } else {
                ordered.append(file)
            }
        }
        return ordered
    }

    private mutating func setAside(_ path: String, _ name: String, _ reason: String) {
        repairs.append(.setAside(path: path))
        report.setAside[name] = reason
    }

    private mutating func examine(_ header: LogFile, row: Segment?, limit: UInt64, into segments: inout [Segment]) throws(GatewayError) {
        let path = journal + "/" + header.name
        let size = Files.size(path)
        // The catalogue vouches for a segment that it has seen sealed: one with a successor, or one wholly counted.
        if var row, row.end <= counted, size == row.bytes, row.end >= row.base {
            if row.lost == nil { row.lost = try lost(in: row) }
            segments.append(row)
            return
        }
        if header.rank > 0 { return try examineBlock(header, row: row, path: path, size: size, into: &segments) }
        var segment = Segment(number: header.number, epoch: header.epoch, base: header.base, end: header.base - 1, bytes: size)
        let known = state.streams
        let reader = try SegmentReader(path: path, epoch: header.epoch, end: size) { known[$0]?.descriptor }
        var countedTallies = StreamTallies()
        var countedLost = StreamTallies()
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
                if last <= counted {
                    countedTallies += loss.tallies
                    countedLost += loss.tallies
                } else {
                    replay(loss, into: &segment)
                }
            case .descriptor, .clock: continue
            }
            if last > counted { report.replayedRecords += 1 }
            segment.end = last
        }
        for statement in reader.statements { state.clock.take(statement) }
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
        segment.lost = (segment.lost ?? [:]).adding(row?.lost ?? countedLost)
        guard segment.end >= segment.base else {
            repairs.append(.remove(path: path))
            return
        }
        segments.append(segment)
        if segment.end > counted { repairs.append(.confirm(path: path, from: min(row?.bytes ?? 0, segment.bytes))) }
    }

    /// A block that the catalogue does not vouch for: changed since, or found without a catalogue.
    private mutating func examineBlock(
        _ file: LogFile, row: Segment?, path: String, size: Int, into segments: inout [Segment]
    ) throws(GatewayError) {
        if var row {
            // Its size is wrong. What can be read still can be; the rest becomes a gap.
            row.bytes = size
            segments.append(row)
            report.damagedBytes += 1
            return
        }
        var segment = Segment(number: file.number, epoch: file.epoch, base: file.base, end: file.end ?? file.base, bytes: size)
        segment.firstNumber = file.firstNumber
        segment.isSealed = true
        segment.level = file.rank - 1
        // A database that has gone back to an earlier state still has the rows of what the block was made of. What they count and the block
        // does not show, because it was thinned, is not there singly any more: a gap.
        let parts = state.segments.filter { file.standsFor($0) }
        for part in parts {
            segment.tallies += part.tallies
            segment.lost = (segment.lost ?? [:]).adding(part.lost ?? [:])
        }
        let known = state.streams
        let reader = try BlockReader(path: path) { known[$0]?.descriptor }
        for statement in reader.statements { state.clock.take(statement) }
        let records = BlockRecords(reader)
        var seen = segment.base - 1
        while let record = try records.next(after: seen) {
            switch record {
            case .batch(let position, let batch):
                seen = position
                let tags = tagCount(batch.stream)
                if position > counted || parts.isEmpty {
                    segment.tallies[batch.stream, default: Tally()].add(presence: batch.presence, tagCount: tags)
                }
                if position > counted {
                    state.streams[batch.stream]?.counts.add(batch, tagCount: tags)
                    report.replayedRecords += 1
                }
                segment.include(time: batch.time)
            case .loss(let loss):
                seen = loss.last
                if loss.last > counted {
                    replay(loss, into: &segment)
                } else if parts.isEmpty {
                    segment.tallies += loss.tallies
                }
            case .descriptor, .clock: continue
            }
        }
        segments.append(segment)
    }

    /// What a segment's loss records count, for catalogues of a layout that did not keep it.
    private func lost(in segment: Segment) throws(GatewayError) -> StreamTallies {
        guard state.streams.values.contains(where: { !$0.lost.isEmpty }) else { return [:] }
        let known = state.streams
        let walk = try SegmentWalk(segment, journal: journal) { known[$0]?.descriptor }
        var lost = StreamTallies()
        while let entry = try walk.next(after: 0) {
            if case .loss(let loss) = entry.content { lost += loss.tallies }
        }
        return lost
    }

    private mutating func replay(_ loss: Loss, into segment: inout Segment) {
        for (stream, counts) in loss.counts where state.streams[stream] != nil {
            segment.tallies[stream, default: Tally()] += counts.stored
            segment.lost = (segment.lost ?? [:]).adding([stream: counts.stored])
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
