package import GatewayCore
package import Telemetry

/// One Modbus unit on a line.
///
/// An exception becomes the status of the tags of its request. When a block is refused for an address or a value in it (exceptions
/// 02 and 03), it is searched until only the refused tags are alone; what was found is remembered (`ReadLearner`).
package actor ModbusAdapter: ProtocolAdapter {
    private let name: String
    private let line: ModbusLine
    private let unit: UInt8
    var prepared: [StreamID: PreparedReads] = [:]
    var learner: ReadLearner
    let monitor: PlanMonitor?
    let time: any TimeSource
    private var registers = [UInt16](repeating: 0, count: ModbusAdapter.registersPerRequestMax)
    private var bits = [UInt8](repeating: 0, count: ModbusAdapter.bitsPerRequestMax)
    private var silentPolls = 0

    package nonisolated var unownedExecutor: UnownedSerialExecutor { line.executor }

    /// Most registers one request may read (6.3, 6.4: quantity of registers 1 to 125).
    package static let registersPerRequestMax = 125
    /// Most coils or inputs one request may read (6.1, 6.2: quantity 1 to 2000).
    package static let bitsPerRequestMax = 2000
    /// After so many polls without any answer the connection is given up and made anew: the far end may have restarted.
    static let silentPollsMax = 3

    /// What the protocol lets a request carry. Areas are the function codes that read them: 1 coils, 2 discrete inputs,
    /// 3 holding registers, 4 input registers.
    package static let limits = ReadLimits(
        bytesPerUnit: { $0 <= 2 ? 0.125 : 2 }, unitsPerRequest: { $0 <= 2 ? bitsPerRequestMax : registersPerRequestMax })

    /// `remembered` is what an earlier run learned of the same device; `monitor` is told what this one learns.
    package init(
        name: String, line: ModbusLine, unit: UInt8, reading: ModbusReadSettings = ModbusReadSettings(), remembered: LearnedReads? = nil,
        monitor: PlanMonitor? = nil, time: any TimeSource = SystemTime()
    ) {
        self.name = name
        self.line = line
        self.unit = unit
        self.monitor = monitor
        self.time = time
        learner = ReadLearner(limits: reading.limits(on: line.endpoint), remembered: remembered, at: time.now)
    }

    package func connect() async throws {
        do {
            try line.open()
        } catch {
            throw GatewayError(
                .connectionFailed, resource: "device \(name)", operation: "connect", "the device cannot be reached", cause: error)
        }
        silentPolls = 0
        learner.didConnect(at: time.now)
    }

    /// Forgets what was learned of the device's addresses: it is known to be another one now.
    package func forgetLearned() { learner.forget() }

    package func disconnect() async {
        line.close()
        monitor?.learned(learner.learned(at: time.now))
    }

    package func read(_ plan: ReadPlan, at time: Timestamp) async throws -> PollResult { try poll(plan, at: time) }

    /// What a poll has gathered so far.
    struct Poll {
        var batch: SampleBatch
        var statuses: [(tag: Int, status: StatusCode)] = []
        var reasons: [String] = []
        var hadAnswer = false

        mutating func refuse(_ fields: [ReadField], _ status: StatusCode, _ reason: String) {
            for field in fields { statuses.append((field.tag, status)) }
            reasons.append(reason)
        }
    }

    private func poll(_ plan: ReadPlan, at stamp: Timestamp) throws(GatewayError) -> PollResult {
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
                do throws(RequestFailure) {
                    try carryOut(requests[index], into: &poll)
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
        try countSilence(poll)
        poll.batch.quality = qualityRuns(poll.statuses, tagCount: plan.descriptor.tags.count)
        return PollResult(batch: poll.batch, reasons: poll.reasons)
    }

    /// A connection that stays open while nobody answers is as good as lost: the far end may have restarted without a word.
    private func countSilence(_ poll: borrowing Poll) throws(GatewayError) {
        silentPolls = poll.hadAnswer ? 0 : silentPolls + 1
        guard silentPolls >= ModbusAdapter.silentPollsMax else { return }
        silentPolls = 0
        line.close()
        throw GatewayError(
            .timedOut, resource: "device \(name)", operation: "read",
            "no valid answer in \(ModbusAdapter.silentPollsMax) polls: \(poll.reasons.joined(separator: "; "))")
    }

    func carryOut(_ prepared: PreparedRequest, into poll: inout Poll) throws(RequestFailure) {
        let request = prepared.request
        var unusable: [Int] = []
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
        for tag in unusable {
            poll.statuses.append((tag, .badDecodingError))
            poll.reasons.append("\(describe(request)): a string is not UTF-8")
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
