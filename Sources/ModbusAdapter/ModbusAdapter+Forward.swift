package import ModbusProtocol

extension ModbusAdapter {
    /// Carries out a request of somebody else between two polls. Trouble on the way becomes the exceptions that the protocol has for
    /// gateways (7): 10 when there is no connection, 11 when the device does not answer, or not to this question.
    package func forward(_ request: ModbusRequest) async -> ModbusResponse {
        do throws(RequestFailure) {
            return try line.perform(request, unit: unit)
        } catch {
            switch error {
            case .exception(let code): return .exception(code)
            case .disconnected: return .exception(10)
            case .timeout, .invalidReply: return .exception(11)
            }
        }
    }
}
