import Testing

@testable import Definitions

@Suite("Limits of arrays") struct TagExpansionLimitTests {
    @Test("arrays cannot make more tags than a stream may have")
    func tooMany() throws {
        let lines = (0..<20).map {
            "    - {name: a\($0), address: \"holding:\($0 * 3000)\", type: bool, count: 4096}\n".replacing("\"holding:", with: "\"coil:")
        }
        let loaded = try load(definition(tags: "{name: z, address: \"discrete:0\", type: bool}") + lines.joined())
        #expect(loaded.diagnostics.contains { $0.message.hasPrefix("the tags and the elements of their arrays are ") })
        #expect(loaded.diagnostics.count <= DiagnosticList.countMax + 1)
    }
}
