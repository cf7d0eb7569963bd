import Foundation
import Testing

@testable import Definitions

@Suite struct JSONSchemaTests {
    @Test(arguments: [("site", JSONSchema.site), ("protocol-definition", JSONSchema.protocolDefinition)])
    func generatedSchemasAreThoseInTheFolder(_ name: String, _ schema: String) throws {
        let file = repository.appendingPathComponent("protocols/schema/\(name).schema.json")
        if ProcessInfo.processInfo.environment["INDUS_UPDATE_GOLDEN"] == "1" { try Data(schema.utf8).write(to: file) }
        let golden = try String(contentsOf: file, encoding: .utf8)
        #expect(golden == schema, "protocols/schema/\(name).schema.json is old: INDUS_UPDATE_GOLDEN=1 rewrites it")
        #expect(try JSONSerialization.jsonObject(with: Data(schema.utf8)) is [String: Any])
    }

    @Test func everyKeyIsDocumented() throws {
        let page = try String(contentsOf: repository.appendingPathComponent("docs/configuration.md"), encoding: .utf8)
        for document in [SiteShape.document, ProtocolDefinitionShape.document] {
            for name in names(in: .object(document)) {
                #expect(
                    ["`\(name)`", ".\(name)`", "`\(name)."].contains(where: page.contains), "'\(name)' is missing in docs/configuration.md")
            }
        }
    }

    private func names(in type: ValueType) -> [String] {
        switch type {
        case .object(let shape): shape.fields.flatMap { [$0.name] + names(in: $0.type) }
        case .list(let element, _), .map(_, let element, _), .oneOrMore(let element, _): names(in: element)
        case .text, .bool, .integer, .number, .duration, .size, .word, .literal: []
        }
    }

    static let hasValidator = (try? python("import jsonschema, yaml"))?.status == 0

    /// A foreign validator accepts what ships, and refuses what the loader refuses.
    @Test(.enabled(if: hasValidator, "needs python3 with jsonschema and yaml"))
    func foreignValidatorAgrees() throws {
        let folder = try TemporaryFolder()
        let wrong = try folder.file(
            "wrong.yaml",
            definition(tags: "{name: a, address: \"holding:0\", type: int61}", "{name: b, address: \"holding:1\", type: int16, skale: 1}"))
        let script = """
            import glob, json, sys, yaml, jsonschema
            root, wrong = sys.argv[1:]
            schemas = {name: json.load(open(f"{root}/protocols/schema/{file}.schema.json")) for name, file in
                       (("Site", "site"), ("ProtocolDefinition", "protocol-definition"))}
            for schema in schemas.values(): jsonschema.Draft7Validator.check_schema(schema)
            files = glob.glob(root + "/protocols/**/*.yaml", recursive=True) + glob.glob(root + "/firmware-config/**/site.yaml", recursive=True)
            assert len(files) >= 4, files
            def problems(file):
                for document in yaml.safe_load_all(open(file)):
                    yield from jsonschema.Draft7Validator(schemas[document["kind"]]).iter_errors(document)
            for file in files:
                for error in problems(file): sys.exit(f"{file}: {error.json_path}: {error.message}")
            found = sorted(error.json_path for error in problems(wrong))
            assert found == ["$.spec.tags[0].type", "$.spec.tags[1]"], found
            """
        let result = try Self.python(script, repository.path, wrong)
        #expect(result.status == 0, "\(result.output)")
    }

    private static func python(_ script: String, _ arguments: String...) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", script] + arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }
}
