internal import Foundation

/// A recorded series.
package struct RecordedSeries: Sendable {
    package let name: String
    package let numbers: [Double]
}

/// Reads tables of numbers, as public data sets have them.
package enum SeriesFolder {
    /// The numeric columns of every .csv, .txt and .dat file (also with .gz) below `folder`, by their sub-folder.
    ///
    /// A file whose rows are separated by tabs holds one series, row after row; in others each column is one.
    package static func read(_ folder: String) -> [(dataset: String, series: [RecordedSeries])] {
        var datasets: [String: [RecordedSeries]] = [:]
        for path in (FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []).sorted() {
            let plain = path.hasSuffix(".gz") ? String(path.dropLast(3)) : path
            guard ["csv", "txt", "dat"].contains((plain as NSString).pathExtension), !plain.lowercased().contains("readme"),
                let text = contents(of: folder + "/" + path)
            else { continue }
            let dataset = path.split(separator: "/").first.map(String.init) ?? path
            datasets[dataset, default: []] += series(in: text, named: plain)
        }
        return datasets.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    private static func contents(of path: String) -> String? {
        guard path.hasSuffix(".gz") else { return FileManager.default.contents(atPath: path).flatMap { String(data: $0, encoding: .utf8) } }
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["gzip", "-dc", path]
        process.standardOutput = output
        guard (try? process.run()) != nil else { return nil }
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(data: data, encoding: .utf8)
    }

    private static func series(in text: String, named name: String) -> [RecordedSeries] {
        let lines = text.split(whereSeparator: \.isNewline)
        guard let sample = lines.dropFirst().first ?? lines.first else { return [] }
        let isOneSeries = sample.contains("\t")
        let separators: Set<Character> = sample.contains(";") ? [";"] : sample.contains(",") ? [","] : ["\t", " "]
        var columns: [Int: [Double]] = [:]
        var isNumeric: [Int: Bool] = [:]
        var width = 0
        for (row, line) in lines.enumerated() {
            let fields = line.split(separator: separators)
            if row == 0 && Double(fields.last ?? "") == nil { continue }
            width = max(width, fields.count)
            for (column, field) in fields.enumerated() {
                guard let number = Double(field.trimmingCharacters(in: .whitespaces)) else {
                    isNumeric[column] = false
                    continue
                }
                columns[isOneSeries ? 0 : column, default: []].append(number)
            }
        }
        return columns.sorted { $0.key < $1.key }.compactMap { column, numbers in
            guard isNumeric[column] != false, numbers.count > 1 else { return nil }
            return RecordedSeries(name: "\(name)#\(column)", numbers: numbers)
        }
    }
}

extension Substring {
    fileprivate func split(separator separators: Set<Character>) -> [Substring] { split { separators.contains($0) } }
}
