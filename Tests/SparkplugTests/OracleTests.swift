import Foundation
import SwiftProtobuf
import Telemetry
import TestKit
import Testing

@testable import Sparkplug

/// The hand-written codec against swift-protobuf, which knows only the schema.
@Suite struct OracleTests {
    @Test("DDATA has, byte for byte, what swift-protobuf writes for the same batch")
    func dataIsCanonical() throws {
        var random = SeededGenerator()
        for round in 0..<400 {
            let descriptor = random.descriptor()
            let stream = StreamID(rawValue: UInt32.random(in: 0...UInt32.max, using: &random))
            var node = try EdgeNode.plant()
            // Other devices first, so that aliases get long.
            if random.chance(30) { node.register(StreamID(rawValue: stream.rawValue &+ 1), StreamDescriptor.filler) }
            node.register(stream, descriptor)
            _ = node.connecting(at: noon)
            let births = node.births(at: noon)
            let aliases = try #require(births.last).decoded.metrics.compactMap(\.alias)
            try #require(aliases.count == descriptor.tags.count)
            var toldNotGood = [Bool](repeating: true, count: aliases.count)
            for _ in 0..<4 {
                let batch = random.batch(stream, descriptor)
                let isHistorical = random.chance(30)
                let publishTime = noon.adding(milliseconds: Int64.random(in: 0...100_000, using: &random))
                let messages = node.data(batch, isHistorical: isHistorical, at: publishTime)
                guard let message = messages.first else {
                    #expect(batch.sampleCount(of: descriptor.tags.count) == 0)
                    continue
                }
                var expected = expectedData(batch, descriptor, aliases, isHistorical: isHistorical, &toldNotGood)
                expected.timestamp = publishTime.sparkplugMilliseconds
                expected.seq = try #require(message.decoded.sequence)
                let bytes: [UInt8] = try expected.serializedBytes()
                #expect(message.payload == bytes, "round \(round): \(descriptor)")
                if message.payload != bytes { return }
            }
        }
    }

    private func expectedData(
        _ batch: SampleBatch, _ descriptor: StreamDescriptor, _ aliases: [UInt64], isHistorical: Bool, _ toldNotGood: inout [Bool]
    ) -> ProtoPayload {
        var payload = ProtoPayload()
        payload.uuid = "\(batch.epoch)-\(batch.stream.rawValue)-\(batch.sequence)"
        for tag in descriptor.tags.indices {
            guard let value = batch.value(of: tag, in: descriptor) else { continue }
            var metric = ProtoPayload.Metric()
            metric.alias = aliases[tag]
            metric.timestamp = UInt64(max(0, batch.time.milliseconds))
            if isHistorical { metric.isHistorical = true }
            if value.status.isBad { metric.isNull = true }
            if !value.status.isGood || toldNotGood[tag] && !isHistorical {
                metric.properties.keys = ["Quality"]
                var quality = ProtoPayload.PropertyValue()
                quality.type = 3
                quality.intValue = value.status.isGood ? 192 : value.status.isBad ? 0 : 500
                metric.properties.values = [quality]
            }
            if batch.isTimeUncertain {
                metric.properties.keys.append("TimeUncertain")
                var uncertain = ProtoPayload.PropertyValue()
                uncertain.type = 11
                uncertain.booleanValue = true
                metric.properties.values.append(uncertain)
            }
            if !isHistorical { toldNotGood[tag] = !value.status.isGood }
            switch value.value {
            case .bool(let flag)?: metric.booleanValue = flag
            case .int(let number)?:
                switch descriptor.tags[tag].dataType {
                case .int8: metric.intValue = UInt32(UInt8(bitPattern: Int8(number)))
                case .int16: metric.intValue = UInt32(UInt16(bitPattern: Int16(number)))
                case .int32: metric.intValue = UInt32(bitPattern: Int32(number))
                default: metric.longValue = UInt64(bitPattern: number)
                }
            case .uint(let number)?:
                if descriptor.tags[tag].dataType == .uint64 { metric.longValue = number } else { metric.intValue = UInt32(number) }
            case .float(let number)?: metric.floatValue = number
            case .double(let number)?: metric.doubleValue = number
            case .string(let text)?: metric.stringValue = text
            case nil: break
            }
            payload.metrics.append(metric)
        }
        return payload
    }

    @Test("Births and commands have, byte for byte, what swift-protobuf writes")
    func encodedIsCanonical() throws {
        var random = SeededGenerator()
        for _ in 0..<500 {
            let proto = random.payload(foreign: false)
            #expect(SparkplugPayload(proto).encoded() == (try proto.serializedBytes() as [UInt8]))
        }
    }

    @Test("The decoder reads what swift-protobuf writes, and skips what it does not know")
    func decodesProtobuf() throws {
        var random = SeededGenerator()
        for _ in 0..<500 {
            let proto = random.payload(foreign: true)
            #expect(try SparkplugPayload(decoding: try proto.serializedBytes()) == SparkplugPayload(proto))
        }
    }

    @Test("Damaged payloads never trap, and are read or refused as swift-protobuf does")
    func mutations() throws {
        var random = SeededGenerator()
        var refused = 0
        for _ in 0..<5000 {
            var bytes: [UInt8] = try random.payload(foreign: false).serializedBytes()
            for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty { random.damage(&bytes) }
            let ours = try? SparkplugPayload(decoding: bytes)
            let theirs = try? ProtoPayload(serializedBytes: bytes)
            if ours == nil { refused += 1 }
            switch (ours, theirs) {
            case (let ours?, let theirs?):
                #expect(ours.equalsAllowingNaN(SparkplugPayload(theirs)), "\(bytes)")
            case (nil, let theirs?):
                // The one thing a schema cannot say: keys and values come in pairs.
                #expect(theirs.metrics.contains { $0.hasUnequalPairs }, "only we refuse \(bytes)")
            case (.some, nil): Issue.record("only swift-protobuf refuses \(bytes)")
            case (nil, nil): break
            }
        }
        #expect((1..<5000).contains(refused))
    }
}

extension StreamDescriptor {
    static let filler = StreamDescriptor(device: "filler", group: "g", tags: (0..<300).map { Tag("t\($0)", .uint16) })
}

extension SeededGenerator {
    mutating func descriptor() -> StreamDescriptor {
        let tags = (0..<Int.random(in: 1...150, using: &self)).map { index -> Telemetry.Tag in
            let type = DataType.allCases.randomElement(using: &self) ?? .bool
            let scaling: Scaling =
                switch Int.random(in: 0..<4, using: &self) {
                case 0: Scaling(scale: 0.01)
                case 1: Scaling(scale: 1.7, offset: -40)
                default: .identity
                }
            let capacity = [1, 12, 200, 4096].randomElement(using: &self) ?? 1
            return Tag(
                "tag \(index)", type, scaling: type.isNumeric ? scaling : .identity, stringCapacity: type == .string ? capacity : 0)
        }
        return StreamDescriptor(device: "device", group: "group", tags: tags)
    }

    mutating func batch(_ stream: StreamID, _ descriptor: StreamDescriptor) -> SampleBatch {
        var quality: [QualityRun] = []
        var left = descriptor.tags.count
        let statuses: [StatusCode] = [.good, .good, .good, .badTimeout, .uncertain]
        while left > 0 {
            let count = chance(40) ? left : Int.random(in: 1...left, using: &self)
            quality.append(QualityRun(count: count, status: statuses.randomElement(using: &self) ?? .good))
            left -= count
        }
        var batch = SampleBatch(
            stream: stream, time: noon.adding(milliseconds: Int64.random(in: -2_000_000_000_000...1_000_000, using: &self)),
            quality: quality,
            values: [UInt8](repeating: 0, count: descriptor.valueBytes))
        batch.isTimeUncertain = chance(30)
        batch.epoch = UInt32.random(in: 0...UInt32.max, using: &self)
        batch.sequence = UInt64.random(in: 0...UInt64.max, using: &self) >> UInt64.random(in: 0...63, using: &self)
        if chance(40) {
            batch.presence = (0..<(descriptor.tags.count + 63) / 64).map { _ in UInt64.random(in: 0...UInt64.max, using: &self) }
            let used = descriptor.tags.count % 64
            if used > 0 { batch.presence[batch.presence.count - 1] &= (1 << UInt64(used)) - 1 }
        }
        for index in descriptor.tags.indices where !batch.status(of: index).isBad && batch.has(index) {
            batch.set(value(descriptor.tags[index]), tag: index, in: descriptor)
        }
        return batch
    }

    private mutating func value(_ tag: Telemetry.Tag) -> Variant {
        let bits = next() >> UInt64.random(in: 0...63, using: &self)
        return switch tag.dataType {
        case .bool: .bool(bits & 1 == 1)
        case .int8: .int(Int64(Int8(truncatingIfNeeded: next())))
        case .int16: .int(Int64(Int16(truncatingIfNeeded: next())))
        case .int32: .int(Int64(Int32(truncatingIfNeeded: next())))
        case .int64: .int(Int64(bitPattern: bits))
        case .uint8: .uint(bits & 0xFF)
        case .uint16: .uint(bits & 0xFFFF)
        case .uint32: .uint(bits & 0xFFFF_FFFF)
        case .uint64: .uint(bits)
        case .float32: .float(Float(Double(Int64(bitPattern: next())) / 1000))
        case .float64: .double(Double(Int64(bitPattern: next())) / 1000)
        case .string: .string(text(0...min(tag.stringCapacity, 300)))
        }
    }

    /// Any payload the schema allows; with `foreign`, also a body, which the gateway never sends.
    mutating func payload(foreign: Bool) -> ProtoPayload {
        var payload = ProtoPayload()
        if chance(90) { payload.timestamp = next() >> 20 }
        if chance(90) { payload.seq = UInt64.random(in: 0...255, using: &self) }
        if chance(30) { payload.uuid = text(0...20) }
        if foreign && chance(20) { payload.body = .init([1, 2, 3]) }
        payload.metrics = (0..<Int.random(in: 0...8, using: &self)).map { _ in metric(depth: 0) }
        return payload
    }

    private mutating func metric(depth: Int) -> ProtoPayload.Metric {
        var metric = ProtoPayload.Metric()
        if chance(50) { metric.name = text(0...200) }
        if chance(70) { metric.alias = next() >> UInt64.random(in: 0...63, using: &self) }
        if chance(90) { metric.timestamp = next() >> 20 }
        if chance(50) { metric.datatype = UInt32.random(in: 0...40, using: &self) }
        if chance(20) { metric.isHistorical = true }
        if chance(20) { metric.isTransient = true }
        if chance(20) { metric.isNull = true }
        if chance(20) { metric.metadata = metadata() }
        if chance(30) { metric.properties = properties(depth: 0) }
        switch Int.random(in: 0..<10, using: &self) {
        case 0: metric.intValue = UInt32(truncatingIfNeeded: next())
        case 1: metric.longValue = next()
        case 2: metric.floatValue = Float.random(in: -1e9...1e9, using: &self)
        case 3: metric.doubleValue = Double.random(in: -1e9...1e9, using: &self)
        case 4: metric.booleanValue = chance(50)
        case 5: metric.stringValue = text(0...30)
        case 6: metric.bytesValue = .init([UInt8](repeating: 7, count: Int.random(in: 0...20, using: &self)))
        case 7: metric.datasetValue = dataSet()
        case 8 where depth < 3: metric.templateValue = template(depth: depth + 1)
        default: break
        }
        return metric
    }

    private mutating func metadata() -> ProtoPayload.MetaData {
        var metadata = ProtoPayload.MetaData()
        if chance(50) { metadata.isMultiPart = chance(50) }
        if chance(50) { metadata.contentType = text(0...20) }
        if chance(50) { metadata.size = next() }
        if chance(50) { metadata.seq = next() >> 50 }
        if chance(50) { metadata.fileName = text(0...20) }
        if chance(50) { metadata.fileType = text(0...5) }
        if chance(50) { metadata.md5 = text(0...32) }
        if chance(50) { metadata.description_p = text(0...40) }
        return metadata
    }

    private mutating func dataSet() -> ProtoPayload.DataSet {
        var dataSet = ProtoPayload.DataSet()
        let count = Int.random(in: 0...4, using: &self)
        if chance(90) { dataSet.numOfColumns = UInt64(count) }
        dataSet.columns = (0..<count).map { _ in text(0...8) }
        dataSet.types = (0..<count).map { _ in UInt32.random(in: 0...300, using: &self) }
        dataSet.rows = (0..<Int.random(in: 0...3, using: &self)).map { _ in
            var row = ProtoPayload.DataSet.Row()
            row.elements = (0..<count).map { _ in
                var element = ProtoPayload.DataSet.Value()
                switch Int.random(in: 0..<7, using: &self) {
                case 0: element.intValue = UInt32(truncatingIfNeeded: next())
                case 1: element.longValue = next()
                case 2: element.floatValue = 0.5
                case 3: element.doubleValue = -0.25
                case 4: element.booleanValue = chance(50)
                case 5: element.stringValue = text(0...8)
                default: break
                }
                return element
            }
            return row
        }
        return dataSet
    }

    private mutating func template(depth: Int) -> ProtoPayload.Template {
        var template = ProtoPayload.Template()
        if chance(50) { template.version = text(0...8) }
        if chance(70) { template.templateRef = text(0...12) }
        if chance(80) { template.isDefinition = chance(50) }
        template.metrics = (0..<Int.random(in: 0...3, using: &self)).map { _ in metric(depth: depth) }
        template.parameters = (0..<Int.random(in: 0...2, using: &self)).map { _ in
            var parameter = ProtoPayload.Template.Parameter()
            if chance(90) { parameter.name = text(0...8) }
            if chance(90) { parameter.type = UInt32.random(in: 0...15, using: &self) }
            switch Int.random(in: 0..<7, using: &self) {
            case 0: parameter.intValue = UInt32(truncatingIfNeeded: next())
            case 1: parameter.longValue = next()
            case 2: parameter.floatValue = 0.5
            case 3: parameter.doubleValue = -0.25
            case 4: parameter.booleanValue = chance(50)
            case 5: parameter.stringValue = text(0...8)
            default: break
            }
            return parameter
        }
        return template
    }

    private mutating func properties(depth: Int) -> ProtoPayload.PropertySet {
        var set = ProtoPayload.PropertySet()
        for _ in 0..<Int.random(in: 1...3, using: &self) {
            var value = ProtoPayload.PropertyValue()
            if chance(90) { value.type = UInt32.random(in: 0...20, using: &self) }
            if chance(10) { value.isNull = true }
            switch Int.random(in: 0..<9, using: &self) {
            case 0: value.intValue = 192
            case 1: value.longValue = next()
            case 2: value.floatValue = 1.5
            case 3: value.doubleValue = -2.5
            case 4: value.booleanValue = chance(50)
            case 5: value.stringValue = text(0...10)
            case 6 where depth < 3: value.propertysetValue = properties(depth: depth + 1)
            case 7 where depth < 3:
                value.propertysetsValue.propertyset = (0..<Int.random(in: 0...2, using: &self)).map { _ in properties(depth: depth + 1) }
            default: break
            }
            set.keys.append(text(0...10))
            set.values.append(value)
        }
        return set
    }

    mutating func damage(_ bytes: inout [UInt8]) {
        let place = Int.random(in: bytes.indices, using: &self)
        switch Int.random(in: 0..<5, using: &self) {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &self)
        case 1: bytes[place] = UInt8.random(in: 0...255, using: &self)
        case 2: bytes.remove(at: place)
        case 3: bytes.insert(UInt8.random(in: 0...255, using: &self), at: place)
        default: bytes.removeLast(bytes.count - place)
        }
    }
}

extension SparkplugPayload {
    /// The same content as swift-protobuf sees it.
    init(_ proto: ProtoPayload) {
        self.init(
            timestamp: proto.hasTimestamp ? proto.timestamp : nil, metrics: proto.metrics.map { SparkplugMetric($0) },
            sequence: proto.hasSeq ? proto.seq : nil, uuid: proto.hasUuid ? proto.uuid : nil)
    }

    /// Equal in their encoding, for which a NaN is as good as any number.
    func equalsAllowingNaN(_ other: SparkplugPayload) -> Bool { self == other || encoded() == other.encoded() }
}

extension SparkplugMetric {
    fileprivate init(_ proto: ProtoPayload.Metric) {
        let value: SparkplugValue? =
            switch proto.value {
            case .intValue(let value)?: .int(value)
            case .longValue(let value)?: .long(value)
            case .floatValue(let value)?: .float(value)
            case .doubleValue(let value)?: .double(value)
            case .booleanValue(let value)?: .boolean(value)
            case .stringValue(let value)?: .string(value)
            case .bytesValue(let value)?: .bytes([UInt8](value))
            case .datasetValue(let value)?: .dataSet(SparkplugDataSet(value))
            case .templateValue(let value)?: .template(SparkplugTemplate(value))
            case nil: nil
            }
        self.init(
            name: proto.hasName ? proto.name : nil, alias: proto.hasAlias ? proto.alias : nil,
            timestamp: proto.hasTimestamp ? proto.timestamp : nil, datatype: proto.hasDatatype ? proto.datatype : nil,
            isHistorical: proto.isHistorical, isTransient: proto.isTransient, isNull: proto.isNull,
            metadata: proto.hasMetadata ? SparkplugMetadata(proto.metadata) : nil, properties: SparkplugProperty.all(proto.properties),
            value: value)
    }
}

extension SparkplugMetadata {
    fileprivate init(_ proto: ProtoPayload.MetaData) {
        self.init(
            isMultiPart: proto.hasIsMultiPart ? proto.isMultiPart : nil, contentType: proto.hasContentType ? proto.contentType : nil,
            size: proto.hasSize ? proto.size : nil, sequence: proto.hasSeq ? proto.seq : nil,
            fileName: proto.hasFileName ? proto.fileName : nil, fileType: proto.hasFileType ? proto.fileType : nil,
            md5: proto.hasMd5 ? proto.md5 : nil, description: proto.hasDescription_p ? proto.description_p : nil)
    }
}

extension SparkplugDataSet {
    fileprivate init(_ proto: ProtoPayload.DataSet) {
        self.init(
            columnCount: proto.hasNumOfColumns ? proto.numOfColumns : nil, columns: proto.columns, types: proto.types,
            rows: proto.rows.map { row in
                row.elements.map { element in
                    switch element.value {
                    case .intValue(let value)?: .int(value)
                    case .longValue(let value)?: .long(value)
                    case .floatValue(let value)?: .float(value)
                    case .doubleValue(let value)?: .double(value)
                    case .booleanValue(let value)?: .boolean(value)
                    case .stringValue(let value)?: .string(value)
                    case nil: nil
                    }
                }
            })
    }
}

extension SparkplugTemplate {
    fileprivate init(_ proto: ProtoPayload.Template) {
        self.init(
            version: proto.hasVersion ? proto.version : nil, metrics: proto.metrics.map { SparkplugMetric($0) },
            parameters: proto.parameters.map { parameter in
                let value: SparkplugValue? =
                    switch parameter.value {
                    case .intValue(let value)?: .int(value)
                    case .longValue(let value)?: .long(value)
                    case .floatValue(let value)?: .float(value)
                    case .doubleValue(let value)?: .double(value)
                    case .booleanValue(let value)?: .boolean(value)
                    case .stringValue(let value)?: .string(value)
                    case nil: nil
                    }
                return SparkplugParameter(
                    name: parameter.hasName ? parameter.name : nil, type: parameter.hasType ? parameter.type : nil, value: value)
            }, reference: proto.hasTemplateRef ? proto.templateRef : nil, isDefinition: proto.hasIsDefinition ? proto.isDefinition : nil)
    }
}

extension SparkplugProperty {
    fileprivate static func all(_ set: ProtoPayload.PropertySet) -> [SparkplugProperty] {
        zip(set.keys, set.values).map { SparkplugProperty($0, $1) }
    }

    private init(_ key: String, _ proto: ProtoPayload.PropertyValue) {
        let value: SparkplugValue? =
            switch proto.value {
            case .intValue(let value)?: .int(value)
            case .longValue(let value)?: .long(value)
            case .floatValue(let value)?: .float(value)
            case .doubleValue(let value)?: .double(value)
            case .booleanValue(let value)?: .boolean(value)
            case .stringValue(let value)?: .string(value)
            case .propertysetValue(let value)?: .propertySet(SparkplugProperty.all(value))
            case .propertysetsValue(let value)?: .propertySets(value.propertyset.map { SparkplugProperty.all($0) })
            case nil: nil
            }
        self.init(key: key, type: proto.hasType ? proto.type : nil, isNull: proto.isNull, value: value)
    }
}

extension ProtoPayload.Metric {
    /// Whether some property set in it has not as many keys as values.
    fileprivate var hasUnequalPairs: Bool {
        func isUnequal(_ set: ProtoPayload.PropertySet) -> Bool {
            set.keys.count != set.values.count
                || set.values.contains { value in
                    switch value.value {
                    case .propertysetValue(let nested)?: isUnequal(nested)
                    case .propertysetsValue(let nested)?: nested.propertyset.contains(where: isUnequal)
                    default: false
                    }
                }
        }
        if isUnequal(properties) { return true }
        if case .templateValue(let template)? = value { return template.metrics.contains { $0.hasUnequalPairs } }
        return false
    }
}
