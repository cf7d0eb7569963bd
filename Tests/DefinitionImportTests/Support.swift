import Definitions
import Foundation
import Telemetry
import TestKit
import Testing

@testable import DefinitionImport

/// A file in the style of another tool's export.
func fixture(_ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: Checkout.root.appendingPathComponent("Tests/DefinitionImportTests/Fixtures/\(name)")))
}

/// Compares a text with a golden file; `INDUS_UPDATE_GOLDEN=1` rewrites it.
func expectGolden(_ text: String, _ name: String) throws {
    let file = Checkout.root.appendingPathComponent("Tests/DefinitionImportTests/Golden/\(name)")
    if ProcessInfo.processInfo.environment["INDUS_UPDATE_GOLDEN"] == "1" { try Data(text.utf8).write(to: file) }
    #expect(try String(contentsOf: file, encoding: .utf8) == text, "\(name) differs: INDUS_UPDATE_GOLDEN=1 rewrites it")
}

/// What `indusedge check` says of a document.
func check(_ document: String, in folder: TemporaryFolder) throws -> LoadedConfiguration {
    let path = folder.path + "/document.yaml"
    try document.write(toFile: path, atomically: true, encoding: .utf8)
    return ConfigurationLoader().load(files: [path], environment: [:])
}

/// The definition of a text of one of the formats.
func imported(_ text: String, _ format: ImportFormat? = nil, byteOrder: Telemetry.ByteOrder? = nil) throws -> ImportResult {
    try DefinitionImport.read(Array(text.utf8), options: .init(format: format, byteOrder: byteOrder, name: "test"))
}
