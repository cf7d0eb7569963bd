import Definitions
import Foundation
import Telemetry
import TestKit
import Testing

@testable import Commissioning

@Suite("Draft definitions") struct DraftDefinitionTests {
    @Test("whatever was found and whatever the device calls itself, the draft is a valid definition")
    func valid() throws {
        var generator = SeededGenerator()
        let folder = try TemporaryFolder()
        for round in 0..<10 {
            let order = ByteOrder.common[round % 4]
            let registers = try ["holding", "input"].map { table in
                let device = SyntheticDevice(
                    order: table == "input" && round % 5 == 0 ? .abcd : order, runs: 10, readings: 6, using: &generator)
                return DraftDefinition.Registers(table: table, map: MapInference([try #require(device.readings)]).map())
            }
            let name = ["", "ACME PM-3000 \u{1F600}", "a\n# b: {", String(repeating: "x", count: 300), "---"][round % 5]
            let draft = DraftDefinition(
                name: name, remarks: ["The device calls itself \(name)"], registers: registers,
                bits: [.init(table: "coil", ranges: [0..<5000, 6000..<6001])])
            let path = folder.path + "/draft-\(round).yaml"
            try #require(draft.yaml).write(toFile: path, atomically: true, encoding: .utf8)
            let loaded = ConfigurationLoader().load(files: [path], environment: [:])
            #expect(loaded.diagnostics.map(\.description) == [])
            let definition = try #require(loaded.definitions.first)
            // The document says of every field what was proposed.
            for area in registers {
                for field in area.map.fields where !field.isBlank && field.kind.registerCount > 1 {
                    let tag = definition.tags.first { $0.name == "\(area.table)-\(field.address)" }
                    #expect(tag?.byteOrder == area.map.byteOrder && tag?.dataType.name == field.kind.rawValue)
                }
            }
        }
    }

    @Test("nothing found is no definition")
    func empty() {
        #expect(DraftDefinition(name: "x", remarks: [], registers: [], bits: []).yaml == nil)
    }
}
