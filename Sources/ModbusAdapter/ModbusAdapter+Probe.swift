package import GatewayCore
internal import Telemetry

extension ModbusAdapter {
    /// Sends one request of the plan, once: the smallest, the next time another. An exception is an answer.
    package func probe(_ plan: ReadPlan) async throws -> ProbeResult {
        let requests = plan.requests.sorted { $0.count < $1.count }
        guard !requests.isEmpty else { return ProbeResult(isAnswered: true) }
        let request = requests[probeTurn % requests.count]
        probeTurn += 1
        let start = time.now
        do throws(RequestFailure) {
            try ask(request)
            probeTurn = 0
            return ProbeResult(isAnswered: true)
        } catch {
            switch error {
            case .exception:
                probeTurn = 0
                return ProbeResult(isAnswered: true)
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
