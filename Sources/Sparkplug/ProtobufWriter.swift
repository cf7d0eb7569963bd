/// Wire types of Protocol Buffers.
///
/// Source: protobuf.dev, "Encoding", message structure.
enum WireType: UInt8 {
    case varint = 0
    case fixed64, lengthDelimited, startGroup, endGroup, fixed32
}

/// Appends protobuf fields to bytes: for births and commands, where simple counts more than fast.
struct ProtobufWriter {
    private(set) var bytes: [UInt8] = []

    private mutating func tag(_ field: Int, _ type: WireType) { varint(UInt64(field) << 3 | UInt64(type.rawValue)) }

    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    private mutating func littleEndian(_ value: some FixedWidthInteger) {
        var rest = value
        for _ in 0..<value.bitWidth / 8 {
            bytes.append(UInt8(truncatingIfNeeded: rest))
            rest >>= 8
        }
    }

    mutating func write(_ field: Int, varint value: UInt64) {
        tag(field, .varint)
        varint(value)
    }

    mutating func write(_ field: Int, float: Float) {
        tag(field, .fixed32)
        littleEndian(float.bitPattern)
    }

    mutating func write(_ field: Int, double: Double) {
        tag(field, .fixed64)
        littleEndian(double.bitPattern)
    }

    mutating func write(_ field: Int, text: String) { write(field, bytes: text.utf8) }

    mutating func write(_ field: Int, bytes content: some Collection<UInt8>) {
        tag(field, .lengthDelimited)
        varint(UInt64(content.count))
        bytes.append(contentsOf: content)
    }

    mutating func write(_ field: Int, message: (inout ProtobufWriter) -> Void) {
        var nested = ProtobufWriter()
        message(&nested)
        write(field, bytes: nested.bytes)
    }
}

extension SparkplugPayload {
    /// The payload in protobuf, fields in the order of their numbers. Values that are not interpreted are left out.
    package func encoded() -> [UInt8] {
        var writer = ProtobufWriter()
        if let timestamp { writer.write(1, varint: timestamp) }
        for metric in metrics { writer.write(2) { metric.encode(to: &$0) } }
        if let sequence { writer.write(3, varint: sequence) }
        if let uuid { writer.write(4, text: uuid) }
        return writer.bytes
    }
}

extension SparkplugMetric {
    fileprivate func encode(to writer: inout ProtobufWriter) {
        if let name { writer.write(1, text: name) }
        if let alias { writer.write(2, varint: alias) }
        if let timestamp { writer.write(3, varint: timestamp) }
        if let datatype { writer.write(4, varint: UInt64(datatype)) }
        if isHistorical { writer.write(5, varint: 1) }
        if isNull { writer.write(7, varint: 1) }
        if !properties.isEmpty {
            writer.write(9) { set in
                for property in properties { set.write(1, text: property.key) }
                for property in properties { set.write(2) { property.encode(to: &$0) } }
            }
        }
        value?.encode(to: &writer, firstField: 10)
    }
}

extension SparkplugProperty {
    fileprivate func encode(to writer: inout ProtobufWriter) {
        if let type { writer.write(1, varint: UInt64(type)) }
        if isNull { writer.write(2, varint: 1) }
        value?.encode(to: &writer, firstField: 3)
    }
}

extension SparkplugValue {
    /// Metrics and properties number their kinds of values alike, from different first fields.
    fileprivate func encode(to writer: inout ProtobufWriter, firstField: Int) {
        switch self {
        case .int(let value): writer.write(firstField, varint: UInt64(value))
        case .long(let value): writer.write(firstField + 1, varint: value)
        case .float(let value): writer.write(firstField + 2, float: value)
        case .double(let value): writer.write(firstField + 3, double: value)
        case .boolean(let value): writer.write(firstField + 4, varint: value ? 1 : 0)
        case .string(let value): writer.write(firstField + 5, text: value)
        // Properties have no bytes: their field of this number is a nested set.
        case .bytes(let value): if firstField == 10 { writer.write(16, bytes: value) }
        case .uninterpreted: break
        }
    }
}
