internal import Definitions
package import Telemetry

/// Reads files of other tools into drafts of protocol definitions and of a site document.
package enum DefinitionImport {
    /// The largest file that is read.
    package static let fileBytesMax = 16 * 1_048_576

    /// What an import may be told that the file does not say.
    package struct Options: Sendable {
        /// The format; `nil`: it is found out from the content.
        package var format: ImportFormat?
        /// The order of values of several registers, for formats that do not carry it (KEPServerEX keeps it in the device's settings).
        package var byteOrder: ByteOrder?
        /// What the file is called, without folder and extension: names devices that have no name of their own.
        package var name: String

        package init(format: ImportFormat? = nil, byteOrder: ByteOrder? = nil, name: String = "imported") {
            self.format = format
            self.byteOrder = byteOrder
            self.name = name
        }
    }

    /// Reads one file.
    ///
    /// Throws an `ImportError` when the file is no text, too large, damaged, or of none of the formats; whatever concerns single
    /// tags or keys is a note in the result.
    package static func read(_ bytes: [UInt8], options: Options) throws(ImportError) -> ImportResult {
        guard bytes.count <= fileBytesMax else {
            throw ImportError("the file has \(bytes.count) bytes, at most \(fileBytesMax) are read")
        }
        let text = try ForeignText(bytes)
        let format: ImportFormat
        if let given = options.format { format = given } else { format = try detect(text.utf8) }
        var result: ImportResult
        switch format {
        case .kepwareCSV: result = try KepwareReader.read(text.utf8, options: options)
        case .telegrafTOML: result = try TelegrafReader.read(text.utf8, options: options)
        case .thingsboardJSON: result = try ThingsBoardReader.read(text.utf8, options: options)
        }
        if let encoding = text.unusualEncoding {
            result.notes.insert(ImportNote(.assumed, at: .start, "encoding", encoding), at: 0)
        }
        guard !result.definitions.isEmpty else {
            let reasons = result.notes.filter { $0.kind == .lost }.prefix(3).map(\.description)
            throw ImportError("no tag could be carried over" + (reasons.isEmpty ? "" : ": " + reasons.joined(separator: "; ")))
        }
        return result
    }

    /// Finds out the format by what the file begins with and the words it must have.
    private static func detect(_ utf8: [UInt8]) throws(ImportError) -> ImportFormat {
        let head = String(decoding: utf8.prefix(detectionBytes), as: UTF8.self)
        let firstLine = head.drop { $0.isWhitespace || $0.isNewline }.prefix { !$0.isNewline }
        if firstLine.first == "{" { return .thingsboardJSON }
        if KepwareReader.isHeader(String(firstLine)) { return .kepwareCSV }
        let all = String(decoding: utf8, as: UTF8.self)
        if all.contains("inputs.modbus") { return .telegrafTOML }
        throw ImportError(
            "the file is none of: \(ImportFormat.allCases.map { "\($0.rawValue) (\($0.title))" }.joined(separator: ", ")); "
                + "it begins with '\(firstLine.prefix(60))'")
    }

    private static let detectionBytes = 65_536
}
