package import GatewayCore
internal import Telemetry

extension ModbusAdapter {
    /// Sends the plan's smallest request, once. An exception is an answer.
    package func probe(_ plan: ReadPlan) async throws -> ProbeResult {
        guard let request = plan.requests.min(by: { $0.count < $1.count }) else { return ProbeResult(isAnswered: true) }
        let start = time.now
        do throws(RequestFailure) {
            try ask(request)
            return ProbeResult(isAnswered: true)
        } catch {
            switch error {
            case .exception: return ProbeResult(isAnswered: true)
            case .timeout:
                return ProbeResult(
                    isAnswered: false, silence: start.duration(to: time.now), reason: "\(describe(request)): no answer in time")
            case .invalidReply(let text):
                return ProbeResult(
                    isAnswered: false, silence: start.duration(to: time.now), reason: "\(describe(request)): invalid reply: \(text)")
            case .disconnected(let text):
                line.close()
                throw GatewayError(
                    .connectionLost, resource: "device \(name)", operation: "probe", "\(describe(request)): \(text)")
            }
        }
    }

    /// Reads what the request asks for and throws it away.
    private func ask(_ request: ReadRequest) throws(RequestFailure) {
        if request.area <= 2 {
            try bits.withUnsafeMutableBufferPointer { buffer throws(RequestFailure) in
                try line.readBits(request.area, unit: unit, start: request.start, into: .init(rebasing: buffer[..<request.count]))
            }
        } else {
            try registers.withUnsafeMutableBufferPointer { buffer throws(RequestFailure) in
                try line.readRegisters(request.area, unit: unit, start: request.start, into: .init(rebasing: buffer[..<request.count]))
            }
        }
    }
}
