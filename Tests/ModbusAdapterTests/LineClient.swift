import GatewayCore
import ModbusProtocol

@testable import ModbusAdapter

/// Lets a test use a line from the line's own thread.
actor LineClient {
    nonisolated let line: ModbusLine

    nonisolated var unownedExecutor: UnownedSerialExecutor { line.executor }

    init(
        _ endpoint: ModbusEndpoint, timeout: Duration = .milliseconds(300), security: (any ChannelSecuring)? = nil
    ) {
        line = ModbusLine(endpoint, responseTimeout: timeout, connectTimeout: .seconds(5), security: security)
    }

    func open() throws { try line.open(for: "client") }

    func close() { line.close() }

    func setTimeout(_ timeout: Duration, unit: UInt8) { line.setResponseTimeout(timeout, unit: unit) }

    func registers(_ start: Int, _ count: Int, function: UInt8 = 3, unit: UInt8 = 1) -> Result<[UInt16], RequestFailure> {
        var values = [UInt16](repeating: 0, count: count)
        let failure = values.withUnsafeMutableBufferPointer { buffer -> RequestFailure? in
            do throws(RequestFailure) {
                try line.readRegisters(function, unit: unit, start: start, into: buffer)
                return nil
            } catch {
                return error
            }
        }
        return failure.map { .failure($0) } ?? .success(values)
    }

    func bits(_ start: Int, _ count: Int, function: UInt8 = 1, unit: UInt8 = 1) -> Result<[UInt8], RequestFailure> {
        var values = [UInt8](repeating: 0, count: count)
        let failure = values.withUnsafeMutableBufferPointer { buffer -> RequestFailure? in
            do throws(RequestFailure) {
                try line.readBits(function, unit: unit, start: start, into: buffer)
                return nil
            } catch {
                return error
            }
        }
        return failure.map { .failure($0) } ?? .success(values)
    }

    func perform(_ request: ModbusRequest, unit: UInt8 = 1) -> Result<ModbusResponse, RequestFailure> {
        do throws(RequestFailure) {
            return .success(try line.perform(request, unit: unit))
        } catch {
            return .failure(error)
        }
    }
}
