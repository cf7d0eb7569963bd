internal import ArgumentParser
internal import Definitions
internal import Foundation
internal import GatewayCore
internal import Telemetry

/// How commands speak: results to standard output, troubles to standard error.
enum Output {
    static func line(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }

    /// How much text is gathered before it is written.
    static let pieceBytes = 64 << 10

    /// Text that is ready as bytes.
    static func write(_ bytes: [UInt8]) throws { try FileHandle.standardOutput.write(contentsOf: bytes) }

    static func trouble(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

    /// One JSON document on a line of its own.
    static func json(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        line(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    /// Columns as wide as their widest cell; numbers flush right are the caller's matter.
    static func table(_ rows: [[String]]) {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
        for row in rows {
            let cells = row.enumerated().map {
                $0.element.padding(toLength: max($0.element.count, widths[$0.offset]), withPad: " ", startingAt: 0)
            }
            line(cells.joined(separator: "  ").trimmingTrailingSpaces())
        }
    }
}

extension String {
    fileprivate func trimmingTrailingSpaces() -> String {
        var text = self[...]
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}

/// A value of any type in JSON: a number stays a number.
struct JSONValue: Encodable {
    let value: Variant

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch value {
        case .bool(let value): try container.encode(value)
        case .int(let value): try container.encode(value)
        case .uint(let value): try container.encode(value)
        case .float(let value): try container.encode(value)
        case .double(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        }
    }
}

/// Runs a command's work; an error becomes its chain, a line each, and exit status 1.
func reportingErrors(_ work: () async throws -> Void) async throws {
    do {
        try await work()
    } catch let code as ExitCode {
        throw code
    } catch  where error.isCancellation {
        throw ExitCode(130)
    } catch {
        for (depth, line) in error.chain.enumerated() { Output.trouble(depth == 0 ? "error: \(line)" : "  because: \(line)") }
        throw ExitCode.failure
    }
}

/// Loads a site and its definitions; prints every problem, or errors only, and throws when there are errors among them.
func loadSite(_ files: [String], tellsWarnings: Bool = true) throws -> Site {
    let loaded = ConfigurationLoader().load(files: files, environment: ProcessInfo.processInfo.environment)
    for diagnostic in loaded.diagnostics where tellsWarnings || diagnostic.severity == .error { Output.trouble(diagnostic.description) }
    guard !loaded.hasErrors else { throw ExitCode.failure }
    guard let site = loaded.site else {
        Output.trouble("error: no Site document in \(files.joined(separator: ", ")); a document with 'kind: Site' is needed here")
        throw ExitCode.failure
    }
    return site
}

/// The folder of a store: the argument itself when it is a folder, else the log path of the site file it names. Warnings about that file are for
/// whoever checks or runs it.
func storeFolder(_ argument: String) throws -> String {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: argument, isDirectory: &isFolder), isFolder.boolValue { return argument }
    if argument.hasSuffix(".yaml") || argument.hasSuffix(".yml") { return try loadSite([argument], tellsWarnings: false).log.path }
    Output.trouble("error: \(argument) is neither the folder of a store nor a site file (.yaml)")
    throw ExitCode.failure
}
