package import Telemetry

extension SparkplugPayload {
    /// The largest payload that is decoded.
    package static let payloadBytesMax = 16 * 1024 * 1024
    /// The most metrics of one payload, members of templates included.
    package static let metricsMax = 200_000
    /// The most properties of all metrics of one payload together.
    package static let propertiesMax = 400_000
    /// The most columns, types, rows, elements and parameters of all DataSets and templates of one payload together.
    package static let cellsMax = 1_000_000
    /// The longest name, string or byte value.
    package static let stringBytesMax = 1024 * 1024
    /// How deep templates and property sets may lie in each other.
    package static let depthMax = 16

    /// Reads a payload that anybody may have sent.
    ///
    /// Fields that are unknown, or known with another wire type, are skipped, as protobuf asks. Throws
    /// `.protocolViolation` with the byte offset when the bytes are no payload, `.limitExceeded` when it is too large.
    package init(decoding bytes: [UInt8]) throws(GatewayError) {
        self.init()
        guard bytes.count <= SparkplugPayload.payloadBytesMax else {
            throw DecodingBudget.exceeded("bytes", SparkplugPayload.payloadBytesMax, SparkplugPayload.payloadBytesMax)
        }
        var reader = ProtobufReader(bytes)
        var budget = DecodingBudget()
        while !reader.isAtEnd {
            let (number, type) = try reader.field()
            switch (number, type) {
            case (1, .varint): timestamp = try reader.varint()
            case (2, .lengthDelimited):
                try budget.takeMetric(reader)
                metrics.append(try SparkplugMetric(decoding: try reader.message(), &budget))
            case (3, .varint): sequence = try reader.varint()
            case (4, .lengthDelimited): uuid = try reader.string()
            default: try reader.skip(number, type)
            }
        }
    }
}

/// What one payload may still use of the limits: everything that costs memory is taken from it first.
struct DecodingBudget {
    private var metrics = SparkplugPayload.metricsMax
    private var properties = SparkplugPayload.propertiesMax
    private var values = SparkplugPayload.propertiesMax
    private var cells = SparkplugPayload.cellsMax
    private var depth = SparkplugPayload.depthMax

    static func exceeded(_ what: String, _ limit: Int, _ position: Int) -> GatewayError {
        GatewayError(
            .limitExceeded, resource: "sparkplug payload", operation: "decode",
            "payload has more \(what) than the \(limit) that are accepted, at byte \(position)")
    }

    private static func take(
        _ left: inout Int, _ what: String, _ limit: Int, _ reader: ProtobufReader
    ) throws(GatewayError) {
        guard left > 0 else { throw exceeded(what, limit, reader.position) }
        left -= 1
    }

    mutating func takeMetric(_ reader: ProtobufReader) throws(GatewayError) {
        try Self.take(&metrics, "metrics", SparkplugPayload.metricsMax, reader)
    }

    mutating func takePropertyKey(_ reader: ProtobufReader) throws(GatewayError) {
        try Self.take(&properties, "properties", SparkplugPayload.propertiesMax, reader)
    }

    mutating func takePropertyValue(_ reader: ProtobufReader) throws(GatewayError) {
        try Self.take(&values, "property values", SparkplugPayload.propertiesMax, reader)
    }

    mutating func takeCell(_ reader: ProtobufReader) throws(GatewayError) {
        try Self.take(&cells, "cells", SparkplugPayload.cellsMax, reader)
    }

    mutating func enter(_ reader: ProtobufReader) throws(GatewayError) {
        try Self.take(&depth, "levels of nesting", SparkplugPayload.depthMax, reader)
    }

    mutating func leave() { depth += 1 }
}

extension ProtobufReader {
    /// A string within the limit.
    fileprivate mutating func string() throws(GatewayError) -> String { try text(atMost: SparkplugPayload.stringBytesMax) }
}

extension SparkplugMetric {
    fileprivate init(decoding message: ProtobufReader, _ budget: inout DecodingBudget) throws(GatewayError) {
        self.init()
        var reader = message
        while !reader.isAtEnd {
            let (number, type) = try reader.field()
            switch (number, type) {
            case (1, .lengthDelimited): name = try reader.string()
            case (2, .varint): alias = try reader.varint()
            case (3, .varint): timestamp = try reader.varint()
            case (4, .varint): datatype = UInt32(truncatingIfNeeded: try reader.varint())
            case (5, .varint): isHistorical = try reader.varint() != 0
            case (6, .varint): isTransient = try reader.varint() != 0
            case (7, .varint): isNull = try reader.varint() != 0
            case (8, .lengthDelimited):
                var metadata = metadata ?? SparkplugMetadata()
                try metadata.merge(try reader.message())
                self.metadata = metadata
            case (9, .lengthDelimited): properties += try SparkplugProperty.set(decoding: try reader.message(), &budget)
            case (16, .lengthDelimited): value = .bytes(try reader.blob(atMost: SparkplugPayload.stringBytesMax))
            case (17, .lengthDelimited):
                // A message that comes twice is one, of the parts of both.
                var dataSet = SparkplugDataSet(columnCount: nil, columns: [], types: [], rows: [])
                if case .dataSet(let first)? = value { dataSet = first }
                try dataSet.merge(try reader.message(), &budget)
                value = .dataSet(dataSet)
            case (18, .lengthDelimited):
                var template = SparkplugTemplate()
                if case .template(let first)? = value { template = first }
                try template.merge(try reader.message(), &budget)
                value = .template(template)
            case (19, .lengthDelimited):
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

extension SparkplugMetadata {
    fileprivate mutating func merge(_ message: ProtobufReader) throws(GatewayError) {
        var reader = message
        while !reader.isAtEnd {
            let (number, type) = try reader.field()
            switch (number, type) {
            case (1, .varint): isMultiPart = try reader.varint() != 0
            case (2, .lengthDelimited): contentType = try reader.string()
            case (3, .varint): size = try reader.varint()
            case (4, .varint): sequence = try reader.varint()
            case (5, .lengthDelimited): fileName = try reader.string()
            case (6, .lengthDelimited): fileType = try reader.string()
            case (7, .lengthDelimited): md5 = try reader.string()
            case (8, .lengthDelimited): description = try reader.string()
            default: try reader.skip(number, type)
            }
        }
    }
}

extension SparkplugTemplate {
    fileprivate mutating func merge(_ message: ProtobufReader, _ budget: inout DecodingBudget) throws(GatewayError) {
        try budget.enter(message)
        var reader = message
        while !reader.isAtEnd {
            let (number, type) = try reader.field()
            switch (number, type) {
            case (1, .lengthDelimited): version = try reader.string()
            case (2, .lengthDelimited):
                try budget.takeMetric(reader)
                metrics.append(try SparkplugMetric(decoding: try reader.message(), &budget))
            case (3, .lengthDelimited):
                try budget.takeCell(reader)
                parameters.append(try SparkplugParameter(decoding: try reader.message()))
            case (4, .lengthDelimited): reference = try reader.string()
            case (5, .varint): isDefinition = try reader.varint() != 0
            default: try reader.skip(number, type)
            }
        }
        budget.leave()
    }
}

extension SparkplugParameter {
    fileprivate init(decoding message: ProtobufReader) throws(GatewayError) {
        self.init(name: nil, type: nil, value: nil)
        var reader = message
        while !reader.isAtEnd {
            let (number, wireType) = try reader.field()
            switch (number, wireType) {
            case (1, .lengthDelimited): name = try reader.string()
            case (2, .varint): type = UInt32(truncatingIfNeeded: try reader.varint())
            case (9, .lengthDelimited):
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

extension SparkplugDataSet {
    fileprivate mutating func merge(_ message: ProtobufReader, _ budget: inout DecodingBudget) throws(GatewayError) {
        var reader = message
        while !reader.isAtEnd {
            let (number, type) = try reader.field()
            switch (number, type) {
            case (1, .varint): columnCount = try reader.varint()
            case (2, .lengthDelimited):
                try budget.takeCell(reader)
                columns.append(try reader.string())
            case (3, .varint):
                try budget.takeCell(reader)
                types.append(UInt32(truncatingIfNeeded: try reader.varint()))
            case (3, .lengthDelimited):
                // Numbers that repeat may also come packed (protobuf.dev, "Encoding", packed repeated fields).
                var packed = try reader.message()
                while !packed.isAtEnd {
                    try budget.takeCell(packed)
                    types.append(UInt32(truncatingIfNeeded: try packed.varint()))
                }
            case (4, .lengthDelimited):
                try budget.takeCell(reader)
                rows.append(try Self.row(decoding: try reader.message(), &budget))
            default: try reader.skip(number, type)
            }
        }
    }

    private static func row(decoding message: ProtobufReader, _ budget: inout DecodingBudget) throws(GatewayError) -> [SparkplugValue?] {
        var reader = message
        var elements: [SparkplugValue?] = []
        while !reader.isAtEnd {
            let (number, type) = try reader.field()
            if number == 1, type == .lengthDelimited {
                try budget.takeCell(reader)
                elements.append(try element(decoding: try reader.message()))
            } else {
                try reader.skip(number, type)
            }
        }
        return elements
    }

    private static func element(decoding message: ProtobufReader) throws(GatewayError) -> SparkplugValue? {
        var reader = message
        var value: SparkplugValue?
        while !reader.isAtEnd {
            let (number, type) = try reader.field()
            if number == 7, type == .lengthDelimited {
                try reader.skip(number, type)
                value = .uninterpreted
            } else if let decoded = try SparkplugValue(decoding: &reader, kind: number - 1, type) {
                value = decoded
            } else {
                try reader.skip(number, type)
            }
        }
        return value
    }
}

extension SparkplugProperty {
    /// Reads a PropertySet: keys and values lie in two arrays of the same length.
    fileprivate static func set(
        decoding message: ProtobufReader, _ budget: inout DecodingBudget
    ) throws(GatewayError) -> [SparkplugProperty] {
        try budget.enter(message)
        var reader = message
        var keys: [String] = []
        var properties: [SparkplugProperty] = []
        while !reader.isAtEnd {
            let (number, type) = try reader.field()
            switch (number, type) {
            case (1, .lengthDelimited):
                try budget.takePropertyKey(reader)
                keys.append(try reader.string())
            case (2, .lengthDelimited):
                try budget.takePropertyValue(reader)
                properties.append(try SparkplugProperty(decoding: try reader.message(), &budget))
            default: try reader.skip(number, type)
            }
        }
        guard keys.count == properties.count else {
            throw ProtobufReader.violation(
                "property set that ends at byte \(reader.position) has \(keys.count) keys, but \(properties.count) values")
        }
        for index in keys.indices { properties[index].key = keys[index] }
        budget.leave()
        return properties
    }

    /// Reads a PropertySetList.
    private static func sets(
        decoding message: ProtobufReader, _ budget: inout DecodingBudget
    ) throws(GatewayError) -> [[SparkplugProperty]] {
        var reader = message
        var sets: [[SparkplugProperty]] = []
        while !reader.isAtEnd {
            let (number, type) = try reader.field()
            if number == 1, type == .lengthDelimited {
                try budget.takePropertyValue(reader)
                sets.append(try set(decoding: try reader.message(), &budget))
            } else {
                try reader.skip(number, type)
            }
        }
        return sets
    }

    private init(decoding message: ProtobufReader, _ budget: inout DecodingBudget) throws(GatewayError) {
        self.init(key: "", type: nil, value: nil)
        var reader = message
        while !reader.isAtEnd {
            let (number, wireType) = try reader.field()
            switch (number, wireType) {
            case (1, .varint): type = UInt32(truncatingIfNeeded: try reader.varint())
            case (2, .varint): isNull = try reader.varint() != 0
            case (9, .lengthDelimited):
                var set: [SparkplugProperty] = []
                if case .propertySet(let first)? = value { set = first }
                set += try SparkplugProperty.set(decoding: try reader.message(), &budget)
                value = .propertySet(set)
            case (10, .lengthDelimited):
                var sets: [[SparkplugProperty]] = []
                if case .propertySets(let first)? = value { sets = first }
                sets += try SparkplugProperty.sets(decoding: try reader.message(), &budget)
                value = .propertySets(sets)
            case (11, .lengthDelimited):
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
        case (5, .lengthDelimited): self = .string(try reader.string())
        default: return nil
        }
    }
}
