internal import Synchronization
package import Telemetry

/// How long the polls of a scan group were meant to take, and how long they did.
package struct PollTimes: Sendable, Equatable {
    package var stream: StreamID
    package var group: String
    /// Requests of a poll.
    package var requests: Int
    /// Seconds that a poll should take, by what was known when it was planned.
    package var predictedSeconds: Double
    /// Mean and 95th percentile of the latest polls, in seconds.
    package var meanSeconds: Double
    package var p95Seconds: Double
    /// Polls that mean and percentile are over.
    package var polls: Int
}

/// Where an adapter leaves what it learned of its device and how its polls went, for others to read.
package final class PlanMonitor: Sendable {
    /// Polls that mean and percentile are taken over.
    package static let pollsMax = 128

    private struct Group {
        var stream: StreamID
        var name: String
        var requests: Int
        var predictedSeconds: Double
        var seconds: [Float] = []
        var next = 0
    }
    private struct State {
        var groups: [Group] = []
        var learned: LearnedReads?
        var changes: UInt64 = 0
    }
    private let state = Mutex(State())

    package init() {}

    /// What was learned last, and a number that grows whenever that changes; `nil` before the first time.
    package var learned: (reads: LearnedReads, changes: UInt64)? { state.withLock { state in state.learned.map { ($0, state.changes) } } }

    /// Every group that was polled.
    package var times: [PollTimes] {
        state.withLock(\.groups).map { group in
            let sorted = group.seconds.sorted()
            let mean = sorted.reduce(0) { $0 + Double($1) } / Double(max(1, sorted.count))
            let p95 = sorted.isEmpty ? 0 : Double(sorted[(sorted.count * 95 + 99) / 100 - 1])
            return PollTimes(
                stream: group.stream, group: group.name, requests: group.requests, predictedSeconds: group.predictedSeconds,
                meanSeconds: mean, p95Seconds: p95, polls: sorted.count)
        }
    }

    /// A group has a new plan, or its plan a new prediction. With another number of requests its times begin anew.
    package func planned(stream: StreamID, group: String, requests: Int, predictedSeconds: Double) {
        state.withLock { state in
            var planned = Group(stream: stream, name: group, requests: requests, predictedSeconds: predictedSeconds)
            planned.seconds.reserveCapacity(PlanMonitor.pollsMax)
            if let known = state.groups.firstIndex(where: { $0.stream == stream }) {
                if state.groups[known].requests == requests {
                    state.groups[known].predictedSeconds = predictedSeconds
                    return
                }
                state.groups[known] = planned
            } else {
                state.groups.append(planned)
            }
        }
    }

    /// A poll with all its requests answered took so many seconds.
    package func polled(stream: StreamID, seconds: Double) {
        state.withLock { state in
            guard let index = state.groups.firstIndex(where: { $0.stream == stream }) else { return }
            if state.groups[index].seconds.count < PlanMonitor.pollsMax {
                state.groups[index].seconds.append(Float(seconds))
            } else {
                let next = state.groups[index].next
                state.groups[index].seconds[next] = Float(seconds)
                state.groups[index].next = (next + 1) % PlanMonitor.pollsMax
            }
        }
    }

    /// What is known of the device has changed.
    package func learned(_ reads: LearnedReads) {
        state.withLock { state in
            state.learned = reads
            state.changes &+= 1
        }
    }
}
