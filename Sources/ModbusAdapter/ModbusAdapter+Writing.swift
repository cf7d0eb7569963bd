package import GatewayCore
internal import ModbusProtocol
package import Telemetry

/// Writes with functions 05, 06, 15, 16 and 22; reads back with 01 to 04.
///
/// References are to the Modbus Application Protocol Specification V1.1b3.
extension ModbusAdapter: TagWriting {
    package nonisolated func representable(_ value: Variant, as target: WriteTarget) throws(GatewayError) -> Variant {
        if target.tag.dataType == .bool {
            guard case .bool = value else {
                throw GatewayError(
                    .unsupported, resource: "tag \(target.tag.name)", operation: "encode",
                    "the value is '\(value)', but the tag is true or false")
            }
            return value
        }
        let registers = try encode(value, target)
        guard let shown = decode(registers, target) else {
            throw GatewayError(
                .unsupported, resource: "tag \(target.tag.name)", operation: "encode", "'\(value)' cannot be read back as it is written")
        }
        return shown
    }

    package func readNow(_ target: WriteTarget, at time: Timestamp) async -> DataValue {
        do throws(RequestFailure) {
            let value: Variant?
            switch try units(target) {
            case .bits(let bits): value = bits.first.map { .bool($0) }
            case .registers(let registers): value = decode(registers, target)
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
            if target.tag.dataType == .bool {
                guard case .bool(let bit) = value else {
                    return .refused(.badInvalidArgument, reason: "the value is '\(value)', but the tag is true or false")
                }
                return try writeBit(bit, at: address, target)
            }
            let registers: [UInt16]
            do throws(GatewayError) {
                registers = try encode(value, target)
            } catch {
                return .refused(.badOutOfRange, reason: error.message)
            }
            let isSingle = registers.count == 1 && target.function != .multiple
            let request: ModbusRequest =
                isSingle ? .writeRegister(address: address, value: registers[0]) : .writeRegisters(start: address, values: registers)
            return try carryOut(request, target)
        } catch {
            return reply(to: error, target)
        }
    }

    // MARK: - Bits of registers

    private func writeBit(_ value: Bool, at address: UInt16, _ target: WriteTarget) throws(RequestFailure) -> WriteReply {
        guard let bit = target.field.bit else {
            return try carryOut(
                target.function == .multiple
                    ? .writeCoils(start: address, values: [value]) : .writeCoil(address: address, value: value), target)
        }
        let mask = UInt16(1) << UInt16(target.field.byteOrder.bytesSwapped ? bit ^ 8 : bit)
        do throws(RequestFailure) {
            // 6.16: result = (current AND and) OR (or AND NOT and).
            return try carryOut(.maskWrite(address: address, and: ~mask, or: value ? mask : 0), target)
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
        let changed = value ? current | mask : current & ~mask
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

    // MARK: - Values

    private nonisolated func encode(_ value: Variant, _ target: WriteTarget) throws(GatewayError) -> [UInt16] {
        try RegisterEncoder.registers(
            for: value, as: target.tag.dataType, byteOrder: target.field.byteOrder, scaling: target.tag.scaling,
            capacity: target.tag.stringCapacity)
    }

    /// The engineering value of registers; `nil` when they are none of the tag's type.
    private nonisolated func decode(_ registers: [UInt16], _ target: WriteTarget) -> Variant? {
        guard registers.count >= target.field.count else { return nil }
        var field = target.field
        field.tag = 0
        let descriptor = StreamDescriptor(device: name, group: "write", tags: [target.tag])
        let request = ReadRequest(area: field.area, start: field.start, count: field.count, fields: 0..<1)
        let decoder = RegisterDecoder(request: request, fields: [field], descriptor: descriptor)
        var batch = SampleBatch(stream: StreamID(rawValue: 0), descriptor: descriptor, time: Timestamp(nanoseconds: 0), status: .good)
        var isUsable = true
        registers.withUnsafeBufferPointer { registers in
            batch.values.withUnsafeMutableBytes { decoder.decode(registers: registers, into: $0) { _ in isUsable = false } }
        }
        return isUsable ? batch.value(of: 0, in: descriptor)?.value : nil
    }
}
