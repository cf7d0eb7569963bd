package import Telemetry

/// A packet that a broker sends to a receiving client.
package enum MQTTIncoming: Sendable, Equatable {
    case connectAnswer(MQTTConnectAnswer)
    case message(MQTTIncomingMessage)
    /// One reason code per topic filter.
    case subscribeAnswer(packetID: UInt16, [MQTTReasonCode])
    case publishAnswer(packetID: UInt16, MQTTReasonCode)
    case pingAnswer
    case disconnect(MQTTReasonCode, reason: String?)
}

/// CONNACK.
package struct MQTTConnectAnswer: Sendable, Equatable {
    package var code: MQTTReasonCode
    /// Whether the broker goes on with an earlier session.
    package var isSessionPresent = false
    package var reason: String?
    /// What the client must use instead of its own keep-alive.
    package var serverKeepAliveSeconds: UInt16?
    package var assignedClientID: String?
    package var hasSharedSubscriptions = true
}

/// PUBLISH.
package struct MQTTIncomingMessage: Sendable, Equatable {
    package var topic: String
    package var payload: [UInt8]
    /// 0 or 1; 2 is never granted.
    package var qualityOfService: UInt8
    /// What a PUBACK must repeat; 0 at QoS 0.
    package var packetID: UInt16
    /// Whether the broker may have sent it before.
    package var isRepeated: Bool
    package var isRetained: Bool
}

/// Cuts the bytes of a connection into packets.
///
/// Source: MQTT 5.0, chapter 3. Whatever the bytes, it never traps; a broker that breaks the rules is a thrown `.protocolViolation`.
package struct MQTTInput: Sendable {
    /// The largest packet that is taken, in bytes; CONNECT says it to the broker.
    package let packetBytesMax: Int
    private let resource: String
    private var buffer: [UInt8] = []
    private var start = 0

    package init(resource: String, packetBytesMax: Int) {
        self.resource = resource
        self.packetBytesMax = packetBytesMax
    }

    /// Takes bytes as they come.
    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if start > 0, start == buffer.count || start > 1 << 20 {
            buffer.removeSubrange(..<start)
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next complete packet; `nil` when more bytes are needed.
    package mutating func next() throws(GatewayError) -> MQTTIncoming? {
        guard buffer.count - start >= 2 else { return nil }
        var length = 0
        var position = start + 1
        var shift = 0
        while true {
            guard position < buffer.count else { return nil }
            let byte = buffer[position]
            position += 1
            length |= Int(byte & 0x7F) << shift
            if byte < 0x80 { break }
            shift += 7
            if shift > 21 { throw violation("the length of a packet takes more than four bytes") }
        }
        guard length <= packetBytesMax else {
            throw violation("a packet has \(length) bytes, at most \(packetBytesMax) were asked for")
        }
        guard buffer.count - position >= length else {
            if buffer.capacity < position - start + length { buffer.reserveCapacity(position + length) }
            return nil
        }
        let first = buffer[start]
        start = position + length
        return try packet(first, position..<position + length)
    }

    private func packet(_ first: UInt8, _ body: Range<Int>) throws(GatewayError) -> MQTTIncoming {
        var fields = Fields(bytes: buffer, range: body, resource: resource)
        switch first >> 4 {
        case 2:
            var answer = MQTTConnectAnswer(code: .init(rawValue: 0))
            answer.isSessionPresent = try fields.byte() & 1 == 1
            answer.code = .init(rawValue: try fields.byte())
            // A broker of MQTT 3.1.1 answers with two bytes and its own code 1: it does not know our version.
            if fields.isAtEnd {
                if answer.code.rawValue == 1 { answer.code = .init(rawValue: 0x84) }
                return .connectAnswer(answer)
            }
            try fields.properties { id, fields throws(GatewayError) in
                switch id {
                case 0x12: answer.assignedClientID = try fields.text()
                case 0x13: answer.serverKeepAliveSeconds = try fields.integer()
                case 0x1F: answer.reason = try fields.text()
                case 0x2A: answer.hasSharedSubscriptions = try fields.byte() == 1
                default: try fields.skipProperty(id)
                }
            }
            return .connectAnswer(answer)
        case 3:
            let qualityOfService = first >> 1 & 3
            guard qualityOfService < 2 else { throw violation("a message has QoS \(qualityOfService), at most 1 was asked for") }
            let topic = try fields.text()
            let packetID: UInt16 = qualityOfService > 0 ? try fields.integer() : 0
            guard qualityOfService == 0 || packetID > 0 else { throw violation("a message of QoS 1 has packet identifier 0") }
            guard !topic.isEmpty else { throw violation("a message has no topic, and topic aliases were not offered") }
            try fields.properties { id, fields throws(GatewayError) in
                guard id != 0x23 else { throw violation("a message has a topic alias, which was not offered") }
                try fields.skipProperty(id)
            }
            return .message(
                MQTTIncomingMessage(
                    topic: topic, payload: fields.rest(), qualityOfService: qualityOfService, packetID: packetID,
                    isRepeated: first & 8 != 0, isRetained: first & 1 != 0))
        case 4:
            let packetID: UInt16 = try fields.integer()
            return .publishAnswer(packetID: packetID, .init(rawValue: fields.isAtEnd ? 0 : try fields.byte()))
        case 9:
            let packetID: UInt16 = try fields.integer()
            try fields.properties { id, fields throws(GatewayError) in try fields.skipProperty(id) }
            return .subscribeAnswer(packetID: packetID, fields.rest().map { MQTTReasonCode(rawValue: $0) })
        case 13: return .pingAnswer
        case 14:
            guard !fields.isAtEnd else { return .disconnect(.init(rawValue: 0), reason: nil) }
            let code = MQTTReasonCode(rawValue: try fields.byte())
            var reason: String?
            if !fields.isAtEnd {
                try fields.properties { id, fields throws(GatewayError) in
                    if id == 0x1F { reason = try fields.text() } else { try fields.skipProperty(id) }
                }
            }
            return .disconnect(code, reason: reason)
        case let type: throw violation("packet type \(type) is not one that a receiver gets")
        }
    }

    private func violation(_ message: String) -> GatewayError {
        GatewayError(.protocolViolation, resource: resource, operation: "receive", message)
    }
}

/// The fields of one packet.
private struct Fields {
    let bytes: [UInt8]
    var position: Int
    let end: Int
    let resource: String

    init(bytes: [UInt8], range: Range<Int>, resource: String) {
        self.bytes = bytes
        position = range.lowerBound
        end = range.upperBound
        self.resource = resource
    }

    var isAtEnd: Bool { position == end }

    private func need(_ count: Int) throws(GatewayError) {
        guard end - position >= count else {
            throw GatewayError(
                .protocolViolation, resource: resource, operation: "receive",
                "a packet ends early: \(count) bytes are needed, \(end - position) are left")
        }
    }

    mutating func byte() throws(GatewayError) -> UInt8 {
        try need(1)
        defer { position += 1 }
        return bytes[position]
    }

    mutating func integer<Integer: FixedWidthInteger & UnsignedInteger>() throws(GatewayError) -> Integer {
        try need(Integer.bitWidth / 8)
        var value: Integer = 0
        for _ in 0..<Integer.bitWidth / 8 {
            value = value << 8 | Integer(bytes[position])
            position += 1
        }
        return value
    }

    mutating func text() throws(GatewayError) -> String {
        let count = Int(try integer() as UInt16)
        try need(count)
        defer { position += count }
        guard let text = String(validating: bytes[position..<position + count], as: UTF8.self) else {
            throw GatewayError(.protocolViolation, resource: resource, operation: "receive", "a string of \(count) bytes is not UTF-8")
        }
        return text
    }

    mutating func variable() throws(GatewayError) -> Int {
        var value = 0
        for shift in stride(from: 0, through: 21, by: 7) {
            let byte = try byte()
            value |= Int(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw GatewayError(.protocolViolation, resource: resource, operation: "receive", "a length takes more than four bytes")
    }

    mutating func rest() -> [UInt8] {
        defer { position = end }
        return Array(bytes[position..<end])
    }

    /// Hands each property to `take`, which reads it.
    mutating func properties(_ take: (UInt8, inout Fields) throws(GatewayError) -> Void) throws(GatewayError) {
        let length = try variable()
        try need(length)
        let stop = position + length
        while position < stop {
            let id = try byte()
            try take(id, &self)
        }
        guard position == stop else {
            throw GatewayError(.protocolViolation, resource: resource, operation: "receive", "a property reaches beyond the properties")
        }
    }

    /// Source: MQTT 5.0, 2.2.2.2, table 2-4.
    mutating func skipProperty(_ id: UInt8) throws(GatewayError) {
        switch id {
        case 0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A: _ = try byte()
        case 0x13, 0x21, 0x22, 0x23: _ = try integer() as UInt16
        case 0x02, 0x11, 0x18, 0x27: _ = try integer() as UInt32
        case 0x0B: _ = try variable()
        case 0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F: _ = try text()
        case 0x09, 0x16:
            let count = Int(try integer() as UInt16)
            try need(count)
            position += count
        case 0x26:
            _ = try text()
            _ = try text()
        default:
            throw GatewayError(.protocolViolation, resource: resource, operation: "receive", "property \(id) is not one of MQTT 5.0")
        }
    }
}
