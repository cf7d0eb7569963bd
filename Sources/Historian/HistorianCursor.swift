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
        let (disk, name) = (disk, name)
        Task { await disk.close(name) }
    }

    fileprivate enum Step {
        case entries([LogEntry])
        case disk(after: UInt64, segments: [Segment])
        case wait(beyond: UInt64)
        case refused(GatewayError)
    }

    func read(atMost limit: Int) async throws -> [LogEntry] {
        precondition(limit > 0, "a read of at most \(limit) entries")
        while true {
            try Task.checkCancellation()
            switch core.state.withLock({ $0.step(of: index, atMost: limit, core: core) }) {
            case .entries(let entries): return entries
            case .refused(let error): throw error
            case .wait(let position): try await core.untilAppended(beyond: position)
            case .disk(let position, let segments):
                let read: DiskReading.Read
                do throws(GatewayError) {
                    read = try await disk.items(for: name, at: index, after: position, segments: segments, atMost: limit)
                } catch {
                    // Retention may have taken the file while it was being opened; then the place has moved on.
                    if core.state.withLock({ $0.cursors[index].acknowledged }) > position { continue }
                    // Or it was sealed into a block meanwhile.
                    let attempted = segments.first { $0.end > position }
                    if error.code == .notFound, core.state.withLock({ $0.segment(after: position)?.fileName }) != attempted?.fileName {
                        continue
                    }
                    // Somebody else took it: from now on its samples are a gap.
                    if error.code == .notFound, core.state.withLock({ $0.markMissing(after: position) }) { continue }
                    throw error
                }
                let entries = core.state.withLock { $0.deliver(read, to: index, after: position) }
                if !entries.isEmpty { return entries }
            }
        }
    }

    func acknowledge(through position: LogPosition) {
        core.state.withLock { state in
            let durable = state.durable
            let tagCounts = state.tagCounts
            state.cursors[index].acknowledge(through: position.rawValue, durable: durable) { tagCounts[Int($0.rawValue)] }
        }
    }

    func refuse(_ position: LogPosition) { core.state.withLock { $0.cursors[index].refuse(position.rawValue) } }

    func connectionLost(at time: Timestamp) {
        core.state.withLock { $0.cursors[index].connectionLost(at: time, epoch: core.epoch) }
    }

    func connectionRestored(at time: Timestamp) {
        core.state.withLock { state in
            let stored = state.storedSamples
            state.cursors[index].connectionRestored(at: time, epoch: core.epoch, stored: stored)
        }
    }

    func rewind() { core.state.withLock { $0.cursors[index].rewind() } }

    var pendingSamples: UInt64 {
        core.state.withLock { state in
            let settled = state.cursors[index].settledSamples
            return state.storedSamples > settled ? state.storedSamples - settled : 0
        }
    }
}

extension LogCore.State {
    /// What a cursor's read has to do next.
    fileprivate mutating func step(of index: Int, atMost limit: Int, core: LogCore) -> HistorianCursor.Step {
        if isClosed { return .refused(core.stopped("read")) }
        if let gap = cursors[index].takeGap() {
            return .entries([
                LogEntry(position: LogPosition(rawValue: gap.position), content: .gap(samples: gap.samples), isFromDisk: true)
            ])
        }
        let position = cursors[index].read
        if position >= last { return .wait(beyond: position) }
        guard cursors[index].unacknowledgedItems + limit <= CursorState.itemsMax else {
            return .refused(
                GatewayError(
                    .limitExceeded, resource: "cursor \(cursors[index].name)", operation: "read",
                    "\(cursors[index].unacknowledgedItems) entries are read and not acknowledged, at most \(CursorState.itemsMax) may be"))
        }
        guard let first = tail.entries.first, first.first <= position + 1 else { return .disk(after: position, segments: segments) }
        var entries: [LogEntry] = []
        var next = tail.index(after: position)
        entries.reserveCapacity(min(limit, tail.entries.count - next))
        while entries.count < limit, next < tail.entries.count {
            let entry = tail.entries[next]
            switch entry.content {
            case .batch(let batch): deliver(batch, at: entry.last, to: index, isFromDisk: false, &entries)
            case .loss(let loss): deliver(loss.tallies, at: entry.last, to: index, isFromDisk: false, &entries)
            }
            next += 1
        }
        return .entries(entries)
    }

    /// Hands over what was read from disk, less what retention has taken in the meantime.
    fileprivate mutating func deliver(_ read: DiskReading.Read, to index: Int, after position: UInt64) -> [LogEntry] {
        // Evicted while it was read: the gap comes first, and the rest is read again.
        guard cursors[index].read == position else { return [] }
        var entries: [LogEntry] = []
        for item in read.items {
            switch item.content {
            case .batch(let batch): deliver(batch, at: item.position, to: index, isFromDisk: true, &entries)
            case .gap(let tallies): deliver(tallies, at: item.position, to: index, isFromDisk: true, &entries)
            }
        }
        cursors[index].skip(through: read.through)
        return entries
    }

    private mutating func deliver(
        _ stored: SampleBatch, at position: UInt64, to index: Int, isFromDisk: Bool, _ entries: inout [LogEntry]
    ) {
        let batch = clock.corrected(stored, at: position)
        cursors[index].didRead(
            .init(
                position: position, content: .batch(batch.stream, presence: batch.presence),
                samples: UInt64(batch.sampleCount(of: tagCount(batch.stream)))))
        entries.append(LogEntry(position: LogPosition(rawValue: position), content: .batch(batch), isFromDisk: isFromDisk))
    }

    /// Delivers a gap; neighbouring gaps become one entry.
    private mutating func deliver(
        _ lost: StreamTallies, at position: UInt64, to index: Int, isFromDisk: Bool, _ entries: inout [LogEntry]
    ) {
        let samples = samples(of: lost)
        cursors[index].didRead(.init(position: position, content: .gap(lost), samples: samples))
        var total = samples
        if let before = entries.last, case .gap(let earlier) = before.content {
            total &+= earlier
            entries.removeLast()
        }
        entries.append(LogEntry(position: LogPosition(rawValue: position), content: .gap(samples: total), isFromDisk: isFromDisk))
    }
}
