internal import DequeModule
internal import GatewayCore
internal import Synchronization
internal import Telemetry

/// One reader's place in the historian.
final class HistorianCursor: LogCursor {
    let name: String
    private let core: LogCore
    private let disk: DiskReading
    private let index: Int
    private let isClosed = Mutex(false)

    init(name: String, index: Int, core: LogCore, disk: DiskReading) {
        self.name = name
        self.index = index
        self.core = core
        self.disk = disk
    }

    deinit { close() }

    func close() {
        let wasClosed = isClosed.withLock { isClosed in
            defer { isClosed = true }
            return isClosed
        }
        // The name may have another reader by now.
        guard !wasClosed else { return }
        core.state.withLock { state in
            state.cursors[index].rewind()
            state.cursors[index].isOpen = false
        }
        let (disk, cursor) = (disk, index)
        Task { await disk.close(cursor) }
    }

    fileprivate enum Step {
        case entries([LogEntry])
        case disk(PositionRange, segments: [Segment])
        case wait(beyond: UInt64)
        /// Until a live lane begins or ends.
        case park(laneChanges: UInt64)
        case refused(GatewayError)
    }

    // MARK: - Reading

    func read(atMost limit: Int) async throws -> [LogEntry] { try await read(.backlog, atMost: limit) }

    func read(_ lane: LogLane, atMost limit: Int) async throws -> [LogEntry] {
        precondition(limit > 0, "a read of at most \(limit) entries")
        while true {
            try Task.checkCancellation()
            switch core.state.withLock({ $0.step(of: index, lane, atMost: limit, core: core) }) {
            case .entries(let entries): return entries
            case .refused(let error): throw error
            case .wait(let position): try await core.untilAppended(beyond: position)
            case .park(let changes): try await core.untilLanesChange(of: index, since: changes)
            case .disk(let positions, let segments):
                if let entries = try await read(lane, positions, segments, atMost: limit) { return entries }
            }
        }
    }

    /// `nil`: look again.
    private func read(
        _ lane: LogLane, _ positions: PositionRange, _ segments: [Segment], atMost limit: Int
    ) async throws -> [LogEntry]? {
        do throws(GatewayError) {
            let entries = try await disk.entries(for: index, lane, positions, segments: segments, atMost: limit)
            return entries.isEmpty ? nil : entries
        } catch {
            // Retention may have taken the file while it was being opened; then the place has moved on.
            if core.state.withLock({ $0.cursors[index].place(on: lane) != positions.after }) { return nil }
            // Or it was sealed into a block meanwhile.
            let attempted = segments.first { $0.end > positions.after }
            if error.code == .notFound, core.state.withLock({ $0.segment(after: positions.after)?.fileName }) != attempted?.fileName {
                return nil
            }
            // Somebody else took it: from now on its samples are a gap.
            if error.code == .notFound, core.state.withLock({ $0.markMissing(after: positions.after) }) { return nil }
            throw error
        }
    }

    // MARK: - Settling

    func acknowledge(through position: LogPosition) { acknowledge(.backlog, through: position) }

    func acknowledge(_ lane: LogLane, through position: LogPosition) {
        core.state.withLock { state in
            let durable = state.durable
            let tagCounts = state.tagCounts
            state.cursors[index].acknowledge(lane, through: position.rawValue, durable: durable) { tagCounts[Int($0.rawValue)] }
        }
    }

    func refuse(_ position: LogPosition) { core.state.withLock { $0.cursors[index].refuse(position.rawValue) } }

    func rewind() {
        core.wake(index) { state in
            state.cursors[index].rewind()
        }
    }

    func beginLiveLane() -> Bool {
        core.wake(index) { state in
            let (last, stored) = (state.last, state.storedSamples)
            return state.cursors[index].beginLiveLane(after: last, stored: stored)
        }
    }

    func connectionLost(at time: Timestamp) {
        core.state.withLock { $0.cursors[index].connectionLost(at: time, epoch: core.epoch) }
    }

    func connectionRestored(at time: Timestamp) {
        core.state.withLock { state in
            let stored = state.storedSamples
            state.cursors[index].connectionRestored(at: time, epoch: core.epoch, stored: stored)
        }
    }

    // MARK: - What is before it

    var pendingSamples: UInt64 {
        core.state.withLock { state in
            let settled = state.cursors[index].settledSamples
            return state.storedSamples > settled ? state.storedSamples - settled : 0
        }
    }

    var backlog: LogBacklog { core.state.withLock { $0.backlog(of: index) } }
}

extension LogCore.State {
    /// What a cursor's read has to do next.
    fileprivate mutating func step(of index: Int, _ lane: LogLane, atMost limit: Int, core: LogCore) -> HistorianCursor.Step {
        if isClosed { return .refused(core.stopped("read")) }
        if lane == .backlog, let gap = cursors[index].takeGap() {
            return .entries([
                LogEntry(position: LogPosition(rawValue: gap.position), content: .gap(samples: gap.samples), isFromDisk: true)
            ])
        }
        guard let positions = cursors[index].next(on: lane, last: last) else {
            if (lane == .live) != (cursors[index].live != nil) { return .park(laneChanges: cursors[index].laneChanges) }
            return .wait(beyond: last)
        }
        guard cursors[index].unacknowledgedItems + limit <= CursorState.itemsMax else {
            return .refused(
                GatewayError(
                    .limitExceeded, resource: "cursor \(cursors[index].name)", operation: "read",
                    "\(cursors[index].unacknowledgedItems) entries are read and not acknowledged, at most \(CursorState.itemsMax) may be"))
        }
        guard let first = tail.entries.first, first.first <= positions.after + 1 else { return .disk(positions, segments: segments) }
        var entries: [LogEntry] = []
        var next = tail.index(after: positions.after)
        entries.reserveCapacity(min(limit, tail.entries.count - next))
        while entries.count < limit, next < tail.entries.count, tail.entries[next].last <= positions.through {
            let entry = tail.entries[next]
            switch entry.content {
            case .batch(let batch): deliver(batch, at: entry.last, to: index, lane, isFromDisk: false, &entries)
            case .loss(let loss): deliver(loss.tallies, at: entry.last, to: index, lane, isFromDisk: false, &entries)
            }
            next += 1
        }
        return .entries(entries)
    }

    /// Hands over what was read from disk, less what retention has taken in the meantime.
    mutating func deliver(_ read: DiskReading.Read, to index: Int, _ lane: LogLane, after position: UInt64) -> [LogEntry] {
        // Evicted while it was read: the gap comes first, and the rest is read again.
        guard cursors[index].place(on: lane) == position else { return [] }
        var entries: [LogEntry] = []
        for item in read.items {
            switch item.content {
            case .batch(let batch): deliver(batch, at: item.position, to: index, lane, isFromDisk: true, &entries)
            case .gap(let tallies): deliver(tallies, at: item.position, to: index, lane, isFromDisk: true, &entries)
            }
        }
        cursors[index].skip(through: read.through, on: lane)
        return entries
    }

    private mutating func deliver(
        _ stored: SampleBatch, at position: UInt64, to index: Int, _ lane: LogLane, isFromDisk: Bool, _ entries: inout [LogEntry]
    ) {
        let batch = clock.corrected(stored, at: position)
        cursors[index].didRead(
            CursorItem(
                position: position, content: .batch(batch.stream, presence: batch.presence),
                samples: UInt64(batch.sampleCount(of: tagCount(batch.stream))), time: batch.time), on: lane)
        entries.append(LogEntry(position: LogPosition(rawValue: position), content: .batch(batch), isFromDisk: isFromDisk))
    }

    /// Delivers a gap; neighbouring gaps become one entry.
    private mutating func deliver(
        _ lost: StreamTallies, at position: UInt64, to index: Int, _ lane: LogLane, isFromDisk: Bool, _ entries: inout [LogEntry]
    ) {
        let samples = samples(of: lost)
        cursors[index].didRead(CursorItem(position: position, content: .gap(lost), samples: samples), on: lane)
        var total = samples
        if let before = entries.last, case .gap(let earlier) = before.content {
            total &+= earlier
            entries.removeLast()
        }
        entries.append(LogEntry(position: LogPosition(rawValue: position), content: .gap(samples: total), isFromDisk: isFromDisk))
    }

    fileprivate mutating func backlog(of index: Int) -> LogBacklog {
        let samples = cursors[index].backlogSamples(stored: storedSamples)
        return LogBacklog(samples: samples, oldest: samples > 0 ? oldestTime(of: index) : nil)
    }

    /// The time of the oldest batch of a cursor's backlog, without a look at the disk.
    private func oldestTime(of index: Int) -> Timestamp? {
        var cursor = cursors[index]
        if let item = cursor.oldestItem { return item.time ?? cursor.acknowledgedTime }
        guard let positions = cursor.next(on: .backlog, last: last) else { return cursor.acknowledgedTime }
        if let first = tail.entries.first, first.first <= positions.after + 1 {
            let entry = tail.entries[tail.index(after: positions.after)]
            if case .batch(let batch) = entry.content { return clock.corrected(batch, at: entry.last).time }
            return cursor.acknowledgedTime
        }
        guard let segment = segment(after: positions.after), let times = clock.times(of: segment) else { return cursor.acknowledgedTime }
        // Within the segment it comes after what was acknowledged last.
        return cursor.acknowledgedTime.map { min(max($0, times.lowerBound), times.upperBound) } ?? times.lowerBound
    }
}
