internal import Definitions

/// Reads CSV (RFC 4180) with the place of every field; the delimiter is a comma, a semicolon or a tab.
struct CSVReader {
    struct Field {
        var text: String
        var position: SourcePosition
    }

    static let rowsMax = 200_000
    static let columnsMax = 256

    private var cursor: TextCursor
    private let delimiter: UInt8

    /// The rows without empty ones.
    static func rows(_ utf8: [UInt8], delimiter: UInt8) throws(ImportError) -> [[Field]] {
        var reader = CSVReader(cursor: TextCursor(utf8), delimiter: delimiter)
        var rows: [[Field]] = []
        while let row = try reader.row() {
            if row.count == 1, row[0].text.trimmed.isEmpty { continue }
            guard rows.count < rowsMax else { throw ImportError("more than \(rowsMax) rows", at: row[0].position) }
            rows.append(row)
        }
        return rows
    }

    /// The delimiter that stands most often in a line.
    static func delimiter(of line: String) -> UInt8 {
        let candidates = [UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "\t")]
        return candidates.max { left, right in line.utf8.count { $0 == left } < line.utf8.count { $0 == right } } ?? candidates[0]
    }

    private mutating func row() throws(ImportError) -> [Field]? {
        guard !cursor.isAtEnd else { return nil }
        var fields: [Field] = []
        while true {
            let position = cursor.position
            guard fields.count < CSVReader.columnsMax else {
                throw ImportError("a row has more than \(CSVReader.columnsMax) fields", at: position)
            }
            let text = cursor.peek == UInt8(ascii: "\"") ? try quoted() : plain()
            guard text.utf8.count <= ForeignLimits.textBytesMax else {
                throw ImportError("a field has more than \(ForeignLimits.textBytesMax) bytes", at: position)
            }
            fields.append(Field(text: text, position: position))
            switch cursor.peek {
            case delimiter: cursor.skip(1)
            default:
                if cursor.peek == UInt8(ascii: "\r") { cursor.skip(1) }
                if cursor.peek == UInt8(ascii: "\n") { cursor.skip(1) }
                return fields
            }
        }
    }

    private mutating func plain() -> String {
        let delimiter = delimiter
        return cursor.take { $0 != delimiter && !$0.isLineEnd }
    }

    private mutating func quoted() throws(ImportError) -> String {
        let start = cursor.position
        cursor.skip(1)
        var bytes: [UInt8] = []
        while let byte = cursor.next() {
            if byte != UInt8(ascii: "\"") {
                bytes.append(byte)
            } else if cursor.peek == UInt8(ascii: "\"") {
                bytes.append(byte)
                cursor.skip(1)
            } else {
                // What stands behind the closing quote belongs to no field; other tools keep it.
                return String(decoding: bytes, as: UTF8.self) + plain()
            }
            guard bytes.count <= ForeignLimits.textBytesMax else { break }
        }
        throw ImportError("the quoted field that begins here does not end: the file is cut off", at: start)
    }
}
