internal import GatewayCore
internal import Telemetry

/// What became of one stream's samples for one cursor.
package struct CursorTally: Sendable, Hashable {
    /// Stored before the cursor began: not its concern.
    package var skipped = Tally()
    package var acknowledged = Tally()
    /// Gone before the cursor had acknowledged them.
    package var evicted = Tally()
    /// Passed over, because they can never be delivered.
    package var refused = Tally()

    package init() {}

    /// All that the cursor is done with.
    var settled: Tally {
        var sum = skipped
        sum += acknowledged
        sum += evicted
        sum += refused
        return sum
    }
}

/// What of a stored sample's account depends on its cursor: its tallies, its outages, and what was settled ahead of its turn.
struct CursorAccount: Sendable {
    var tallies: [StreamID: CursorTally]
    var outages: OutageBook
    /// Samples that were settled on a live lane. They waited for nobody: ordinals of outages count the others only.
    var settledAhead: UInt64

    fileprivate mutating func add(_ item: CursorItem, isAhead: Bool, tagCount: (StreamID) -> Int) {
        switch item.content {
        case .batch(let stream, let presence) where item.isRefused:
            tallies[stream, default: CursorTally()].refused.add(presence: presence, tagCount: tagCount(stream))
        case .batch(let stream, let presence):
            tallies[stream, default: CursorTally()].acknowledged.add(presence: presence, tagCount: tagCount(stream))
        case .gap(let lost):
            for (stream, tally) in lost { tallies[stream, default: CursorTally()].evicted += tally }
        }
        if isAhead {
            settledAhead &+= item.samples
        } else if case .gap = item.content {
            outages.settle(item.samples, .lost)
        } else {
            outages.settle(item.samples, item.isRefused ? .refused : .delivered)
        }
    }

    /// What the reader is done with.
    var settled: StreamTallies { tallies.mapValues(\.settled) }
}

/// One cursor's place and counts. Decides only; the log around it does the reading.
struct CursorState {
    /// What is read beside the backlog.
    struct LiveLane {
        /// Where it begins: after the entry that was the newest then.
        var start: UInt64
        /// Everything from there through here is acknowledged.
        var acknowledged: UInt64
        /// Everything from there through here was read.
        var read: UInt64
        /// The ordinal after the last sample of the backlog.
        var ordinal: UInt64
    }

    let name: String
    /// Everything through here is acknowledged or evicted.
    private(set) var acknowledged: UInt64
    /// The backlog lane has read everything through here, but for what is `ahead` or on the live lane.
    private(set) var read: UInt64
    /// Acknowledged on live lanes that have ended; in order, and beyond `acknowledged`.
    private(set) var ahead: [PositionRange]
    private(set) var live: LiveLane?
    /// Everything through here is in the tallies: acknowledged, and on disk.
    private(set) var folded: UInt64
    /// Samples evicted right up to `acknowledged`, of which the reader does not know yet.
    private(set) var gap: UInt64
    private var gapIsDelivered = false
    /// Where it was delivered.
    private var gapPosition: UInt64 = 0
    private var backlogItems = CursorLane()
    private var liveItems = CursorLane()
    /// With what is acknowledged and on disk.
    private(set) var account: CursorAccount
    /// Samples that are skipped, acknowledged, refused or evicted.
    private(set) var settledSamples: UInt64
    /// Of these: on a live lane.
    private var settledAhead: UInt64
    /// Of the last batch that was acknowledged on the backlog lane.
    private(set) var acknowledgedTime: Timestamp?
    /// The snapshot may hold the cursor only from this durable position on: what it skipped must be on disk.
    let since: UInt64
    var isOpen = false
    /// When it was said that nobody will read with it any more: it keeps nothing from removal.
    var releasedAt: Timestamp?
    /// Grows with everything that lets a lane go on which has come to its end.
    private(set) var laneChanges: UInt64 = 0

    /// How many entries may be read and not acknowledged.
    static let itemsMax = 262_144
    /// How many ranges may be acknowledged ahead of the backlog.
    static let aheadMax = 64

    /// `outages` is `nil` for a cursor that is new.
    init(
        name: String, at position: UInt64, gap: UInt64 = 0, ahead: [PositionRange] = [], tallies: [StreamID: CursorTally],
        settledSamples: UInt64, settledAhead: UInt64 = 0, outages: OutageBook? = nil, since: UInt64 = 0
    ) {
        self.name = name
        acknowledged = position
        read = position
        folded = position
        self.ahead = ahead
        self.gap = gap
        account = CursorAccount(
            tallies: tallies, outages: outages ?? OutageBook(settled: settledSamples), settledAhead: settledAhead)
        self.settledSamples = settledSamples
        self.settledAhead = settledAhead
        self.since = since
        mergeAhead()
    }

    /// Whether a segment may go, or be thinned, as far as this cursor is concerned.
    func isDone(with segment: Segment) -> Bool { folded >= segment.end || releasedAt != nil }

    var unacknowledgedItems: Int { backlogItems.unacknowledgedCount + liveItems.unacknowledgedCount }

    /// What the reader is done with.
    var settled: PositionSet {
        PositionSet(through: acknowledged, ranges: aheadWithLive)
    }

    /// What the reader was given.
    var given: PositionSet {
        var set = PositionSet(through: read, ranges: ahead.filter { $0.through > read })
        if let live, live.read > live.start, live.read > read { set.ranges.append(PositionRange(after: live.start, through: live.read)) }
        return set
    }

    /// Places that entries must not reach across, and between whose two any entry may be acknowledged singly.
    var spans: [(acknowledged: UInt64, read: UInt64)] {
        var spans = [(acknowledged: acknowledged, read: read)]
        for range in ahead { spans += [(range.after, range.after), (range.through, range.through)] }
        if let live { spans += [(live.start, live.start), (live.acknowledged, live.read)] }
        return spans
    }

    // MARK: - Reading

    /// The gap to tell the reader of before anything else of the backlog; telling it is done once, until the cursor is rewound.
    mutating func takeGap() -> (position: UInt64, samples: UInt64)? {
        guard gap > 0, !gapIsDelivered, read == acknowledged else { return nil }
        gapIsDelivered = true
        gapPosition = acknowledged
        return (acknowledged, gap)
    }

    /// The positions that a lane is to read next, in a log whose newest one is `last`; `nil` where it has come to its end for now.
    mutating func next(on lane: LogLane, last: UInt64) -> PositionRange? {
        var next: PositionRange
        switch lane {
        case .live:
            guard let live else { return nil }
            next = PositionRange(after: live.read, through: last)
        case .backlog:
            for range in ahead where range.after <= read { read = max(read, range.through) }
            next = PositionRange(after: read, through: last)
            if let live { next.through = min(next.through, live.start) }
            if let range = ahead.first(where: { $0.after > read }) { next.through = min(next.through, range.after) }
        }
        return next.after < next.through ? next : nil
    }

    /// How far a lane has read.
    func place(on lane: LogLane) -> UInt64? { lane == .backlog ? read : live?.read }

    mutating func didRead(_ item: CursorItem, on lane: LogLane) {
        if lane == .live { liveItems.append(item) } else { backlogItems.append(item) }
        skip(through: item.position, on: lane)
    }

    /// Jumps over positions that hold nothing for a reader.
    mutating func skip(through position: UInt64, on lane: LogLane) {
        if lane == .backlog {
            read = max(read, position)
        } else if let place = live?.read {
            live?.read = max(place, position)
        }
    }

    // MARK: - Acknowledging

    mutating func acknowledge(_ lane: LogLane, through position: UInt64, durable: UInt64, tagCount: (StreamID) -> Int) {
        switch lane {
        case .backlog:
            let position = min(position, read)
            if gapIsDelivered, position >= gapPosition { gap = 0 }
            guard position >= acknowledged else { return }
            let settled = backlogItems.acknowledge(through: position)
            settledSamples &+= settled.samples
            acknowledgedTime = settled.time ?? acknowledgedTime
            acknowledged = backlogItems.isAllAcknowledged ? read : position
        case .live:
            guard var lane = live, position > lane.start else { return }
            let settled = liveItems.acknowledge(through: min(position, lane.read))
            settledSamples &+= settled.samples
            settledAhead &+= settled.samples
            lane.acknowledged = liveItems.isAllAcknowledged ? lane.read : max(lane.acknowledged, min(position, lane.read))
            live = lane
        }
        mergeAhead()
        fold(durable: durable, tagCount: tagCount)
    }

    /// Marks an entry that was read and is not acknowledged; any other position is left alone.
    mutating func refuse(_ position: UInt64) {
        backlogItems.refuse(position)
        liveItems.refuse(position)
    }

    /// What is acknowledged ahead, and the backlog has come to, is not ahead any more.
    private mutating func mergeAhead() {
        while let first = ahead.first, first.after <= acknowledged {
            acknowledged = max(acknowledged, first.through)
            ahead.removeFirst()
        }
        if let live, live.start <= acknowledged { acknowledged = max(acknowledged, live.acknowledged) }
        read = max(read, acknowledged)
    }

    /// Moves into the tallies what is acknowledged and on disk.
    mutating func fold(durable: UInt64, tagCount: (StreamID) -> Int) {
        while let item = backlogItems.popAcknowledged(through: durable) { account.add(item, isAhead: false, tagCount: tagCount) }
        while let item = liveItems.popAcknowledged(through: durable) { account.add(item, isAhead: true, tagCount: tagCount) }
        folded = max(folded, min(acknowledged, durable))
    }

    /// The account as it is now, with what is acknowledged and not yet on disk.
    func currentAccount(tagCount: (StreamID) -> Int) -> CursorAccount {
        var current = account
        backlogItems.forEachAcknowledged { current.add($0, isAhead: false, tagCount: tagCount) }
        liveItems.forEachAcknowledged { current.add($0, isAhead: true, tagCount: tagCount) }
        return current
    }

    /// Samples that were read, up to a position, and are not acknowledged.
    func unacknowledged(through position: UInt64, tagCount: (StreamID) -> Int) -> StreamTallies {
        backlogItems.unacknowledged(through: position, tagCount: tagCount)
            .adding(liveItems.unacknowledged(through: position, tagCount: tagCount))
    }

    // MARK: - Lanes

    /// `last` is the newest position, and `stored` the number of samples up to it.
    mutating func beginLiveLane(after last: UInt64, stored: UInt64) -> Bool {
        guard ahead.count + (isLiveAhead ? 1 : 0) < CursorState.aheadMax else { return false }
        endLiveLane()
        live = LiveLane(start: last, acknowledged: last, read: last, ordinal: stored &- settledAhead)
        mergeAhead()
        return true
    }

    private var isLiveAhead: Bool { live.map { $0.start > acknowledged && $0.acknowledged > $0.start } ?? false }

    /// With what is acknowledged on the live lane.
    private var aheadWithLive: [PositionRange] {
        guard let live, isLiveAhead else { return ahead }
        var ahead = ahead
        if let before = ahead.last, before.through == live.start {
            ahead[ahead.count - 1].through = live.acknowledged
        } else {
            ahead.append(PositionRange(after: live.start, through: live.acknowledged))
        }
        return ahead
    }

    private mutating func endLiveLane() {
        liveItems.rewind()
        ahead = aheadWithLive
        live = nil
        laneChanges &+= 1
    }

    mutating func rewind() {
        endLiveLane()
        backlogItems.rewind()
        read = acknowledged
        gapIsDelivered = false
    }

    /// Samples of the backlog lane that are not settled, of `stored` in all.
    func backlogSamples(stored: UInt64) -> UInt64 {
        let (end, done) = (live?.ordinal ?? stored &- settledAhead, settledSamples &- settledAhead)
        return end > done ? end - done : 0
    }

    /// The oldest batch that was given to the backlog lane's reader and is not acknowledged.
    var oldestItem: CursorItem? { backlogItems.firstUnacknowledged }

    // MARK: - Outages

    mutating func connectionLost(at time: Timestamp, epoch: UInt32) {
        account.outages.begin(at: time, epoch: epoch, settled: settledSamples &- settledAhead)
    }

    /// What is stored on a live lane that has begun already had to wait for nothing.
    mutating func connectionRestored(at time: Timestamp, epoch: UInt32, stored: UInt64) {
        account.outages.end(at: time, epoch: epoch, stored: min(stored &- settledAhead, live?.ordinal ?? .max))
    }

    // MARK: - Eviction

    /// Counts what retention took away, through `position`; `lost` is all of it that the reader was not done with.
    mutating func evict(through position: UInt64, lost: StreamTallies, tagCount: (StreamID) -> Int) {
        guard position > acknowledged else { return }
        fold(durable: position, tagCount: tagCount)
        backlogItems.evict(through: position)
        liveItems.evict(through: position)
        var samples: UInt64 = 0
        for (stream, tally) in lost {
            account.tallies[stream, default: CursorTally()].evicted += tally
            samples &+= tally.samples(of: tagCount(stream))
        }
        // The oldest of what is pending, so that they are settled in their turn, whatever lane they would have been read on.
        account.outages.settle(samples, .lost)
        settledSamples &+= samples
        gap &+= samples
        acknowledged = position
        folded = position
        if read <= position {
            read = position
            gapIsDelivered = false
        } else {
            gapIsDelivered = true
            gapPosition = position
        }
        if var lane = live {
            lane.read = max(lane.read, position)
            lane.acknowledged = max(lane.acknowledged, position)
            live = lane
        }
        mergeAhead()
        laneChanges &+= 1
    }
}
