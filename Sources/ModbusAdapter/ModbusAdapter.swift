package import GatewayCore
package import Telemetry

/// One Modbus unit on a line.
///
/// An exception becomes the status of the tags of its request. When a block is refused for an address or a value in it (exceptions
/// 02 and 03), it is split until only the refused tags are alone; the split is kept as long as the adapter lives.
package actor ModbusAdapter: ProtocolAdapter, LineSharing {
    let name: String
    let line: ModbusLine
    let unit: UInt8
    let time: any TimeSource
    private let retries: Int
    private var prepared: [StreamID: [PreparedRequest]] = [:]
    var registers = [UInt16](repeating: 0, count: ModbusAdapter.registersPerRequestMax)
    var bits = [UInt8](repeating: 0, count: ModbusAdapter.bitsPerRequestMax)
    /// Whether the last poll brought an answer.
    private var isAnswering = false
    /// Probes since the last one that was answered.
    var probeTurn = 0

    package nonisolated var unownedExecutor: UnownedSerialExecutor { line.executor }
    package nonisolated var sharedLine: SharedLine { line.shared }

    /// Most registers one request may read (6.3, 6.4: quantity of registers 1 to 125).
    package static let registersPerRequestMax = 125
    /// Most coils or inputs one request may read (6.1, 6.2: quantity 1 to 2000).
    package static let bitsPerRequestMax = 2000

    /// What the protocol lets a request carry. Areas are the function codes that read them: 1 coils, 2 discrete inputs,
    /// 3 holding registers, 4 input registers.
    package static let limits = ReadLimits(holeMax: 16) { $0 <= 2 ? bitsPerRequestMax : registersPerRequestMax }

    /// `retries`: how often a request without a valid answer is sent again, while the device answers others.
    package init(name: String, line: ModbusLine, unit: UInt8, retries: Int = 0, time: any TimeSource = SystemTime()) {
        self.name = name
        self.line = line
        self.unit = unit
        self.retries = retries
        self.time = time
    }

    package func connect() async throws {
        do {
            try line.open()
        } catch {
            throw GatewayError(
                .connectionFailed, resource: "device \(name)", operation: "connect", "the device cannot be reached", cause: error)
        }
        isAnswering = false
    }

    package func disconnect() async { line.close() }

    package func read(_ plan: ReadPlan, at time: Timestamp) async throws -> PollResult { try await poll(plan, at: time) }

    private struct PreparedRequest {
        var request: ReadRequest
        var fields: [ReadField]
        var decoder: RegisterDecoder

        init(_ request: ReadRequest, fields: [ReadField], descriptor: StreamDescriptor) {
            self.request = request
            self.fields = fields
            decoder = RegisterDecoder(request: request, fields: fields, descriptor: descriptor)
        }
    }

    /// What a poll has gathered so far.
    private struct Poll {
        var batch: SampleBatch
        var statuses: [(tag: Int, status: StatusCode)] = []
        var reasons: [String] = []
        var hadAnswer = false
        /// Time waited in vain.
        var silence = Duration.zero
        var retries = 0

        mutating func refuse(_ fields: [ReadField], _ status: StatusCode, _ reason: String) {
            for field in fields { statuses.append((field.tag, status)) }
            reasons.append(reason)
        }
    }

    private func poll(_ plan: ReadPlan, at time: Timestamp) async throws(GatewayError) -> PollResult {
        var requests =
            prepared[plan.stream]
            ?? plan.requests.map { PreparedRequest($0, fields: Array(plan.fields[$0.fields]), descriptor: plan.descriptor) }
        var poll = Poll(batch: SampleBatch(stream: plan.stream, descriptor: plan.descriptor, time: time, status: .good))
        var index = 0
        while index < requests.count {
            // Between two requests the other units on the line have their turn.
            if index > 0 { await DedicatedThread.giveWay() }
            do throws(RequestFailure) {
                try attempt(requests[index], into: &poll)
                poll.hadAnswer = true
            } catch {
                switch error {
                case .exception(let code):
                    poll.hadAnswer = true
                    if code == 2 || code == 3, let halves = split(requests[index], plan.descriptor) {
                        requests.replaceSubrange(index...index, with: halves)
                        continue
                    }
                    let meaning = ModbusException(code)
                    poll.refuse(requests[index].fields, meaning.status, "\(describe(requests[index].request)): \(meaning)")
                case .timeout:
                    // The unit is silent: to ask on would only make everybody on the line wait as often.
                    let reason = "\(describe(requests[index].request)): no answer in time"
                    poll.refuse(requests[index...].flatMap(\.fields), .badTimeout, reason)
                    // A unit may be deaf to this one request only: from now on it comes last, and stands in nobody's way.
                    requests.append(requests.remove(at: index))
                    index = requests.count
                case .invalidReply(let text):
                    poll.refuse(
                        requests[index].fields, .badCommunicationError, "\(describe(requests[index].request)): invalid reply: \(text)")
                case .disconnected(let text):
                    line.close()
                    throw GatewayError(
                        .connectionLost, resource: "device \(name)", operation: "read", "\(describe(requests[index].request)): \(text)")
                }
            }
            index += 1
        }
        prepared[plan.stream] = requests
        isAnswering = poll.hadAnswer
        poll.batch.quality = qualityRuns(poll.statuses, tagCount: plan.descriptor.tags.count)
        return PollResult(
            batch: poll.batch, reasons: poll.reasons, isAnswered: poll.hadAnswer, silence: poll.silence, retries: poll.retries)
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

    private func carryOut(_ prepared: PreparedRequest, into poll: inout Poll) throws(RequestFailure) {
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

    /// Two requests for what one asked, cut at the widest hole between its fields, else in the middle; `nil` for a single field
    /// (or fields that share registers and cannot be told apart).
    private func split(_ prepared: PreparedRequest, _ descriptor: StreamDescriptor) -> [PreparedRequest]? {
        let fields = prepared.fields
        var best: (index: Int, hole: Int, offCentre: Int)?
        var end = 0
        for index in fields.indices.dropFirst() {
            end = max(end, fields[index - 1].start + fields[index - 1].count)
            guard fields[index].start >= end else { continue }
            let candidate = (index: index, hole: fields[index].start - end, offCentre: abs(2 * index - fields.count))
            if best.map({ ($0.hole, -$0.offCentre) < (candidate.hole, -candidate.offCentre) }) ?? true { best = candidate }
        }
        guard let cut = best?.index else { return nil }
        return [fields[..<cut], fields[cut...]].map { half in
            let start = half[half.startIndex].start
            let end = half.reduce(start) { max($0, $1.start + $1.count) }
            let request = ReadRequest(
                area: prepared.request.area, start: start, count: end - start, fields: half.startIndex..<half.endIndex)
            return PreparedRequest(request, fields: Array(half), descriptor: descriptor)
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
