internal import Telemetry

/// What became of one stream's samples for one cursor.
package struct CursorTally: Sendable, Hashable {
    /// Stored before the cursor began: not its concern.
    package var skipped = Tally()
    package var acknowledged = Tally()
    /// Gone before the cursor had acknowledged them.
    package var evicted = Tally()

    package init() {}

    /// Everything the cursor is done with.
    var settled: Tally {
        var sum = skipped
        sum += acknowledged
        sum += evicted
        return sum
    }
}

/// One cursor's place and counts. Decides only; the log around it does the reading.
struct CursorState {
    struct Item {
        enum Content {
            case batch(StreamID, presence: [UInt64])
            case gap(StreamTallies)
        }
        var position: UInt64
        var content: Content
        var samples: UInt64
    }

    let name: String
    /// Everything through here is acknowledged or evicted.
    private(set) var acknowledged: UInt64
    /// Everything through here was read.
    private(set) var read: UInt64
    /// Everything through here is in the tallies: acknowledged, and on disk.
    private(set) var folded: UInt64
    /// Samples evicted right up to `acknowledged`, of which the reader does not know yet.
    private(set) var gap: UInt64
    private var gapIsDelivered = false
    /// Read, and not yet in the tallies; the first `acknowledgedItems` of them are acknowledged.
    private var items = Deque<Item>()
    private var acknowledgedItems = 0
    private(set) var tallies: [StreamID: CursorTally]
    /// Samples that are skipped, acknowledged or evicted.
    private(set) var settledSamples: UInt64
    /// The snapshot may hold the cursor only from this durable position on: what it skipped must be on disk.
    let since: UInt64
    var isOpen = false

    /// How many entries may be read and not acknowledged.
    static let itemsMax = 262_144

    init(name: String, at position: UInt64, gap: UInt64 = 0, tallies: [StreamID: CursorTally], settledSamples: UInt64, since: UInt64 = 0) {
        self.name = name
        acknowledged = position
        read = position
        folded = position
        self.gap = gap
        self.tallies = tallies
        self.settledSamples = settledSamples
        self.since = since
    }

    var unacknowledgedItems: Int { items.count - acknowledgedItems }

    /// The gap to tell the reader of before anything else; telling it is done once, until the cursor is rewound.
    mutating func takeGap() -> (position: UInt64, samples: UInt64)? {
        guard gap > 0, !gapIsDelivered, read == acknowledged else { return nil }
        gapIsDelivered = true
        return (acknowledged, gap)
    }

    mutating func didRead(_ item: Item) {
        items.append(item)
        read = item.position
    }

    /// Jumps over positions that hold nothing for a reader.
    mutating func skip(through position: UInt64) { read = max(read, position) }

    mutating func acknowledge(through position: UInt64, durable: UInt64, tagCount: (StreamID) -> Int) {
        let position = min(position, read)
        guard position >= acknowledged else { return }
        if position > acknowledged || gapIsDelivered { gap = 0 }
        acknowledged = position
        while acknowledgedItems < items.count, items[acknowledgedItems].position <= position {
            settledSamples &+= items[acknowledgedItems].samples
            acknowledgedItems += 1
        }
        fold(durable: durable, tagCount: tagCount)
    }

    /// Moves into the tallies what is acknowledged and on disk.
    mutating func fold(durable: UInt64, tagCount: (StreamID) -> Int) {
        let limit = min(acknowledged, durable)
        while let item = items.first, item.position <= limit {
            CursorState.add(item, to: &tallies, tagCount: tagCount)
            items.popFirst()
            acknowledgedItems -= 1
        }
        folded = max(folded, limit)
    }

    mutating func rewind() {
        while items.count > acknowledgedItems { items.popLast() }
        read = acknowledged
        gapIsDelivered = false
    }

    /// Counts what retention took away, through `position`; `lost` is all of it that lies beyond `acknowledged`.
    mutating func evict(through position: UInt64, lost: StreamTallies, tagCount: (StreamID) -> Int) {
        guard position > acknowledged else { return }
        fold(durable: position, tagCount: tagCount)
        while let item = items.first, item.position <= position { items.popFirst() }
        var samples: UInt64 = 0
        for (stream, tally) in lost {
            tallies[stream, default: CursorTally()].evicted += tally
            samples &+= tally.samples(of: tagCount(stream))
        }
        settledSamples &+= samples
        gap &+= samples
        acknowledged = position
        folded = position
        if read <= position {
            read = position
            gapIsDelivered = false
        } else {
            gapIsDelivered = true
        }
    }

    /// The tallies as they are now, with what is acknowledged and not yet on disk.
    func currentTallies(tagCount: (StreamID) -> Int) -> [StreamID: CursorTally] {
        var current = tallies
        for index in 0..<acknowledgedItems { CursorState.add(items[index], to: &current, tagCount: tagCount) }
        return current
    }

    /// All samples through `acknowledged`: skipped, acknowledged or evicted.
    func settledTallies(tagCount: (StreamID) -> Int) -> StreamTallies { currentTallies(tagCount: tagCount).mapValues(\.settled) }

    /// All samples through `read`, acknowledged or not.
    func readTallies(tagCount: (StreamID) -> Int) -> StreamTallies {
        var current = tallies
        for index in 0..<items.count { CursorState.add(items[index], to: &current, tagCount: tagCount) }
        return current.mapValues(\.settled)
    }

    private static func add(_ item: Item, to tallies: inout [StreamID: CursorTally], tagCount: (StreamID) -> Int) {
        switch item.content {
        case .batch(let stream, let presence):
            tallies[stream, default: CursorTally()].acknowledged.add(presence: presence, tagCount: tagCount(stream))
        case .gap(let lost):
            for (stream, tally) in lost { tallies[stream, default: CursorTally()].evicted += tally }
        }
    }
}
