import Definitions
import Foundation
import Gateway
import GatewayCore
import ModbusProtocol
import Telemetry
import TestKit
import Testing

/// The definitions of device families in `protocols/`: what they say of themselves, and what they make of a device's answers.
@Suite("Device families", .serialized)
struct DeviceFamilyTests {
    private static let folder = Checkout.root.appendingPathComponent("protocols")
    private static let isUpdating = ProcessInfo.processInfo.environment["INDUS_UPDATE_GOLDEN"] == "1"

    /// One definition file of a vendor, as a path below `protocols/`.
    private static func families() throws -> [String] {
        let vendors = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        return try vendors.flatMap { vendor -> [String] in
            let path = folder.appendingPathComponent(vendor)
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path.path, isDirectory: &isFolder), isFolder.boolValue, vendor != "demo" else {
                return []
            }
            return try FileManager.default.contentsOfDirectory(atPath: path.path).sorted().filter { $0.hasSuffix(".yaml") }
                .map { "\(vendor)/\($0.dropLast(5))" }
        }
    }

    private static func definition(_ family: String) throws -> ProtocolDefinition {
        let file = folder.appendingPathComponent(family + ".yaml").path
        let loaded = ConfigurationLoader().load(files: [file], environment: [:])
        #expect(loaded.diagnostics.isEmpty, "\(family): \(loaded.diagnostics)")
        return try #require(loaded.definitions.first, "\(family) has no definition")
    }

    @Test("every family says where its addresses come from and how far they were verified")
    func provenance() throws {
        let families = try DeviceFamilyTests.families()
        #expect(families.count >= 15)
        for family in families {
            let definition = try DeviceFamilyTests.definition(family)
            #expect((definition.source ?? "").count > 60, "\(family) names no document")
            #expect(definition.verification != nil, "\(family) does not say how far it was verified")
            let hasDocument = definition.verification != .implementations
            #expect(
                hasDocument || (definition.source ?? "").hasPrefix("Not checked"),
                "\(family) is not verified, but its source does not say so")
        }
    }

    @Test("the list of families in the README is the one in the folder")
    func readme() throws {
        var lines = ["| Device | File | Verified with | Source |", "|---|---|---|---|"]
        for family in try DeviceFamilyTests.families() {
            let definition = try DeviceFamilyTests.definition(family)
            let title = (definition.description ?? "").components(separatedBy: ". ")[0]
            let verification: String
            switch definition.verification {
            case .document: verification = "the document"
            case .partial: verification = "the document, in part"
            case .implementations: verification = "other implementations only"
            case .device: verification = "the device"
            case nil: verification = "nothing"
            }
            let name = title.hasSuffix(".") ? String(title.dropLast()) : title
            lines.append("| \(name) | [\(family)](\(family).yaml) | \(verification) | \(definition.source ?? "") |")
        }
        let file = DeviceFamilyTests.folder.appendingPathComponent("README.md")
        let text = try String(contentsOf: file, encoding: .utf8)
        let begin = try #require(text.range(of: "<!-- families: begin -->\n"))
        let end = try #require(text.range(of: "<!-- families: end -->"))
        let table = lines.joined(separator: "\n") + "\n"
        if DeviceFamilyTests.isUpdating {
            try text.replacingCharacters(in: begin.upperBound..<end.lowerBound, with: table).write(
                to: file, atomically: true, encoding: .utf8)
        }
        let now = try String(contentsOf: file, encoding: .utf8)
        #expect(now.contains(table), "the table in protocols/README.md is old: INDUS_UPDATE_GOLDEN=1 rewrites it")
    }

    @Test("golden frames: each family makes of its device's answers what the file says")
    func goldenFrames() async throws {
        let families = try DeviceFamilyTests.families()
        let peer = try await ImagePeer()
        let folder = try TemporaryFolder()
        for family in families {
            let definition = try DeviceFamilyTests.definition(family)
            let parts = family.split(separator: "/")
            let file = DeviceFamilyTests.folder.appendingPathComponent("\(parts[0])/frames/\(parts[1]).txt")
            var golden = try FrameFile(file)
            for exchange in golden.exchanges {
                let (table, start, registers) = try exchange.registers()
                try await peer.set(table: table, start, registers)
            }
            let readings = try await DirectRead.read(
                try site(of: family, definition, port: peer.port, in: folder), device: "device", tag: nil, time: SystemTime())
            #expect(readings.count == definition.tags.count)
            if DeviceFamilyTests.isUpdating { try golden.rewrite(readings, to: file) }
            #expect(
                Set(golden.values.keys) == Set(definition.tags.map(\.name)),
                "\(family): the frames do not cover exactly the tags of the definition")
            for reading in readings {
                let expected = golden.values[reading.tag.name]
                #expect(reading.value.status.isGood, "\(family): \(reading.tag.name): \(reading.value.reason ?? "")")
                #expect(expected?.unit == reading.tag.unit, "\(family): \(reading.tag.name)")
                #expect(
                    expected.map { FrameFile.agree(reading.value.value, $0.text) } == true,
                    "\(family): \(reading.tag.name) is \(reading.value.value?.description ?? "-"), the file says \(expected?.text ?? "nothing")"
                )
            }
        }
        await peer.stop()
    }

    private func site(
        of family: String, _ definition: ProtocolDefinition, port: UInt16, in folder: TemporaryFolder
    ) throws -> Site {
        let path = folder.path + "/site.yaml"
        try """
        apiVersion: edge.indusedge.io/v1
        kind: Site
        metadata: {name: bench}
        spec:
          definitions: ["\(DeviceFamilyTests.folder.path)/\(family).yaml"]
          devices:
            - {name: device, definition: \(definition.name), connection: {modbusTCP: {host: 127.0.0.1, port: \(port)}}}
        """.write(toFile: path, atomically: true, encoding: .utf8)
        let loaded = ConfigurationLoader().load(files: [path], environment: [:])
        return try #require(loaded.site, "\(loaded.diagnostics)")
    }
}

/// A file of requests (`>`), answers (`<`) and the values of tags (`=`), the frames without framing in hexadecimal.
private struct FrameFile {
    struct Exchange {
        var request: [UInt8]
        var response: [UInt8]

        /// What the answer says stands where.
        func registers() throws -> (table: String, start: Int, registers: [UInt16]) {
            let asked = try ModbusRequest(pdu: request)
            let answer = try ModbusResponse(pdu: response, to: asked)
            guard case .read(let area, let start, _) = asked, case .registers(let registers) = answer else {
                throw ForeignProcess.Failure(description: "\(asked) is no read of registers")
            }
            return (area == .holdingRegisters ? "holding" : "input", Int(start), registers)
        }
    }

    private var lines: [String]
    private(set) var exchanges: [Exchange] = []
    private(set) var values: [String: (text: String, unit: String)] = [:]

    init(_ file: URL) throws {
        lines = try String(contentsOf: file, encoding: .utf8).components(separatedBy: "\n")
        var isAnswer = false
        for line in lines where !line.hasPrefix("#") && !line.isEmpty {
            switch line.first {
            case ">":
                exchanges.append(Exchange(request: try FrameFile.bytes(line.dropFirst()), response: []))
                isAnswer = false
            case "<", " ":
                guard let last = exchanges.indices.last, isAnswer || line.first == "<" else {
                    throw ForeignProcess.Failure(description: "\(file.lastPathComponent): \(line): an answer without a request")
                }
                isAnswer = true
                exchanges[last].response += try FrameFile.bytes(line.dropFirst())
            default:
                guard line.hasPrefix("= "), let colon = line.range(of: ": ") else {
                    throw ForeignProcess.Failure(description: "\(file.lastPathComponent): not understood: \(line)")
                }
                let words = line[colon.upperBound...].split(separator: " ", maxSplits: 1)
                values[String(line[line.index(line.startIndex, offsetBy: 2)..<colon.lowerBound])] = (
                    String(words.first ?? ""), words.count > 1 ? String(words[1]) : ""
                )
            }
        }
    }

    private static func bytes(_ text: Substring) throws -> [UInt8] {
        let digits = text.filter { $0 != " " }
        guard digits.count % 2 == 0 else { throw ForeignProcess.Failure(description: "half a byte in \(text)") }
        return try stride(from: 0, to: digits.count, by: 2).map { place in
            let start = digits.index(digits.startIndex, offsetBy: place)
            guard let byte = UInt8(digits[start..<digits.index(start, offsetBy: 2)], radix: 16) else {
                throw ForeignProcess.Failure(description: "no hexadecimal digits: \(text)")
            }
            return byte
        }
    }

    /// Floating point numbers of 32 bits agree when the text is nearest to them; all others to the last bits of a double.
    static func agree(_ value: Variant?, _ text: String) -> Bool {
        switch value {
        case .float(let number): return Float(text) == number
        case .double(let number): return Double(text).map { abs($0 - number) <= abs(number) * 1e-12 } == true
        case .some(let other): return other.description == text
        case nil: return false
        }
    }

    /// Writes what was decoded in place of what the file said.
    mutating func rewrite(_ readings: [Reading], to file: URL) throws {
        let byName = Dictionary(readings.map { ($0.tag.name, $0) }, uniquingKeysWith: { first, _ in first })
        lines = lines.map { line in
            guard line.hasPrefix("= "), let colon = line.range(of: ": ") else { return line }
            let name = String(line[line.index(line.startIndex, offsetBy: 2)..<colon.lowerBound])
            guard let reading = byName[name], let value = reading.value.value else { return line }
            values[name] = (value.description, reading.tag.unit)
            return "= \(name): \(value.description)" + (reading.tag.unit.isEmpty ? "" : " \(reading.tag.unit)")
        }
        try lines.joined(separator: "\n").write(to: file, atomically: true, encoding: .utf8)
    }
}
