/// The four tables of the data model (4.3); the raw value is the function code that reads them.
package enum ModbusArea: UInt8, Sendable, CaseIterable {
    case coils = 1
    case discreteInputs = 2
    case holdingRegisters = 3
    case inputRegisters = 4

    package var isBits: Bool { self == .coils || self == .discreteInputs }
    package var readsMax: Int { isBits ? ModbusLimits.readBitsMax : ModbusLimits.readRegistersMax }
}
