package import Telemetry

/// The array datatypes: how their elements lie in `bytes_value`.
///
/// Numbers are little-endian and follow each other; Booleans are bits, the first one highest, after their count in four bytes; strings each
/// end with a zero byte; a time is milliseconds since 1970 in eight bytes.
///
/// Source: Sparkplug 3.0.0, 6.4.17 (array data types).
package enum SparkplugArray {
    /// The bytes of an array; `nil` if the type is no array or an element is not one of it (a string with a zero byte is none).
    package static func bytes(_ elements: [Variant], as type: SparkplugDataType) -> [UInt8]? {
        guard let element = type.elementType else { return nil }
        if element == .boolean { return booleans(elements) }
        var bytes: [UInt8] = []
        for value in elements {
            switch (element, value) {
            case (.int8, .int(let number)), (.int16, .int(let number)), (.int32, .int(let number)), (.int64, .int(let number)),
                (.dateTime, .int(let number)):
                guard let width = element.width, number >> Int64(8 * width - 1) == number >> 63 else { return nil }
                append(UInt64(bitPattern: number), width, to: &bytes)
            case (.uint8, .uint(let number)), (.uint16, .uint(let number)), (.uint32, .uint(let number)), (.uint64, .uint(let number)),
                (.dateTime, .uint(let number)):
                guard let width = element.width, width == 8 || number >> UInt64(8 * width) == 0 else { return nil }
                append(number, width, to: &bytes)
            case (.float, .float(let number)): append(UInt64(number.bitPattern), 4, to: &bytes)
            case (.double, .double(let number)): append(number.bitPattern, 8, to: &bytes)
            case (.string, .string(let text)):
                guard !text.utf8.contains(0) else { return nil }
                bytes.append(contentsOf: text.utf8)
                bytes.append(0)
            default: return nil
            }
        }
        return bytes
    }

    /// The elements of an array; `nil` if the type is no array or the bytes are none of it: cut off, too few for their count, not UTF-8.
    package static func elements(_ bytes: [UInt8], as type: SparkplugDataType) -> [Variant]? {
        guard let element = type.elementType else { return nil }
        switch element {
        case .boolean: return booleans(bytes)
        case .string: return strings(bytes)
        default: break
        }
        guard let width = element.width, bytes.count % width == 0 else { return nil }
        return stride(from: 0, to: bytes.count, by: width).map { start in
            var bits: UInt64 = 0
            for index in (0..<width).reversed() { bits = bits << 8 | UInt64(bytes[start + index]) }
            return switch element {
            case .int8: .int(Int64(Int8(truncatingIfNeeded: bits)))
            case .int16: .int(Int64(Int16(truncatingIfNeeded: bits)))
            case .int32: .int(Int64(Int32(truncatingIfNeeded: bits)))
            case .int64: .int(Int64(bitPattern: bits))
            case .float: .float(Float(bitPattern: UInt32(truncatingIfNeeded: bits)))
            case .double: .double(Double(bitPattern: bits))
            default: .uint(bits)
            }
        }
    }

    private static func append(_ value: UInt64, _ width: Int, to bytes: inout [UInt8]) {
        for shift in 0..<width { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * shift))) }
    }

    private static func booleans(_ elements: [Variant]) -> [UInt8]? {
        guard let count = UInt32(exactly: elements.count) else { return nil }
        var bytes: [UInt8] = []
        append(UInt64(count), 4, to: &bytes)
        bytes.append(contentsOf: repeatElement(0, count: (elements.count + 7) / 8))
        for (index, element) in elements.enumerated() {
            guard case .bool(let flag) = element else { return nil }
            if flag { bytes[4 + index / 8] |= 0x80 >> UInt8(index % 8) }
        }
        return bytes
    }

    private static func booleans(_ bytes: [UInt8]) -> [Variant]? {
        guard bytes.count >= 4 else { return nil }
        let count = (0..<4).reduce(0) { $0 | Int(bytes[$1]) << (8 * $1) }
        guard bytes.count - 4 == (count + 7) / 8 else { return nil }
        return (0..<count).map { .bool(bytes[4 + $0 / 8] & 0x80 >> UInt8($0 % 8) != 0) }
    }

    private static func strings(_ bytes: [UInt8]) -> [Variant]? {
        if bytes.isEmpty { return [] }
        guard bytes.last == 0 else { return nil }
        var elements: [Variant] = []
        for text in bytes.dropLast().split(separator: 0, omittingEmptySubsequences: false) {
            guard let text = String(validating: text, as: UTF8.self) else { return nil }
            elements.append(.string(text))
        }
        return elements
    }
}
