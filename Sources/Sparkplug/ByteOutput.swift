internal import Telemetry

/// Writes into memory that is known to be large enough, 16 bytes beyond the last one included: stores are wider than
/// what they add, and the next one overwrites the rest.
struct ByteOutput {
    private(set) var position: UnsafeMutableRawPointer

    init(_ start: UnsafeMutableRawPointer) { position = start }

    func count(from start: UnsafeMutablePointer<UInt8>) -> Int { position - UnsafeMutableRawPointer(start) }

    @inline(__always)
    mutating func byte(_ byte: UInt8) {
        position.storeBytes(of: byte, as: UInt8.self)
        position += 1
    }

    /// Two bytes.
    @inline(__always)
    mutating func short(_ first: UInt8, _ second: UInt8) {
        position.storeBytes(of: (UInt16(second) << 8 | UInt16(first)).littleEndian, as: UInt16.self)
        position += 2
    }

    /// The lowest `count` bytes, at most 8.
    @inline(__always)
    mutating func wide(_ bytes: UInt64, count: Int) {
        position.storeBytes(of: bytes.littleEndian, as: UInt64.self)
        position += count
    }

    /// The lowest `count` bytes of 16.
    @inline(__always)
    mutating func wide(_ low: UInt64, _ high: UInt64, count: Int) {
        position.storeBytes(of: low.littleEndian, as: UInt64.self)
        position.storeBytes(of: high.littleEndian, toByteOffset: 8, as: UInt64.self)
        position += count
    }

    @inline(__always)
    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            byte(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        byte(UInt8(truncatingIfNeeded: rest))
    }

    /// An `int_value` field: its varint is spread into place without a loop, since its length is hard to predict.
    @inline(__always)
    mutating func int(_ value: UInt32) {
        let bits = UInt64(value)
        var spread = bits & 0x7F
        spread |= (bits & 0x3F80) << 1
        spread |= (bits & 0x1F_C000) << 2
        spread |= (bits & 0xFE0_0000) << 3
        spread |= (bits & 0xF000_0000) << 4
        let count = (38 - (value | 1).leadingZeroBitCount) / 7
        let continuation = 0x80_8080_8080 & ((1 as UInt64) << UInt64(8 * (count - 1)) &- 1)
        wide((spread | continuation) << 8 | 0x50, count: 1 + count)
    }

    /// A `float_value` field.
    @inline(__always)
    mutating func float(bitPattern: UInt32) { wide(UInt64(bitPattern) << 8 | 0x65, count: 5) }

    /// A `double_value` field.
    @inline(__always)
    mutating func double(bitPattern: UInt64) {
        byte(0x69)
        wide(bitPattern, count: 8)
    }

    /// A metric's `properties` field with the one property `Quality`.
    mutating func quality(_ quality: SparkplugQuality) {
        byte(0x4A)
        byte(9 + ByteOutput.valueBytes(quality))
        key(SparkplugProperty.qualityKey, count: 7)
        value(quality)
    }

    /// A metric's `properties` field with `TimeUncertain`, and before it `Quality` if there is one to tell.
    mutating func timeUncertain(_ quality: SparkplugQuality?) {
        byte(0x4A)
        byte(21 + (quality.map { 9 + ByteOutput.valueBytes($0) } ?? 0))
        if quality != nil { key(SparkplugProperty.qualityKey, count: 7) }
        key(SparkplugProperty.timeUncertainKey, count: 13)
        if let quality { value(quality) }
        // A value of type 11 with a true boolean_value.
        short(0x12, 4)
        short(0x08, 11)
        short(0x38, 1)
    }

    /// A key of a property set.
    private mutating func key(_ name: String, count: UInt8) {
        short(0x0A, count)
        for character in name.utf8 { byte(character) }
    }

    /// The value of `Quality` in a property set: of type 3 with an int_value of one or two bytes.
    private mutating func value(_ quality: SparkplugQuality) {
        short(0x12, ByteOutput.valueBytes(quality) - 2)
        short(0x08, 3)
        byte(0x18)
        varint(UInt64(quality.rawValue))
    }

    private static func valueBytes(_ quality: SparkplugQuality) -> UInt8 { quality.rawValue >= 0x80 ? 7 : 6 }

    /// A `string_value` field from a string slot. A length beyond the slot is cut, and what is not UTF-8 is repaired: readers would
    /// refuse the whole payload for it.
    mutating func string(_ slots: UnsafeRawBufferPointer, at offset: Int, capacity: Int) {
        let count = min(Int(slots.littleEndian(UInt16.self, at: offset)), capacity)
        let content = UnsafeRawBufferPointer(rebasing: slots[(offset + 2)..<(offset + 2 + count)])
        byte(0x7A)
        if content.allSatisfy({ $0 < 0x80 }) {
            copy(content)
        } else {
            var text = String(decoding: content, as: UTF8.self)
            text.withUTF8 { copy(UnsafeRawBufferPointer($0)) }
        }
    }

    /// A length and that many bytes.
    private mutating func copy(_ content: UnsafeRawBufferPointer) {
        varint(UInt64(content.count))
        if let source = content.baseAddress { position.copyMemory(from: source, byteCount: content.count) }
        position += content.count
    }

    /// A metric that is a template instance, around members which lie in it as metrics do in a payload.
    mutating func instance(
        alias: UInt32, _ reference: String, _ common: StreamEncoder.CommonFields, members: (inout ByteOutput) -> Void
    ) {
        short(0x12, 0)
        let start = position
        byte(0x10)
        varint(UInt64(alias))
        wide(common.low, common.high, count: common.count)
        short(0x92, 0x01)
        byte(0)
        let content = position
        members(&self)
        byte(0x22)
        varint(UInt64(reference.utf8.count))
        for character in reference.utf8 { byte(character) }
        short(0x28, 0)
        insertLength(position - content, at: content - 1)
        insertLength(position - start, at: start - 1)
    }

    /// Replaces the one length byte at `place`, which is followed by `length` bytes up to the position, by a longer varint.
    mutating func insertLength(_ length: Int, at place: UnsafeMutableRawPointer) {
        var extra = 0
        var rest = length >> 7
        while rest > 0 {
            extra += 1
            rest >>= 7
        }
        (place + 1 + extra).copyMemory(from: place + 1, byteCount: length)
        position += extra
        var writer = ByteOutput(place)
        writer.varint(UInt64(length))
    }

    /// The payload's `uuid` field: the key of a batch, `epoch-stream-sequence` in decimal.
    mutating func uuid(_ epoch: UInt32, _ stream: UInt32, _ sequence: UInt64) {
        byte(0x22)
        let length = position
        position += 1
        decimal(UInt64(epoch))
        byte(UInt8(ascii: "-"))
        decimal(UInt64(stream))
        byte(UInt8(ascii: "-"))
        decimal(sequence)
        length.storeBytes(of: UInt8(truncatingIfNeeded: position - length - 1), as: UInt8.self)
    }

    private mutating func decimal(_ value: UInt64) {
        var count = 1
        var rest = value
        while rest >= 10 {
            count += 1
            rest /= 10
        }
        rest = value
        for index in (0..<count).reversed() {
            position.storeBytes(of: UInt8(ascii: "0") + UInt8(rest % 10), toByteOffset: index, as: UInt8.self)
            rest /= 10
        }
        position += count
    }
}
