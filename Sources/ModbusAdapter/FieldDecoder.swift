internal import GatewayCore
internal import Telemetry

/// Turns the registers of one value into its slot where moving bytes is not enough: parts of registers, half floats, BCD, marks of
/// missing values, windows of valid ones and tables. Text is `RegisterText`'s matter.
struct FieldDecoder: Sendable {
    private let field: ReadField
    private let rules: ValueRules
    private let scaling: Scaling

    /// `tag` is the slot's: a `float64` where the field has a table.
    init(_ field: ReadField, tag: Tag) {
        self.field = field
        rules = field.rules ?? ValueRules()
        scaling = tag.scaling
    }

    /// Writes the slot unless the value is Bad; what is wrong with the value.
    func decode(
        _ registers: UnsafeBufferPointer<UInt16>, at source: Int, into values: UnsafeMutableRawBufferPointer, at target: Int
    ) -> ValueFlaw.Kind? {
        var bits = RegisterBits.bits(of: registers, at: source, count: field.count, order: field.byteOrder)
        if case .bitField(let width) = field.encoding { bits = bits >> UInt64(field.bit ?? 0) & (1 << UInt64(width) - 1) }
        if rules.notAvailable.contains(bits) { return .notAvailable(bits) }

        let number: Double
        /// As the slot holds it, where no table converts it.
        var slot = bits
        switch (field.encoding, field.dataType) {
        case (.half, _):
            let value = Float(Float16(bitPattern: UInt16(truncatingIfNeeded: bits)))
            number = Double(value)
            slot = UInt64(value.bitPattern)
        case (.decimal, _):
            guard let value = RegisterBits.number(ofDecimal: bits) else { return .notDecimal(bits, digits: field.count * 4) }
            number = Double(value)
            slot = value
        case (.bitField(let width), .int8), (.bitField(let width), .int16):
            let value = RegisterBits.signExtended(bits, width: width)
            number = Double(value)
            slot = UInt64(bitPattern: value)
        case (_, .int16), (_, .int32), (_, .int64): number = Double(RegisterBits.signExtended(bits, width: field.count * 16))
        case (_, .float32): number = Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits)))
        case (_, .float64): number = Double(bitPattern: bits)
        default: number = Double(bits)
        }
        guard number.isFinite else { return .notFinite(number) }

        var flaw: ValueFlaw.Kind?
        if let valid = rules.valid, valid.isRaw, !valid.contains(number) {
            flaw = .outsideRange(number, valid)
            if valid.statusOutside.isBad { return flaw }
        }
        var engineering = number
        if let table = rules.table {
            guard let value = table.value(at: number) else { return .outsideTable(number, table.rawRange) }
            engineering = value
        } else if !scaling.isIdentity {
            engineering = scaling.engineering(number)
        }
        if let valid = rules.valid, !valid.isRaw, !valid.contains(engineering) {
            flaw = .outsideRange(engineering, valid)
            if valid.statusOutside.isBad { return flaw }
        }
        if rules.table != nil {
            values.storeLittleEndian(engineering.bitPattern, at: target)
        } else {
            store(slot, into: values, at: target)
        }
        return flaw
    }

    private func store(_ slot: UInt64, into values: UnsafeMutableRawBufferPointer, at target: Int) {
        switch field.dataType.width {
        case 1: values[target] = UInt8(truncatingIfNeeded: slot)
        case 2: values.storeLittleEndian(UInt16(truncatingIfNeeded: slot), at: target)
        case 4: values.storeLittleEndian(UInt32(truncatingIfNeeded: slot), at: target)
        default: values.storeLittleEndian(slot, at: target)
        }
    }
}
