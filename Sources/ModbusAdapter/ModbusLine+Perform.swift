internal import ModbusProtocol

extension ModbusLine {
    /// Carries out any request and gives its answer; an exception of the device is thrown as `RequestFailure.exception`.
    func perform(_ request: ModbusRequest, unit: UInt8) throws(RequestFailure) -> ModbusResponse {
        var response = ModbusResponse.written
        try self.request { context throws(RequestFailure) in response = try context.perform(request, unit: unit) }
        return response
    }
}
