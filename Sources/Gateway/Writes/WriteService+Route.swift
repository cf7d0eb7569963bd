internal import AuditTrail
internal import GatewayCore
internal import Interlock
internal import Telemetry
package import Uplink

/// Commands that come down a route go through the same guard as any other write.
///
/// A host cannot answer a question, so tags that ask for a second step are refused: they are for people at the gateway.
extension WriteService: RouteCommandHandler {
    package nonisolated func submit(_ command: RouteCommand) async -> RouteCommandOutcome {
        let outcome = await submit(
            WriteRequest(
                who: WriteService.who(command.route, command.cluster), from: "topic \(command.topic)",
                target: TagReference(device: command.device, tag: command.tag), value: WriteRequest.Value(command.value),
                canConfirm: false))
        return outcome.result == .done ? .done : .refused(reason: outcome.reason.isEmpty ? outcome.result.rawValue : outcome.reason)
    }

    package func record(refused topic: String, route: String, cluster: String, reason: String) {
        _ = append(
            AuditRecord(
                time: now.description, kind: .refused, who: WriteService.who(route, cluster), from: "topic \(topic.prefix(200))",
                outcome: "refused", reason: reason, trace: TraceID().description))
    }

    /// The broker vouches for nobody: the route is all that is known of who asked.
    private static func who(_ route: String, _ cluster: String) -> String { "route \(route), cluster \(cluster)" }
}

extension WriteRequest.Value {
    /// A value as a payload carried it. Integers go as texts, because a floating-point number does not hold all of 64 bits.
    init(_ variant: Variant) {
        switch variant {
        case .bool(let flag): self = .bool(flag)
        case .int(let number): self = .text(String(number))
        case .uint(let number): self = .text(String(number))
        case .float(let number): self = .number(Double(number))
        case .double(let number): self = .number(number)
        case .string(let text): self = .text(text)
        }
    }
}
