/// What the gateway learns of one device in order to read it with few requests: what requests cost, which addresses it refuses, how long
/// requests may be. Decides; the adapter asks.
package struct ReadLearner: Sendable {
    /// What is known of the device.
    package private(set) var knowledge: AddressKnowledge
    /// What requests to it are seen to cost.
    package private(set) var costs: LineCostFit
    private let limits: ReadLimits
    private var nextTrial: MonotonicInstant
    private var hasSuspects: Bool
    private var lengthSearches = 0
    private var stepsLeft = RefusalSearch.stepsMax
    private var valueTrialsMax = ReadLearner.valueTrialsMin

    /// Refused values that are asked for again in one poll; doubles while they are answered.
    package static let valueTrialsMin = 2
    package static let valueTrialsMax = 64
    /// Searches for a limit of the length after refusals that may mean anything, per connection.
    package static let lengthSearchesMax = 2
    /// How long the searches of a poll may take together, how much data one of their requests is taken to carry, and how many they may be.
    package static let searchSeconds = 1.0
    static let searchBytes = 64.0
    package static let stepsPerPollMax = 400.0
    /// A plan is only replaced for the cost's sake when the new one costs at most this part of it.
    package static let gainMin = 0.95

    /// `remembered` comes from an earlier run with the same device.
    package init(limits: ReadLimits, remembered: LearnedReads? = nil, at now: MonotonicInstant) {
        self.limits = limits
        knowledge = remembered?.knowledge(at: now) ?? AddressKnowledge()
        costs = LineCostFit(start: remembered?.model ?? limits.model, observations: remembered?.observations ?? 0)
        nextTrial = knowledge.nextTrial
        hasSuspects = knowledge.refusals.contains(where: \.isSuspect)
    }

    /// Takes note of when something is to be tried again, so that polls need not look for it.
    private mutating func knowledgeChanged() {
        nextTrial = knowledge.nextTrial
        hasSuspects = knowledge.refusals.contains(where: \.isSuspect)
    }

    /// What is worth keeping for the next run.
    package func learned(at now: MonotonicInstant) -> LearnedReads {
        LearnedReads(knowledge, model: costs.model, observations: costs.observations, at: now)
    }

    // MARK: - Planning

    /// Limits and costs as they are known now.
    package var currentLimits: ReadLimits { limits { $0.shortestRefused == nil ? nil : $0.longestRead } }

    private func limits(bounding bound: (AddressKnowledge.Length) -> Int?) -> ReadLimits {
        var current = limits
        current.model = costs.model
        if knowledge.avoidsHoles { current.holeMax = 0 }
        let bounds = knowledge.lengths.compactMapValues(bound)
        if !bounds.isEmpty {
            let most = limits.unitsPerRequest
            current.unitsPerRequest = { min(most($0), max(1, bounds[$0] ?? .max)) }
        }
        return current
    }

    /// The requests to read sorted fields with.
    package func layout(_ fields: [ReadField]) -> ReadLayout {
        ReadPlanner.layout(fields, limits: currentLimits, refusals: knowledge.refusals)
    }

    /// The request to find the longest possible length with, if a longer one could save requests: over two requests of the layout that
    /// follow each other without a hole, so that only its length can be refused.
    package func lengthTrial(_ layout: ReadLayout, fields: [ReadField]) -> ReadRequest? {
        let open = knowledge.lengths.compactMapValues(\.candidate)
        guard !open.isEmpty else { return nil }
        let hoped = ReadPlanner.layout(
            fields, limits: limits { length in length.shortestRefused.map { length.isTrialDue ? .max : $0 - 1 } },
            refusals: knowledge.refusals)
        guard hoped.requests.count < layout.requests.count else { return nil }
        for (first, second) in zip(layout.requests, layout.requests.dropFirst()) {
            guard let count = open[first.area], second.area == first.area, first.start + first.count == second.start,
                first.count + second.count >= count,
                knowledge.refusals(area: first.area, within: first.start..<first.start + count).isEmpty,
                count <= limits.unitsPerRequest(first.area)
            else { continue }
            return ReadRequest(area: first.area, start: first.start, count: count, fields: 0..<0)
        }
        return nil
    }

    /// A plan that is enough cheaper than the present one, by what requests cost now; `nil` to stay with it.
    package func cheaperLayout(_ fields: [ReadField], than present: [ReadRequest]) -> ReadLayout? {
        let candidate = layout(fields)
        let current = currentLimits
        return current.seconds(candidate.requests) < ReadLearner.gainMin * current.seconds(present) ? candidate : nil
    }

    /// Seconds that a poll with these requests takes by what is known.
    package func seconds(_ requests: [ReadRequest]) -> Double { currentLimits.seconds(requests) }

    // MARK: - What happened

    /// A request was answered with data after so many seconds.
    package mutating func noteRead(_ request: ReadRequest, seconds: Double) {
        costs.observe(bytes: limits.bytesPerUnit(request.area) * Double(request.count), seconds: seconds)
        if request.count > knowledge.longestRead(area: request.area) { knowledge.noteRead(area: request.area, count: request.count) }
        if hasSuspects {
            knowledge.noteAnswered(area: request.area, span: request.start..<request.start + request.count)
            knowledgeChanged()
        }
    }

    /// A new poll begins. Its searches may take about a second together, so that on a slow line other units do not wait long.
    package mutating func beginPoll() {
        let affordable = ReadLearner.searchSeconds / max(costs.model.seconds(bytes: ReadLearner.searchBytes), 1e-6)
        stepsLeft = Int(min(max(affordable, Double(RefusalSearch.stepsMax)), ReadLearner.stepsPerPollMax))
    }

    /// The search for the reason of a refusal; `nil` when the code says nothing of addresses or lengths.
    package mutating func search(_ request: ReadRequest, code: UInt8, fields: [ReadField]) -> RefusalSearch? {
        let length = knowledge.lengths[request.area] ?? AddressKnowledge.Length()
        if !RefusalSearch.mayConcernAddress(code), request.count < length.shortestRefused ?? .max {
            guard code == RefusalSearch.failureCode, request.count > max(length.longestRead, RefusalSearch.lengthMin),
                lengthSearches < ReadLearner.lengthSearchesMax
            else { return nil }
            lengthSearches += 1
        }
        var search = RefusalSearch(
            request, code: code, fields: fields, limits: limits, longestRead: length.longestRead, shortestTooLong: length.shortestRefused,
            stepsMax: stepsLeft)
        let span = request.start..<request.start + request.count
        if hasSuspects, knowledge.refusals(area: request.area, within: span).contains(where: { $0.span == span && $0.isSuspect }) {
            search.confirmValue()
        }
        return search
    }

    /// Takes over what a search found.
    package mutating func learn(_ search: RefusalSearch, area: UInt8, at now: MonotonicInstant) {
        // Where nothing at all can be read, more searching in this poll is in vain too.
        stepsLeft = search.hasRead || search.steps == 0 ? max(0, stepsLeft - search.steps) : 0
        knowledge.noteRead(area: area, count: search.longestRead)
        for finding in search.findings {
            switch finding {
            case .refused(let span, let kind, let code):
                knowledge.noteRefused(area: area, span: span, kind: kind, code: code, at: now)
            case .tooLong(let count): knowledge.noteTooLong(area: area, count: count, at: now)
            }
        }
        knowledgeChanged()
    }

    /// There is a new connection, perhaps to another device.
    package mutating func didConnect(at now: MonotonicInstant) {
        lengthSearches = 0
        knowledge.noteConnected(at: now)
        knowledgeChanged()
    }

    /// Forgets everything: the device is known to be another one.
    package mutating func forget() {
        knowledge = AddressKnowledge(after: knowledge.revision)
        knowledgeChanged()
    }

    // MARK: - Trying again

    /// Whether something that was refused is to be tried again: a comparison, for every poll.
    package func isTrialDue(at now: MonotonicInstant) -> Bool { nextTrial <= now }

    /// What was refused and is to be asked for again in this poll: at most one way, and some values.
    package mutating func trials(at now: MonotonicInstant) -> [ReadRequest] {
        knowledge.markDueLengths(at: now)
        knowledgeChanged()
        var trials = knowledge.due(.way, at: now, most: 1)
        trials += knowledge.due(.value, at: now, most: valueTrialsMax)
        return trials.map { ReadRequest(area: $0.area, start: $0.span.lowerBound, count: $0.span.count, fields: 0..<0) }
    }

    /// The request for a value that is refused, its fields being a range of the sorted ones.
    package func request(for refused: Range<Int>, _ fields: [ReadField]) -> ReadRequest? {
        ReadPlanner.atoms(of: fields, in: refused, limits: limits).first.map {
            ReadRequest(area: fields[refused.lowerBound].area, start: $0.span.lowerBound, count: $0.span.count, fields: 0..<0)
        }
    }

    /// What came of a trial of a length.
    package mutating func noteLengthTrial(_ request: ReadRequest, _ outcome: RefusalSearch.Outcome, at now: MonotonicInstant) {
        switch outcome {
        case .read: knowledge.noteRead(area: request.area, count: request.count)
        case .refused, .failed: knowledge.noteTooLong(area: request.area, count: request.count, at: now)
        }
        knowledgeChanged()
    }

    /// What came of a trial of an address.
    package mutating func noteTrial(_ request: ReadRequest, _ outcome: RefusalSearch.Outcome, at now: MonotonicInstant) {
        let span = request.start..<request.start + request.count
        let isValue = knowledge.refusals(area: request.area, within: span).contains { $0.kind == .value }
        switch outcome {
        case .read:
            knowledge.noteAnswered(area: request.area, span: span)
            guard isValue else { break }
            valueTrialsMax = min(2 * valueTrialsMax, ReadLearner.valueTrialsMax)
            knowledge.hastenValues(at: now)
        case .refused(let code):
            knowledge.noteRefusedAgain(area: request.area, span: span, code: code, at: now)
            if isValue { valueTrialsMax = ReadLearner.valueTrialsMin }
        case .failed: knowledge.noteRefusedAgain(area: request.area, span: span, code: nil, at: now)
        }
        knowledgeChanged()
    }
}
