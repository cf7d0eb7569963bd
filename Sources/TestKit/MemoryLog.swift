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
        var refused: [String: Set<LogPosition>] = [:]
        var outages: [String: [Outage]] = [:]

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
            let waiting = Array(state.waiting.values)
            state.waiting.removeAll()
            return waiting
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

    fileprivate func entries(from: Int, atMost limit: Int) async throws -> [LogEntry] {
        while true {
            try Task.checkCancellation()
            let found = state.withLock { state in
                state.batches.dropFirst(from).prefix(limit).enumerated().map {
                    LogEntry(position: LogPosition(rawValue: UInt64(from + $0.offset + 1)), content: .batch($0.element), isFromDisk: false)
                }
            }
            if !found.isEmpty { return found }
            try await untilAppended(beyond: from)
        }
    }

    private func untilAppended(beyond count: Int) async throws {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let due = state.withLock { state in
                    if state.batches.count > count || Task.isCancelled { return true }
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

    fileprivate func samples(from: Int) -> UInt64 {
        state.withLock { state in
            state.batches.dropFirst(from).reduce(0) {
                $0 + UInt64($1.sampleCount(of: state.descriptors[Int($1.stream.rawValue) - 1].tags.count))
            }
        }
    }
}

private final class MemoryCursor: LogCursor {
    private let log: MemoryLog
    let name: String
    private let place: Mutex<(next: Int, acknowledged: Int, refused: Set<LogPosition>)>

    init(log: MemoryLog, name: String, at start: Int) {
        self.log = log
        self.name = name
        place = Mutex((start, start, []))
    }

    func read(atMost limit: Int) async throws -> [LogEntry] {
        let entries = try await log.entries(from: place.withLock { $0.next }, atMost: limit)
        place.withLock { $0.next += entries.count }
        return entries
    }

    func acknowledge(through position: LogPosition) {
        let refused = place.withLock { place in
            place.acknowledged = max(place.acknowledged, Int(position.rawValue))
            let passed = place.refused.filter { $0.rawValue <= UInt64(place.acknowledged) }
            place.refused.subtract(passed)
            return passed
        }
        log.didRefuse(refused, by: name)
    }

    func refuse(_ position: LogPosition) {
        place.withLock { place in
            if position.rawValue > UInt64(place.acknowledged), position.rawValue <= UInt64(place.next) { place.refused.insert(position) }
        }
    }

    func rewind() {
        place.withLock { place in
            place.next = place.acknowledged
            place.refused = []
        }
    }

    func connectionLost(at time: Timestamp) { log.connectionLost(name, at: time) }
    func connectionRestored(at time: Timestamp) { log.connectionRestored(name, at: time) }

    var pendingSamples: UInt64 { log.samples(from: place.withLock { $0.acknowledged }) }
}
