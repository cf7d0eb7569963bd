import SwiftProtobuf
import Telemetry
import TestKit
import Testing

@testable import Sparkplug

/// Arrays, DataSets and nested values.
@Suite struct ValueTests {
    static let examples: [(SparkplugDataType, [Variant], [UInt8])] = [
        (.int8Array, [.int(-23), .int(123)], [0xE9, 0x7B]),
        (.int16Array, [.int(-30000), .int(30000)], [0xD0, 0x8A, 0x30, 0x75]),
        (.int32Array, [.int(-1), .int(315_338_746)], [0xFF, 0xFF, 0xFF, 0xFF, 0xFA, 0xAF, 0xCB, 0x12]),
        (.int64Array, [.int(-4_270_929_666_821_191_986)], [0xCE, 0x06, 0x72, 0xAC, 0x18, 0x9C, 0xBA, 0xC4]),
        (.uint8Array, [.uint(23), .uint(250)], [0x17, 0xFA]), (.uint16Array, [.uint(30), .uint(52360)], [0x1E, 0x00, 0x88, 0xCC]),
        (.uint32Array, [.uint(52), .uint(3_293_969_225)], [0x34, 0x00, 0x00, 0x00, 0x49, 0xFB, 0x55, 0xC4]),
        (.uint64Array, [.uint(52)], [0x34, 0, 0, 0, 0, 0, 0, 0]), (.floatArray, [.float(1.23)], [0xA4, 0x70, 0x9D, 0x3F]),
        (.doubleArray, [.double(12.354213)], [0xD7, 0xA2, 0x05, 0x68, 0x5B, 0xB5, 0x28, 0x40]),
        (
            .booleanArray, [false, false, true, true, false, true, false, false, true, true, false, true].map { .bool($0) },
            [0x0C, 0, 0, 0, 0x34, 0xD0]
        ), (.stringArray, [.string("ABC"), .string("hello")], Array("ABC\0hello\0".utf8)),
        (.dateTimeArray, [.uint(1_256_102_875_335)], [0xC7, 0xD0, 0x90, 0x75, 0x24, 0x01, 0, 0]),
    ]

    @Test(
        "Arrays lie in their bytes as the standard lays them out, both ways", arguments: examples.indices)
    func arrays(_ index: Int) throws {
        let (type, elements, bytes) = Self.examples[index]
        #expect(SparkplugArray.bytes(elements, as: type) == bytes)
        #expect(SparkplugArray.elements(bytes, as: type) == elements)
        #expect(SparkplugArray.bytes([], as: type).flatMap { SparkplugArray.elements($0, as: type) } == [])
        let metric = SparkplugMetric(name: "a", datatype: type.rawValue, value: SparkplugValue(elements, as: type))
        let decoded = try SparkplugPayload(decoding: SparkplugPayload(metrics: [metric]).encoded())
        #expect(decoded.metrics.first?.value?.elements(as: decoded.metrics.first?.datatype) == elements)
        if type != .stringArray, type.elementType?.width != 1 { #expect(SparkplugArray.elements(Array(bytes.dropLast()), as: type) == nil) }
    }

    @Test("Every array of random elements comes back; bytes of no array are refused")
    func randomArrays() throws {
        var random = SeededGenerator()
        for _ in 0..<500 {
            let type = try #require(SparkplugDataType.allCases.filter { $0.elementType != nil }.randomElement(using: &random))
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            guard let elements = SparkplugArray.elements(bytes, as: type) else { continue }
            if type == .booleanArray { continue }
            #expect(SparkplugArray.bytes(elements, as: type) == bytes, "\(type) \(bytes)")
        }
        #expect(SparkplugArray.elements([2, 0, 0, 0], as: .booleanArray) == nil)
        #expect(SparkplugArray.elements([0xFF, 0xFF, 0xFF, 0xFF], as: .booleanArray) == nil)
        #expect(SparkplugArray.elements([1, 2], as: .booleanArray) == nil)
        #expect(SparkplugArray.elements([0x41], as: .stringArray) == nil, "no end")
        #expect(SparkplugArray.elements([0xC3, 0x28, 0], as: .stringArray) == nil, "not UTF-8")
        #expect(SparkplugArray.bytes([.string("a\0b")], as: .stringArray) == nil)
        #expect(SparkplugArray.bytes([.int(40_000)], as: .int16Array) == nil)
        #expect(SparkplugArray.bytes([.uint(256)], as: .uint8Array) == nil)
        #expect(SparkplugArray.bytes([.bool(true)], as: .uint8Array) == nil)
        #expect(SparkplugArray.bytes([.int(1)], as: .int8) == nil)
    }

    @Test(
        """
        tck-id-payloads-dataset-column-size, tck-id-payloads-dataset-column-num-headers, tck-id-payloads-dataset-types-def, \
        tck-id-payloads-dataset-types-num, tck-id-payloads-dataset-types-type, tck-id-payloads-dataset-types-value, \
        tck-id-payloads-dataset-parameter-type-req, tck-id-payloads-template-dataset-value: a DataSet, both ways
        """)
    func dataSet() throws {
        let table = SparkplugDataSet(
            columns: [("index", .int32), ("name", .string), ("level", .double)],
            rows: [[.int(1), .string("a"), .double(0.5)], [.int(2), nil, .double(1.5)]])
        #expect(table.isWellFormed && table.columnCount == 3)
        let payload = SparkplugPayload(metrics: [SparkplugMetric(datatype: SparkplugDataType.dataSet.rawValue, value: .dataSet(table))])
        let proto = try ProtoPayload(serializedBytes: payload.encoded()).metrics[0].datasetValue
        #expect(proto.numOfColumns == 3 && proto.columns == ["index", "name", "level"] && proto.types == [3, 12, 10])
        #expect(proto.rows.map { $0.elements.map { $0.value != nil } } == [[true, true, true], [true, false, true]])
        #expect(try SparkplugPayload(decoding: payload.encoded()) == payload)
        var broken = table
        broken.types.removeLast()
        #expect(!broken.isWellFormed)
        broken = table
        broken.rows[1].removeLast()
        #expect(!broken.isWellFormed)
        broken = table
        broken.types[0] = SparkplugDataType.template.rawValue
        #expect(!broken.isWellFormed)
        broken = table
        broken.columnCount = 2
        #expect(!broken.isWellFormed)
    }

    @Test("Types of a DataSet may come packed")
    func packed() throws {
        let bytes: [UInt8] = [0x12, 0x08, 0x8A, 0x01, 0x05, 0x1A, 0x03, 0x03, 0xAC, 0x02]
        guard case .dataSet(let table)? = try SparkplugPayload(decoding: bytes).metrics[0].value else {
            Issue.record("no DataSet")
            return
        }
        #expect(table.types == [3, 300])
    }

    @Test(
        """
        tck-id-payloads-template-definition-parameters, tck-id-payloads-template-definition-parameters-default, \
        tck-id-payloads-template-instance-parameters, tck-id-payloads-template-parameter-name-required, \
        tck-id-payloads-template-parameter-name-type, tck-id-payloads-template-parameter-value-type, \
        tck-id-payloads-template-parameter-type-value, tck-id-payloads-template-parameter-type-req, \
        tck-id-payloads-template-parameter-value: parameters, both ways
        """)
    func parameters() throws {
        let template = SparkplugTemplate(
            version: "1", parameters: [SparkplugParameter(name: "rated", type: SparkplugDataType.double.rawValue, value: .double(7.5))],
            isDefinition: true)
        let payload = SparkplugPayload(metrics: [SparkplugMetric(value: .template(template))])
        let proto = try ProtoPayload(serializedBytes: payload.encoded()).metrics[0].templateValue
        #expect(proto.parameters.map(\.name) == ["rated"] && proto.parameters.map(\.type) == [10])
        #expect(proto.parameters.first?.doubleValue == 7.5)
        #expect(try SparkplugPayload(decoding: payload.encoded()) == payload)
    }

    @Test("What lies in each other is bounded: templates, property sets, cells")
    func nesting() throws {
        func nested(_ depth: Int) -> SparkplugMetric {
            (0..<depth).reduce(SparkplugMetric(value: .int(1))) { inner, _ in
                SparkplugMetric(value: .template(SparkplugTemplate(metrics: [inner])))
            }
        }
        func refusal(_ metric: SparkplugMetric) throws -> GatewayError {
            let bytes = SparkplugPayload(metrics: [metric]).encoded()
            return try #require(throws: GatewayError.self) { try SparkplugPayload(decoding: bytes) }
        }
        #expect(try SparkplugPayload(decoding: SparkplugPayload(metrics: [nested(16)]).encoded()).metrics == [nested(16)])
        #expect(try refusal(nested(17)).message.contains("more levels of nesting than the 16"))
        let properties = (0..<20).reduce([SparkplugProperty(key: "k", type: 3, value: .int(1))]) { inner, _ in
            [SparkplugProperty(key: "k", type: SparkplugDataType.propertySet.rawValue, value: .propertySet(inner))]
        }
        #expect(try refusal(SparkplugMetric(properties: properties)).code == .limitExceeded)
        let rows = [[SparkplugValue?]](repeating: [], count: SparkplugPayload.cellsMax + 1)
        #expect(
            try refusal(SparkplugMetric(value: .dataSet(SparkplugDataSet(columnCount: 0, columns: [], types: [], rows: rows)))).message
                .contains("more cells than the 1000000"))
    }
}
