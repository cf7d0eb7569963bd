internal import Foundation

/// Prints measured figures, one JSON object per line, and appends them to the file of all figures.
package struct FigureLog: Sendable {
    /// What a figure should be.
    package enum Goal: Sendable {
        case atLeast(Double)
        case atMost(Double)
    }

    /// The folder of what benchmarks leave behind.
    package static let folder = ".build-bench"

    package init() {}

    /// Reports one figure, with its goal where it has one.
    package func report(_ name: String, _ value: Double, _ unit: String, goal: Goal? = nil) {
        var line = "{\"figure\": \"\(name)\", \"value\": \(decimal(value)), \"unit\": \"\(unit)\""
        switch goal {
        case .atLeast(let limit): line += ", \"goal\": \(limit), \"met\": \(value >= limit)"
        case .atMost(let limit): line += ", \"goal\": \(limit), \"met\": \(value <= limit)"
        case nil: break
        }
        line += "}"
        print(line)
        fflush(nil)
        append(line + "\n")
    }

    private func append(_ line: String) {
        try? FileManager.default.createDirectory(atPath: FigureLog.folder, withIntermediateDirectories: true)
        let path = FigureLog.folder + "/figures.jsonl"
        if !FileManager.default.fileExists(atPath: path) { _ = FileManager.default.createFile(atPath: path, contents: nil) }
        guard let file = FileHandle(forWritingAtPath: path) else { return }
        file.seekToEndOfFile()
        file.write(Data(line.utf8))
    }
}

/// Three digits behind the point, one for large numbers.
package func decimal(_ number: Double) -> String { String(format: number < 100 ? "%.3f" : "%.1f", number) }

/// A text with spaces behind it, up to a width.
package func padded(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(1, width - text.count)) }
