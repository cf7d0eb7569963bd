package import Telemetry

/// The scalar datatypes of Sparkplug B metrics, with their codes on the wire.
///
/// Source: Sparkplug 3.0.0, 6.4.16 (data types). Array, DataSet and Template types are not among them: the
/// gateway never sends any, and reads them as values it does not interpret.
package enum SparkplugDataType: UInt32, Sendable, Hashable, CaseIterable {
    case int8 = 1
    case int16, int32, int64, uint8, uint16, uint32, uint64
    case float, double, boolean, string, dateTime, text, uuid

    /// The datatype of a tag's engineering value.
    package init(_ type: DataType) {
        switch type {
        case .bool: self = .boolean
        case .int8: self = .int8
        case .uint8: self = .uint8
        case .int16: self = .int16
        case .uint16: self = .uint16
        case .int32: self = .int32
        case .uint32: self = .uint32
        case .int64: self = .int64
        case .uint64: self = .uint64
        case .float32: self = .float
        case .float64: self = .double
        case .string: self = .string
        }
    }

    /// The name the standard uses, for example `UInt16`.
    package var name: String {
        switch self {
        case .int8: "Int8"
        case .int16: "Int16"
        case .int32: "Int32"
        case .int64: "Int64"
        case .uint8: "UInt8"
        case .uint16: "UInt16"
        case .uint32: "UInt32"
        case .uint64: "UInt64"
        case .float: "Float"
        case .double: "Double"
        case .boolean: "Boolean"
        case .string: "String"
        case .dateTime: "DateTime"
        case .text: "Text"
        case .uuid: "UUID"
        }
    }
}

/// The codes of the metric property `Quality`.
///
/// Source: Sparkplug 3.0.0, 6.4.10 (quality codes).
package enum SparkplugQuality: UInt32, Sendable, Hashable, CaseIterable {
    case bad = 0
    case good = 192
    case stale = 500

    /// The code that says most of an OPC UA status: Uncertain becomes `stale`, a value that is there but should not be relied upon.
    package init(_ status: StatusCode) {
        self = status.isGood ? .good : status.isUncertain ? .stale : .bad
    }

    /// The OPC UA status of the same meaning.
    package var status: StatusCode {
        switch self {
        case .bad: .bad
        case .good: .good
        case .stale: .uncertainLastUsableValue
        }
    }
}
