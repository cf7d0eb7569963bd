package import GatewayCore
internal import ModbusProtocol
package import Telemetry

/// One Modbus unit on a line.
///
/// An exception becomes the status of the tags of its request. When a block is refused for an address or a value in it (exceptions
/// 02 and 03), it is searched until only the refused tags are alone; what was found is remembered (`ReadLearner`).
package actor ModbusAdapter: ProtocolAdapter, LineSharing {
    let name: String
    let line: ModbusLine
    let unit: UInt8
    let time: any TimeSource
    private let retries: Int
    private let responseTimeout: Duration?
    private let latest: LatestRegisters?
    var prepared: [StreamID: PreparedReads] = [:]
    var learner: ReadLearner
    let monitor: PlanMonitor?
    var registers = [UInt16](repeating: 0, count: ModbusAdapter.registersPerRequestMax)
    var bits = [UInt8](repeating: 0, count: ModbusAdapter.bitsPerRequestMax)
    /// Whether the last poll brought an answer.
    private var isAnswering = false
    /// Probes since the last one that was answered.
    var probeTurn = 0

    package nonisolated var unownedExecutor: UnownedSerialExecutor { line.executor }
    package nonisolated var sharedLine: SharedLine { line.shared }
    package nonisolated var lineThread: DedicatedThread? { line.thread }
    package nonisolated var strayReplies: StrayReplies {
        let counters = line.counters
        return StrayReplies(late: counters.lateReplies, duplicate: counters.duplicateReplies, invalid: counters.invalidReplies)
    }

    /// Most registers one request may read (6.3, 6.4: quantity of registers 1 to 125).
    package static let registersPerRequestMax = 125
    /// Most coils or inputs one request may read (6.1, 6.2: quantity 1 to 2000).
    package static let bitsPerRequestMax = 2000

    /// What the protocol lets a request carry. Areas are the function codes that read them: 1 coils, 2 discrete inputs,
    /// 3 holding registers, 4 input registers.
    package static let limits = ReadLimits(
        bytesPerUnit: { $0 <= 2 ? 0.125 : 2 }, unitsPerRequest: { $0 <= 2 ? bitsPerRequestMax : registersPerRequestMax })

    /// `retries`: how often a request without a valid answer is sent again, while the device answers others. `responseTimeout`: where the
    /// unit's is not the line's. `latest`: where answers are left for others. `remembered` is what an earlier run learned of the same device;
    /// `monitor` is told what this one learns.
    package init(
        name: String, line: ModbusLine, unit: UInt8, responseTimeout: Duration? = nil, retries: Int = 0, latest: LatestRegisters? = nil,
        reading: ModbusReadSettings = ModbusReadSettings(), remembered: LearnedReads? = nil, monitor: PlanMonitor? = nil,
        time: any TimeSource = SystemTime()
    ) {
        self.name = name
        self.line = line
        self.unit = unit
        self.responseTimeout = responseTimeout
        self.retries = retries
        self.time = time
        self.latest = latest
        self.monitor = monitor
        learner = ReadLearner(limits: reading.limits(on: line.endpoint), remembered: remembered, at: time.now)
    }

    package func connect() async throws {
        if let responseTimeout { line.setResponseTimeout(responseTimeout, unit: unit) }
        do {
            try line.open(for: name)
        } catch {
            throw GatewayError(
                .connectionFailed, resource: "device \(name)", operation: "connect", "the device cannot be reached", cause: error)
        }
        isAnswering = false
        learner.didConnect(at: time.now)
    }

    package func disconnect() async {
        line.leave(name)
        monitor?.learned(learner.learned(at: time.now))
    }

    /// Forgets what was learned of the device's addresses: it is known to be another one now.
    package func forgetLearned() { learner.forget() }

    package func read(_ plan: ReadPlan, at time: Timestamp) async throws -> PollResult { try await poll(plan, at: time) }

    /// What a poll has gathered so far.
    struct Poll {
        var batch: SampleBatch
        var statuses: [(tag: Int, status: StatusCode)] = []
        var reasons: [String] = []
        var hadAnswer = false
        /// Time waited in vain.
        var silence = Duration.zero
        var retries = 0
        var flaws: [ValueFlaw] = []

        mutating func refuse(_ fields: [ReadField], _ status: StatusCode, _ reason: String) {
            for field in fields { statuses.append((field.tag, status)) }
            reasons.append(reason)
        }
    }

    private func poll(_ plan: ReadPlan, at stamp: Timestamp) async throws(GatewayError) -> PollResult {
        let start = time.now
        let reads = reads(for: plan, at: start)
        let requests = reads.requests
        learner.beginPoll()
        var poll = Poll(
            batch: SampleBatch(stream: plan.stream, descriptor: plan.descriptor, time: stamp, status: .good), statuses: reads.refused,
            reasons: reads.refusedReasons)
        var last = start
        var isUndisturbed = true
        var isSilent = false
        var index = 0
        do throws(RequestFailure) {
            while index < requests.count, !isSilent {
                // Between two requests the other units on the line have their turn.
                if index > 0 {
                    await DedicatedThread.giveWay()
                    last = time.now
                }
                do throws(RequestFailure) {
                    try attempt(requests[index], into: &poll)
                    poll.hadAnswer = true
                    let now = time.now
                    learner.noteRead(requests[index].request, seconds: last.duration(to: now).inSeconds)
                    last = now
                } catch {
                    isUndisturbed = false
                    switch error {
                    case .exception(let code):
                        poll.hadAnswer = true
                        if try investigate(requests[index], code: code, reads, into: &poll) {
                            let reason = "\(describe(requests[index].request)): no answer in time"
                            poll.refuse(requests[(index + 1)...].flatMap(\.fields), .badTimeout, reason)
                            isSilent = true
                        }
                        last = time.now
                    case .timeout:
                        // The unit is silent: to ask on would only make everybody on the line wait as often.
                        let reason = "\(describe(requests[index].request)): no answer in time"
                        poll.refuse(requests[index...].flatMap(\.fields), .badTimeout, reason)
                        reads.askLast(requests[index].request)
                        isSilent = true
                    case .invalidReply(let text):
                        poll.refuse(
                            requests[index].fields, .badCommunicationError, "\(describe(requests[index].request)): invalid reply: \(text)")
                        last = time.now
                    case .disconnected: throw error
                    }
                }
                index += 1
            }
            if isUndisturbed, poll.hadAnswer { monitor?.polled(stream: plan.stream, seconds: start.duration(to: last).inSeconds) }
            if !isSilent, learner.isTrialDue(at: last) || requests.isEmpty || reads.lengthTrial != nil { try tryAgain(reads, into: &poll) }
        } catch {
            line.close()
            let place = index < requests.count ? describe(requests[index].request) : "unit \(unit)"
            let text = if case .disconnected(let text) = error { text } else { "\(error)" }
            throw GatewayError(.connectionLost, resource: "device \(name)", operation: "read", "\(place): \(text)")
        }
        isAnswering = poll.hadAnswer
        poll.batch.quality = qualityRuns(poll.statuses, tagCount: plan.descriptor.tags.count)
        if !poll.flaws.isEmpty { poll.reasons.append(poll.flaws.summary(of: plan.descriptor)) }
        return PollResult(
            batch: poll.batch, reasons: poll.reasons, isAnswered: poll.hadAnswer, silence: poll.silence, retries: poll.retries,
            flaws: poll.flaws)
    }

    /// Carries out a request, again if there is no valid answer. A unit that has answered nothing lately gets no second chance: waiting for it
    /// holds up the others on its line.
    private func attempt(_ prepared: PreparedRequest, into poll: inout Poll) throws(RequestFailure) {
        var retriesLeft = isAnswering || poll.hadAnswer ? retries : 0
        while true {
            let start = time.now
            do throws(RequestFailure) {
                return try carryOut(prepared, into: &poll)
            } catch {
                switch error {
                case .timeout, .invalidReply: break
                case .exception, .disconnected: throw error
                }
                poll.silence += start.duration(to: time.now)
                if retriesLeft == 0 { throw error }
                retriesLeft -= 1
                poll.retries += 1
            }
        }
    }

    func carryOut(_ prepared: PreparedRequest, into poll: inout Poll) throws(RequestFailure) {
        let request = prepared.request
        let start = latest.map { _ in time.now }
        var unusable: [ValueFlaw] = []
        if request.area <= 2 {
            let failure = bits.withUnsafeMutableBufferPointer { buffer -> RequestFailure? in
                let target = UnsafeMutableBufferPointer(rebasing: buffer[..<request.count])
                do throws(RequestFailure) {
                    try line.readBits(request.area, unit: unit, start: request.start, into: target)
                } catch {
                    return error
                }
                poll.batch.values.withUnsafeMutableBytes { prepared.decoder.decode(bits: UnsafeBufferPointer(target), into: $0) }
                return nil
            }
            if let failure { throw failure }
        } else {
            let failure = registers.withUnsafeMutableBufferPointer { buffer -> RequestFailure? in
                let target = UnsafeMutableBufferPointer(rebasing: buffer[..<request.count])
                do throws(RequestFailure) {
                    try line.readRegisters(request.area, unit: unit, start: request.start, into: target)
                } catch {
                    return error
                }
                poll.batch.values.withUnsafeMutableBytes {
                    prepared.decoder.decode(registers: UnsafeBufferPointer(target), into: $0) { unusable.append($0) }
                }
                return nil
            }
            if let failure { throw failure }
        }
        if let latest, let start { leave(request, in: latest, at: start) }
        for flaw in unusable { poll.statuses.append((flaw.tag, flaw.status)) }
        poll.flaws += unusable
    }

    /// `start`: when the request was sent, so that no value seems younger than it is.
    private func leave(_ request: ReadRequest, in latest: LatestRegisters, at start: MonotonicInstant) {
        guard let area = ModbusArea(rawValue: request.area) else { return }
        if area.isBits {
            latest.store(area, start: request.start, values: bits[..<request.count].map { UInt16($0) }, at: start)
        } else {
            latest.store(area, start: request.start, values: registers[..<request.count], at: start)
        }
    }

    private func qualityRuns(_ statuses: [(tag: Int, status: StatusCode)], tagCount: Int) -> [QualityRun] {
        guard !statuses.isEmpty else { return [QualityRun(count: tagCount, status: .good)] }
        var byTag = [StatusCode](repeating: .good, count: tagCount)
        for (tag, status) in statuses { byTag[tag] = status }
        return QualityRun.runs(of: byTag)
    }

    func describe(_ request: ReadRequest) -> String {
        let area = ["coils", "discrete inputs", "holding registers", "input registers"][Int(request.area) - 1]
        return "unit \(unit), \(area) \(request.start)…\(request.start + request.count - 1)"
    }
}
