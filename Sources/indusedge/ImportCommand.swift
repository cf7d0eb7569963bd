internal import ArgumentParser
internal import DefinitionImport
internal import Definitions
internal import Foundation
internal import Gateway
internal import GatewayCore
internal import Telemetry

struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Turn another tool's list of Modbus tags into protocol definitions and a site document.",
        discussion: """
            Reads the tag export of KEPServerEX (CSV), the inputs.modbus of a Telegraf configuration (TOML) and the Modbus connector of the \
            ThingsBoard IoT Gateway (JSON). Says on standard error, with line and column, what was left out, changed or assumed. \
            Exit status 0: everything was carried over; 3: something was left out; 1: nothing was written.
            """)

    @Argument(help: ArgumentHelp("The file to read.", valueName: "file"))
    var file: String

    @Option(help: "kepware-csv, telegraf-toml or thingsboard-json; found out from the content where not given.")
    var format: ImportFormat?

    @Option(help: ArgumentHelp("Write the documents as files into this folder, not to standard output.", valueName: "folder"))
    var output: String?

    @Option(help: "ABCD, CDAB, BADC or DCBA: the order of values of several registers, where the file does not have it (KEPServerEX).")
    var byteOrder: ByteOrder?

    @Option(help: "The name of the site.")
    var site = "imported"

    @Flag(help: "Replace files that are there.")
    var force = false

    func run() async throws {
        try await reportingErrors {
            let name = (file as NSString).lastPathComponent
            let options = DefinitionImport.Options(format: format, byteOrder: byteOrder, name: (name as NSString).deletingPathExtension)
            let result: ImportResult
            do {
                result = try DefinitionImport.read(try bytes(), options: options)
            } catch let error as ImportError {
                Output.trouble("\(file):\(error.position == nil ? " " : "")\(error)")
                throw ExitCode.failure
            }
            for note in result.notes { Output.trouble("\(file):\(note)") }
            try DraftOutput(folder: output, replacesFiles: force).write(
                files: result.files(site: site), document: result.document(site: site))
            let lost = result.notes.count { $0.kind == .lost }
            let tags = result.definitions.reduce(0) { $0 + $1.tags.count }
            Output.trouble("\(result.format.rawValue): \(result.devices.count) devices, \(tags) tags; \(lost) things left out")
            if lost > 0 { throw ExitCode(3) }
        }
    }

    private func bytes() throws -> [UInt8] {
        guard let handle = FileHandle(forReadingAtPath: file) else {
            throw GatewayError(.notFound, resource: "file \(file)", operation: "read", "it cannot be opened")
        }
        defer { try? handle.close() }
        var bytes: [UInt8] = []
        let limit = DefinitionImport.fileBytesMax
        while bytes.count <= limit, let part = try handle.read(upToCount: limit + 1 - bytes.count), !part.isEmpty { bytes += part }
        return bytes
    }
}

struct DiscoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "discover", abstract: "Make a protocol definition of a SunSpec device from its own models.",
        discussion: "Reads only. Exit status 1 when the device has no SunSpec map or cannot be reached.")

    @Argument(help: "Host name or address of the device, or the path of a serial line such as /dev/ttyS0.")
    var host: String

    @Option(help: "The TCP port.")
    var port = 502

    @Option(help: "The unit identifier.")
    var unit = 1

    @Option(help: "Bits per second of a serial line.")
    var baudRate = 9600

    @Option(help: "none, even or odd: the parity of a serial line.")
    var parity = ModbusRTUConnection.Parity.none

    @Option(help: ArgumentHelp("Where the map may begin, as a protocol address; may be given several times.", valueName: "address"))
    var base: [Int] = SunSpecWalk.basesDefault

    @Option(help: "The name of the definition and the device.")
    var name = "sunspec-device"

    @Option(help: ArgumentHelp("Write the documents as files into this folder, not to standard output.", valueName: "folder"))
    var output: String?

    @Flag(help: "Replace files that are there.")
    var force = false

    func validate() throws {
        guard (1...65_535).contains(port) else { throw ValidationError("the port is \(port), allowed are 1…65535") }
        guard !isSerial || (1...247).contains(unit) else { throw ValidationError("a serial line has units 1…247, not \(unit)") }
        guard (300...4_000_000).contains(baudRate) else { throw ValidationError("\(baudRate) bits per second are none of a serial line") }
        guard (0...255).contains(unit) else { throw ValidationError("the unit identifier is \(unit), allowed are 0…255") }
        let isName = !name.isEmpty && name.utf8.count <= 64 && name.utf8.allSatisfy { $0 == 45 || $0 == 95 || isalnum(Int32($0)) != 0 }
        guard name != "site" else { throw ValidationError("'site' is what the site document is called") }
        guard isName, isalnum(Int32(name.utf8.first ?? 0)) != 0 else { throw ValidationError("'\(name)' is no name of a device") }
    }

    private var isSerial: Bool { host.hasPrefix("/") }

    private var connection: Connection {
        isSerial
            ? .modbusRTU(ModbusRTUConnection(port: host, baudRate: baudRate, parity: parity, dataBits: 8, stopBits: 1, unit: unit))
            : .modbusTCP(ModbusTCPConnection(host: host, port: port, unit: unit))
    }

    func run() async throws {
        try await reportingErrors {
            let device = try await Discovery.sunSpec(connection, bases: base, time: SystemTime())
            for problem in device.problems { Output.trouble("warning: \(problem)") }
            guard device.base != nil else {
                throw GatewayError(
                    .notFound, resource: "device \(host)", operation: "discover",
                    "no SunSpec map at \(base.map(String.init).joined(separator: ", ")), unit \(unit)")
            }
            guard let made = SunSpecDefinition.make(of: device.blocks, name: name) else {
                throw GatewayError(
                    .unsupported, resource: "device \(host)", operation: "discover",
                    "none of its models is known: \(device.blocks.map { String($0.id) }.joined(separator: ", "))")
            }
            for remark in made.remarks { Output.trouble("note: \(remark)") }
            let result = ImportedSite(
                definition: made.definition, device: DraftDevice(name: name, definition: name, connection: connection))
            try DraftOutput(folder: output, replacesFiles: force).write(files: result.files, document: result.document)
        }
    }
}

/// The documents of one discovered device.
private struct ImportedSite {
    let definition: DraftDefinition
    let device: DraftDevice

    var files: [(name: String, text: String)] {
        let file = "\(definition.name).yaml"
        return [
            (file, DraftWriter.text(of: definition)),
            ("site.yaml", DraftWriter.siteText(name: "discovered", devices: [device], files: [file])),
        ]
    }

    var document: String {
        DraftWriter.text(of: definition) + "---\n" + DraftWriter.siteText(name: "discovered", devices: [device], files: [])
    }
}

/// Where drafts go: files of a folder, or standard output.
private struct DraftOutput {
    let folder: String?
    let replacesFiles: Bool

    func write(files: [(name: String, text: String)], document: String) throws {
        guard let folder else {
            try Output.write(Array(document.utf8))
            return
        }
        let url = URL(fileURLWithPath: folder)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        if !replacesFiles,
            let there = files.first(where: { FileManager.default.fileExists(atPath: url.appendingPathComponent($0.name).path) })
        {
            throw GatewayError(
                .refused, resource: "file \(url.appendingPathComponent(there.name).path)", operation: "write",
                "it is there already; --force replaces it")
        }
        for file in files { try Data(file.text.utf8).write(to: url.appendingPathComponent(file.name), options: .atomic) }
        // Whoever goes on from here should not find out later that a document is refused.
        let loaded = ConfigurationLoader().load(files: [url.appendingPathComponent("site.yaml").path], environment: [:])
        for diagnostic in loaded.diagnostics { Output.trouble(diagnostic.description) }
        if loaded.hasErrors {
            throw GatewayError(.configurationInvalid, resource: "folder \(folder)", operation: "write", "the documents have errors")
        }
    }
}

extension ImportFormat: ExpressibleByArgument {}

extension ByteOrder: ExpressibleByArgument {}

extension ModbusRTUConnection.Parity: ExpressibleByArgument {}
