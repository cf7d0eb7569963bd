internal import Synchronization

/// What a line has seen since it was made; only ever rises.
package struct LineCounters: Sendable, Hashable {
    /// Requests sent.
    package var requests: UInt64 = 0
    /// Answers that fit their request, exceptions included.
    package var answers: UInt64 = 0
    /// Requests that nothing answered in time.
    package var timeouts: UInt64 = 0
    /// Answers to requests that had been given up; thrown away.
    package var lateReplies: UInt64 = 0
    /// Answers that came a second time; thrown away.
    package var duplicateReplies: UInt64 = 0
    /// Frames that are damaged or answer nothing that was asked, and bytes that are no frame; thrown away.
    package var invalidReplies: UInt64 = 0
    /// Connections opened, the first one included.
    package var connections: UInt64 = 0

    package init() {}
}

/// The counters of one line: written by its thread, read by any.
final class LineCounterCells: Sendable {
    private let requests = Atomic<UInt64>(0)
    private let answers = Atomic<UInt64>(0)
    private let timeouts = Atomic<UInt64>(0)
    private let lateReplies = Atomic<UInt64>(0)
    private let duplicateReplies = Atomic<UInt64>(0)
    private let invalidReplies = Atomic<UInt64>(0)
    private let connections = Atomic<UInt64>(0)

    enum Event {
        case request, answer, timeout, lateReply, duplicateReply, invalidReply, connection
    }

    /// One writer: a load and a store cost less than a locked addition.
    func count(_ event: Event) {
        switch event {
        case .request: LineCounterCells.raise(requests)
        case .answer: LineCounterCells.raise(answers)
        case .timeout: LineCounterCells.raise(timeouts)
        case .lateReply: LineCounterCells.raise(lateReplies)
        case .duplicateReply: LineCounterCells.raise(duplicateReplies)
        case .invalidReply: LineCounterCells.raise(invalidReplies)
        case .connection: LineCounterCells.raise(connections)
        }
    }

    private static func raise(_ cell: borrowing Atomic<UInt64>) {
        cell.store(cell.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
    }

    var snapshot: LineCounters {
        var counters = LineCounters()
        counters.requests = requests.load(ordering: .relaxed)
        counters.answers = answers.load(ordering: .relaxed)
        counters.timeouts = timeouts.load(ordering: .relaxed)
        counters.lateReplies = lateReplies.load(ordering: .relaxed)
        counters.duplicateReplies = duplicateReplies.load(ordering: .relaxed)
        counters.invalidReplies = invalidReplies.load(ordering: .relaxed)
        counters.connections = connections.load(ordering: .relaxed)
        return counters
    }
}
