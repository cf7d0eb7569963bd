package import Telemetry

extension SparkplugValue {
    /// A value as it goes onto the wire for a datatype; `nil` if the kinds do not fit.
    ///
    /// Signed integers of up to 32 bits are two's complement of their own width in a `uint32`: readers that cut to
    /// the width and readers that check the range both understand that.
    package init?(_ variant: Variant, as type: SparkplugDataType) {
        switch (type, variant) {
        case (.boolean, .bool(let value)): self = .boolean(value)
        case (.int8, .int(let value)): self = .int(UInt32(UInt8(truncatingIfNeeded: value)))
        case (.int16, .int(let value)): self = .int(UInt32(UInt16(truncatingIfNeeded: value)))
        case (.int32, .int(let value)): self = .int(UInt32(truncatingIfNeeded: value))
        case (.int64, .int(let value)): self = .long(UInt64(bitPattern: value))
        case (.uint8, .uint(let value)), (.uint16, .uint(let value)), (.uint32, .uint(let value)):
            self = .int(UInt32(truncatingIfNeeded: value))
        case (.uint64, .uint(let value)), (.dateTime, .uint(let value)): self = .long(value)
        case (.float, .float(let value)): self = .float(value)
        case (.double, .double(let value)): self = .double(value)
        case (.string, .string(let value)), (.text, .string(let value)), (.uuid, .string(let value)): self = .string(value)
        default: return nil
        }
    }

    /// What the value means for a datatype code; `nil` if it cannot be a value of it.
    ///
    /// Signed integers are taken sign-extended or cut to their width, since both are in use, and 32-bit integers from
    /// either integer field. Without a code the kind on the wire decides.
    package func variant(as datatype: UInt32?) -> Variant? {
        guard let datatype, datatype != 0 else { return untyped }
        guard let type = SparkplugDataType(rawValue: datatype) else { return nil }
        switch (type, self) {
        case (.boolean, .boolean(let value)): return .bool(value)
        case (.float, .float(let value)): return .float(value)
        case (.double, .double(let value)): return .double(value)
        case (.string, .string(let value)), (.text, .string(let value)), (.uuid, .string(let value)): return .string(value)
        default: break
        }
        guard let bits else { return nil }
        switch type {
        case .int8: return .int(Int64(Int8(truncatingIfNeeded: bits)))
        case .int16: return .int(Int64(Int16(truncatingIfNeeded: bits)))
        case .int32: return .int(Int64(Int32(truncatingIfNeeded: bits)))
        case .int64: return .int(Int64(bitPattern: bits))
        case .uint8: return bits <= 0xFF ? .uint(bits) : nil
        case .uint16: return bits <= 0xFFFF ? .uint(bits) : nil
        case .uint32: return bits <= 0xFFFF_FFFF ? .uint(bits) : nil
        case .uint64, .dateTime: return .uint(bits)
        default: return nil
        }
    }

    /// The bits of an integer.
    private var bits: UInt64? {
        switch self {
        case .int(let value): UInt64(value)
        case .long(let value): value
        default: nil
        }
    }

    private var untyped: Variant? {
        switch self {
        case .int(let value): .uint(UInt64(value))
        case .long(let value): .uint(value)
        case .float(let value): .float(value)
        case .double(let value): .double(value)
        case .boolean(let value): .bool(value)
        case .string(let value): .string(value)
        case .bytes, .dataSet, .template, .propertySet, .propertySets, .uninterpreted: nil
        }
    }
}

extension Timestamp {
    /// Milliseconds as payloads carry them: times before 1970 become 0.
    package var sparkplugMilliseconds: UInt64 { UInt64(max(0, milliseconds)) }

    /// The time of a payload or metric, saturated to what 64-bit nanoseconds hold.
    package init(sparkplugMilliseconds: UInt64) {
        self.init(milliseconds: Int64(min(sparkplugMilliseconds, UInt64(Int64.max / 1_000_000))))
    }
}

extension SparkplugValue {
    /// The elements of an array of a datatype; `nil` if it is none.
    package func elements(as datatype: UInt32?) -> [Variant]? {
        guard case .bytes(let bytes) = self, let datatype, let type = SparkplugDataType(rawValue: datatype) else { return nil }
        return SparkplugArray.elements(bytes, as: type)
    }

    /// An array as it goes onto the wire; `nil` if the elements are not of its type.
    package init?(_ elements: [Variant], as type: SparkplugDataType) {
        guard let bytes = SparkplugArray.bytes(elements, as: type) else { return nil }
        self = .bytes(bytes)
    }
}
