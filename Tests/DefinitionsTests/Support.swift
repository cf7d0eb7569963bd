internal import Definitions
internal import Foundation

/// The root of the checkout, found from this file.
let repository = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

/// A folder that is removed when the test ends.
final class TemporaryFolder {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("indusedge-definitions-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    /// The path of a new file.
    func file(_ name: String, _ text: String) throws -> String { try file(name, bytes: Array(text.utf8)) }

    func file(_ name: String, bytes: [UInt8]) throws -> String {
        let path = url.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: path)
        return path.path
    }
}

func load(_ text: String, environment: [String: String] = [:]) throws -> LoadedConfiguration {
    let folder = try TemporaryFolder()
    return ConfigurationLoader().load(files: [try folder.file("test.yaml", text)], environment: environment)
}

/// A definition with these lines as its tags, the first one at line 8.
func definition(tags: String...) -> String {
    """
    apiVersion: edge.indusedge.io/v1
    kind: ProtocolDefinition
    metadata: {name: pump, version: 1.0.0}
    spec:
      protocol: modbus
      scanGroups: {fast: 100ms, slow: 10s}
      tags:

    """ + tags.map { "    - \($0)\n" }.joined()
}

/// A definition at lines 1…9 and a site whose `spec` has these lines, the first one at line 14.
func site(_ spec: String...) -> String {
    definition(tags: "{name: t, address: \"holding:0\", type: int16}", "{name: label, address: \"holding:9\", type: string, length: 4}")
        + """
        ---
        apiVersion: edge.indusedge.io/v1
        kind: Site
        metadata: {name: plant}
        spec:

        """ + spec.map { "  \($0)\n" }.joined()
}

/// Line of the first line given to `site`.
let siteLine = 15
let oneDevice = "devices: [{name: p1, definition: pump, connection: {modbusTCP: {host: 127.0.0.1}}}]"
