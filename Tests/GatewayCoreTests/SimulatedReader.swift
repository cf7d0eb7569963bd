import Telemetry

@testable import GatewayCore

/// A device without a wire: what it refuses, and why.
struct SimulatedDevice {
    /// Requests that touch one of these are refused.
    var forbidden: Set<Int> = []
    /// Requests for more are refused.
    var lengthMax = Int.max
    var lengthCode: UInt8 = 3
    /// Requests that reach across one of these are refused: the border of two of the device's blocks.
    var seams: [Int] = []
    /// Refuses everything.
    var refusesAll = false
    /// Refuses so many requests, whatever they ask for.
    var moods = 0
    private(set) var requests = 0

    mutating func answer(_ request: ReadRequest) -> RefusalSearch.Outcome {
        requests += 1
        let span = request.start..<request.start + request.count
        if moods > 0 {
            moods -= 1
            return .refused(code: 2)
        }
        if request.count > lengthMax { return .refused(code: lengthCode) }
        let isRefused =
            refusesAll || span.contains { forbidden.contains($0) } || seams.contains { span.lowerBound < $0 && $0 < span.upperBound }
        return isRefused ? .refused(code: 2) : .read
    }
}

/// Polls simulated devices the way an adapter does.
struct SimulatedReader {
    var learner: ReadLearner
    let fields: [ReadField]
    var now = MonotonicInstant(nanoseconds: 0)
    var device: SimulatedDevice
    private(set) var layout = ReadLayout()
    private var revision: UInt64?
    private var lengthTrial: ReadRequest?

    init(_ fields: [ReadField], device: SimulatedDevice, limits: ReadLimits = ReadLimits { _ in 125 }, remembered: LearnedReads? = nil) {
        self.fields = ReadPlanner.sort(fields)
        self.device = device
        learner = ReadLearner(limits: limits, remembered: remembered, at: now)
    }

    /// What one poll came to.
    struct Poll {
        var requests = 0
        var refusals = 0
        var read: Set<Int> = []
        var findings: [RefusalSearch.Finding] = []
    }

    mutating func poll(after interval: Duration = .seconds(1)) -> Poll {
        now = now.advanced(by: interval)
        var poll = Poll()
        let before = device.requests
        learner.beginPoll()
        if revision != learner.knowledge.revision {
            revision = learner.knowledge.revision
            layout = learner.layout(fields)
            lengthTrial = learner.lengthTrial(layout, fields: fields)
        }
        for request in layout.requests {
            switch device.answer(request) {
            case .read:
                learner.noteRead(request, seconds: 1e-3)
                poll.read.formUnion(request.fields.map { fields[$0].tag })
            case .refused(let code):
                poll.refusals += 1
                guard var search = learner.search(request, code: code, fields: fields) else { continue }
                while let step = search.next() { search.take(device.answer(step)) }
                learner.learn(search, area: request.area, at: now)
                poll.findings += search.findings
                for result in search.results where result.verdict == .read { poll.read.formUnion(result.fields.map { fields[$0].tag }) }
            case .failed: break
            }
        }
        if learner.isTrialDue(at: now) {
            for trial in learner.trials(at: now) { learner.noteTrial(trial, device.answer(trial), at: now) }
        }
        if let trial = lengthTrial {
            learner.noteLengthTrial(trial, device.answer(trial), at: now)
            lengthTrial = nil
        }
        poll.requests = device.requests - before
        return poll
    }

    /// Polls until nothing is refused any more; returns how many polls and requests that took.
    mutating func settle(pollsMax: Int = 200) -> (polls: Int, requests: Int)? {
        let before = device.requests
        for polls in 1...pollsMax where poll(after: .milliseconds(10)).refusals == 0 && revision == learner.knowledge.revision {
            return (polls, device.requests - before)
        }
        return nil
    }
}

/// One register for each address.
func registers(_ addresses: some Sequence<Int>, area: UInt8 = 3) -> [ReadField] {
    addresses.enumerated().map { ReadField(tag: $0.offset, area: area, start: $0.element, count: 1, dataType: .uint16) }
}

/// The fewest requests that read the values, by somebody who knows what is forbidden: from each value on as far as possible.
func fewestRequests(_ addresses: [Int], forbidden: Set<Int>, lengthMax: Int = 125) -> Int {
    var count = 0
    var start = Int.min
    for address in addresses where !forbidden.contains(address) {
        if start == .min || address - start >= lengthMax || (start...address).contains(where: forbidden.contains) {
            count += 1
            start = address
        }
    }
    return count
}
