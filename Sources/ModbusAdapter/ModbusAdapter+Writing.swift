package import GatewayCore
internal import ModbusProtocol
package import Telemetry

/// Writes with functions 05, 06, 15, 16 and 22; reads back with 01 to 04.
///
/// References are to the Modbus Application Protocol Specification V1.1b3.
extension ModbusAdapter: TagWriting {
    package nonisolated func representable(_ value: Variant, as target: WriteTarget) throws(GatewayError) -> Variant {
        let isPlainInteger = target.tag.dataType.isNumeric && !target.tag.dataType.isFloatingPoint && target.tag.scaling.isIdentity
        if isPlainInteger, target.field.rules?.table == nil, let number = value.number, number != number.rounded() {
            throw GatewayError(
                .unsupported, resource: "tag \(target.tag.name)", operation: "encode",
                "'\(value)' would be rounded: the tag takes whole numbers")
        }
        return try RegisterEncoder(tag: target.tag, field: target.field).encode(value).value
    }

    package func readNow(_ target: WriteTarget, at time: Timestamp) async -> DataValue {
        do throws(RequestFailure) {
            let value: Variant?
            switch try units(target) {
            case .bits(let bits): value = bits.first.map { .bool($0) }
            case .registers(let registers):
                let (decoded, flaw) = RegisterEncoder(tag: target.tag, field: target.field).decode(registers)
                if let flaw {
                    return DataValue(value: decoded, status: flaw.status, time: time, reason: "\(place(target)): \(flaw)")
                }
                value = decoded
            case .written, .identification, .exception, .other: value = nil
            }
            guard let value else {
                return DataValue(value: nil, status: .badDecodingError, time: time, reason: "\(place(target)): no value of its type")
            }
            return DataValue(value: value, status: .good, time: time)
        } catch {
            let (status, reason) = explain(error, target)
            return DataValue(value: nil, status: status, time: time, reason: reason)
        }
    }

    package func write(_ value: Variant, to target: WriteTarget) async -> WriteReply {
        do throws(RequestFailure) {
            guard let address = UInt16(exactly: target.field.start) else {
                return .refused(.badNodeIdUnknown, reason: "\(place(target)): there is no such address")
            }
            let encoded: EncodedValue
            do throws(GatewayError) {
                encoded = try RegisterEncoder(tag: target.tag, field: target.field).encode(value)
            } catch {
                return .refused(.badOutOfRange, reason: error.message)
            }
            if let coil = encoded.coil {
                let isMultiple = target.function == .multiple
                return try carryOut(
                    isMultiple ? .writeCoils(start: address, values: [coil]) : .writeCoil(address: address, value: coil), target)
            }
            let registers = encoded.registers
            if let mask = encoded.mask { return try writePart(registers[0], mask: mask, at: address, target) }
            let isSingle = registers.count == 1 && target.function != .multiple
            let request: ModbusRequest =
                isSingle ? .writeRegister(address: address, value: registers[0]) : .writeRegisters(start: address, values: registers)
            return try carryOut(request, target)
        } catch {
            return reply(to: error, target)
        }
    }

    // MARK: - Parts of registers

    /// Changes the bits of `mask` only.
    private func writePart(
        _ value: UInt16, mask: UInt16, at address: UInt16, _ target: WriteTarget
    ) throws(RequestFailure) -> WriteReply {
        do throws(RequestFailure) {
            // 6.16: result = (current AND and) OR (or AND NOT and).
            return try carryOut(.maskWrite(address: address, and: ~mask, or: value), target)
        } catch {
            // 7: exception 01, the device does not know the function, and so has not done anything.
            guard error == .exception(1) else { throw error }
        }
        guard target.allowsReadModifyWrite else {
            return .refused(
                .badServiceUnsupported,
                reason:
                    "\(place(target)): the device has no mask write (function 22), and the definition does not allow to write the whole "
                    + "register back (readModifyWrite)")
        }
        guard case .registers(let registers) = try units(target), let current = registers.first else {
            return .refused(.badDecodingError, reason: "\(place(target)): the register could not be read")
        }
        let changed = current & ~mask | value
        return try carryOut(
            target.function == .multiple
                ? .writeRegisters(start: address, values: [changed]) : .writeRegister(address: address, value: changed), target)
    }

    // MARK: - Requests

    private func carryOut(_ request: ModbusRequest, _ target: WriteTarget) throws(RequestFailure) -> WriteReply {
        switch try line.perform(request, unit: unit) {
        case .written: .written
        case .exception(let code): reply(to: .exception(code), target)
        case .bits, .registers, .identification, .other:
            .unknown(.badCommunicationError, reason: "\(place(target)): the answer is not that of a write")
        }
    }

    private func units(_ target: WriteTarget) throws(RequestFailure) -> ModbusResponse {
        guard let area = ModbusArea(rawValue: target.field.area), let start = UInt16(exactly: target.field.start) else {
            throw .exception(2)
        }
        let response = try line.perform(.read(area, start: start, count: target.field.count), unit: unit)
        if case .exception(let code) = response { throw .exception(code) }
        return response
    }

    private func reply(to failure: RequestFailure, _ target: WriteTarget) -> WriteReply {
        let (status, reason) = explain(failure, target)
        if case .exception(let code) = failure {
            // 7: 04 may come after a part of the work was done, and 05 means that it goes on.
            return code == 4 || code == 5 ? .unknown(status, reason: reason) : .refused(status, reason: reason)
        }
        return .unknown(status, reason: reason)
    }

    /// What a failure means; a connection that is gone is closed, so that the next poll makes it anew.
    private func explain(_ failure: RequestFailure, _ target: WriteTarget) -> (StatusCode, String) {
        switch failure {
        case .exception(let code):
            let meaning = ModbusException(code)
            return (meaning.status, "\(place(target)): \(meaning)")
        case .timeout: return (.badTimeout, "\(place(target)): no answer in time")
        case .invalidReply(let text): return (.badCommunicationError, "\(place(target)): invalid reply: \(text)")
        case .disconnected(let text):
            line.close()
            return (.badNotConnected, "\(place(target)): \(text)")
        }
    }

    private nonisolated func place(_ target: WriteTarget) -> String {
        let area = ["coil", "discrete input", "holding register", "input register"]
        let name = area.indices.contains(Int(target.field.area) - 1) ? area[Int(target.field.area) - 1] : "area \(target.field.area)"
        let end = target.field.count > 1 ? "…\(target.field.start + target.field.count - 1)" : ""
        return "\(name) \(target.field.start)\(end)"
    }
}
