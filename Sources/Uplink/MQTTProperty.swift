internal import CMosquitto

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The properties of MQTT 5.0 that are used here (2.2.2.2, Table 2-4).
enum MQTTProperty: UInt8 {
    case messageExpiryInterval = 0x02
    case contentType = 0x03
    case sessionExpiryInterval = 0x11
    case assignedClientIdentifier = 0x12
    case serverKeepAlive = 0x13
    case willDelayInterval = 0x18
    case serverReference = 0x1C
    case reasonString = 0x1F
    case receiveMaximum = 0x21
    case topicAliasMaximum = 0x22
    case topicAlias = 0x23
    case maximumQualityOfService = 0x24
    case retainAvailable = 0x25
    case userProperty = 0x26
    case maximumPacketSize = 0x27
    case sharedSubscriptionAvailable = 0x2A

    var identifier: Int32 { Int32(rawValue) }
}

/// Properties on their way to the broker: libmosquitto's list, and the bytes it will take.
struct OutgoingProperties: ~Copyable {
    private(set) var list: OpaquePointer?
    /// Without the length in front of them.
    private(set) var bytes = 0

    deinit {
        var list = list
        mosquitto_property_free_all(&list)
    }

    mutating func add(_ property: MQTTProperty, int32 value: UInt32) {
        if mosquitto_property_add_int32(&list, property.identifier, value) == 0 { bytes += 5 }
    }

    mutating func add(_ property: MQTTProperty, int16 value: UInt16) {
        if mosquitto_property_add_int16(&list, property.identifier, value) == 0 { bytes += 3 }
    }

    mutating func add(_ property: MQTTProperty, text: String) {
        if mosquitto_property_add_string(&list, property.identifier, text) == 0 { bytes += 3 + text.utf8.count }
    }

    mutating func add(_ property: MQTTProperty, _ name: String, _ value: String) {
        if mosquitto_property_add_string_pair(&list, property.identifier, name, value) == 0 {
            bytes += 5 + name.utf8.count + value.utf8.count
        }
    }

    /// Gives the list to a call that takes it over.
    consuming func take() -> OpaquePointer? {
        let taken = list
        list = nil
        return taken
    }
}

/// Properties that came from the broker, valid during a callback.
struct IncomingProperties {
    let list: OpaquePointer?

    func byte(_ property: MQTTProperty) -> UInt8? {
        var value: UInt8 = 0
        return mosquitto_property_read_byte(list, property.identifier, &value, false) == nil ? nil : value
    }

    func int16(_ property: MQTTProperty) -> UInt16? {
        var value: UInt16 = 0
        return mosquitto_property_read_int16(list, property.identifier, &value, false) == nil ? nil : value
    }

    func int32(_ property: MQTTProperty) -> UInt32? {
        var value: UInt32 = 0
        return mosquitto_property_read_int32(list, property.identifier, &value, false) == nil ? nil : value
    }

    func text(_ property: MQTTProperty) -> String? {
        var value: UnsafeMutablePointer<CChar>?
        guard mosquitto_property_read_string(list, property.identifier, &value, false) != nil, let value else { return nil }
        defer { free(value) }
        // What people read is cut to what a log line can bear.
        return String(String(cString: value).prefix(Self.textMax))
    }

    /// The most characters of a text that are kept.
    static let textMax = 500
}
