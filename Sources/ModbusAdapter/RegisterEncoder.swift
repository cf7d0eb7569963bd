package import Telemetry

/// Turns an engineering value into the registers that hold it: the way back of `RegisterDecoder`.
package enum RegisterEncoder {
    /// The registers of a value, in the order of their addresses.
    ///
    /// A scaled number is rounded to the nearest raw step. A whole number without a scale must be one.
    ///
    /// - Parameters:
    ///   - value: in engineering units.
    ///   - dataType: the type of the raw value; not `bool`, which is a bit and has no registers of its own.
    ///   - scaling: of the tag.
    ///   - capacity: bytes a string may have; the rest of its registers is zero.
    /// - Throws: `limitExceeded` when the value does not fit, `unsupported` when it is of another kind.
    package static func registers(
        for value: Variant, as dataType: DataType, byteOrder: ByteOrder, scaling: Scaling = .identity, capacity: Int = 0
    ) throws(GatewayError) -> [UInt16] {
        let registers: [UInt16]
        switch dataType {
        case .int16: registers = words(UInt64(truncatingIfNeeded: try integer(value, as: Int16.self, scaling)), count: 1)
        case .uint16: registers = words(UInt64(try integer(value, as: UInt16.self, scaling)), count: 1)
        case .int32: registers = words(UInt64(truncatingIfNeeded: try integer(value, as: Int32.self, scaling)), count: 2)
        case .uint32: registers = words(UInt64(try integer(value, as: UInt32.self, scaling)), count: 2)
        case .int64: registers = words(UInt64(truncatingIfNeeded: try integer(value, as: Int64.self, scaling)), count: 4)
        case .uint64: registers = words(try integer(value, as: UInt64.self, scaling), count: 4)
        case .float32:
            let number = try raw(value, dataType, scaling)
            let float = Float(number)
            guard float.isFinite else { throw tooLarge(value, dataType) }
            registers = words(UInt64(float.bitPattern), count: 2)
        case .float64: registers = words(try raw(value, dataType, scaling).bitPattern, count: 4)
        case .string: return try text(value, capacity: capacity, byteOrder: byteOrder)
        case .bool, .int8, .uint8:
            throw GatewayError(
                .unsupported, resource: "value \(value)", operation: "encode", "a \(dataType.name) has no registers of its own")
        }
        let ordered = byteOrder.leastSignificantRegisterFirst ? registers.reversed() : registers
        return byteOrder.bytesSwapped ? ordered.map(\.byteSwapped) : ordered
    }

    /// Most significant first.
    private static func words(_ bits: UInt64, count: Int) -> [UInt16] {
        (0..<count).map { UInt16(truncatingIfNeeded: bits >> UInt64(16 * (count - 1 - $0))) }
    }

    /// The raw number, not rounded.
    private static func raw(_ value: Variant, _ dataType: DataType, _ scaling: Scaling) throws(GatewayError) -> Double {
        if case .bool = value { throw wrongKind(value, dataType) }
        guard let number = value.number else { throw wrongKind(value, dataType) }
        let difference = number - scaling.offset
        // As in `Scaling.engineering`: multiplying by a power of ten is exact where dividing by its reciprocal is not.
        var power = 1.0
        for _ in 0..<(scaling.decimals ?? 0) { power *= 10 }
        let raw = scaling.decimals == nil ? difference / scaling.scale : difference * power
        guard raw.isFinite else { throw tooLarge(value, dataType) }
        return raw
    }

    private static func integer<Integer: FixedWidthInteger>(
        _ value: Variant, as type: Integer.Type, _ scaling: Scaling
    ) throws(GatewayError) -> Integer {
        let dataType = "\(Integer.min)…\(Integer.max)"
        if scaling.isIdentity {
            // 64-bit integers are more than a double can tell apart.
            switch value {
            case .int(let integer):
                guard let exact = Integer(exactly: integer) else { throw outside(value, dataType) }
                return exact
            case .uint(let integer):
                guard let exact = Integer(exactly: integer) else { throw outside(value, dataType) }
                return exact
            case .bool, .string, .float, .double: break
            }
        }
        let number = try raw(value, .int64, scaling)
        guard !scaling.isIdentity || number == number.rounded() else {
            throw GatewayError(
                .limitExceeded, resource: "value \(value)", operation: "encode", "the value is \(value), but the tag holds whole numbers")
        }
        guard let exact = Integer(exactly: number.rounded()) else { throw outside(value, dataType) }
        return exact
    }

    private static func text(_ value: Variant, capacity: Int, byteOrder: ByteOrder) throws(GatewayError) -> [UInt16] {
        guard case .string(let text) = value else { throw wrongKind(value, .string) }
        var bytes = Array(text.utf8)
        guard bytes.count <= capacity else {
            throw GatewayError(
                .limitExceeded, resource: "text", operation: "encode",
                "the text has \(bytes.count) bytes of UTF-8, but the tag holds at most \(capacity)")
        }
        guard !bytes.contains(0), bytes.last != UInt8(ascii: " ") else {
            throw GatewayError(
                .unsupported, resource: "text", operation: "encode",
                "the text has a NUL, or ends with a space, which cannot be told from the padding")
        }
        bytes += [UInt8](repeating: 0, count: capacity - bytes.count + capacity % 2)
        return (0..<bytes.count / 2).map { index in
            let register = UInt16(bytes[2 * index]) << 8 | UInt16(bytes[2 * index + 1])
            return byteOrder.bytesSwapped ? register.byteSwapped : register
        }
    }

    private static func wrongKind(_ value: Variant, _ dataType: DataType) -> GatewayError {
        let expected = dataType == .string ? "a text" : "a number"
        return GatewayError(
            .unsupported, resource: "value \(value)", operation: "encode", "the value is '\(value)', but the tag holds \(expected)")
    }

    private static func tooLarge(_ value: Variant, _ dataType: DataType) -> GatewayError {
        GatewayError(.limitExceeded, resource: "value \(value)", operation: "encode", "\(value) is more than a \(dataType.name) can hold")
    }

    private static func outside(_ value: Variant, _ range: String) -> GatewayError {
        GatewayError(
            .limitExceeded, resource: "value \(value)", operation: "encode", "\(value) is outside of what the register holds, raw \(range)")
    }
}
