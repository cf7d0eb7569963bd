internal import GatewayCore
internal import Telemetry

/// How the adapter plans its requests and learns from refusals: `ReadLearner` decides, this carries out.
extension ModbusAdapter {
    /// The first look whether a measured line wants another plan, and the following ones.
    static let firstReviewInterval = Duration.seconds(1)
    static let reviewInterval = Duration.seconds(60)
    /// Tags that a reason names; more are counted.
    static let tagsNamedMax = 8

    /// The requests for a plan: the prepared ones, unless what is known of the device or the line has changed.
    func reads(for plan: ReadPlan, at now: MonotonicInstant) -> PreparedReads {
        let revision = learner.knowledge.revision
        guard let known = prepared[plan.stream], known.isFor(plan) else {
            let sorted = ReadPlan(
                stream: plan.stream, descriptor: plan.descriptor, requests: plan.requests, fields: ReadPlanner.sort(plan.fields))
            let reads = PreparedReads(
                sorted, of: plan.fields, layout: learner.layout(sorted.fields), revision: revision,
                nextReview: now.advanced(by: ModbusAdapter.firstReviewInterval))
            reads.lengthTrial = learner.lengthTrial(reads.layout, fields: sorted.fields)
            prepared[plan.stream] = reads
            didPlan(reads)
            return reads
        }
        if known.revision != revision {
            known.revision = revision
            let layout = learner.layout(known.plan.fields)
            if layout != known.layout {
                known.adopt(layout)
                didPlan(known)
            } else if !layout.refused.isEmpty {
                explainRefused(known)
            }
            known.lengthTrial = learner.lengthTrial(layout, fields: known.plan.fields)
            monitor?.learned(learner.learned(at: now))
        } else if known.nextReview <= now {
            known.nextReview = now.advanced(by: ModbusAdapter.reviewInterval)
            if let cheaper = learner.cheaperLayout(known.plan.fields, than: known.layout.requests) { known.adopt(cheaper) }
            didPlan(known)
            monitor?.learned(learner.learned(at: now))
        }
        return known
    }

    private func didPlan(_ reads: PreparedReads) {
        explainRefused(reads)
        monitor?.planned(
            stream: reads.plan.stream, group: reads.plan.descriptor.group, requests: reads.requests.count,
            predictedSeconds: learner.seconds(reads.layout.requests))
    }

    /// One sentence for each reason, naming tags and addresses.
    private func explainRefused(_ reads: PreparedReads) {
        var statuses: [StatusCode] = []
        var named: [(code: UInt8, texts: [String])] = []
        for range in reads.layout.refused {
            let span = learner.request(for: range, reads.plan.fields).map { ($0, $0.start..<$0.start + $0.count) }
            let code = span.flatMap { learner.knowledge.refusals(area: $0.0.area, within: $0.1).first?.code } ?? 2
            statuses.append(ModbusException(code).status)
            let text = span.map { describe($0.0, reads.plan.fields[range], reads.plan.descriptor) } ?? ""
            if let index = named.firstIndex(where: { $0.code == code }) {
                named[index].texts.append(text)
            } else {
                named.append((code, [text]))
            }
        }
        let reasons = named.map { code, texts in
            let more = texts.count - ModbusAdapter.tagsNamedMax
            return texts.prefix(ModbusAdapter.tagsNamedMax).joined(separator: ", ") + (more > 0 ? " and \(more) more" : "")
                + ": \(ModbusException(code)); asked for again from time to time"
        }
        reads.refuse(statuses, reasons: reasons)
    }

    /// Reads what can be read of a refused request and learns why it was refused. Returns whether the device fell silent over it.
    ///
    /// Throws `.disconnected` only.
    func investigate(_ refused: PreparedRequest, code: UInt8, _ reads: PreparedReads, into poll: inout Poll) throws(RequestFailure) -> Bool
    {
        let meaning = ModbusException(code)
        guard var search = learner.search(refused.request, code: code, fields: reads.plan.fields) else {
            poll.refuse(refused.fields, meaning.status, "\(describe(refused.request)): \(meaning)")
            return false
        }
        var isSilent = false
        while !isSilent, let step = search.next() {
            do throws(RequestFailure) {
                try carryOut(
                    PreparedRequest(step, fields: Array(reads.plan.fields[step.fields]), descriptor: reads.plan.descriptor), into: &poll)
                search.take(.read)
            } catch {
                switch error {
                case .exception(let code): search.take(.refused(code: code))
                case .invalidReply: search.take(.failed)
                case .timeout: isSilent = true
                case .disconnected: throw error
                }
            }
        }
        learner.learn(search, area: refused.request.area, at: time.now)
        report(search, refused.request, reads, isSilent: isSilent, into: &poll)
        return isSilent
    }

    private func report(_ search: RefusalSearch, _ request: ReadRequest, _ reads: PreparedReads, isSilent: Bool, into poll: inout Poll) {
        var open: [ReadField] = []
        var openCode: UInt8 = 0
        for (range, verdict) in search.results {
            let fields = reads.plan.fields[range]
            switch verdict {
            case .read: break
            case .refused(let code):
                let meaning = ModbusException(code)
                guard let alone = learner.request(for: range, reads.plan.fields) else { continue }
                poll.refuse(Array(fields), meaning.status, "\(describe(alone, fields, reads.plan.descriptor)): \(meaning)")
            case .open(let code):
                open += fields
                openCode = code
            }
        }
        guard !open.isEmpty else { return }
        let meaning = ModbusException(openCode)
        if isSilent {
            poll.refuse(open, .badTimeout, "\(describe(request)): no answer in time")
        } else {
            poll.refuse(open, meaning.status, "\(describe(request)): \(meaning); which address it is was not found in this poll")
        }
    }

    /// Asks again for some of what was refused, where its time has come. The next plan uses what is answered.
    ///
    /// Throws `.disconnected` only.
    func tryAgain(_ reads: PreparedReads, into poll: inout Poll) throws(RequestFailure) {
        var trials = learner.trials(at: time.now)
        // Where nothing is left to ask for, one value is always asked for: the device may only have been starting.
        if reads.requests.isEmpty, trials.isEmpty,
            let first = reads.layout.refused.first.flatMap({ learner.request(for: $0, reads.plan.fields) })
        {
            trials = [first]
        }
        for trial in trials {
            let outcome = try ask(trial, reads, into: &poll)
            learner.noteTrial(trial, outcome, at: time.now)
            if outcome == .failed { return }
        }
        if let trial = reads.lengthTrial {
            learner.noteLengthTrial(trial, try ask(trial, reads, into: &poll), at: time.now)
            reads.lengthTrial = nil
        }
    }

    /// Asks for units whose values nobody needs.
    private func ask(_ trial: ReadRequest, _ reads: PreparedReads, into poll: inout Poll) throws(RequestFailure) -> RefusalSearch.Outcome {
        do throws(RequestFailure) {
            try carryOut(PreparedRequest(trial, fields: [], descriptor: reads.plan.descriptor), into: &poll)
            poll.hadAnswer = true
            return .read
        } catch {
            switch error {
            case .exception(let code):
                poll.hadAnswer = true
                return .refused(code: code)
            case .disconnected: throw error
            case .timeout, .invalidReply: return .failed
            }
        }
    }

    private func describe(_ request: ReadRequest, _ fields: some Sequence<ReadField>, _ descriptor: StreamDescriptor) -> String {
        let names = fields.map { descriptor.tags[$0.tag].name }
        let more = names.count - ModbusAdapter.tagsNamedMax
        let shown = names.prefix(ModbusAdapter.tagsNamedMax).joined(separator: ", ") + (more > 0 ? " and \(more) more" : "")
        return "\(names.count == 1 ? "tag" : "tags") \(shown) at \(describe(request))"
    }
}
