package import Telemetry

/// One engineering value on its way out, in the form that prints exactly. Numbers need no memory of their own.
package enum Cell: Sendable, Hashable {
    case bool(Bool)
    case integer(Int64)
    case unsigned(UInt64)
    /// A number and how many of its digits stand behind the point: 235 and 1 are 23.5.
    case decimal(Int64, digits: Int)
    case float(Float)
    case real(Double)
    case text(String)
    case time(Timestamp)

    /// Whether it is a number without a value: NaN or an infinity.
    package var isNotFinite: Bool {
        switch self {
        case .float(let value): !value.isFinite
        case .real(let value): !value.isFinite
        case .bool, .integer, .unsigned, .decimal, .text, .time: false
        }
    }
}

/// Turns the raw values of one tag into engineering values for output.
package struct CellFormatter: Sendable {
    package let scaling: Scaling
    private let type: DataType
    private let isScaled: Bool
    private let digits: Int?

    /// Larger raw numbers go through floating point, as they do everywhere else.
    private static let decimalMax: UInt64 = 1_000_000_000_000_000

    package init(_ tag: Tag) {
        type = tag.dataType
        isScaled = tag.dataType.isNumeric && !tag.scaling.isIdentity
        scaling = isScaled ? tag.scaling : .identity
        digits = isScaled && !tag.dataType.isFloatingPoint ? tag.scaling.decimals : nil
    }

    /// A raw value of a column of integers.
    @inline(__always)
    func cell(integer value: Int64) -> Cell { type == .uint64 ? cell(UInt64(bitPattern: value)) : cell(value) }

    /// A raw value of a column of floating-point numbers.
    @inline(__always)
    func cell(real value: Double) -> Cell { cell(value) }

    /// The raw value of a single sample.
    package func cell(_ raw: Variant) -> Cell {
        switch raw {
        case .bool(let value): .bool(value)
        case .int(let value): cell(value)
        case .uint(let value): type == .uint64 ? cell(value) : cell(Int64(truncatingIfNeeded: value))
        case .float(let value): cell(Double(value))
        case .double(let value): cell(value)
        case .string(let value): .text(value)
        }
    }

    /// The raw value of a bucket.
    func cell(ofBucket value: some BucketValue) -> Cell {
        switch value {
        case let value as Int64: cell(value)
        case let value as UInt64: cell(value)
        case let value as Double: cell(value)
        case let value as String: .text(value)
        default: .real(value.asNumber)
        }
    }

    @inline(__always)
    private func cell(_ value: Int64) -> Cell {
        if type == .bool { return .bool(value != 0) }
        guard isScaled else {
            // Nothing of up to 32 bits is negative when it is unsigned.
            return .integer(value)
        }
        if let digits, value.magnitude < CellFormatter.decimalMax { return .decimal(value, digits: digits) }
        return .real(scaling.engineering(Double(value)))
    }

    @inline(__always)
    private func cell(_ value: UInt64) -> Cell {
        guard isScaled else { return .unsigned(value) }
        if let digits, value < CellFormatter.decimalMax { return .decimal(Int64(value), digits: digits) }
        return .real(scaling.engineering(Double(value)))
    }

    @inline(__always)
    private func cell(_ value: Double) -> Cell {
        guard isScaled else { return type == .float32 ? .float(Float(value)) : .real(value) }
        return .real(scaling.engineering(value))
    }
}
