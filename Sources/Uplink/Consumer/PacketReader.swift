/// A packet that a consumer may receive (MQTT 5.0, 3).
enum ReceivedPacket: Sendable, Equatable {
    case connectAnswer(ReasonCode, isSessionPresent: Bool, ReceivedProperties)
    case publish(ReceivedMessage)
    case subscribeAnswer(packet: UInt16, [ReasonCode], ReceivedProperties)
    case pingAnswer
    case disconnect(ReasonCode, ReceivedProperties)
}

/// A PUBLISH packet (MQTT 5.0, 3.3).
struct ReceivedMessage: Sendable, Equatable {
    var topic: String
    var payload: [UInt8]
    var qualityOfService: UInt8
    var isRetained: Bool
    var isDuplicate: Bool
    /// 0 with QoS 0.
    var packet: UInt16
    var properties: ReceivedProperties
}

/// What of a packet's properties is used (MQTT 5.0, 2.2.2).
struct ReceivedProperties: Sendable, Equatable {
    var texts: [UInt8: String] = [:]
    var numbers: [UInt8: UInt32] = [:]
    var user: [MQTTSession.UserProperty] = []

    func text(_ property: MQTTProperty) -> String? { texts[property.rawValue] }
    func number(_ property: MQTTProperty) -> UInt32? { numbers[property.rawValue] }
}

/// Bytes that are no MQTT.
struct MalformedPacket: Error, Equatable {
    var reason: ReasonCode
    var message: String

    init(_ message: String, _ reason: ReasonCode = .malformedPacket) {
        self.message = message
        self.reason = reason
    }
}

/// Takes the bytes of a connection and gives its packets.
struct PacketReader: Sendable {
    private var buffer: [UInt8] = []
    private var start = 0
    private let packetBytesMax: Int

    /// The most user properties of a message that are kept.
    static let userPropertiesMax = 64

    /// - Parameter packetBytesMax: a longer packet is refused before its bytes are waited for.
    init(packetBytesMax: Int) { self.packetBytesMax = packetBytesMax }

    mutating func append(_ bytes: some Sequence<UInt8>) {
        if start > 0, start == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= Self.keptBytesMax)
            start = 0
        }
        buffer += bytes
    }

    /// A buffer beyond this is given back when it is empty.
    private static let keptBytesMax = 1 << 20

    /// The next whole packet; `nil` until more bytes have come. After an error the stream cannot be read on.
    mutating func next() throws(MalformedPacket) -> ReceivedPacket? {
        guard start + 2 <= buffer.count else { return nil }
        var remaining = 0
        var index = start + 1
        var shift = 0
        while true {
            guard index < buffer.count else { return nil }
            guard shift < 28 else { throw MalformedPacket("a packet's length has more than four bytes") }
            let byte = buffer[index]
            remaining |= Int(byte & 0x7F) << shift
            shift += 7
            index += 1
            if byte & 0x80 == 0 { break }
        }
        guard index - start + remaining <= packetBytesMax else {
            throw MalformedPacket("a packet has \(index - start + remaining) bytes, at most \(packetBytesMax) are taken", .packetTooLarge)
        }
        guard index + remaining <= buffer.count else {
            // What was consumed goes once in a while, so that a long packet is not moved again and again.
            if start > packetBytesMax {
                buffer.removeFirst(start)
                start = 0
            }
            return nil
        }
        let header = buffer[start]
        start = index + remaining
        var fields = FieldReader(buffer[index..<index + remaining])
        return try Self.packet(header, &fields)
    }

    private static func packet(_ header: UInt8, _ fields: inout FieldReader) throws(MalformedPacket) -> ReceivedPacket {
        switch (header >> 4, header & 0x0F) {
        case (2, 0):
            let flags = try fields.byte()
            let reason = ReasonCode(rawValue: try fields.byte())
            // A broker of 3.1.1 has no properties here.
            return .connectAnswer(reason, isSessionPresent: flags & 1 != 0, fields.isEmpty ? ReceivedProperties() : try fields.properties())
        case (3, let flags): return .publish(try message(flags, &fields))
        case (9, 0):
            let packet = try fields.int16()
            let properties = try fields.properties()
            return .subscribeAnswer(packet: packet, fields.rest().map(ReasonCode.init), properties)
        case (13, 0): return .pingAnswer
        case (14, 0):
            let reason = ReasonCode(rawValue: fields.isEmpty ? 0 : try fields.byte())
            return .disconnect(reason, fields.isEmpty ? ReceivedProperties() : try fields.properties())
        default: throw MalformedPacket("a packet begins with \(ReasonCode(rawValue: header).number), which no broker sends to a consumer")
        }
    }

    private static func message(_ flags: UInt8, _ fields: inout FieldReader) throws(MalformedPacket) -> ReceivedMessage {
        let quality = flags >> 1 & 0x03
        guard quality < 3 else { throw MalformedPacket("a message has QoS 3") }
        let topic = try fields.text()
        let packet = quality > 0 ? try fields.int16() : 0
        guard quality == 0 || packet > 0 else { throw MalformedPacket("a message has the packet identifier 0", .protocolError) }
        let properties = try fields.properties()
        // No alias was allowed (MQTT 5.0, 3.1.2.11.5), so each message names its topic.
        guard !topic.isEmpty else { throw MalformedPacket("a message has no topic", .topicAliasInvalid) }
        return ReceivedMessage(
            topic: topic, payload: Array(fields.rest()), qualityOfService: quality, isRetained: flags & 0x01 != 0,
            isDuplicate: flags & 0x08 != 0, packet: packet, properties: properties)
    }
}

/// Takes fields off a packet, never beyond its end.
private struct FieldReader {
    private var bytes: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    var isEmpty: Bool { bytes.isEmpty }

    mutating func rest() -> ArraySlice<UInt8> {
        defer { bytes = [] }
        return bytes
    }

    mutating func byte() throws(MalformedPacket) -> UInt8 {
        guard let byte = bytes.popFirst() else { throw MalformedPacket("a packet ends too early") }
        return byte
    }

    mutating func int16() throws(MalformedPacket) -> UInt16 {
        let high = try byte()
        return UInt16(high) << 8 | UInt16(try byte())
    }

    mutating func int32() throws(MalformedPacket) -> UInt32 {
        let high = try int16()
        return UInt32(high) << 16 | UInt32(try int16())
    }

    mutating func variable() throws(MalformedPacket) -> UInt32 {
        var value: UInt32 = 0
        for shift in stride(from: UInt32(0), to: 28, by: 7) {
            let byte = try byte()
            value |= UInt32(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
        }
        throw MalformedPacket("a length has more than four bytes")
    }

    mutating func block(_ count: Int) throws(MalformedPacket) -> ArraySlice<UInt8> {
        guard count <= bytes.count else { throw MalformedPacket("a field has \(count) bytes, but the packet only \(bytes.count) more") }
        defer { bytes = bytes.dropFirst(count) }
        return bytes.prefix(count)
    }

    mutating func text() throws(MalformedPacket) -> String {
        let content = try block(Int(try int16()))
        guard let text = String(validating: content, as: UTF8.self), !content.contains(0) else {
            throw MalformedPacket("a text is no UTF-8")
        }
        return text
    }

    mutating func properties() throws(MalformedPacket) -> ReceivedProperties {
        var fields = FieldReader(try block(Int(try variable())))
        var properties = ReceivedProperties()
        while !fields.isEmpty {
            let identifier = try fields.byte()
            // The types of MQTT 5.0, Table 2-4.
            switch identifier {
            case 0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A: properties.numbers[identifier] = UInt32(try fields.byte())
            case 0x13, 0x21, 0x22, 0x23: properties.numbers[identifier] = UInt32(try fields.int16())
            case 0x02, 0x11, 0x18, 0x27: properties.numbers[identifier] = try fields.int32()
            case 0x0B: properties.numbers[identifier] = try fields.variable()
            case 0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F: properties.texts[identifier] = try fields.text()
            case 0x09, 0x16: _ = try fields.block(Int(try fields.int16()))
            case 0x26:
                let name = try fields.text()
                let value = try fields.text()
                if properties.user.count < PacketReader.userPropertiesMax { properties.user.append(.init(name: name, value: value)) }
            default: throw MalformedPacket("a packet has the property \(identifier), which there is not")
            }
        }
        return properties
    }
}
