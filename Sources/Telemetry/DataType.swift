/// The type of a tag's raw value: what its slot in a `SampleBatch` holds.
///
/// The raw values are written to disk; never renumber them.
package enum DataType: UInt8, Sendable, Hashable, CaseIterable, Codable {
    case bool = 1
    case int8, uint8, int16, uint16, int32, uint32, int64, uint64
    case float32, float64
    case string

    /// Bytes of one value in a slot; 0 for strings, whose slots have a length of their own.
    package var width: Int {
        switch self {
        case .bool, .int8, .uint8: 1
        case .int16, .uint16: 2
        case .int32, .uint32, .float32: 4
        case .int64, .uint64, .float64: 8
        case .string: 0
        }
    }

    /// The name used in definition files, for example `uint16`.
    package var name: String {
        switch self {
        case .bool: "bool"
        case .int8: "int8"
        case .uint8: "uint8"
        case .int16: "int16"
        case .uint16: "uint16"
        case .int32: "int32"
        case .uint32: "uint32"
        case .int64: "int64"
        case .uint64: "uint64"
        case .float32: "float32"
        case .float64: "float64"
        case .string: "string"
        }
    }

    package init?(name: String) {
        guard let match = DataType.allCases.first(where: { $0.name == name }) else { return nil }
        self = match
    }

    package var isNumeric: Bool { self != .bool && self != .string }
    package var isFloatingPoint: Bool { self == .float32 || self == .float64 }
}
