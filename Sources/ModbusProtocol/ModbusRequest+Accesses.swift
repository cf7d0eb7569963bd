/// Addresses that a request reads or writes.
package struct ModbusAccess: Sendable, Hashable {
    package var area: ModbusArea
    package var start: Int
    package var count: Int
    package var isWrite: Bool

    package init(area: ModbusArea, start: Int, count: Int, isWrite: Bool) {
        self.area = area
        self.start = start
        self.count = count
        self.isWrite = isWrite
    }

    package var range: Range<Int> { start..<start + count }
}

extension ModbusRequest {
    /// What the request touches; `nil` for a function this codec does not know, none for the device identification.
    package var accesses: [ModbusAccess]? {
        switch self {
        case .read(let area, let start, let count): [ModbusAccess(area: area, start: Int(start), count: count, isWrite: false)]
        case .writeCoil(let address, _): [ModbusAccess(area: .coils, start: Int(address), count: 1, isWrite: true)]
        case .writeRegister(let address, _), .maskWrite(let address, _, _):
            [ModbusAccess(area: .holdingRegisters, start: Int(address), count: 1, isWrite: true)]
        case .writeCoils(let start, let values): [ModbusAccess(area: .coils, start: Int(start), count: values.count, isWrite: true)]
        case .writeRegisters(let start, let values):
            [ModbusAccess(area: .holdingRegisters, start: Int(start), count: values.count, isWrite: true)]
        case .readWrite(let readStart, let readCount, let writeStart, let values):
            [
                ModbusAccess(area: .holdingRegisters, start: Int(writeStart), count: values.count, isWrite: true),
                ModbusAccess(area: .holdingRegisters, start: Int(readStart), count: readCount, isWrite: false),
            ]
        case .readDeviceIdentification: []
        case .other: nil
        }
    }

    /// What `current`, the contents of `access`, become by the request; `nil` if it does not write there or the outcome needs contents
    /// that are not known.
    package func written(to access: ModbusAccess, over current: [UInt16]?) -> [UInt16]? {
        switch self {
        case .writeCoil(_, let value): [value ? 1 : 0]
        case .writeRegister(_, let value): [value]
        case .writeCoils(_, let values): values.map { $0 ? 1 : 0 }
        case .writeRegisters(_, let values), .readWrite(_, _, _, let values): values
        case .maskWrite(_, let and, let or): current?.first.map { [($0 & and) | (or & ~and)] }
        case .read, .readDeviceIdentification, .other: nil
        }
    }
}
