package import GatewayCore
package import Telemetry

/// A value as it is to be written, and what will be read back if the device takes it as it is.
package struct EncodedValue: Sendable, Hashable {
    /// The registers from the field's first on, in the device's order; empty for a coil.
    package var registers: [UInt16]
    /// Which bits of the one register belong to the value; the others are 0 in `registers` and must keep what the device has. `nil` for
    /// whole registers. With function 22 (6.16): AND mask `~mask`, OR mask `registers[0]`.
    package var mask: UInt16?
    /// The state of a coil; `nil` for registers.
    package var coil: Bool?
    /// The engineering value these registers mean: the wanted one after rounding.
    package var value: Variant
}

/// Turns an engineering value into the registers that hold it: the inverse of reading.
///
/// Numbers become raw by the inverse of scaling or table, and are rounded to the nearest raw value, ties away from zero. What has been
/// encoded is decoded again by the reading path: a value that would read back as missing or invalid is refused.
package struct RegisterEncoder: Sendable {
    private let field: ReadField
    private let tag: Tag
    private let descriptor: StreamDescriptor
    private let decoder: RegisterDecoder?

    /// `tag` and `field` as they are read. Where the field's tag lies in its stream does not matter.
    package init(tag: Tag, field: ReadField) {
        var field = field
        field.tag = 0
        self.field = field
        self.tag = tag
        descriptor = StreamDescriptor(device: "", group: "", tags: [tag])
        let request = ReadRequest(area: field.area, start: field.start, count: field.count, fields: 0..<1)
        decoder = field.area <= 2 ? nil : RegisterDecoder(request: request, fields: [field], descriptor: descriptor)
    }

    /// The registers, or the coil, that hold `value`.
    ///
    /// Throws `.unsupported` when the value's kind does not fit the tag, `.limitExceeded` when it cannot be represented or would read
    /// back as missing or invalid.
    package func encode(_ value: Variant) throws(GatewayError) -> EncodedValue {
        if tag.dataType == .bool { return try encodeBool(value) }
        var encoded = EncodedValue(registers: [], value: value)
        if case .string = tag.dataType {
            guard case .string(let text) = value else { throw failure(.unsupported, "a text is expected, not \(value)") }
            encoded.registers = try registers(of: text)
        } else {
            guard let number = value.number, !RegisterEncoder.isBool(value) else {
                throw failure(.unsupported, "a number is expected, not \(value)")
            }
            let bits = try bits(of: value, number: number)
            encoded.registers = RegisterBits.registers(of: bits, count: field.count, order: field.byteOrder)
            if case .bitField(let width) = field.encoding {
                let mask: UInt64 = (1 << UInt64(width) - 1) << UInt64(field.bit ?? 0)
                let own = (bits << UInt64(field.bit ?? 0)) & mask
                encoded.registers = RegisterBits.registers(of: own, count: 1, order: field.byteOrder)
                encoded.mask = RegisterBits.registers(of: mask, count: 1, order: field.byteOrder)[0]
            }
        }
        let (readBack, flaw) = decode(encoded.registers)
        if let flaw, flaw.status.isBad { throw failure(.limitExceeded, "\(value) would not read back: \(flaw)") }
        guard let readBack else { throw failure(.limitExceeded, "\(value) would not read back") }
        encoded.value = readBack
        return encoded
    }

    /// The engineering value that registers hold, as the reading path sees it, and what is wrong with it; `nil` if that makes it Bad.
    ///
    /// For registers of this field only: fewer than it has are no value either.
    package func decode(_ registers: [UInt16]) -> (value: Variant?, flaw: ValueFlaw?) {
        guard let decoder, registers.count >= field.count else { return (nil, nil) }
        var batch = SampleBatch(
            stream: StreamID(rawValue: 0), descriptor: descriptor, time: Timestamp(nanoseconds: 0), status: .good)
        var flaw: ValueFlaw?
        registers.withUnsafeBufferPointer { registers in
            batch.values.withUnsafeMutableBytes { decoder.decode(registers: registers, into: $0) { flaw = $0 } }
        }
        if let flaw, flaw.status.isBad { return (nil, flaw) }
        return (batch.raw(of: 0, in: descriptor).scaled(by: tag.scaling), flaw)
    }

    private func encodeBool(_ value: Variant) throws(GatewayError) -> EncodedValue {
        let flag: Bool
        switch value {
        case .bool(let wanted): flag = wanted
        case .int(0), .uint(0): flag = false
        case .int(1), .uint(1): flag = true
        default: throw failure(.unsupported, "true or false is expected, not \(value)")
        }
        guard let bit = field.bit else { return EncodedValue(registers: [], coil: flag, value: .bool(flag)) }
        let mask = RegisterBits.registers(of: 1 << UInt64(bit), count: 1, order: field.byteOrder)[0]
        return EncodedValue(registers: [flag ? mask : 0], mask: mask, value: .bool(flag))
    }

    private func registers(of text: String) throws(GatewayError) -> [UInt16] {
        let form = RegisterText(field, capacity: tag.stringCapacity)
        guard let registers = form.registers(of: text, count: field.count) else {
            let kind = form.isASCII ? "ASCII" : "UTF-8"
            throw failure(.limitExceeded, "'\(text)' is not text of at most \(form.capacity) bytes of \(kind)")
        }
        return registers
    }

    /// The value's bits, not yet in the device's order nor at their place in the register.
    private func bits(of value: Variant, number: Double) throws(GatewayError) -> UInt64 {
        if field.encoding == .plain || field.encoding == .decimal, field.rules?.table == nil, tag.scaling.isIdentity {
            // 64-bit integers do not all fit a double.
            switch value {
            case .int(let integer): if !field.dataType.isFloatingPoint { return try bits(ofInteger: integer, value) }
            case .uint(let integer): if !field.dataType.isFloatingPoint { return try bits(ofInteger: integer, value) }
            default: break
            }
        }
        let raw = try rawNumber(value, number)
        if field.encoding == .half {
            let half = Float16(raw)
            guard half.isFinite else { throw outOfRange(value, "±65504") }
            return UInt64(half.bitPattern)
        }
        switch field.dataType {
        case .float32:
            let float = Float(raw)
            guard float.isFinite else { throw outOfRange(value, "±3.4028235e38") }
            return UInt64(float.bitPattern)
        case .float64: return raw.bitPattern
        default:
            let rounded = raw.rounded(.toNearestOrAwayFromZero)
            if let integer = Int64(exactly: rounded) { return try bits(ofInteger: integer, value) }
            if let integer = UInt64(exactly: rounded) { return try bits(ofInteger: integer, value) }
            throw outOfRange(value, "the raw range of \(field.dataType.name)")
        }
    }

    private func rawNumber(_ value: Variant, _ number: Double) throws(GatewayError) -> Double {
        guard number.isFinite else { throw failure(.limitExceeded, "\(value) is not a finite number") }
        guard let table = field.rules?.table else { return tag.scaling.raw(number) }
        guard let raw = table.raw(of: number) else {
            let ends = table.points.map(\.value)
            throw outOfRange(value, table.isInvertible ? "\(ends.min() ?? 0)…\(ends.max() ?? 0)" : "nothing: the table cannot be inverted")
        }
        return raw
    }

    private func bits(ofInteger integer: some FixedWidthInteger, _ value: Variant) throws(GatewayError) -> UInt64 {
        if field.encoding == .decimal {
            guard let number = UInt64(exactly: integer), let bits = RegisterBits.decimal(of: number, digits: field.count * 4) else {
                throw outOfRange(value, "raw 0…\(String(repeating: "9", count: field.count * 4))")
            }
            return bits
        }
        let width = if case .bitField(let width) = field.encoding { width } else { field.count * 16 }
        switch field.dataType {
        case .int8, .int16, .int32, .int64:
            let highest = Int64.max >> Int64(64 - width)
            guard let number = Int64(exactly: integer), (~highest...highest).contains(number) else {
                throw outOfRange(value, "raw \(~highest)…\(highest)")
            }
            return UInt64(bitPattern: number)
        default:
            let highest = UInt64.max >> UInt64(64 - width)
            guard let number = UInt64(exactly: integer), number <= highest else { throw outOfRange(value, "raw 0…\(highest)") }
            return number
        }
    }

    private static func isBool(_ value: Variant) -> Bool {
        if case .bool = value { true } else { false }
    }

    private func outOfRange(_ value: Variant, _ allowed: String) -> GatewayError {
        failure(.limitExceeded, "\(value) cannot be represented; allowed: \(allowed)\(tag.scaling.isIdentity ? "" : " before scaling")")
    }

    private func failure(_ code: GatewayError.Code, _ message: String) -> GatewayError {
        GatewayError(code, resource: "tag \(tag.name)", operation: "encode", message)
    }
}
