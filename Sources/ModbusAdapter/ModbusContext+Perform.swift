internal import CModbus
internal import Glibc
internal import ModbusProtocol

extension ModbusContext {
    /// Carries out a request for which libmodbus has a function of its own.
    func perform(_ request: ModbusRequest, unit: UInt8) throws(RequestFailure) -> ModbusResponse {
        switch request {
        case .read(let area, let start, let count) where area.isBits:
            var bits = [UInt8](repeating: 0, count: count)
            let failure = bits.withUnsafeMutableBufferPointer { target -> RequestFailure? in
                do throws(RequestFailure) {
                    try readBits(area.rawValue, unit: unit, start: Int(start), into: target)
                    return nil
                } catch { return error }
            }
            if let failure { throw failure }
            return .bits(bits.map { $0 != 0 })
        case .read(let area, let start, let count):
            var registers = [UInt16](repeating: 0, count: count)
            let failure = registers.withUnsafeMutableBufferPointer { target -> RequestFailure? in
                do throws(RequestFailure) {
                    try readRegisters(area.rawValue, unit: unit, start: Int(start), into: target)
                    return nil
                } catch { return error }
            }
            if let failure { throw failure }
            return .registers(registers)
        case .writeCoil(let address, let value):
            return try write(unit: unit, wanted: 1) { modbus_write_bit($0, Int32(address), value ? 1 : 0) }
        case .writeRegister(let address, let value):
            return try write(unit: unit, wanted: 1) { modbus_write_register($0, Int32(address), value) }
        case .writeCoils(let start, let values):
            let bytes = values.map { UInt8($0 ? 1 : 0) }
            return try write(unit: unit, wanted: bytes.count) { modbus_write_bits($0, Int32(start), Int32(bytes.count), bytes) }
        case .writeRegisters(let start, let values):
            return try write(unit: unit, wanted: values.count) { modbus_write_registers($0, Int32(start), Int32(values.count), values) }
        case .maskWrite(let address, let and, let or):
            return try write(unit: unit, wanted: 1) { modbus_mask_write_register($0, Int32(address), and, or) }
        case .readWrite, .readDeviceIdentification, .other:
            throw .invalidReply("function \(request.function) is not supported here")
        }
    }

    private func write(unit: UInt8, wanted: Int, _ call: (OpaquePointer) -> Int32) throws(RequestFailure) -> ModbusResponse {
        modbus_set_slave(context, Int32(unit))
        let written = call(context)
        let code = errno
        guard written == Int32(wanted) else { throw ModbusContext.requestFailure(code, read: written, wanted: Int32(wanted)) }
        return .written
    }
}
