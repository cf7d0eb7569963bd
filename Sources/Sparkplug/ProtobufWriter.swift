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
