package import GatewayCore
internal import Synchronization
package import Telemetry

/// A log in memory: the contract without a disk.
package final class MemoryLog: TelemetryLog {
    private struct State {
        var descriptors: [StreamDescriptor] = []
        var sequences: [UInt64] = []
        var batches: [SampleBatch] = []
        var suppressed: [StreamID: Int] = [:]
        var suppressedSinceBatch: [StreamID: UInt32] = [:]
        var mappings: [ClockMapping] = []
        var waiting: [UInt64: CheckedContinuation<Void, any Error>] = [:]
        var nextWaiter: UInt64 = 0
        var changes: UInt64 = 0
        var refused: [String: Set<LogPosition>] = [:]
        var outages: [String: [Outage]] = [:]

        /// Returns who waits for a change.
        mutating func didChange() -> [CheckedContinuation<Void, any Error>] {
            changes += 1
            defer { waiting.removeAll() }
            return Array(waiting.values)
        }

        /// Brings an uncertain time to the present mapping of the clock.
        func rebase(_ batch: inout SampleBatch) {
            guard let present = mappings.last, let former = mappings.last(where: { $0.number == batch.clockMapping }), former != present
            else { return }
            batch.time = batch.time.advanced(by: .nanoseconds(present.offset - former.offset))
            batch.isTimeUncertain = !present.isCertain
            batch.clockMapping = present.isCertain ? 0 : present.number
        }
    }
    private let state = Mutex(State())
    package let epoch: UInt32

    package init(epoch: UInt32 = 1) { self.epoch = epoch }

    /// Everything appended so far.
    package var batches: [SampleBatch] { state.withLock { $0.batches } }
    package func suppressedPolls(of stream: StreamID) -> Int { state.withLock { $0.suppressed[stream] ?? 0 } }

    /// A time without a connection, as a cursor was told of it.
    package struct Outage: Sendable, Hashable {
        package var start: Timestamp
        package var end: Timestamp?
    }

    /// What a cursor was told of its connection.
    package func outages(of cursor: String) -> [Outage] { state.withLock { $0.outages[cursor] ?? [] } }
    /// What a cursor has refused and then passed.
    package func refused(by cursor: String) -> Set<LogPosition> { state.withLock { $0.refused[cursor] ?? [] } }

    package func register(_ descriptor: StreamDescriptor) -> StreamID {
        state.withLock { state in
            if let index = state.descriptors.firstIndex(of: descriptor) { return StreamID(rawValue: UInt32(index + 1)) }
            state.descriptors.append(descriptor)
            state.sequences.append(0)
            return StreamID(rawValue: UInt32(state.descriptors.count))
        }
    }

    package func descriptor(of stream: StreamID) -> StreamDescriptor? {
        state.withLock { state in
            let index = Int(stream.rawValue) - 1
            return state.descriptors.indices.contains(index) ? state.descriptors[index] : nil
        }
    }

    package func append(_ batch: SampleBatch) {
        let waiting = state.withLock { state in
            var batch = batch
            let index = Int(batch.stream.rawValue) - 1
            batch.sequence = state.sequences[index]
            batch.epoch = epoch
            state.rebase(&batch)
            batch.suppressedPolls = state.suppressedSinceBatch.removeValue(forKey: batch.stream) ?? 0
            state.sequences[index] += 1
            state.batches.append(batch)
            return state.didChange()
        }
        for continuation in waiting { continuation.resume() }
    }

    package func adopt(_ mapping: ClockMapping) {
        state.withLock { state in
            state.mappings.append(mapping)
            for index in state.batches.indices { state.rebase(&state.batches[index]) }
        }
    }

    package func countSuppressedPoll(of stream: StreamID) {
        state.withLock { state in
            state.suppressed[stream, default: 0] += 1
            state.suppressedSinceBatch[stream, default: 0] += 1
        }
    }

    package func cursor(named name: String, from: CursorStart = .oldest) -> any LogCursor {
        MemoryCursor(log: self, name: name, at: from == .oldest ? 0 : batches.count)
    }

    /// Grows with everything that a waiting reader might have waited for.
    fileprivate var changes: UInt64 { state.withLock { $0.changes } }

    /// What `body` makes of all batches; the one at index `i` has position `i + 1`.
    fileprivate func look<Result: Sendable>(_ body: (borrowing [SampleBatch]) -> Result) -> Result { state.withLock { body($0.batches) } }

    fileprivate func samples(of batch: SampleBatch) -> UInt64 {
        UInt64(batch.sampleCount(of: descriptor(of: batch.stream)?.tags.count ?? 0))
    }

    /// Lets all waiting readers look again.
    fileprivate func wake() {
        let waiting = state.withLock { $0.didChange() }
        for continuation in waiting { continuation.resume() }
    }

    fileprivate func untilChanged(since seen: UInt64) async throws {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let due = state.withLock { state in
                    if state.changes != seen || Task.isCancelled { return true }
                    state.waiting[id] = continuation
                    return false
                }
                if due { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: id) }?.resume(throwing: CancellationError())
        }
    }

    fileprivate func didRefuse(_ positions: some Sequence<LogPosition>, by cursor: String) {
        state.withLock { $0.refused[cursor, default: []].formUnion(positions) }
    }

    fileprivate func connectionLost(_ cursor: String, at time: Timestamp) {
        state.withLock { state in
            guard state.outages[cursor]?.last.map({ $0.end != nil }) ?? true else { return }
            state.outages[cursor, default: []].append(Outage(start: time))
        }
    }

    fileprivate func connectionRestored(_ cursor: String, at time: Timestamp) {
        state.withLock { state in
            guard let last = state.outages[cursor]?.indices.last, state.outages[cursor]?[last].end == nil else { return }
            state.outages[cursor]?[last].end = time
        }
    }
}

private final class MemoryCursor: LogCursor {
    /// Positions, in numbers of batches.
    private struct Place {
        /// Everything through here is acknowledged.
        var acknowledged: Int
        /// Acknowledged beyond that.
        var ahead: Set<Int> = []
        /// The backlog lane has read through here.
        var read: Int
        /// The live lane begins after `start` and has read through `read`.
        var live: (start: Int, read: Int)?
        var refused: Set<LogPosition> = []

        func isPending(_ position: Int) -> Bool { position > acknowledged && !ahead.contains(position) }

        mutating func read(_ lane: LogLane, atMost limit: Int, of batches: borrowing [SampleBatch]) -> [LogEntry] {
            var entries: [LogEntry] = []
            guard lane == .backlog || live != nil else { return entries }
            var position = lane == .live ? live?.read ?? 0 : read
            let end = lane == .live ? batches.count : live?.start ?? batches.count
            while position < end, entries.count < limit {
                position += 1
                guard isPending(position) else { continue }
                entries.append(
                    LogEntry(
                        position: LogPosition(rawValue: UInt64(position)), content: .batch(batches[position - 1]), isFromDisk: false))
            }
            if lane == .live { live?.read = position } else { read = position }
            return entries
        }

        /// Returns which refused ones were passed by it.
        mutating func acknowledge(_ lane: LogLane, through position: Int) -> Set<LogPosition> {
            switch lane {
            case .live:
                guard let live, position > live.start else { return [] }
                for place in (live.start + 1)..<(min(position, live.read) + 1) where place > acknowledged { ahead.insert(place) }
            case .backlog:
                acknowledged = max(acknowledged, min(position, read))
            }
            while ahead.remove(acknowledged + 1) != nil { acknowledged += 1 }
            ahead = ahead.filter { $0 > acknowledged }
            read = max(read, acknowledged)
            let passed = refused.filter { !isPending(Int($0.rawValue)) }
            refused.subtract(passed)
            return passed
        }
    }

    private let log: MemoryLog
    let name: String
    private let place: Mutex<Place>

    init(log: MemoryLog, name: String, at start: Int) {
        self.log = log
        self.name = name
        place = Mutex(Place(acknowledged: start, read: start))
    }

    func read(atMost limit: Int) async throws -> [LogEntry] { try await read(.backlog, atMost: limit) }

    func read(_ lane: LogLane, atMost limit: Int) async throws -> [LogEntry] {
        while true {
            try Task.checkCancellation()
            let seen = log.changes
            let entries = place.withLock { place in log.look { place.read(lane, atMost: limit, of: $0) } }
            if !entries.isEmpty { return entries }
            try await log.untilChanged(since: seen)
        }
    }

    func acknowledge(through position: LogPosition) { acknowledge(.backlog, through: position) }

    func acknowledge(_ lane: LogLane, through position: LogPosition) {
        let refused = place.withLock { $0.acknowledge(lane, through: Int(clamping: position.rawValue)) }
        log.didRefuse(refused, by: name)
    }

    func refuse(_ position: LogPosition) {
        place.withLock { place in
            let number = Int(clamping: position.rawValue)
            let isRead = number <= place.read || place.live.map { number > $0.start && number <= $0.read } ?? false
            if isRead, place.isPending(number) { place.refused.insert(position) }
        }
    }

    func beginLiveLane() -> Bool {
        place.withLock { place in
            let newest = log.look { $0.count }
            place.live = (newest, newest)
        }
        log.wake()
        return true
    }

    func rewind() {
        place.withLock { place in
            place.read = place.acknowledged
            place.live = nil
            place.refused = []
        }
        log.wake()
    }

    func connectionLost(at time: Timestamp) { log.connectionLost(name, at: time) }
    func connectionRestored(at time: Timestamp) { log.connectionRestored(name, at: time) }

    var pendingSamples: UInt64 { pending(through: .max).samples }

    var backlog: LogBacklog { pending(through: place.withLock { $0.live?.start } ?? .max) }

    private func pending(through end: Int) -> LogBacklog {
        let batches = place.withLock { place in
            log.look { batches in
                (place.acknowledged..<max(place.acknowledged, min(end, batches.count)))
                    .compactMap { place.isPending($0 + 1) ? batches[$0] : nil }
            }
        }
        return LogBacklog(samples: batches.reduce(0) { $0 + log.samples(of: $1) }, oldest: batches.first?.time)
    }
}
