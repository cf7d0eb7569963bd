internal import DequeModule
internal import Telemetry

/// An entry that a cursor's reader was given.
struct CursorItem {
    enum Content {
        case batch(StreamID, presence: [UInt64])
        case gap(StreamTallies)
    }
    var position: UInt64
    var content: Content
    var samples: UInt64
    /// Of a batch.
    var time: Timestamp?
    var isRefused = false
}

/// What was read on one lane of a cursor and is not in its tallies yet, in the order of positions.
struct CursorLane {
    /// The first `acknowledgedCount` of them are acknowledged.
    private var items = Deque<CursorItem>()
    private var acknowledgedCount = 0

    var unacknowledgedCount: Int { items.count - acknowledgedCount }
    var isAllAcknowledged: Bool { acknowledgedCount == items.count }
    var firstUnacknowledged: CursorItem? { isAllAcknowledged ? nil : items[acknowledgedCount] }

    mutating func append(_ item: CursorItem) { items.append(item) }

    /// Returns how many samples that settles, and the time of the last batch among them.
    mutating func acknowledge(through position: UInt64) -> (samples: UInt64, time: Timestamp?) {
        var settled: (samples: UInt64, time: Timestamp?) = (0, nil)
        while acknowledgedCount < items.count, items[acknowledgedCount].position <= position {
            settled.samples &+= items[acknowledgedCount].samples
            settled.time = items[acknowledgedCount].time ?? settled.time
            acknowledgedCount += 1
        }
        return settled
    }

    /// Marks a batch that is not acknowledged; any other position is left alone.
    mutating func refuse(_ position: UInt64) {
        let index = items.partitioningIndex { $0.position >= position }
        guard index >= acknowledgedCount, index < items.count, items[index].position == position else { return }
        if case .batch = items[index].content { items[index].isRefused = true }
    }

    /// The oldest one, if it is acknowledged and not beyond a position.
    mutating func popAcknowledged(through position: UInt64) -> CursorItem? {
        guard acknowledgedCount > 0, items[0].position <= position else { return nil }
        acknowledgedCount -= 1
        return items.removeFirst()
    }

    /// Takes away what is not acknowledged: it will be read again.
    mutating func rewind() { while !isAllAcknowledged { items.removeLast() } }

    /// Takes away what was evicted; what of it was acknowledged is in the tallies already.
    mutating func evict(through position: UInt64) {
        while !items.isEmpty, items[0].position <= position { items.removeFirst() }
    }

    func forEachAcknowledged(_ body: (CursorItem) -> Void) { for index in 0..<acknowledgedCount { body(items[index]) } }

    /// What was read and is not acknowledged, up to a position.
    func unacknowledged(through position: UInt64, tagCount: (StreamID) -> Int) -> StreamTallies {
        var sum = StreamTallies()
        for index in acknowledgedCount..<items.count where items[index].position <= position {
            switch items[index].content {
            case .batch(let stream, let presence): sum[stream, default: Tally()].add(presence: presence, tagCount: tagCount(stream))
            case .gap(let lost): sum += lost
            }
        }
        return sum
    }
}
