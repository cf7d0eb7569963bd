internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Writes one segment: entries go in, and count as written only after the disk has confirmed them.
///
/// A write or synchronization that fails ends the segment: after a failed `fdatasync` the system may have dropped the very
/// pages it failed to write and report success the next time, so that nothing written since the last confirmation can be
/// trusted (A. Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
final class SegmentWriter {
    /// With what the disk has confirmed.
    private(set) var segment: Segment
    private let file: OpenFile
    private let disk: any StoreDisk
    /// The first position of the last clock statement in it.
    private var stated: UInt64 = 0
    private var described: Set<StreamID> = []
    /// With what is written and not confirmed.
    private var written: Segment

    /// Makes the file and writes its head. What is left of a try that failed is removed again.
    init(number: UInt64, epoch: UInt32, base: UInt64, created: Timestamp, journal: String, disk: any StoreDisk) throws(GatewayError) {
        self.disk = disk
        segment = Segment(number: number, epoch: epoch, base: base, end: base - 1, bytes: 0)
        let path = journal + "/" + segment.fileName
        // A file of this number can only be the rest of a try whose removal failed too.
        file = try SegmentWriter.create(path, in: journal, on: disk)
        written = segment
        var head: [UInt8] = []
        SegmentHeader(epoch: epoch, number: number, base: base, created: created).encode(into: &head)
        do throws(GatewayError) {
            try write(head)
            try Files.synchronizeFolder(journal, on: disk)
        } catch {
            try? Files.remove(path, on: disk)
            throw error
        }
    }

    /// Makes the journal's folder anew should somebody have removed it: what comes from now on need not be lost as well.
    private static func create(_ path: String, in journal: String, on disk: any StoreDisk) throws(GatewayError) -> OpenFile {
        do throws(GatewayError) {
            return try OpenFile(creating: path, on: disk)
        } catch  where error.code == .notFound {
            try Files.createFolder(journal, on: disk)
            return try OpenFile(creating: path, on: disk)
        }
    }

    var bytes: Int { written.bytes }

    /// Appends what is said of the clock for the entries up to `last`, where the segment does not say it yet.
    func encode(_ statements: [ClockStatement], through last: UInt64, into buffer: inout [UInt8]) {
        for statement in statements where statement.first > stated && statement.first <= last {
            JournalRecord.clock(statement).encode(into: &buffer)
            stated = statement.first
        }
    }

    /// Appends an entry's records to `buffer`, its stream's description (the record of its descriptor) first where the segment has none yet.
    func encode(
        _ entry: MemoryTail.Entry, into buffer: inout [UInt8], description: (StreamID) -> [UInt8]?, tagCount: (StreamID) -> Int
    ) {
        switch entry.content {
        case .batch(let batch):
            if described.insert(batch.stream).inserted, let description = description(batch.stream) {
                buffer.append(contentsOf: description)
            }
            JournalRecord.encode(batch, at: entry.last, into: &buffer)
            written.tallies[batch.stream, default: Tally()].add(presence: batch.presence, tagCount: tagCount(batch.stream))
            written.include(time: batch.time)
        case .loss(let loss):
            for stream in loss.counts.keys.sorted() where described.insert(stream).inserted {
                if let description = description(stream) { buffer.append(contentsOf: description) }
            }
            JournalRecord.loss(loss).encode(into: &buffer)
            written.tallies += loss.tallies
            written.lost = (written.lost ?? [:]).adding(loss.tallies)
        }
        written.end = entry.last
    }

    func write(_ buffer: [UInt8]) throws(GatewayError) {
        try file.write(buffer, at: written.bytes, on: disk)
        written.bytes += buffer.count
    }

    /// Has the disk confirm what is written.
    func synchronize() throws(GatewayError) {
        try file.synchronize(on: disk)
        // Somebody removed the file: what was written since is still in memory, and goes into a new one.
        if file.isRemoved { throw .storage(ENOENT, file.path, "synchronize") }
        segment = written
    }

    /// Cuts off what was never confirmed, as far as the disk lets us; readers do not look at it either way.
    func abandon() {
        if segment.end < segment.base {
            try? Files.remove(file.path, on: disk)
        } else {
            try? Files.cut(file.path, to: segment.bytes, on: disk)
        }
    }
}
