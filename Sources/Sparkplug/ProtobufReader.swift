internal import Telemetry

/// Reads protobuf fields from a range of bytes; every length is checked against the range before it is used.
struct ProtobufReader {
    private let bytes: [UInt8]
    private(set) var position: Int
    private let end: Int

    /// The deepest nesting of groups that is skipped.
    static let groupDepthMax = 64

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        position = 0
        end = bytes.count
    }

    private init(_ bytes: [UInt8], _ range: Range<Int>) {
        self.bytes = bytes
        position = range.lowerBound
        end = range.upperBound
    }

    var isAtEnd: Bool { position == end }

    static func violation(_ message: String) -> GatewayError {
        GatewayError(.protocolViolation, resource: "sparkplug payload", operation: "decode", message)
    }

    /// The next field's number and wire type.
    mutating func field() throws(GatewayError) -> (number: Int, type: WireType) {
        let start = position
        let tag = try varint()
        guard let type = WireType(rawValue: UInt8(tag & 7)), tag <= UInt64(UInt32.max), tag >> 3 > 0 else {
            throw ProtobufReader.violation(
                "field tag is \(tag) at byte \(start), expected a field number of 1 to 536870911 and a wire type of 0 to 5")
        }
        return (Int(tag >> 3), type)
    }

    mutating func varint() throws(GatewayError) -> UInt64 {
        let start = position
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < end {
            let byte = bytes[position]
            position += 1
            // The tenth byte holds bit 63 only; readers agree to drop what lies above.
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
            if shift > 63 { throw ProtobufReader.violation("varint at byte \(start) is longer than 10 bytes") }
        }
        throw ProtobufReader.violation("varint at byte \(start) ends after \(position - start) bytes without its last one")
    }

    mutating func fixed32() throws(GatewayError) -> UInt32 { UInt32(truncatingIfNeeded: try littleEndian(4)) }

    mutating func fixed64() throws(GatewayError) -> UInt64 { try littleEndian(8) }

    private mutating func littleEndian(_ count: Int) throws(GatewayError) -> UInt64 {
        guard end - position >= count else {
            throw ProtobufReader.violation("value at byte \(position) needs \(count) bytes, but \(end - position) are left")
        }
        var value: UInt64 = 0
        for index in (0..<count).reversed() { value = value << 8 | UInt64(bytes[position + index]) }
        position += count
        return value
    }

    /// The range of a length-delimited field's content; the reader moves behind it.
    private mutating func content() throws(GatewayError) -> Range<Int> {
        let start = position
        let length = try varint()
        guard length <= UInt64(end - position) else {
            throw ProtobufReader.violation("length at byte \(start) is \(length), but \(end - position) bytes are left")
        }
        let range = position..<position + Int(length)
        position = range.upperBound
        return range
    }

    /// A reader of a nested message.
    mutating func message() throws(GatewayError) -> ProtobufReader { ProtobufReader(bytes, try content()) }

    mutating func blob(atMost limit: Int) throws(GatewayError) -> [UInt8] {
        let start = position
        let range = try content()
        guard range.count <= limit else {
            throw ProtobufReader.violation("value at byte \(start) has \(range.count) bytes, at most \(limit) are accepted")
        }
        return Array(bytes[range])
    }

    mutating func text(atMost limit: Int) throws(GatewayError) -> String {
        let start = position
        let range = try content()
        guard range.count <= limit else {
            throw ProtobufReader.violation("string at byte \(start) has \(range.count) bytes, at most \(limit) are accepted")
        }
        guard let text = String(validating: bytes[range], as: UTF8.self) else {
            throw ProtobufReader.violation("string of \(range.count) bytes at byte \(start) is not UTF-8")
        }
        return text
    }

    /// Moves behind a field of no interest.
    mutating func skip(_ number: Int, _ type: WireType) throws(GatewayError) {
        switch type {
        case .varint: _ = try varint()
        case .fixed64: _ = try fixed64()
        case .lengthDelimited: _ = try content()
        case .fixed32: _ = try fixed32()
        case .endGroup: throw ProtobufReader.violation("end of group \(number) before byte \(position), but none began")
        case .startGroup: try skipGroup(number)
        }
    }

    private mutating func skipGroup(_ number: Int) throws(GatewayError) {
        let start = position
        var open = [number]
        while let innermost = open.last {
            guard !isAtEnd else { throw ProtobufReader.violation("group \(innermost) that began before byte \(start) has no end") }
            let (number, type) = try field()
            switch type {
            case .startGroup:
                guard open.count < ProtobufReader.groupDepthMax else {
                    throw ProtobufReader.violation("groups are nested more than \(ProtobufReader.groupDepthMax) deep at byte \(position)")
                }
                open.append(number)
            case .endGroup:
                guard number == innermost else {
                    throw ProtobufReader.violation("group \(innermost) ends as group \(number) before byte \(position)")
                }
                open.removeLast()
            case .varint, .fixed64, .lengthDelimited, .fixed32: try skip(number, type)
            }
        }
    }
}
