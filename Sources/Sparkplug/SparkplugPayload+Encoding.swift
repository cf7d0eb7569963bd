extension SparkplugPayload {
    /// The payload in protobuf, fields in the order of their numbers. Values that are not interpreted are left out.
    package func encoded() -> [UInt8] {
        var writer = ProtobufWriter()
        if let timestamp { writer.write(1, varint: timestamp) }
        for metric in metrics { writer.write(2) { metric.encode(to: &$0) } }
        if let sequence { writer.write(3, varint: sequence) }
        if let uuid { writer.write(4, text: uuid) }
        return writer.bytes
    }
}

extension SparkplugMetric {
    fileprivate func encode(to writer: inout ProtobufWriter) {
        if let name { writer.write(1, text: name) }
        if let alias { writer.write(2, varint: alias) }
        if let timestamp { writer.write(3, varint: timestamp) }
        if let datatype { writer.write(4, varint: UInt64(datatype)) }
        if isHistorical { writer.write(5, varint: 1) }
        if isTransient { writer.write(6, varint: 1) }
        if isNull { writer.write(7, varint: 1) }
        if let metadata { writer.write(8) { metadata.encode(to: &$0) } }
        if !properties.isEmpty { writer.write(9) { SparkplugProperty.encode(properties, to: &$0) } }
        switch value {
        case .bytes(let bytes): writer.write(16, bytes: bytes)
        case .dataSet(let dataSet): writer.write(17) { dataSet.encode(to: &$0) }
        case .template(let template): writer.write(18) { template.encode(to: &$0) }
        default: value?.encode(to: &writer, firstField: 10)
        }
    }
}

extension SparkplugMetadata {
    fileprivate func encode(to writer: inout ProtobufWriter) {
        if let isMultiPart { writer.write(1, varint: isMultiPart ? 1 : 0) }
        if let contentType { writer.write(2, text: contentType) }
        if let size { writer.write(3, varint: size) }
        if let sequence { writer.write(4, varint: sequence) }
        if let fileName { writer.write(5, text: fileName) }
        if let fileType { writer.write(6, text: fileType) }
        if let md5 { writer.write(7, text: md5) }
        if let description { writer.write(8, text: description) }
    }
}

extension SparkplugDataSet {
    fileprivate func encode(to writer: inout ProtobufWriter) {
        if let columnCount { writer.write(1, varint: columnCount) }
        for column in columns { writer.write(2, text: column) }
        for type in types { writer.write(3, varint: UInt64(type)) }
        for row in rows {
            writer.write(4) { writer in
                for element in row { writer.write(1) { element?.encode(to: &$0, firstField: 1) } }
            }
        }
    }
}

extension SparkplugTemplate {
    fileprivate func encode(to writer: inout ProtobufWriter) {
        if let version { writer.write(1, text: version) }
        for metric in metrics { writer.write(2) { metric.encode(to: &$0) } }
        for parameter in parameters {
            writer.write(3) { writer in
                if let name = parameter.name { writer.write(1, text: name) }
                if let type = parameter.type { writer.write(2, varint: UInt64(type)) }
                parameter.value?.encode(to: &writer, firstField: 3)
            }
        }
        if let reference { writer.write(4, text: reference) }
        if let isDefinition { writer.write(5, varint: isDefinition ? 1 : 0) }
    }
}

extension SparkplugProperty {
    /// A PropertySet: first all keys, then all values.
    fileprivate static func encode(_ properties: [SparkplugProperty], to writer: inout ProtobufWriter) {
        for property in properties { writer.write(1, text: property.key) }
        for property in properties { writer.write(2) { property.encode(to: &$0) } }
    }

    private func encode(to writer: inout ProtobufWriter) {
        if let type { writer.write(1, varint: UInt64(type)) }
        if isNull { writer.write(2, varint: 1) }
        switch value {
        case .propertySet(let set): writer.write(9) { SparkplugProperty.encode(set, to: &$0) }
        case .propertySets(let sets):
            writer.write(10) { writer in
                for set in sets { writer.write(1) { SparkplugProperty.encode(set, to: &$0) } }
            }
        default: value?.encode(to: &writer, firstField: 3)
        }
    }
}

extension SparkplugValue {
    /// Metrics, properties, parameters and elements number the kinds of scalars alike, from different first fields. What is no scalar
    /// is none of all four; where it can be, its owner writes it.
    fileprivate func encode(to writer: inout ProtobufWriter, firstField: Int) {
        switch self {
        case .int(let value): writer.write(firstField, varint: UInt64(value))
        case .long(let value): writer.write(firstField + 1, varint: value)
        case .float(let value): writer.write(firstField + 2, float: value)
        case .double(let value): writer.write(firstField + 3, double: value)
        case .boolean(let value): writer.write(firstField + 4, varint: value ? 1 : 0)
        case .string(let value): writer.write(firstField + 5, text: value)
        case .bytes, .dataSet, .template, .propertySet, .propertySets, .uninterpreted: break
        }
    }
}
