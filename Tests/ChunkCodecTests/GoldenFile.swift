import ChunkCodec
import Foundation

/// A column, and the bytes it has in this version of the format: a text file that people can read.
///
///     # what it shows
///     integers 3
///     1 2 3
///     bytes 11 02 02
///
/// Floats are patterns in hexadecimal, texts are bytes in hexadecimal with `-` for none. Bytes that must be refused have
/// `refused damaged` or `refused unknown` instead of values.
struct GoldenFile: Equatable {
    enum Meaning: Equatable {
        case column(Column)
        case refused(String)
    }

    var comment: String
    var kind: Column.Kind
    var rows: Int
    var meaning: Meaning
    var bytes: [UInt8]

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden")

    static func names() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".txt") }.sorted()
    }

    private struct Unreadable: Error {
        let name: String
        let line: String
    }

    init(comment: String, column: Column, bytes: [UInt8]) {
        self.comment = comment
        kind = column.kind
        rows = column.count
        meaning = .column(column)
        self.bytes = bytes
    }

    init(named name: String) throws {
        let text = try String(contentsOf: GoldenFile.folder.appendingPathComponent(name), encoding: .utf8)
        var lines = text.split(separator: "\n").map(String.init)[...]
        func unreadable() -> Unreadable { Unreadable(name: name, line: lines.first ?? "end") }
        guard let first = lines.popFirst(), first.hasPrefix("# ") else { throw unreadable() }
        comment = String(first.dropFirst(2))
        let head = lines.popFirst()?.split(separator: " ") ?? []
        guard head.count == 2, let kind = Column.Kind(rawValue: String(head[0])), let rows = Int(head[1]) else { throw unreadable() }
        self.kind = kind
        self.rows = rows
        var words: [Substring] = []
        while let line = lines.first, !line.hasPrefix("bytes"), let taken = lines.popFirst() { words += taken.split(separator: " ") }
        if words.first == "refused", words.count == 2 {
            meaning = .refused(String(words[1]))
        } else {
            switch kind {
            case .integers: meaning = .column(.integers(words.compactMap { Int64($0) }))
            case .float64: meaning = .column(.float64(words.compactMap { UInt64($0, radix: 16) }))
            case .float32: meaning = .column(.float32(words.compactMap { UInt32($0, radix: 16) }))
            case .texts: meaning = .column(.texts(words.map { GoldenFile.bytes($0) }))
            }
        }
        bytes = []
        for line in lines { bytes += line.split(separator: " ").compactMap { UInt8($0, radix: 16) } }
    }

    private static func bytes(_ word: Substring) -> [UInt8] {
        var rest = word == "-" ? "" : word
        var bytes: [UInt8] = []
        while !rest.isEmpty {
            bytes.append(UInt8(rest.prefix(2), radix: 16) ?? 0)
            rest = rest.dropFirst(2)
        }
        return bytes
    }

    func write(named name: String) throws {
        var text = "# \(comment)\n\(kind.rawValue) \(rows)\n"
        switch meaning {
        case .refused(let reason): text += "refused \(reason)\n"
        case .column(.integers(let values)): text += GoldenFile.lines(values.map { "\($0)" })
        case .column(.float64(let patterns)): text += GoldenFile.lines(patterns.map { hexadecimal($0, 16) })
        case .column(.float32(let patterns)): text += GoldenFile.lines(patterns.map { hexadecimal($0, 8) })
        case .column(.texts(let texts)):
            text += GoldenFile.lines(texts.map { text in text.isEmpty ? "-" : text.map { hexadecimal($0, 2) }.joined() })
        }
        text += "bytes " + GoldenFile.lines(bytes.map { hexadecimal($0, 2) })
        try text.write(to: GoldenFile.folder.appendingPathComponent(name), atomically: true, encoding: .utf8)
    }

    private static func lines(_ words: [String]) -> String {
        stride(from: 0, to: words.count, by: 16)
            .map { words[$0..<min($0 + 16, words.count)].joined(separator: " ") + "\n" }
            .joined()
    }
}

private func hexadecimal(_ number: some FixedWidthInteger, _ digits: Int) -> String {
    let text = String(number, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
}
