/// The tables of `modbus`, in a protocol definition and in a device that differs from it.
enum ModbusReadingShape {
    static let definition = ObjectShape(
        "modbus", "How the device may be read, where it allows less than Modbus does.", fields(withDefaults: true))

    static let device = ObjectShape(
        "device modbus", "How this device may be read, where it differs from its definition.", fields(withDefaults: false))

    private static func fields(withDefaults: Bool) -> [Field] {
        func field(_ name: String, _ type: ValueType, _ text: String, _ doc: String) -> Field {
            withDefaults ? Field(name, type, default: text, doc) : Field(name, type, doc)
        }
        return [
            field(
                "maxRegistersPerRead", .integer(1...ModbusReading.registersMax), "\(ModbusReading.registersMax)",
                "The most registers that one request may ask for."),
            field(
                "maxBitsPerRead", .integer(1...ModbusReading.bitsMax), "\(ModbusReading.bitsMax)",
                "The most coils or discrete inputs that one request may ask for."),
            field(
                "alignment", .integer(1...16), "1",
                "Requests for registers begin at multiples of this and ask for multiples of it, for devices that allow nothing else."),
            field(
                "readAcrossHoles", .word(ModbusReading.Holes.allCases.map(\.rawValue)), "learn",
                "Whether addresses without a tag are read where that saves requests: learn which ones the device refuses, or never."),
        ]
    }
}
