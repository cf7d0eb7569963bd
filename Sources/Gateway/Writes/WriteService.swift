internal import Acquisition
internal import AuditTrail
package import Definitions
package import GatewayCore
internal import Interlock
package import Logging
internal import Telemetry

/// The one way to change a device: judges each request, records it, carries it out and looks at what came of it.
///
/// Whoever takes commands from people or from above hands them here. Requests for one device are carried out one after the other, those
/// for different devices beside each other. What has begun is brought to its end, whatever becomes of the caller.
package actor WriteService {
    private(set) var registry: WriteRegistry
    var guardian = WriteGuard()
    private let audit: AuditTrail
    let time: any TimeSource
    private let logger: Logger
    private var queues: [String: Queue] = [:]
    private var waiting = 0
    /// Outcomes of writes that were done, which the disk did not take yet.
    private var unrecorded: [AuditRecord] = []
    /// Refusals that are recorded one by one; more are counted, so that nobody can push older records out of the trail.
    private var told: TokenBucket
    private var leftOut = 0
    /// Waits for the disk, so it has a thread of its own.
    private let thread = DedicatedThread(name: "writes")

    package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// The requests for one device that are carried out or wait.
    private struct Queue {
        var count = 0
        var last: Task<WriteOutcome, Never>?
    }

    /// Requests that are carried out or wait at a time, for one device and for all: a device that does not answer must not take
    /// the places of the others.
    package static let waitingPerDeviceMax = 8
    package static let waitingMax = 128
    /// Outcomes kept for a disk that refuses; no further write is begun while there are any.
    private static let unrecordedMax = waitingMax

    /// How many refusals are recorded and logged: at once, and for each second.
    static let toldAtOnce = 20
    private static let toldPerSecond = 1.0

    /// - Parameters:
    ///   - adapters: by the name of the device.
    ///   - folder: of the audit trail.
    package init(site: Site, adapters: [String: any TagWriting], folder: String, time: any TimeSource, logger: Logger) {
        registry = WriteRegistry(site: site, adapters: adapters)
        audit = AuditTrail(folder: folder) { time.utc.description }
        self.time = time
        told = TokenBucket(perSecond: WriteService.toldPerSecond, size: WriteService.toldAtOnce, at: time.now)
        self.logger = logger
    }

    /// Takes over a changed site: requests that have not been judged yet are judged by its rules. What was known of the rate of writes stays.
    package func adopt(site: Site, adapters: [String: any TagWriting]) {
        registry = WriteRegistry(site: site, adapters: adapters)
        guardian.keep { registry.has($0) }
    }

    /// Carries out a request, or refuses it; returns when its end is known and recorded.
    package func submit(_ request: WriteRequest) async -> WriteOutcome {
        let trace = TraceID().description
        let device = request.target.device
        var queue = queues[device] ?? Queue()
        guard queue.count < WriteService.waitingPerDeviceMax, waiting < WriteService.waitingMax else {
            let reason = "\(queue.count) writes to \(device) and \(waiting) in all are under way, more are not possible"
            return record(WriteRefusal(.busy, reason), of: request, trace: trace)
        }
        let before = queue.last
        // Not a child of the caller's task: a write that has begun is not given up in its middle.
        let task = Task {
            _ = await before?.value
            return await self.carryOut(request, trace: trace)
        }
        queue.count += 1
        queue.last = task
        queues[device] = queue
        waiting += 1
        let outcome = await task.value
        waiting -= 1
        queues[device]?.count -= 1
        if queues[device]?.count == 0 { queues[device] = nil }
        return outcome
    }

    /// What records of other ways in are stamped with.
    var now: Timestamp { time.utc }

    // MARK: - One request

    private func carryOut(_ request: WriteRequest, trace: String) async -> WriteOutcome {
        guard let entry = registry[request.target] else {
            let isDevice = registry.deviceNames.contains(request.target.device)
            let reason =
                isDevice
                ? "device \(request.target.device) has no tag '\(request.target.tag)'" : "there is no device '\(request.target.device)'"
            return record(WriteRefusal(.invalid, reason), of: request, trace: trace)
        }
        guard let wanted = request.value.variant(as: entry.target.tag.dataType) else {
            let reason = "'\(request.value)' is not a value of type \(entry.target.tag.dataType.name)"
            return record(WriteRefusal(.invalid, reason), of: request, trace: trace)
        }
        let value: Variant
        do throws(GatewayError) {
            value = try entry.adapter.representable(wanted, as: entry.target)
        } catch {
            return record(WriteRefusal(.invalid, error.message), of: request, trace: trace)
        }
        let attempt = WriteAttempt(
            who: request.who, target: request.target, value: value, token: request.token, isDryRun: request.isDryRun)
        var answer = WriteOutcome(.refused, target: request.target.description, trace: trace)
        answer.value = value.description
        answer.unit = entry.target.tag.unit.isEmpty ? nil : entry.target.tag.unit
        if entry.rules.needsConfirmation, !request.canConfirm {
            let reason = "the tag is critical and has to be confirmed, which this way in cannot do; indusedge write on the gateway can"
            return record(WriteRefusal(.confirmation, reason), of: request, answer)
        }
        if let refusal = guardian.admit(attempt, entry.rules, at: time.now) { return record(refusal, of: request, answer) }
        let current = await entry.adapter.readNow(entry.target, at: time.utc)
        answer.old = current.value?.description
        let readings = await readings(for: entry.rules.interlock)
        var generator = SystemRandomNumberGenerator()
        let decision = guardian.decide(
            attempt, entry.rules, current: current, readings: readings, utc: time.utc, at: time.now, using: &generator)
        switch decision {
        case .refuse(let refusal): return record(refusal, of: request, answer)
        case .wouldWrite(let needsConfirmation):
            answer.result = .wouldWrite
            answer.reason = needsConfirmation ? "it would have to be confirmed" : ""
            return record(.dryRun, of: request, answer)
        case .confirm(let token, let duration):
            answer.result = .confirm
            answer.reason = "the tag is critical: repeat the request with the token to write it"
            answer.token = token
            answer.tokenSeconds = duration.inSeconds
            return record(.confirmationAsked, of: request, answer)
        case .write: return await write(attempt.value, entry, request, answer)
        }
    }

    private func write(_ value: Variant, _ entry: WriteRegistry.Entry, _ request: WriteRequest, _ answer: WriteOutcome) async
        -> WriteOutcome
    {
        var answer = answer
        do {
            try recordLate()
            answer.auditHead = try audit.append(entryRecord(.intent, request, answer, outcome: nil)).description
        } catch {
            logger.error("audit trail cannot be written: no write is carried out", metadata: ["error_chain": .chain(of: error)])
            answer.code = WriteRefusal.Code.audit.rawValue
            answer.reason = "the attempt cannot be recorded: \(error.chain.joined(separator: ": "))"
            return answer
        }
        let reply = await entry.adapter.write(value, to: entry.target)
        if case .refused(let status, let reason) = reply {
            answer.result = .failed
            answer.reason = "\(status): \(reason)"
            return record(.outcome, of: request, answer)
        }
        try? await time.sleep(for: entry.verifyAfter)
        let shown = await entry.adapter.readNow(entry.target, at: time.utc)
        answer.readBack = shown.value?.description
        judge(&answer, reply, shown, value, entry.target.tag)
        return record(.outcome, of: request, answer)
    }

    /// Compares what the device shows with what was written.
    private func judge(_ answer: inout WriteOutcome, _ reply: WriteReply, _ shown: DataValue, _ value: Variant, _ tag: Tag) {
        var doubt: String?
        if case .unknown(let status, let reason) = reply { doubt = "\(status): \(reason)" }
        guard shown.status.isGood, let readBack = shown.value else {
            answer.result = .unknown
            let trouble = "it could not be read back: \(shown.status)\(shown.reason.map { ": \($0)" } ?? "")"
            answer.reason = [doubt, trouble].compactMap(\.self).joined(separator: "; ")
            return
        }
        if WriteService.agrees(readBack, value, tag) {
            answer.result = .done
            answer.reason = doubt.map { "\($0); but the device shows the value" } ?? ""
        } else {
            answer.result = doubt == nil ? .mismatch : .unknown
            answer.reason = [doubt, "the device shows \(readBack), \(value) was written"].compactMap(\.self).joined(separator: "; ")
        }
    }

    /// Whether two values are the same to within one raw step of the tag.
    static func agrees(_ shown: Variant, _ written: Variant, _ tag: Tag) -> Bool {
        if shown == written { return true }
        guard tag.dataType.isNumeric, let left = shown.number, let right = written.number else { return false }
        if tag.dataType.isFloatingPoint {
            let step = tag.dataType == .float32 ? Double(Float(right).ulp) : right.ulp
            return abs(left - right) <= max(step, right.ulp) * 2
        }
        // Without a scale every integer is its own value: another one is another value.
        return !tag.scaling.isIdentity && abs(left - right) <= abs(tag.scaling.scale) * (1 + 1e-9)
    }

    func readings(for interlock: Interlock?) async -> [TagReference: DataValue] {
        var readings: [TagReference: DataValue] = [:]
        for reference in interlock?.references ?? [] {
            guard let entry = registry[reference] else { continue }
            // Stamped before it is asked for, so that a value is never taken for younger than it is.
            readings[reference] = await entry.adapter.readNow(entry.target, at: time.utc)
        }
        return readings
    }

    // MARK: - Records

    private func record(_ refusal: WriteRefusal, of request: WriteRequest, trace: String) -> WriteOutcome {
        var answer = WriteOutcome(.refused, target: request.target.description, trace: trace)
        answer.value = request.value.description
        return record(refusal, of: request, answer)
    }

    private func record(_ refusal: WriteRefusal, of request: WriteRequest, _ answer: WriteOutcome) -> WriteOutcome {
        var answer = answer
        answer.result = .refused
        answer.code = refusal.code.rawValue
        answer.reason = refusal.reason
        return record(.refused, of: request, answer)
    }

    private func record(_ kind: AuditRecord.Kind, of request: WriteRequest, _ answer: WriteOutcome) -> WriteOutcome {
        var answer = answer
        var record = entryRecord(kind, request, answer, outcome: answer.result.rawValue)
        if kind == .refused {
            guard told.take(at: time.now) else {
                leftOut += 1
                return answer
            }
            if leftOut > 0 { record.reason = "\(answer.reason) (\(leftOut) refusals before it were only counted)" }
            leftOut = 0
        }
        do {
            try recordLate()
            answer.auditHead = try audit.append(record).description
        } catch {
            logger.error("audit trail cannot be written", metadata: ["error_chain": .chain(of: error), "trace_id": "\(answer.trace)"])
            answer.auditHead = nil
            if kind == .outcome, unrecorded.count < WriteService.unrecordedMax { unrecorded.append(record) }
            let trouble = "this could not be recorded: \(error.chain.joined(separator: ": "))"
            answer.reason = answer.reason.isEmpty ? trouble : "\(answer.reason); \(trouble)"
            if kind == .confirmationAsked { answer.token = nil }
        }
        tell(answer, request)
        return answer
    }

    /// Writes down what another way in did. Returns false when that cannot be done; an outcome is then kept until it can.
    func append(_ record: AuditRecord) -> Bool {
        do {
            try recordLate()
            try audit.append(record)
            return true
        } catch {
            logger.error("audit trail cannot be written", metadata: ["error_chain": .chain(of: error)])
            if record.kind == .outcome, unrecorded.count < WriteService.unrecordedMax { unrecorded.append(record) }
            return false
        }
    }

    /// What the disk did not take at its time comes before anything new.
    private func recordLate() throws {
        while let record = unrecorded.first {
            try audit.append(record)
            unrecorded.removeFirst()
        }
    }

    private func entryRecord(_ kind: AuditRecord.Kind, _ request: WriteRequest, _ answer: WriteOutcome, outcome: String?) -> AuditRecord {
        AuditRecord(
            time: time.utc.description, kind: kind, who: request.who, from: request.from, device: request.target.device,
            tag: request.target.tag, old: answer.old, wanted: answer.value, readBack: answer.readBack, outcome: outcome,
            reason: answer.reason.isEmpty ? nil : answer.reason, trace: answer.trace)
    }

    /// A line for operators, with the head of the trail: where logs are kept off the box, it is remembered there.
    private func tell(_ answer: WriteOutcome, _ request: WriteRequest) {
        let level: Logger.Level = answer.result == .mismatch || answer.result == .unknown ? .warning : .notice
        logger.log(
            level: level, "write",
            metadata: [
                "target": "\(answer.target)", "value": "\(answer.value ?? "")", "old": "\(answer.old ?? "")",
                "result": "\(answer.result.rawValue)", "reason": "\(answer.reason)", "who": "\(request.who)", "from": "\(request.from)",
                "trace_id": "\(answer.trace)", "audit_head": "\(answer.auditHead ?? "")",
            ])
    }
}
