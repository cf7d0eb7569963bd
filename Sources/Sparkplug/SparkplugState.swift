package import Telemetry

/// What a host application says of itself in a STATE message: JSON such as `{"online":true,"timestamp":1767268800000}`.
///
/// Source: Sparkplug 3.0.0, 6.4.27 (STATE).
package struct SparkplugState: Sendable, Equatable {
    package var isOnline: Bool
    /// Milliseconds since 1970, UTC: when the host connected to this server.
    package var timestamp: UInt64

    package init(isOnline: Bool, timestamp: UInt64) {
        self.isOnline = isOnline
        self.timestamp = timestamp
    }

    /// The longest message that is read.
    package static let bytesMax = 4096

    /// The topic on which a host application says whether it is there.
    package static func topic(ofHost id: String) -> String { "\(SparkplugTopic.namespace)/STATE/\(id)" }

    /// Reads a STATE message that anybody may have sent; further keys are passed over.
    ///
    /// Throws `.protocolViolation` with what is missing, or the byte at which it is no JSON.
    package init(decoding bytes: [UInt8]) throws(GatewayError) {
        guard bytes.count <= SparkplugState.bytesMax else {
            throw SparkplugState.violation("it has \(bytes.count) bytes, at most \(SparkplugState.bytesMax) are accepted")
        }
        var scanner = FlatJSONScanner(bytes)
        let members = try scanner.object()
        guard case .bool(let isOnline)? = members["online"] else {
            throw SparkplugState.violation("'online' is \(members["online"]?.shown ?? "not there"), expected true or false")
        }
        guard case .number(let number)? = members["timestamp"], number >= 0, number < 9e15 else {
            let shown = members["timestamp"]?.shown ?? "not there"
            throw SparkplugState.violation("'timestamp' is \(shown), expected milliseconds since 1970")
        }
        self.init(isOnline: isOnline, timestamp: UInt64(number))
    }

    /// The message as hosts publish it.
    package func encoded() -> [UInt8] { Array(#"{"online":\#(isOnline),"timestamp":\#(timestamp)}"#.utf8) }

    static func violation(_ message: String) -> GatewayError {
        GatewayError(.protocolViolation, resource: "STATE message", operation: "decode", message)
    }
}

/// Reads one JSON object (RFC 8259): its Booleans and numbers; whatever else is in it only has to be balanced.
private struct FlatJSONScanner {
    enum Member {
        case bool(Bool)
        case number(Double)
        case other

        var shown: String {
            switch self {
            case .bool(let flag): "\(flag)"
            case .number(let number): "\(number)"
            case .other: "neither number nor Boolean"
            }
        }
    }

    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func object() throws(GatewayError) -> [String: Member] {
        var members: [String: Member] = [:]
        try expect(UInt8(ascii: "{"))
        skipSpace()
        if next == UInt8(ascii: "}") {
            position += 1
        } else {
            repeat {
                skipSpace()
                let key = try string()
                try expect(UInt8(ascii: ":"))
                skipSpace()
                guard members.updateValue(try member(), forKey: key) == nil else {
                    throw SparkplugState.violation("'\(key.prefix(80))' is there twice")
                }
                skipSpace()
            } while take(UInt8(ascii: ","))
            try expect(UInt8(ascii: "}"))
        }
        skipSpace()
        guard position == bytes.count else { throw unexpected() }
        return members
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private func unexpected() -> GatewayError { SparkplugState.violation("it is no JSON object: unexpected at byte \(position)") }

    private mutating func skipSpace() { while let byte = next, byte == 32 || (9...13).contains(byte) { position += 1 } }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ byte: UInt8) throws(GatewayError) {
        skipSpace()
        guard take(byte) else { throw unexpected() }
    }

    /// A string; escapes are kept as they are written, because the keys that count have none.
    private mutating func string() throws(GatewayError) -> String {
        guard take(UInt8(ascii: "\"")) else { throw unexpected() }
        let start = position
        while let byte = next, byte != UInt8(ascii: "\"") { position += byte == UInt8(ascii: "\\") ? 2 : 1 }
        guard position < bytes.count else {
            position = bytes.count
            throw unexpected()
        }
        defer { position += 1 }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func member() throws(GatewayError) -> Member {
        switch next {
        case UInt8(ascii: "\""):
            _ = try string()
            return .other
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            try skipNested()
            return .other
        default: break
        }
        let start = position
        while let byte = next, byte > 32, !",]}:\"".utf8.contains(byte) { position += 1 }
        let word = String(decoding: bytes[start..<position], as: UTF8.self)
        switch word {
        case "true": return .bool(true)
        case "false": return .bool(false)
        case "null": return .other
        default:
            let isDecimal = word.utf8.allSatisfy { (48...57).contains($0) || "+-.eE".utf8.contains($0) }
            guard isDecimal, let number = Double(word), number.isFinite else {
                position = start
                throw unexpected()
            }
            return .number(number)
        }
    }

    /// Passes over an array or object, counting brackets.
    private mutating func skipNested() throws(GatewayError) {
        var depth = 0
        repeat {
            switch next {
            case nil: throw unexpected()
            case UInt8(ascii: "\""): _ = try string()
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                position += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                position += 1
            default: position += 1
            }
        } while depth > 0
    }
}
