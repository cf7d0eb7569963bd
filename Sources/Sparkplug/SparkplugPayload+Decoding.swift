package import Telemetry

extension SparkplugPayload {
    /// The largest payload that is decoded.
    package static let payloadBytesMax = 16 * 1024 * 1024
    /// The most metrics of one payload.
    package static let metricsMax = 200_000
    /// The most properties of all metrics of one payload together.
    package static let propertiesMax = 400_000
    /// The longest name, string or byte value.
    package static let stringBytesMax = 1024 * 1024

    /// Reads a payload that anybody may have sent.
    ///
    /// Fields that are unknown, or known with another wire type, are skipped, as protobuf asks. Throws
    /// `.protocolViolation` with the byte offset when the bytes are no payload, `.limitExceeded` when it is too large.
    package init(decoding bytes: [UInt8]) throws(GatewayError) {
        self.init()
        guard bytes.count <= SparkplugPayload.payloadBytesMax else {
            throw SparkplugPayload.tooLarge("bytes", SparkplugPayload.payloadBytesMax, SparkplugPayload.payloadBytesMax)
        }
        var reader = ProtobufReader(bytes)
        var propertyCount = 0
        while !reader.isAtEnd {
            let (number, type) = try reader.field()
            switch (number, type) {
            case (1, .varint): timestamp = try reader.varint()
            case (2, .lengthDelimited):
                guard metrics.count < SparkplugPayload.metricsMax else {
                    throw SparkplugPayload.tooLarge("metrics", SparkplugPayload.metricsMax, reader.position)
                }
                metrics.append(try SparkplugMetric(decoding: try reader.message(), propertyCount: &propertyCount))
            case (3, .varint): sequence = try reader.varint()
            case (4, .lengthDelimited): uuid = try reader.text(atMost: SparkplugPayload.stringBytesMax)
            default: try reader.skip(number, type)
            }
        }
    }

    fileprivate static func tooLarge(_ what: String, _ limit: Int, _ position: Int) -> GatewayError {
        GatewayError(
            .limitExceeded, resource: "sparkplug payload", operation: "decode",
            "payload has more \(what) than the \(limit) that are accepted, at byte \(position)")
    }
}

extension SparkplugMetric {
    fileprivate init(decoding message: ProtobufReader, propertyCount: inout Int) throws(GatewayError) {
        self.init()
        var reader = message
        while !reader.isAtEnd {
            let (number, type) = try reader.field()
            switch (number, type) {
            case (1, .lengthDelimited): name = try reader.text(atMost: SparkplugPayload.stringBytesMax)
            case (2, .varint): alias = try reader.varint()
            case (3, .varint): timestamp = try reader.varint()
            case (4, .varint): datatype = UInt32(truncatingIfNeeded: try reader.varint())
            case (5, .varint): isHistorical = try reader.varint() != 0
            case (7, .varint): isNull = try reader.varint() != 0
            case (9, .lengthDelimited):
                properties += try SparkplugProperty.set(decoding: try reader.message(), propertyCount: &propertyCount)
            case (16, .lengthDelimited): value = .bytes(try reader.blob(atMost: SparkplugPayload.stringBytesMax))
            case (17...19, .lengthDelimited):
                try reader.skip(number, type)
                value = .uninterpreted
            default:
                if let decoded = try SparkplugValue(decoding: &reader, kind: number - 10, type) {
                    value = decoded
                } else {
                    try reader.skip(number, type)
                }
            }
        }
    }
}

extension SparkplugProperty {
    /// Reads a PropertySet: keys and values lie in two arrays of the same length.
    fileprivate static func set(decoding message: ProtobufReader, propertyCount: inout Int) throws(GatewayError) -> [SparkplugProperty] {
        var reader = message
        var keys: [String] = []
        var properties: [SparkplugProperty] = []
        while !reader.isAtEnd {
            let (number, type) = try reader.field()
            switch (number, type) {
            case (1, .lengthDelimited):
                propertyCount += 1
                guard propertyCount <= SparkplugPayload.propertiesMax else {
                    throw SparkplugPayload.tooLarge("properties", SparkplugPayload.propertiesMax, reader.position)
                }
                keys.append(try reader.text(atMost: SparkplugPayload.stringBytesMax))
            case (2, .lengthDelimited):
                // Values are bounded by the same limit; a set with more values than keys is refused below.
                guard properties.count < SparkplugPayload.propertiesMax else {
                    throw SparkplugPayload.tooLarge("property values", SparkplugPayload.propertiesMax, reader.position)
                }
                properties.append(try SparkplugProperty(decoding: try reader.message()))
            default: try reader.skip(number, type)
            }
        }
        guard keys.count == properties.count else {
            throw ProtobufReader.violation(
                "property set that ends at byte \(reader.position) has \(keys.count) keys, but \(properties.count) values")
        }
        for index in keys.indices { properties[index].key = keys[index] }
        return properties
    }

    private init(decoding message: ProtobufReader) throws(GatewayError) {
        self.init(key: "", type: nil, value: nil)
        var reader = message
        while !reader.isAtEnd {
            let (number, wireType) = try reader.field()
            switch (number, wireType) {
            case (1, .varint): type = UInt32(truncatingIfNeeded: try reader.varint())
            case (2, .varint): isNull = try reader.varint() != 0
            case (9...11, .lengthDelimited):
                try reader.skip(number, wireType)
                value = .uninterpreted
            default:
                if let decoded = try SparkplugValue(decoding: &reader, kind: number - 3, wireType) {
                    value = decoded
                } else {
                    try reader.skip(number, wireType)
                }
            }
        }
    }
}

extension SparkplugValue {
    /// Reads the value of a `oneof`; `nil`, and nothing read, if this field is none of the scalars.
    ///
    /// `kind` is the distance from the first of the value fields.
    fileprivate init?(decoding reader: inout ProtobufReader, kind: Int, _ type: WireType) throws(GatewayError) {
        switch (kind, type) {
        case (0, .varint): self = .int(UInt32(truncatingIfNeeded: try reader.varint()))
        case (1, .varint): self = .long(try reader.varint())
        case (2, .fixed32): self = .float(Float(bitPattern: try reader.fixed32()))
        case (3, .fixed64): self = .double(Double(bitPattern: try reader.fixed64()))
        case (4, .varint): self = .boolean(try reader.varint() != 0)
        case (5, .lengthDelimited): self = .string(try reader.text(atMost: SparkplugPayload.stringBytesMax))
        default: return nil
        }
    }
}
