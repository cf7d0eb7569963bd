/// Where a value lies in a Modbus device: a table and a 0-based protocol address (Modbus Application Protocol 1.1b3, 4.4), and for a
/// boolean within a register the bit.
package struct ModbusAddress: Sendable, Hashable {
    /// The four tables of the data model (Modbus Application Protocol 1.1b3, 4.3).
    package enum Table: String, Sendable, Hashable, CaseIterable {
        case holding
        case input
        case coil
        case discrete

        /// Whether an address holds 16 bits; coils and discrete inputs hold one.
        package var isRegister: Bool { self == .holding || self == .input }
        /// Whether clients may write to the table.
        package var isWritable: Bool { self == .holding || self == .coil }
    }

    package var table: Table
    /// 0…65535, as on the wire: the register that manuals call 40001 is `holding:0`.
    package var offset: Int
    /// The bit of a register, 0 the least significant; `nil` for whole registers, coils and discrete inputs.
    package var bit: Int?

    package init(table: Table, offset: Int, bit: Int? = nil) {
        self.table = table
        self.offset = offset
        self.bit = bit
    }

    package static let offsetMax = 65_535
    package static let bitMax = 15
}

extension ModbusAddress: CustomStringConvertible {
    package var description: String { "\(table.rawValue):\(offset)\(bit.map { ".\($0)" } ?? "")" }
}
