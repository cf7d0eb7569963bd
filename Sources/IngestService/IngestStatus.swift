package import Ingest
internal import Synchronization

/// What a receiving end tells of itself: fed by its threads, read by whoever shows it.
package final class IngestStatus: Sendable {
    private struct State {
        var receiving = IngestCounters()
        var connections: UInt64 = 0
        var acknowledgements: UInt64 = 0
        var writing = IngestCounters()
        var trouble: String?
        var newestSample: Int64 = 0
        var connectedBrokers = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// All counters at one moment.
    package var counters: IngestCounters {
        state.withLock { state in
            var counters = state.receiving
            counters.connections = state.connections
            counters.acknowledgements = state.acknowledgements
            counters.writtenSamples = state.writing.writtenSamples
            counters.knownSamples = state.writing.knownSamples
            counters.writes = state.writing.writes
            counters.writtenBytes = state.writing.writtenBytes
            counters.retries = state.writing.retries
            counters.setAsideSamples = state.writing.setAsideSamples
            counters.setAsideMessages = state.writing.setAsideMessages
            counters.droppedMessages = state.writing.droppedMessages
            counters.droppedSamples = state.writing.droppedSamples
            return counters
        }
    }

    /// Why nothing is written at the moment; `nil` while the database takes what it gets.
    package var trouble: String? { state.withLock { $0.trouble } }
    /// The newest sample that the database has, in nanoseconds since 1970; 0 before the first.
    package var newestSample: Int64 { state.withLock { $0.newestSample } }
    package var connectedBrokers: Int { state.withLock { $0.connectedBrokers } }

    func received(_ counters: IngestCounters) { state.withLock { $0.receiving = counters } }
    func connected(_ change: Int) {
        state.withLock { state in
            state.connectedBrokers += change
            if change > 0 { state.connections += 1 }
        }
    }
    func acknowledged(_ count: Int) { state.withLock { $0.acknowledgements += UInt64(count) } }
    func wrote(newest: Int64, _ change: (inout IngestCounters) -> Void) {
        state.withLock { state in
            change(&state.writing)
            state.newestSample = max(state.newestSample, newest)
        }
    }
    func writing(_ change: (inout IngestCounters) -> Void) { state.withLock { change(&$0.writing) } }
    func tell(trouble: String?) { state.withLock { $0.trouble = trouble } }
}
