internal import Foundation
package import Logging
internal import Synchronization
package import Telemetry

/// How log lines are written.
package enum LogFormat: String, Sendable, CaseIterable {
    /// `key=value` pairs: readable, and parsed by every log collector.
    case logfmt
    /// One JSON object a line.
    case json
}

/// Writes log lines to standard error, one per event, in logfmt or JSON: `time`, `level`, `label`, `message`, then the metadata.
package struct StructuredLogHandler: LogHandler {
    package var metadata: Logger.Metadata = [:]
    package var logLevel: Logger.Level
    private let label: String
    private let format: LogFormat
    private let now: @Sendable () -> Timestamp
    private let write: @Sendable (String) -> Void

    /// `now` gives the time of a line; `write` takes each line without its end.
    package init(
        label: String, level: Logger.Level, format: LogFormat, now: @escaping @Sendable () -> Timestamp,
        write: @escaping @Sendable (String) -> Void = StructuredLogHandler.writeToStandardError
    ) {
        self.label = label
        logLevel = level
        self.format = format
        self.now = now
        self.write = write
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        let merged = metadata.merging(event.metadata ?? [:]) { $1 }
        var fields: [(String, Logger.MetadataValue)] = [
            ("time", .string(now().description)), ("level", .string(event.level.rawValue)), ("label", .string(label)),
            ("message", .stringConvertible(event.message)),
        ]
        for key in merged.keys.sorted() { fields.append((key, merged[key] ?? "")) }
        switch format {
        case .logfmt: write(fields.map { "\($0)=\(StructuredLogHandler.quoted(StructuredLogHandler.flat($1)))" }.joined(separator: " "))
        case .json:
            write("{" + fields.map { "\(StructuredLogHandler.json($0)):\(StructuredLogHandler.json($1))" }.joined(separator: ",") + "}")
        }
    }

    private static let standardError = Mutex(FileHandle.standardError)

    package static let writeToStandardError: @Sendable (String) -> Void = { line in
        // A closed standard error must not end the gateway; there is nowhere left to tell of it.
        standardError.withLock { try? $0.write(contentsOf: Data((line + "\n").utf8)) }
    }

    /// A value as one text; the links of an error chain follow each other by `<-`.
    private static func flat(_ value: Logger.MetadataValue) -> String {
        switch value {
        case .string(let text): text
        case .stringConvertible(let value): value.description
        case .array(let values): values.map(flat).joined(separator: " <- ")
        case .dictionary(let values): values.keys.sorted().map { "\($0):\(flat(values[$0] ?? ""))" }.joined(separator: ",")
        }
    }

    private static func quoted(_ text: String) -> String {
        let needsQuotes = text.isEmpty || text.unicodeScalars.contains { $0 == " " || $0 == "=" || $0 == "\"" || $0.value < 32 }
        return needsQuotes ? json(text) : text
    }

    private static func json(_ value: Logger.MetadataValue) -> String {
        switch value {
        case .string(let text): json(text)
        case .stringConvertible(let value): json(value.description)
        case .array(let values): "[" + values.map { json($0) }.joined(separator: ",") + "]"
        case .dictionary(let values):
            "{" + values.keys.sorted().map { "\(json($0)):\(json(values[$0] ?? ""))" }.joined(separator: ",") + "}"
        }
    }

    private static func json(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            default:
                if scalar.value < 32 {
                    result += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result + "\""
    }
}
