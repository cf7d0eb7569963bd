/// The packets that a receiving client sends, as bytes.
///
/// Source: MQTT 5.0, chapter 3.
package enum MQTTOutput {
    /// How a client introduces itself.
    package struct Connection: Sendable {
        package var clientID: String
        /// Seconds without a packet after which the broker may give the client up; 0 for never.
        package var keepAliveSeconds: UInt16
        /// How long the broker keeps subscriptions and messages after the connection, in seconds.
        package var sessionExpirySeconds: UInt32
        /// How many messages of QoS 1 the broker may have sent that are not acknowledged.
        package var receiveMaximum: UInt16
        /// The largest packet that is taken, in bytes.
        package var maximumPacketBytes: UInt32
        package var userName: String?
        package var password: [UInt8]?
        /// What the broker publishes, retained and at QoS 1, when the connection breaks.
        package var will: (topic: String, payload: [UInt8])?

        package init(
            clientID: String, keepAliveSeconds: UInt16, sessionExpirySeconds: UInt32, receiveMaximum: UInt16, maximumPacketBytes: UInt32,
            userName: String? = nil, password: [UInt8]? = nil, will: (topic: String, payload: [UInt8])? = nil
        ) {
            self.clientID = clientID
            self.keepAliveSeconds = keepAliveSeconds
            self.sessionExpirySeconds = sessionExpirySeconds
            self.receiveMaximum = receiveMaximum
            self.maximumPacketBytes = maximumPacketBytes
            self.userName = userName
            self.password = password
            self.will = will
        }
    }

    /// CONNECT without Clean Start: an earlier session of the client identifier goes on.
    package static func connect(_ connection: Connection) -> [UInt8] {
        var body: [UInt8] = []
        append("MQTT", to: &body)
        body.append(5)
        let will: UInt8 = connection.will == nil ? 0 : 0x04 | 0x08 | 0x20
        body.append((connection.userName == nil ? 0 : 0x80) | (connection.password == nil ? 0 : 0x40) | will)
        append(connection.keepAliveSeconds, to: &body)
        var properties: [UInt8] = [0x11]
        append(connection.sessionExpirySeconds, to: &properties)
        properties.append(0x21)
        append(max(1, connection.receiveMaximum), to: &properties)
        properties.append(0x27)
        append(max(1, connection.maximumPacketBytes), to: &properties)
        append(variable: properties.count, to: &body)
        body += properties
        append(connection.clientID, to: &body)
        if let will = connection.will {
            body.append(0)
            append(will.topic, to: &body)
            append(will.payload, to: &body)
        }
        if let userName = connection.userName { append(userName, to: &body) }
        if let password = connection.password { append(password, to: &body) }
        return packet(0x10, body)
    }

    /// SUBSCRIBE to topic filters at QoS 1. Retained messages are sent only for subscriptions that are new.
    package static func subscribe(_ filters: [String], packetID: UInt16) -> [UInt8] {
        var body: [UInt8] = []
        append(packetID, to: &body)
        body.append(0)
        for filter in filters {
            append(filter, to: &body)
            // Retain handling must not be "send only if new" for shared subscriptions, which never get retained messages anyway.
            body.append(filter.hasPrefix("$share/") ? 0x01 : 0x11)
        }
        return packet(0x82, body)
    }

    /// Appends a PUBACK of success.
    package static func acknowledge(_ packetID: UInt16, to bytes: inout [UInt8]) {
        bytes.append(0x40)
        bytes.append(2)
        append(packetID, to: &bytes)
    }

    /// PUBLISH at QoS 0, or at QoS 1 with a packet identifier.
    package static func publish(topic: String, payload: [UInt8], isRetained: Bool = false, packetID: UInt16? = nil) -> [UInt8] {
        var body: [UInt8] = []
        append(topic, to: &body)
        if let packetID { append(packetID, to: &body) }
        body.append(0)
        body += payload
        return packet(0x30 | (isRetained ? 1 : 0) | (packetID == nil ? 0 : 2), body)
    }

    package static let pingRequest: [UInt8] = [0xC0, 0]

    /// DISCONNECT in order: the broker publishes no will, and keeps the session as CONNECT asked.
    package static let disconnect: [UInt8] = [0xE0, 0]

    private static func packet(_ first: UInt8, _ body: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = [first]
        bytes.reserveCapacity(body.count + 5)
        append(variable: body.count, to: &bytes)
        return bytes + body
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) {
        let encoded = Array(text.utf8.prefix(Int(UInt16.max)))
        append(UInt16(encoded.count), to: &bytes)
        bytes += encoded
    }

    private static func append(_ data: [UInt8], to bytes: inout [UInt8]) {
        append(UInt16(clamping: data.count), to: &bytes)
        bytes += data.prefix(Int(UInt16.max))
    }

    private static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
        for shift in stride(from: value.bitWidth - 8, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    /// A variable byte integer (MQTT 5.0, 1.5.5).
    private static func append(variable value: Int, to bytes: inout [UInt8]) {
        var rest = value
        repeat {
            let byte = UInt8(rest & 0x7F)
            rest >>= 7
            bytes.append(rest > 0 ? byte | 0x80 : byte)
        } while rest > 0
    }
}
