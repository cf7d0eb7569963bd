/// The packets that a consumer sends, as bytes (MQTT 5.0, 2 and 3).
struct PacketWriter {
    private(set) var bytes: [UInt8] = []

    /// CONNECT (MQTT 5.0, 3.1).
    static func connect(_ settings: Consumer.Settings) -> [UInt8] {
        var body = PacketWriter()
        body.text("MQTT")
        body.bytes.append(5)
        var flags: UInt8 = settings.cleanStart ? 0x02 : 0
        if let will = settings.will { flags |= 0x04 | 0x08 | (will.retain ? 0x20 : 0) }
        body.bytes.append(flags)
        body.int16(UInt16(clamping: settings.keepAlive.components.seconds))
        var properties = PacketWriter()
        let expiry = MQTTSettings.seconds(settings.sessionExpiry)
        if expiry > 0 { properties.property(.sessionExpiryInterval, int32: expiry) }
        properties.property(.receiveMaximum, int16: settings.receiveMaximum)
        properties.property(.maximumPacketSize, int32: UInt32(clamping: settings.packetBytesMax))
        body.block(properties.bytes)
        body.text(settings.clientID)
        if let will = settings.will {
            body.variable(0)
            body.text(will.topic)
            body.int16(UInt16(clamping: will.payload.count))
            body.bytes += will.payload.prefix(Int(UInt16.max))
        }
        return packet(0x10, body.bytes)
    }

    /// SUBSCRIBE for QoS 1 (MQTT 5.0, 3.8).
    static func subscribe(_ subscriptions: [Consumer.Subscription], packet number: UInt16) -> [UInt8] {
        var body = PacketWriter()
        body.int16(number)
        body.variable(0)
        for subscription in subscriptions {
            body.text(subscription.filter)
            // Retain handling 2: no retained messages (MQTT 5.0, 3.8.3.1).
            body.bytes.append(subscription.sendsRetained ? 0x01 : 0x21)
        }
        return packet(0x82, body.bytes)
    }

    /// PUBLISH with QoS 0 (MQTT 5.0, 3.3).
    static func publish(_ publication: Subscriber.Publication, retain: Bool) -> [UInt8] {
        var body = PacketWriter()
        body.text(publication.topic)
        body.variable(0)
        body.bytes += publication.payload
        return packet(retain ? 0x31 : 0x30, body.bytes)
    }

    /// PUBACK (MQTT 5.0, 3.4): success is told by leaving the reason out.
    static func acknowledge(_ number: UInt16, _ reason: ReasonCode) -> [UInt8] {
        var body = PacketWriter()
        body.int16(number)
        if reason != .success { body.bytes.append(reason.rawValue) }
        return packet(0x40, body.bytes)
    }

    /// PINGREQ (MQTT 5.0, 3.12).
    static let ping: [UInt8] = [0xC0, 0]

    /// DISCONNECT (MQTT 5.0, 3.14).
    static func disconnect(_ reason: ReasonCode) -> [UInt8] { reason == .success ? [0xE0, 0] : [0xE0, 1, reason.rawValue] }

    private static func packet(_ header: UInt8, _ body: [UInt8]) -> [UInt8] {
        var whole = PacketWriter()
        whole.bytes.reserveCapacity(body.count + 5)
        whole.bytes.append(header)
        whole.block(body)
        return whole.bytes
    }

    private mutating func int16(_ value: UInt16) {
        bytes.append(UInt8(value >> 8))
        bytes.append(UInt8(value & 0xFF))
    }

    private mutating func property(_ property: MQTTProperty, int16 value: UInt16) {
        bytes.append(property.rawValue)
        int16(value)
    }

    private mutating func property(_ property: MQTTProperty, int32 value: UInt32) {
        bytes.append(property.rawValue)
        int16(UInt16(value >> 16))
        int16(UInt16(value & 0xFFFF))
    }

    /// A string with its length in front of it (MQTT 5.0, 1.5.4). The settings were checked: none is longer than 65,535 bytes.
    private mutating func text(_ text: String) {
        int16(UInt16(clamping: text.utf8.count))
        bytes += text.utf8.prefix(Int(UInt16.max))
    }

    /// A variable byte integer (MQTT 5.0, 1.5.5).
    private mutating func variable(_ value: Int) {
        var rest = value
        repeat {
            let byte = UInt8(rest & 0x7F)
            rest >>= 7
            bytes.append(rest > 0 ? byte | 0x80 : byte)
        } while rest > 0
    }

    private mutating func block(_ content: [UInt8]) {
        variable(content.count)
        bytes += content
    }
}
