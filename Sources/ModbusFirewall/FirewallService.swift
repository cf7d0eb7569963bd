package import GatewayCore
package import Logging
package import ModbusProtocol
internal import Synchronization
package import Telemetry

/// Answers the requests of clients: out of the latest values, by the device, or with an exception.
package final class FirewallService: Sendable {
    /// A device behind the firewall.
    package struct Target: Sendable {
        package var device: String
        /// What the device answers; trouble on the way is exception 10 or 11.
        package var forward: @Sendable (ModbusRequest) async -> ModbusResponse
        /// The latest values, not older than the instant; `nil` where there are none.
        package var latest: @Sendable (ModbusAccess, _ notBefore: MonotonicInstant) -> [UInt16]?
        /// Told of a write, so that older values are not answered any more.
        package var didWrite: @Sendable (ModbusAccess) -> Void

        package init(
            device: String, forward: @escaping @Sendable (ModbusRequest) async -> ModbusResponse,
            latest: @escaping @Sendable (ModbusAccess, _ notBefore: MonotonicInstant) -> [UInt16]?,
            didWrite: @escaping @Sendable (ModbusAccess) -> Void
        ) {
            self.device = device
            self.forward = forward
            self.latest = latest
            self.didWrite = didWrite
        }
    }

    /// A write that was tried, for the audit trail.
    package struct Attempt: Sendable {
        package enum Stage: Sendable, Equatable {
            /// About to be sent to the device.
            case intended
            case done
            /// Not done, or nobody knows: what the device answered.
            case failed(String)
            /// Not let through.
            case refused(String)
        }
        package var firewall: String
        package var client: String
        package var device: String
        package var unit: UInt8
        package var request: ModbusRequest
        package var stage: Stage
        package var time: Timestamp
        /// Ties the records of one write to each other.
        package var trace: String
    }

    package let name: String
    package let freshFor: Duration
    private let targets: [UInt8: Target]
    private let firewall: Mutex<ModbusFirewall>
    private let state = Mutex(FirewallStatus())
    private let lastRefusedWrite = Mutex<MonotonicInstant?>(nil)
    private let told: Mutex<(bucket: TokenBucket, leftOut: UInt64)>
    private let turn = Turnstile()
    private let judge: @Sendable (_ device: String, _ tags: [String]) async -> Refusal?
    private let audit: @Sendable (Attempt) async -> Bool
    private let time: any TimeSource
    private let logger: Logger

    /// By these exceptions a gateway, ours or another behind it, says that the device did not answer (V1.1b3, 7).
    private static let withoutAnswer: Set<UInt8> = [10, 11]

    /// How long the alarm stands after a refused write.
    static let alarmHolds = Duration.seconds(60)

    /// How many refusals are written down and logged: a client that is refused again and again must not push older records out of the trail.
    static let toldPerSecond = 1.0
    static let toldAtOnce = 20

    /// `judge` looks at the rules of tags that a write touches, beyond limits of their values, and counts the write if it may be made. `audit`
    /// returns whether the attempt was written down: a write that cannot be is refused.
    package init(
        name: String, firewall: ModbusFirewall, targets: [UInt8: Target], freshFor: Duration,
        judge: @escaping @Sendable (_ device: String, _ tags: [String]) async -> Refusal? = { _, _ in nil },
        audit: @escaping @Sendable (Attempt) async -> Bool, time: any TimeSource, logger: Logger
    ) {
        self.name = name
        self.firewall = Mutex(firewall)
        self.targets = targets
        self.freshFor = freshFor
        told = Mutex(
            (TokenBucket(perSecond: FirewallService.toldPerSecond, size: FirewallService.toldAtOnce, at: time.now), leftOut: 0))
        self.judge = judge
        self.audit = audit
        self.time = time
        self.logger = logger
    }

    package var status: FirewallStatus {
        let last = lastRefusedWrite.withLock { $0 }
        var status = state.withLock { $0 }
        status.isAlarm = last.map { $0.duration(to: time.now) < FirewallService.alarmHolds } ?? false
        return status
    }

    package var baseline: WriteBaseline { firewall.withLock { $0.baseline } }

    /// The unit identifiers of the devices behind it.
    var units: Set<UInt8> { Set(targets.keys) }

    func knows(_ client: ClientAddress) -> Bool { firewall.withLock { $0.knows(client) } }

    func update(_ change: (inout FirewallStatus) -> Void) { state.withLock { change(&$0) } }

    /// Appends the status to the log when it changes, and every ten seconds, until the task is cancelled. `stream` is that of
    /// `FirewallStream.descriptor`.
    package func report(to log: any TelemetryLog, stream: StreamID) async throws {
        let descriptor = FirewallStream.descriptor(firewall: name)
        var last: (isAlarm: Bool, reason: String, refused: UInt64)?
        var next = time.now
        var tick = 0
        while true {
            next = next.advanced(by: .seconds(1))
            try await time.sleep(until: next)
            let status = self.status
            let current = (isAlarm: status.isAlarm, reason: status.reason, refused: status.refusedWrites)
            if tick % 10 == 0 || last.map({ $0 != current }) ?? true {
                log.append(FirewallStream.batch(status, stream: stream, descriptor: descriptor, at: time.stamp))
            }
            last = current
            tick += 1
        }
    }

    /// The protocol data unit that answers `pdu`.
    package func answer(_ pdu: [UInt8], unit: UInt8, client: ClientAddress) async -> [UInt8] {
        update { $0.requests += 1 }
        let request: ModbusRequest
        do {
            request = try ModbusRequest(pdu: pdu)
        } catch {
            update {
                $0.malformed += 1
                $0.reason = "\(client): \(error)"
            }
            return [(pdu.first ?? 0) | 0x80, Refusal.Exception.illegalDataValue.rawValue]
        }
        guard let target = targets[unit] else {
            let refusal = Refusal(.gatewayPathUnavailable, .notAllowed, "no device is unit \(unit)")
            return await refuse(request, refusal, unit: unit, device: "", client: client)
        }
        switch firewall.withLock({ $0.judge(request, unit: unit, client: client, at: time.now) }) {
        case .refuse(let refusal): return await refuse(request, refusal, unit: unit, device: target.device, client: client)
        case .read: return await read(request, target).pdu(to: request)
        case .write(let needs):
            await turn.enter()
            defer { turn.leave() }
            return await write(request, needs: needs, unit: unit, target: target, client: client)
        }
    }

    private func read(_ request: ModbusRequest, _ target: Target) async -> ModbusResponse {
        if case .read(let area, _, _) = request, let access = request.accesses?.first,
            let values = target.latest(access, time.now.advanced(by: .zero - freshFor))
        {
            update { $0.answeredFromLatest += 1 }
            return area.isBits ? .bits(values.map { $0 != 0 }) : .registers(values)
        }
        update { $0.forwarded += 1 }
        return await target.forward(request)
    }

    private func write(
        _ request: ModbusRequest, needs: [ModbusAccess], unit: UInt8, target: Target, client: ClientAddress
    ) async -> [UInt8] {
        var contents: [ModbusAccess: [UInt16]] = [:]
        for access in needs {
            // Judged against what the device has now, not what it had a poll ago.
            switch await target.forward(.read(access.area, start: UInt16(access.start), count: access.count)) {
            case .registers(let values): contents[access] = values
            case .bits(let values): contents[access] = values.map { $0 ? 1 : 0 }
            default: break
            }
        }
        if let refusal = firewall.withLock({ $0.refusal(of: request, unit: unit, client: client, contents: contents) }) {
            return await refuse(request, refusal, unit: unit, device: target.device, client: client)
        }
        let ruled = firewall.withLock { $0.ruledTags(touchedBy: request, unit: unit) }
        if !ruled.isEmpty, let refusal = await judge(target.device, ruled) {
            return await refuse(request, refusal, unit: unit, device: target.device, client: client)
        }
        var attempt = attempt(request, .intended, unit: unit, device: target.device, client: client)
        guard await audit(attempt) else {
            let refusal = Refusal(.deviceFailure, .notAudited, "the audit trail cannot be written, so nothing is")
            return await refuse(request, refusal, unit: unit, device: target.device, client: client)
        }
        let response = await target.forward(request)
        for access in request.accesses ?? [] where access.isWrite { target.didWrite(access) }
        attempt.stage =
            switch response {
            // Sent and not answered is not the same as not done.
            case .exception(let code) where FirewallService.withoutAnswer.contains(code):
                .failed("no answer came (exception \(code)): nobody knows whether the device did it")
            case .exception(let code): .failed("the device answered exception \(code)")
            default: .done
            }
        _ = await audit(attempt)
        update { $0.forwarded += 1 }
        return response.pdu(to: request)
    }

    /// Whether a refusal is told of now; if so, how many were only counted since the last one that was.
    private func takeTurn(at now: MonotonicInstant) -> UInt64? {
        told.withLock { told in
            guard told.bucket.take(at: now) else {
                told.leftOut += 1
                return nil
            }
            defer { told.leftOut = 0 }
            return told.leftOut
        }
    }

    private func attempt(
        _ request: ModbusRequest, _ stage: Attempt.Stage, unit: UInt8, device: String, client: ClientAddress
    ) -> Attempt {
        Attempt(
            firewall: name, client: client.description, device: device, unit: unit, request: request, stage: stage, time: time.utc,
            trace: TraceID().description)
    }

    private func refuse(
        _ request: ModbusRequest, _ refusal: Refusal, unit: UInt8, device: String, client: ClientAddress
    ) async -> [UInt8] {
        let now = time.now
        let isNew = state.withLock { status in
            if request.isWrite { status.refusedWrites += 1 } else { status.refusedReads += 1 }
            defer { status.reason = refusal.text }
            return status.reason != refusal.text
        }
        if request.isWrite { lastRefusedWrite.withLock { $0 = now } }
        if request.isWrite || isNew, let leftOut = takeTurn(at: now) {
            let text = leftOut == 0 ? refusal.text : "\(refusal.text) (\(leftOut) refusals before it were only counted)"
            if request.isWrite { _ = await audit(attempt(request, .refused(text), unit: unit, device: device, client: client)) }
            if isNew {
                logger.warning(
                    "request refused",
                    metadata: [
                        "firewall": "\(name)", "client": "\(client)", "unit": "\(unit)", "kind": "\(refusal.kind.rawValue)",
                        "reason": "\(text)",
                    ])
            }
        }
        return ModbusResponse.exception(refusal.exception.rawValue).pdu(to: request)
    }
}

/// Lets one through at a time, in the order of coming. Those who wait are as many as there are sessions.
final class Turnstile: Sendable {
    private struct State {
        var isBusy = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    func enter() async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if state.isBusy {
                    state.waiting.append(continuation)
                    return false
                }
                state.isBusy = true
                return true
            }
            if isFree { continuation.resume() }
        }
    }

    func leave() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            if state.waiting.isEmpty {
                state.isBusy = false
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.resume()
    }
}
