internal import Acquisition
internal import AuditTrail
internal import GatewayCore
internal import Interlock
internal import ModbusFirewall
internal import ModbusProtocol
internal import Telemetry

extension WriteService {
    /// Looks at the rules of tags that a client's write touches: rate, two steps, interlocks. Without a refusal it counts as a write of each.
    func refusalOfForeign(device: String, tags: [String]) async -> WriteRefusal? {
        let targets = tags.compactMap { name in
            let reference = TagReference(device: device, tag: name)
            return registry.rules(of: reference).map { (tag: reference, rules: $0) }
        }
        if let refusal = guardian.refusalOfForeign(targets, at: time.now) { return refusal }
        var readings: [TagReference: DataValue] = [:]
        for (_, rules) in targets { readings.merge(await self.readings(for: rules.interlock)) { $1 } }
        return guardian.admitForeign(targets, readings: readings, utc: time.utc, at: time.now)
    }

    /// Writes down what a client tried through a firewall. Returns false when that cannot be done.
    func record(_ attempt: FirewallService.Attempt) -> Bool {
        var record = AuditRecord(
            time: attempt.time.description, kind: .intent, who: attempt.client, from: "firewall \(attempt.firewall)",
            device: attempt.device.isEmpty ? nil : attempt.device, tag: WriteService.place(of: attempt.request, unit: attempt.unit),
            wanted: WriteService.values(of: attempt.request), trace: attempt.trace)
        switch attempt.stage {
        case .intended: break
        case .done:
            record.kind = .outcome
            record.outcome = "done"
        case .failed(let reason):
            record.kind = .outcome
            record.outcome = "failed"
            record.reason = reason
        case .refused(let reason):
            record.kind = .refused
            record.outcome = "refused"
            record.reason = reason
        }
        return append(record)
    }

    /// Where a request writes: `unit 1, function 6, holding registers 50`.
    private static func place(of request: ModbusRequest, unit: UInt8) -> String {
        let start = "unit \(unit), function \(request.function)"
        guard let write = request.accesses?.first(where: \.isWrite) else { return start }
        let end = write.count > 1 ? "…\(write.start + write.count - 1)" : ""
        return "\(start), \(write.area.name) \(write.start)\(end)"
    }

    /// What a request writes, in raw registers or bits.
    private static func values(of request: ModbusRequest) -> String? {
        switch request {
        case .writeCoil(_, let value): value ? "1" : "0"
        case .writeRegister(_, let value): String(value)
        case .writeCoils(_, let values): values.map { $0 ? "1" : "0" }.joined(separator: " ")
        case .writeRegisters(_, let values), .readWrite(_, _, _, let values): values.map(String.init).joined(separator: " ")
        case .maskWrite(_, let and, let or): "and \(and), or \(or)"
        case .read, .readDeviceIdentification, .other: nil
        }
    }
}
