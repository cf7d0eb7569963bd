internal import DequeModule
internal import Telemetry

/// The newest entries of the log, in memory: all that are not on disk, and as many of the others as fit the limit.
struct MemoryTail {
    struct Entry {
        enum Content {
            case batch(SampleBatch)
            case loss(Loss)
        }
        var first: UInt64
        var last: UInt64
        var content: Content
        /// Bytes of memory, about.
        var cost: Int

        /// Bytes of its record, about: a loss counts tag by tag.
        var recordBytes: Int {
            switch content {
            case .batch(let batch): batch.values.count + batch.presence.count * 8 + batch.quality.count * 8
            case .loss(let loss): loss.counts.reduce(0) { $0 + 40 + 8 * $1.value.stored.present.count }
            }
        }
    }

    /// In order of position, without a hole.
    private(set) var entries = Deque<Entry>()
    private(set) var bytes = 0
    /// Everything through here that is still uncommitted is a loss.
    private var givenUpThrough: UInt64 = 0
    private var losses = 0
    private var lossesBeforeMerging = MemoryTail.lossesMin
    let limit: Int

    init(limit: Int) { self.limit = limit }

    /// How many losses stand singly before neighbours are merged.
    private static let lossesMin = 4096
    /// Memory of an entry beside its arrays, and of a loss.
    private static let entryCost = 160
    private static let lossCost = 320

    mutating func append(_ batch: SampleBatch, at position: UInt64) {
        let cost = MemoryTail.entryCost + batch.values.count + batch.presence.count * 8 + batch.quality.count * 16
        entries.append(Entry(first: position, last: position, content: .batch(batch), cost: cost))
        bytes += cost
    }

    /// Index of the first entry after a position; `entries.count` if there is none.
    func index(after position: UInt64) -> Int { entries.partitioningIndex { $0.last > position } }

    /// Brings the memory back under its limit: first what is on disk is let go, then the oldest batches lose their values.
    ///
    /// Batches through `inFlight` are being written and stay. Returns what was given up.
    mutating func trim(durable: UInt64, inFlight: UInt64, tagCount: (StreamID) -> Int) -> [StreamID: StreamCounts] {
        while bytes > limit, !entries.isEmpty, entries[0].last <= durable {
            let first = entries.removeFirst()
            bytes -= first.cost
            if case .loss = first.content { losses -= 1 }
        }
        var given: [StreamID: StreamCounts] = [:]
        guard bytes > limit else { return given }
        var index = index(after: max(durable, inFlight, givenUpThrough))
        // The newest entry stays whatever its size: a waiting reader is about to be given it.
        while bytes > limit, index < entries.count - 1 {
            var entry = entries[index]
            if case .batch(let batch) = entry.content {
                var counts = StreamCounts()
                counts.add(batch, tagCount: tagCount(batch.stream))
                given[batch.stream, default: StreamCounts()] += counts
                bytes -= entry.cost
                entry.content = .loss(Loss(first: entry.first, last: entry.last, counts: [batch.stream: counts]))
                entry.cost = MemoryTail.lossCost
                bytes += entry.cost
                losses += 1
                entries[index] = entry
            }
            givenUpThrough = entry.last
            index += 1
        }
        return given
    }

    /// Whether so many losses stand singly that `merge` is due.
    var hasManyLosses: Bool { losses > lossesBeforeMerging }

    /// Makes one of neighbouring losses that no reader stands within, so that a disk that is gone for days costs little memory.
    ///
    /// `reading` holds, for every cursor, what it has acknowledged and how far it has read: positions between the two stay single,
    /// because any of them may be acknowledged.
    mutating func merge(inFlight: UInt64, reading: [(acknowledged: UInt64, read: UInt64)]) {
        var merged = Deque<Entry>()
        bytes = 0
        losses = 0
        func isFree(_ entry: Entry) -> Bool {
            entry.last > inFlight && reading.allSatisfy { entry.last <= $0.acknowledged || entry.first > $0.read }
        }
        func separates(_ boundary: UInt64) -> Bool { reading.contains { $0.acknowledged == boundary || $0.read == boundary } }
        while let entry = entries.popFirst() {
            if case .loss(let loss) = entry.content, isFree(entry), let before = merged.last, case .loss(var sum) = before.content,
                isFree(before), !separates(before.last)
            {
                sum.last = loss.last
                for (stream, counts) in loss.counts { sum.counts[stream, default: StreamCounts()] += counts }
                let cost = MemoryTail.lossCost * sum.counts.count
                bytes += cost - before.cost
                merged[merged.count - 1] = Entry(first: before.first, last: loss.last, content: .loss(sum), cost: cost)
            } else {
                if case .loss = entry.content { losses += 1 }
                bytes += entry.cost
                merged.append(entry)
            }
        }
        entries = merged
        lossesBeforeMerging = max(MemoryTail.lossesMin, losses * 2)
    }
}
