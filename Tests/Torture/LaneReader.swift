internal import GatewayCore
internal import Historian
internal import Synchronization
internal import Telemetry
internal import TestKit

/// The writer's reader of two lanes: acknowledges what is new ahead of what has piled up, begins its live lane anew now and then, and goes
/// back. Finds out when something comes again that it has acknowledged.
final class LaneReader: Sendable {
    private struct State {
        /// Grows whenever a lane goes back or begins.
        var generation = 0
        var acknowledged: Set<UInt64> = []
        /// Everything through here is acknowledged.
        var through: UInt64 = 0
        /// Acknowledged on live lanes.
        var ahead: [ClosedRange<UInt64>] = []
        /// Where the acknowledged part of the present live lane begins.
        var liveStart: UInt64?
    }

    private let cursor: any LogCursor
    private let log: Historian
    private let plan: WriterPlan
    private let samples: TortureSamples
    private let state = Mutex(State())

    init(_ cursor: any LogCursor, of log: Historian, plan: WriterPlan, samples: TortureSamples) {
        self.cursor = cursor
        self.log = log
        self.plan = plan
        self.samples = samples
    }

    /// What is acknowledged by now; the backlog through a position, and ranges ahead of it.
    var settled: (through: UInt64, ahead: [ClosedRange<UInt64>]) { state.withLock { ($0.through, $0.ahead) } }

    /// Reads both lanes until the task is cancelled.
    func run() async {
        await withTaskGroup(of: Void.self) { tasks in
            for lane in LogLane.allCases { tasks.addTask { await self.follow(lane) } }
        }
    }

    private func follow(_ lane: LogLane) async {
        var random = SeededGenerator(seed: plan.workSeed &+ (lane == .live ? 77 : 78))
        // What is acknowledged is passed over, and no gap.
        var continuity = Continuity(samples: samples, hasDamage: true)
        var generation = -1
        do {
            while true {
                let present = state.withLock { $0.generation }
                if present != generation { continuity.didRewind() }
                generation = present
                if lane == .backlog {
                    if Int.random(in: 0..<12, using: &random) == 0 { begin(isRewinding: Bool.random(using: &random)) }
                    guard cursor.backlog.samples > 0 else {
                        try await Task.sleep(for: .milliseconds(2))
                        continue
                    }
                    generation = state.withLock { $0.generation }
                }
                let entries = try await cursor.read(lane, atMost: Int.random(in: 1...60, using: &random))
                if let complaint = take(entries, lane, generation, &continuity, isKept: Int.random(in: 0..<6, using: &random) > 0) {
                    TortureWriter.report(.failure("\(cursor.name), \(lane): \(complaint)"))
                    return
                }
                if lane == .backlog { try await Task.sleep(for: .milliseconds(Int.random(in: 0...20, using: &random))) }
            }
        } catch is CancellationError {
            return
        } catch {
            if !plan.expectsMissingFiles { TortureWriter.report(.failure("\(cursor.name) cannot be read on \(lane): \(error)")) }
        }
    }

    private func begin(isRewinding: Bool) {
        state.withLock { state in
            if isRewinding { cursor.rewind() }
            guard cursor.beginLiveLane() || isRewinding else { return }
            state.generation += 1
            state.liveStart = nil
        }
    }

    /// Judges, and acknowledges unless the entries are to be read again; what is wrong with them.
    private func take(
        _ entries: [LogEntry], _ lane: LogLane, _ generation: Int, _ continuity: inout Continuity, isKept: Bool
    ) -> String? {
        state.withLock { state in
            // The other task has gone back: these will come again.
            guard state.generation == generation, let first = entries.first, let last = entries.last?.position else { return nil }
            for entry in entries {
                if let complaint = continuity.complaint(about: entry, descriptor: log.descriptor) { return complaint }
                if case .batch = entry.content, state.acknowledged.contains(entry.position.rawValue) {
                    return "position \(entry.position.rawValue) was acknowledged and comes again"
                }
            }
            guard isKept else {
                if lane == .backlog {
                    cursor.rewind()
                    state.generation += 1
                    state.liveStart = nil
                }
                return nil
            }
            cursor.acknowledge(lane, through: last)
            switch lane {
            case .backlog:
                state.acknowledged.formUnion(entries.map(\.position.rawValue))
                state.through = max(state.through, last.rawValue)
            case .live:
                // With those that were left for a later acknowledgement.
                let start = state.liveStart ?? first.position.rawValue
                state.acknowledged.formUnion(start...last.rawValue)
                if state.liveStart != nil, !state.ahead.isEmpty {
                    state.ahead[state.ahead.count - 1] = start...last.rawValue
                } else {
                    state.ahead.append(start...last.rawValue)
                }
                state.liveStart = start
            }
            return nil
        }
    }
}
