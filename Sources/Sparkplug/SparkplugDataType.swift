package import Telemetry

/// The datatypes of Sparkplug B metrics and properties, with their codes on the wire.
///
/// Source: Sparkplug 3.0.0, 6.4.16 (data types). 0, `Unknown`, is none of them.
package enum SparkplugDataType: UInt32, Sendable, Hashable, CaseIterable {
    case int8 = 1
    case int16, int32, int64, uint8, uint16, uint32, uint64
    case float, double, boolean, string, dateTime, text, uuid
    case dataSet, bytes, file, template
    case propertySet, propertySetList
    case int8Array, int16Array, int32Array, int64Array, uint8Array, uint16Array, uint32Array, uint64Array
    case floatArray, doubleArray, booleanArray, stringArray, dateTimeArray

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
        case .dataSet: "DataSet"
        case .bytes: "Bytes"
        case .file: "File"
        case .template: "Template"
        case .propertySet: "PropertySet"
        case .propertySetList: "PropertySetList"
        case .int8Array: "Int8Array"
        case .int16Array: "Int16Array"
        case .int32Array: "Int32Array"
        case .int64Array: "Int64Array"
        case .uint8Array: "UInt8Array"
        case .uint16Array: "UInt16Array"
        case .uint32Array: "UInt32Array"
        case .uint64Array: "UInt64Array"
        case .floatArray: "FloatArray"
        case .doubleArray: "DoubleArray"
        case .booleanArray: "BooleanArray"
        case .stringArray: "StringArray"
        case .dateTimeArray: "DateTimeArray"
        }
    }

    /// Whether one value of it is a `Variant`: the basic types, which columns of a DataSet and parameters of a template are limited to.
    package var isBasic: Bool { rawValue <= SparkplugDataType.uuid.rawValue }

    /// For an array, the type of its elements; `nil` for other types.
    package var elementType: SparkplugDataType? {
        switch self {
        case .int8Array: .int8
        case .int16Array: .int16
        case .int32Array: .int32
        case .int64Array: .int64
        case .uint8Array: .uint8
        case .uint16Array: .uint16
        case .uint32Array: .uint32
        case .uint64Array: .uint64
        case .floatArray: .float
        case .doubleArray: .double
        case .booleanArray: .boolean
        case .stringArray: .string
        case .dateTimeArray: .dateTime
        default: nil
        }
    }

    /// Bytes of one element in an array; `nil` where elements have none of their own.
    var width: Int? {
        switch self {
        case .int8, .uint8: 1
        case .int16, .uint16: 2
        case .int32, .uint32, .float: 4
        case .int64, .uint64, .double, .dateTime: 8
        default: nil
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
