/// A Sparkplug B payload: what one MQTT message of an edge node, or of a host's command, says.
///
/// Source: Sparkplug 3.0.0, 6.4.4 (payload). Times are milliseconds since 1970 in UTC.
package struct SparkplugPayload: Sendable, Equatable {
    /// When the message was sent, in milliseconds.
    package var timestamp: UInt64?
    package var metrics: [SparkplugMetric]
    /// 0...255, counted over all messages of an edge node but NDEATH; commands have none.
    package var sequence: UInt64?
    /// IndusEdge puts the key of the batch here: `epoch-stream-sequence`.
    package var uuid: String?

    package init(timestamp: UInt64? = nil, metrics: [SparkplugMetric] = [], sequence: UInt64? = nil, uuid: String? = nil) {
        self.timestamp = timestamp
        self.metrics = metrics
        self.sequence = sequence
        self.uuid = uuid
    }
}

/// One metric of a payload.
///
/// Source: Sparkplug 3.0.0, 6.4.6 (metric).
package struct SparkplugMetric: Sendable, Equatable {
    /// Present in births, and in data where no alias is used.
    package var name: String?
    package var alias: UInt64?
    /// When the value was taken, in milliseconds.
    package var timestamp: UInt64?
    /// A `SparkplugDataType` code, or one that this version does not know.
    package var datatype: UInt32?
    package var isHistorical: Bool
    /// The value is not worth keeping in a historian.
    package var isTransient: Bool
    package var isNull: Bool
    package var metadata: SparkplugMetadata?
    package var properties: [SparkplugProperty]
    package var value: SparkplugValue?

    package init(
        name: String? = nil, alias: UInt64? = nil, timestamp: UInt64? = nil, datatype: UInt32? = nil, isHistorical: Bool = false,
        isTransient: Bool = false, isNull: Bool = false, metadata: SparkplugMetadata? = nil, properties: [SparkplugProperty] = [],
        value: SparkplugValue? = nil
    ) {
        self.name = name
        self.alias = alias
        self.timestamp = timestamp
        self.datatype = datatype
        self.isHistorical = isHistorical
        self.isTransient = isTransient
        self.isNull = isNull
        self.metadata = metadata
        self.properties = properties
        self.value = value
    }

    /// The code of the property `Quality`; `nil` if there is none or it is not one of the standard's.
    package var quality: SparkplugQuality? {
        guard case .int(let code)? = properties.first(where: { $0.key == SparkplugProperty.qualityKey })?.value else { return nil }
        return SparkplugQuality(rawValue: code)
    }

    /// Whether the property `TimeUncertain` is true.
    package var isTimeUncertain: Bool {
        properties.first { $0.key == SparkplugProperty.timeUncertainKey }?.value == .boolean(true)
    }

    /// The text of the property `engUnit`.
    package var unit: String? {
        guard case .string(let unit)? = properties.first(where: { $0.key == SparkplugProperty.unitKey })?.value else { return nil }
        return unit
    }
}

/// One entry of a metric's PropertySet.
///
/// Source: Sparkplug 3.0.0, 6.4.8 to 6.4.10.
package struct SparkplugProperty: Sendable, Equatable {
    package var key: String
    /// A datatype code.
    package var type: UInt32?
    package var isNull: Bool
    package var value: SparkplugValue?

    package init(key: String, type: UInt32?, isNull: Bool = false, value: SparkplugValue?) {
        self.key = key
        self.type = type
        self.isNull = isNull
        self.value = value
    }

    package static let qualityKey = "Quality"
    package static let unitKey = "engUnit"
    /// Ours: the standard has no word for it.
    package static let timeUncertainKey = "TimeUncertain"

    /// The property `Quality`, a signed 32-bit integer.
    package static func quality(_ quality: SparkplugQuality) -> SparkplugProperty {
        SparkplugProperty(key: qualityKey, type: SparkplugDataType.int32.rawValue, value: .int(quality.rawValue))
    }

    /// The property `TimeUncertain`: the clock was not known to be right when it told the metric's timestamp.
    package static let timeUncertain = SparkplugProperty(
        key: timeUncertainKey, type: SparkplugDataType.boolean.rawValue, value: .boolean(true))

    /// The property `engUnit`.
    package static func unit(_ unit: String) -> SparkplugProperty {
        SparkplugProperty(key: unitKey, type: SparkplugDataType.string.rawValue, value: .string(unit))
    }
}

/// A value as it stands on the wire; what it means, the datatype says.
package enum SparkplugValue: Sendable, Equatable {
    /// Integers of up to 32 bits; signed ones in two's complement.
    case int(UInt32)
    /// Integers of 64 bits and times; signed ones in two's complement.
    case long(UInt64)
    case float(Float)
    case double(Double)
    case boolean(Bool)
    case string(String)
    /// Bytes, a file, or an array.
    case bytes([UInt8])
    case dataSet(SparkplugDataSet)
    case template(SparkplugTemplate)
    /// Of a property only.
    case propertySet([SparkplugProperty])
    /// Of a property only.
    case propertySets([[SparkplugProperty]])
    /// An extension of somebody's own: present, but not interpreted.
    case uninterpreted
}
