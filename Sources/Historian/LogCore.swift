internal import DequeModule
internal import GatewayCore
internal import Synchronization
internal import Telemetry

/// The state that the log's front, its cursors and its commit loop share, under one short lock.
final class LogCore: Sendable {
    struct Stream {
        var descriptor: StreamDescriptor
        var nextSequence: UInt64 = 0
        var suppressedSinceBatch: UInt32 = 0
        /// With everything appended.
        var counts = StreamCounts()
        var lost = Tally()
        var gone = Tally()
        /// Replaced by summaries.
        var thinned = Tally()
        /// With what is on disk only.
        var durableCounts = StreamCounts()
        var durableLost = Tally()
    }

    struct State {
        /// By number; no stream has number 0.
        var streams: [Stream?] = [nil]
        var tagCounts: [Int] = [0]
        var numbers: [StreamDescriptor: StreamID] = [:]
        var tail: MemoryTail
        /// The position of the newest entry.
        var last: UInt64
        /// Everything through here is on disk.
        var durable: UInt64
        /// Everything through here is being written.
        var inFlight: UInt64
        /// Oldest first; the last one may be growing.
        var segments: [Segment] = []
        var removedThrough: UInt64 = 0
        /// The last one is the present one.
        var runs: [ProcessRun] = []
        var clock = ClockBook()
        var cursors: [CursorState] = []
        var storedSamples: UInt64 = 0
        var waiting: [(id: UInt64, continuation: CheckedContinuation<Void, any Error>)] = []
        /// Who waits for a live lane of a cursor to begin or end.
        var parked: [(id: UInt64, cursor: Int, continuation: CheckedContinuation<Void, any Error>)] = []
        var nextWaiter: UInt64 = 0
        var isClosed = false
        /// Bytes appended since the commit last took what there was.
        var bytesSinceCommit = 0
        /// An early commit was asked for, and has not come about yet.
        var isCommitRequested = false

        func tagCount(_ stream: StreamID) -> Int { tagCounts[Int(stream.rawValue)] }
        func samples(of tallies: StreamTallies) -> UInt64 { tallies.reduce(0) { $0 &+ $1.value.samples(of: tagCount($1.key)) } }
    }

    let state: Mutex<State>
    let epoch: UInt32
    let folder: String
    let journal: String

    init(recovered: StoredState, next: UInt64, epoch: UInt32, configuration: HistorianConfiguration) {
        self.epoch = epoch
        folder = configuration.folder
        journal = configuration.journal
        var state = State(tail: MemoryTail(limit: configuration.memoryTailBytes), last: next - 1, durable: next - 1, inFlight: next - 1)
        state.segments = recovered.segments
        state.removedThrough = recovered.removedThrough
        state.runs = recovered.runs
        state.clock = recovered.clock
        for (id, stored) in recovered.streams {
            var stream = Stream(descriptor: stored.descriptor)
            stream.counts = stored.counts
            stream.lost = stored.lost
            stream.gone = stored.gone
            stream.thinned = stored.thinned
            stream.durableCounts = stored.counts
            stream.durableLost = stored.lost
            stream.suppressedSinceBatch = stored.suppressedSinceBatch
            stream.counts.polls &+= UInt64(stored.suppressedSinceBatch)
            stream.counts.suppressedPolls &+= UInt64(stored.suppressedSinceBatch)
            state.add(stream, as: id)
            state.storedSamples &+= stored.counts.stored.samples(of: stored.descriptor.tags.count)
        }
        for (name, stored) in recovered.cursors {
            var cursor = CursorState(
                name: name, at: stored.position, gap: stored.gap, ahead: stored.ahead, tallies: stored.tallies,
                settledSamples: recovered.settledSamples(of: stored), settledAhead: stored.settledAhead, outages: stored.outages)
            cursor.releasedAt = stored.releasedAt
            state.cursors.append(cursor)
        }
        self.state = Mutex(state)
    }

    /// Takes a batch in. Never touches the disk. `true` asks for a commit before its time, because memory is half full.
    func append(_ batch: SampleBatch) -> Bool {
        let (waiting, isCommitDue) = state.withLock { state in
            let number = Int(batch.stream.rawValue)
            precondition(number < state.streams.count && state.streams[number] != nil, "stream \(number) was never registered")
            let tags = state.tagCounts[number]
            var batch = batch
            batch.epoch = epoch
            if batch.clockMapping != 0 { state.clock.rebased(&batch) }
            state.streams[number]?.take(&batch, tagCount: tags)
            state.storedSamples &+= UInt64(batch.sampleCount(of: tags))
            state.last += 1
            state.tail.append(batch, at: state.last)
            state.keepTailWithinLimit()
            state.bytesSinceCommit += batch.values.count
            let isCommitDue = state.bytesSinceCommit > state.tail.limit / 2 && !state.isCommitRequested
            if isCommitDue { state.isCommitRequested = true }
            if state.waiting.isEmpty { return (state.waiting, isCommitDue) }
            let waiting = state.waiting
            state.waiting.removeAll(keepingCapacity: true)
            return (waiting, isCommitDue)
        }
        for (_, continuation) in waiting { continuation.resume() }
        return isCommitDue
    }

    /// Waits until there is an entry beyond `position`; throws when the task is cancelled.
    func untilAppended(beyond position: UInt64) async throws {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let isDue = state.withLock { state in
                    // The handler below may have run before there was anything to remove.
                    if state.last > position || state.isClosed || Task.isCancelled { return true }
                    state.waiting.append((id, continuation))
                    return false
                }
                if isDue { continuation.resume() }
            }
        } onCancel: {
            let continuation = state.withLock { state in
                state.waiting.firstIndex { $0.id == id }.map { state.waiting.remove(at: $0).continuation }
            }
            continuation?.resume(throwing: CancellationError())
        }
    }

    /// Waits until a lane of a cursor can go on that had come to its end when its `laneChanges` were looked at.
    func untilLanesChange(of cursor: Int, since changes: UInt64) async throws {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let isDue = state.withLock { state in
                    if state.cursors[cursor].laneChanges != changes || state.isClosed || Task.isCancelled { return true }
                    state.parked.append((id, cursor, continuation))
                    return false
                }
                if isDue { continuation.resume() }
            }
        } onCancel: {
            let continuation = state.withLock { state in
                state.parked.firstIndex { $0.id == id }.map { state.parked.remove(at: $0).continuation }
            }
            continuation?.resume(throwing: CancellationError())
        }
    }

    /// Changes something, and wakes whoever waits for a lane of the cursor that can go on now; of any cursor for `nil`.
    func wake<Result: Sendable>(_ cursor: Int?, _ change: (inout State) -> Result) -> Result {
        let (result, woken) = state.withLock { state in
            let result = change(&state)
            let woken = state.parked.filter { cursor == nil || $0.cursor == cursor }
            if !woken.isEmpty { state.parked.removeAll { cursor == nil || $0.cursor == cursor } }
            return (result, woken)
        }
        for waiter in woken { waiter.continuation.resume() }
        return result
    }

    /// Wakes everybody who waits, for ever.
    func close() {
        let waiting = wake(nil) { state in
            state.isClosed = true
            let waiting = state.waiting
            state.waiting.removeAll()
            return waiting
        }
        for (_, continuation) in waiting { continuation.resume() }
    }

    func stopped(_ operation: String) -> GatewayError {
        GatewayError(.stopped, resource: "log \(folder)", operation: operation, "the log is closed")
    }

    /// What the database is to hold now: only what is on disk.
    func snapshot() -> StoredState {
        state.withLock { state in
            var stored = StoredState(
                epoch: epoch, position: state.durable, removedThrough: state.removedThrough, segments: state.segments, runs: state.runs,
                clock: state.clock)
            for (number, stream) in state.streams.enumerated() {
                guard let stream else { continue }
                stored.streams[StreamID(rawValue: UInt32(number))] = StoredState.Stream(
                    descriptor: stream.descriptor, counts: stream.durableCounts, lost: stream.durableLost, gone: stream.gone,
                    thinned: stream.thinned,
                    // Suppressed polls belong to the next batch; one that is not on disk yet has taken them along.
                    suppressedSinceBatch: stream.counts.stored == stream.durableCounts.stored ? stream.suppressedSinceBatch : 0)
            }
            let durable = state.durable
            for index in state.cursors.indices {
                let tagCounts = state.tagCounts
                state.cursors[index].fold(durable: durable) { tagCounts[Int($0.rawValue)] }
                let cursor = state.cursors[index]
                guard cursor.since <= durable else { continue }
                stored.cursors[cursor.name] = StoredState.Cursor(
                    position: cursor.folded, gap: cursor.gap, ahead: cursor.settled.limited(to: durable).ranges,
                    settledAhead: cursor.account.settledAhead, releasedAt: cursor.releasedAt, tallies: cursor.account.tallies,
                    outages: cursor.account.outages)
            }
            return stored
        }
    }
}

extension LogCore.Stream {
    /// Numbers a batch, hands it the suppressed polls before it, and counts it.
    fileprivate mutating func take(_ batch: inout SampleBatch, tagCount: Int) {
        batch.sequence = nextSequence
        nextSequence += 1
        batch.suppressedPolls = suppressedSinceBatch
        suppressedSinceBatch = 0
        counts.polls &+= 1
        counts.stored.add(presence: batch.presence, tagCount: tagCount)
    }
}

extension LogCore.State {
    mutating func add(_ stream: LogCore.Stream, as id: StreamID) {
        let number = Int(id.rawValue)
        if number >= streams.count {
            tagCounts.append(contentsOf: repeatElement(0, count: number + 1 - streams.count))
            streams.append(contentsOf: repeatElement(nil, count: number + 1 - streams.count))
        }
        streams[number] = stream
        tagCounts[number] = stream.descriptor.tags.count
        numbers[stream.descriptor] = id
    }

    /// Lets go what is on disk and, when that is not enough, gives up the oldest that is not.
    mutating func keepTailWithinLimit() {
        guard tail.bytes > tail.limit else { return }
        let tagCounts = tagCounts
        for (stream, counts) in tail.trim(durable: durable, inFlight: inFlight, tagCount: { tagCounts[Int($0.rawValue)] }) {
            streams[Int(stream.rawValue)]?.lost += counts.stored
        }
        if tail.hasManyLosses { tail.merge(inFlight: inFlight, reading: cursors.flatMap(\.spans)) }
    }

    /// The segment with the entry after a position.
    func segment(after position: UInt64) -> Segment? { segments.first { $0.end > position } }

    /// Notes that the file of the segment with the entry after `position` is gone; `false` if that was known.
    mutating func markMissing(after position: UInt64) -> Bool {
        guard let index = segments.firstIndex(where: { $0.end > position }), !segments[index].isMissing else { return false }
        segments[index].isMissing = true
        return true
    }

    /// Puts a block in the place of the neighbours that it was made of; `false` where they are not what they were any more.
    mutating func replace(_ old: [Segment], by block: Segment, thinned: StreamTallies) -> Bool {
        guard let first = old.first, let start = segments.firstIndex(where: { $0.number == first.number }),
            start + old.count <= segments.count,
            zip(segments[start...], old).allSatisfy({ $0.fileName == $1.fileName && $0.isMissing == $1.isMissing })
        else { return false }
        segments.replaceSubrange(start..<(start + old.count), with: [block])
        for (stream, tally) in thinned { streams[Int(stream.rawValue)]?.thinned += tally }
        return true
    }

    /// What a cursor has before it on disk; of what it was given and has not acknowledged, if that is `isGivenTaken`, nothing any more.
    func pendingCount(of cursor: CursorState, isGivenTaken: Bool = false) -> PendingCount {
        let tagCounts = tagCounts
        var cursor = cursor
        cursor.fold(durable: durable) { tagCounts[Int($0.rawValue)] }
        var stored = StreamTallies()
        for (number, stream) in streams.enumerated() {
            if let stream { stored[StreamID(rawValue: UInt32(number))] = stream.durableCounts.stored }
        }
        var done = cursor.account.settled
        if isGivenTaken { done += cursor.unacknowledged(through: durable) { tagCounts[Int($0.rawValue)] } }
        let taken = isGivenTaken ? cursor.given : cursor.settled
        let inMemory = (0..<tail.index(after: durable)).compactMap { index -> SegmentWalk.Content? in
            let entry = tail.entries[index]
            if taken.contains(entry.first, through: entry.last) { return nil }
            let tallies: StreamTallies
            switch entry.content {
            case .batch(let batch):
                var tally = Tally()
                tally.add(presence: batch.presence, tagCount: tagCount(batch.stream))
                tallies = [batch.stream: tally]
            case .loss(let loss): tallies = loss.tallies
            }
            return SegmentWalk.Content(first: entry.first, last: entry.last, isHole: false, tallies: tallies)
        }
        return PendingCount(stored: stored, done: done, taken: taken, segments: segments, inMemory: inMemory)
    }

    /// The segments that have to be looked into before one can be lost to these cursors, besides those that were; empty: it can be.
    func looksDue(before contents: [UInt64: [SegmentWalk.Content]], toLose segment: Segment, by cursors: [CursorState]) -> [Segment] {
        let within = cursors.filter { $0.settled.coverage(of: segment) == .part }
        guard !within.isEmpty else { return [] }
        guard let known = contents[segment.number] else { return [segment] }
        guard known.contains(where: \.isHole) else { return [] }
        return within.flatMap { pendingCount(of: $0).looks(beside: segment) }.filter { contents[$0.number] == nil }
    }

    /// What a cursor loses with a segment; `contents` is what is in those that have to be looked into for it, by number.
    private func lost(with segment: Segment, by cursor: CursorState, contents: [UInt64: [SegmentWalk.Content]]) -> StreamTallies {
        let settled = cursor.settled
        switch settled.coverage(of: segment) {
        case .none: return segment.tallies
        case .all: return [:]
        case .part:
            let found = SegmentWalk.tallies(of: contents[segment.number] ?? [], beyond: settled)
            guard found.isDamaged else { return found.tallies }
            let due = pendingCount(of: cursor).due(in: segment) { contents[$0.number] ?? [] }
            return found.tallies.adding(due.subtracting(found.tallies))
        }
    }

    /// Counts a segment, and what is left of those before it, as lost to some cursors; all but it must have been.
    mutating func evict(_ segment: Segment, from indices: [Int], contents: [UInt64: [SegmentWalk.Content]]) {
        let lost = indices.map { self.lost(with: segment, by: cursors[$0], contents: contents) }
        let tagCounts = tagCounts
        for (index, lost) in zip(indices, lost) where cursors[index].acknowledged < segment.end {
            cursors[index].evict(through: segment.end, lost: lost) { tagCounts[Int($0.rawValue)] }
        }
    }

    /// Takes the oldest segment from the log.
    mutating func removeOldestSegment(contents: [UInt64: [SegmentWalk.Content]]) {
        guard let segment = segments.first else { return }
        evict(segment, from: Array(cursors.indices), contents: contents)
        segments.removeFirst()
        removedThrough = max(removedThrough, segment.number)
        runs.keepTimes(of: segment)
        clock.remove(before: segments.first?.base ?? segment.end + 1)
        for (stream, tally) in segment.tallies { streams[Int(stream.rawValue)]?.gone += tally }
    }
}

extension LogCore {
    func descriptors() -> [StreamID: StreamDescriptor] {
        state.withLock { state in
            var descriptors: [StreamID: StreamDescriptor] = [:]
            for (number, stream) in state.streams.enumerated() { descriptors[StreamID(rawValue: UInt32(number))] = stream?.descriptor }
            return descriptors
        }
    }

    func descriptor(of stream: StreamID) -> StreamDescriptor? {
        state.withLock { state in
            let number = Int(stream.rawValue)
            return number < state.streams.count ? state.streams[number]?.descriptor : nil
        }
    }
}

extension LogCore.State {
    /// Counts everything through `position` as being on disk.
    mutating func confirm(through position: UInt64) {
        var index = tail.index(after: durable)
        while index < tail.entries.count, tail.entries[index].last <= position {
            switch tail.entries[index].content {
            case .batch(let batch):
                let number = Int(batch.stream.rawValue)
                streams[number]?.durableCounts.add(batch, tagCount: tagCounts[number])
            case .loss(let loss):
                for (stream, counts) in loss.counts {
                    streams[Int(stream.rawValue)]?.durableCounts += counts
                    streams[Int(stream.rawValue)]?.durableLost += counts.stored
                }
            }
            index += 1
        }
        durable = max(durable, position)
        // While the disk refuses, nobody need ask for more than the try at each interval.
        isCommitRequested = false
    }
}
