/// How a Modbus device may be read, where it allows less than the protocol does.
package struct ModbusReading: Sendable, Equatable {
    /// What is done about addresses that no tag names.
    package enum Holes: String, Sendable, CaseIterable {
        /// They are read where that saves requests, until the device refuses.
        case learn
        case never
    }

    /// The most registers that one request may ask for (MODBUS Application Protocol V1.1b3, 6.3 and 6.4).
    package static let registersMax = 125
    /// The most coils or discrete inputs that one request may ask for (6.1 and 6.2).
    package static let bitsMax = 2000

    package var maxRegistersPerRead: Int
    package var maxBitsPerRead: Int
    /// Requests for registers begin at multiples of this and ask for multiples of it.
    package var alignment: Int
    package var holes: Holes

    package init(
        maxRegistersPerRead: Int = ModbusReading.registersMax, maxBitsPerRead: Int = ModbusReading.bitsMax, alignment: Int = 1,
        holes: Holes = .learn
    ) {
        self.maxRegistersPerRead = maxRegistersPerRead
        self.maxBitsPerRead = maxBitsPerRead
        self.alignment = alignment
        self.holes = holes
    }

    /// These settings with what an object of a document says differently.
    init(_ source: ObjectValue?, over base: ModbusReading = ModbusReading()) {
        self = base
        guard let source else { return }
        maxRegistersPerRead = source.integer("maxRegistersPerRead") ?? base.maxRegistersPerRead
        maxBitsPerRead = source.integer("maxBitsPerRead") ?? base.maxBitsPerRead
        alignment = source.integer("alignment") ?? base.alignment
        holes = source.text("readAcrossHoles").flatMap(Holes.init(rawValue:)) ?? base.holes
    }

    /// What does not fit together: a sentence for the key, or for the first tag that is longer than a request.
    func problem(tags: [TagDefinition]) -> (key: String, message: String, suggestion: String)? {
        if alignment > maxRegistersPerRead {
            return (
                "alignment", "alignment is \(alignment), but a request may only ask for \(maxRegistersPerRead) registers",
                "give a smaller alignment, or a larger maxRegistersPerRead"
            )
        }
        guard let long = tags.first(where: { $0.address.table.isRegister && $0.unitCount > maxRegistersPerRead }) else { return nil }
        return (
            "maxRegistersPerRead",
            "tag '\(long.name)' takes \(long.unitCount) registers, but one request may only ask for \(maxRegistersPerRead)",
            "give at least \(long.unitCount), or disable the tag"
        )
    }
}
