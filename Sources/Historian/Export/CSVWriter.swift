internal import Telemetry

/// Comma-separated values (RFC 4180): lines end with CR LF, the first is the header; fields with commas, quotes or line ends are quoted, and so
/// are empty texts, which that tells from missing values.
package struct CSVWriter: RowWriter {
    private let shape: OutputShape
    private let layout: TableLayout
    /// For each series the first entry of the row that has it.
    private var slots: [Int]

    package init(_ shape: OutputShape, layout: TableLayout) {
        self.shape = shape
        self.layout = layout
        slots = [Int](repeating: -1, count: shape.series.count)
    }

    package mutating func begin(into text: inout TextBuffer) {
        text.append("time")
        switch layout {
        case .wide:
            for series in shape.series.indices {
                for cell in 0..<shape.width {
                    text.append(UInt8(ascii: ","))
                    let unit = shape.unit(series, cell)
                    CSVWriter.append(shape.columnName(series, cell) + (unit.isEmpty ? "" : " [\(unit)]"), to: &text)
                }
            }
        case .long:
            text.append(",device,group,tag")
            if shape.aggregates.isEmpty { text.append(",value") }
            for aggregate in shape.aggregates { text.append("," + aggregate.rawValue) }
            text.append(",unit")
        }
        text.append(shape.aggregates.isEmpty ? ",quality,timeUncertain,sourceTime\r\n" : ",quality\r\n")
    }

    package mutating func write(_ row: OutputRow, into text: inout TextBuffer) {
        switch layout {
        case .wide: writeWide(row, into: &text)
        case .long: writeLong(row, into: &text)
        }
    }

    private mutating func writeWide(_ row: OutputRow, into text: inout TextBuffer) {
        for (index, entry) in row.entries.enumerated() { slots[entry.series] = index }
        text.append(row.time)
        for slot in slots {
            for cell in 0..<shape.width {
                text.append(UInt8(ascii: ","))
                if slot >= 0, let cell = row.cells[slot * shape.width + cell] { CSVWriter.append(cell, to: &text) }
            }
        }
        text.append(UInt8(ascii: ","))
        if let shared = row.sharedStatus {
            text.append(shared.description)
        } else {
            var quality = TextBuffer()
            quality.append(qualityOf: row, in: shape)
            CSVWriter.append(String(decoding: quality.bytes, as: UTF8.self), to: &text)
        }
        appendEnd(of: row, to: &text)
        for entry in row.entries { slots[entry.series] = -1 }
    }

    private func writeLong(_ row: OutputRow, into text: inout TextBuffer) {
        for (index, entry) in row.entries.enumerated() {
            let series = shape.series[entry.series]
            text.append(row.time)
            for field in [series.device, series.group, series.tagName] {
                text.append(UInt8(ascii: ","))
                CSVWriter.append(field, to: &text)
            }
            for cell in 0..<shape.width {
                text.append(UInt8(ascii: ","))
                if let cell = row.cells[index * shape.width + cell] { CSVWriter.append(cell, to: &text) }
            }
            text.append(UInt8(ascii: ","))
            if !series.tag.unit.isEmpty { CSVWriter.append(series.tag.unit, to: &text) }
            text.append(UInt8(ascii: ","))
            text.append(entry.status.description)
            appendEnd(of: row, to: &text)
        }
    }

    /// What is known of the time of a sample; a bucket has nothing of it.
    private func appendEnd(of row: OutputRow, to text: inout TextBuffer) {
        if shape.aggregates.isEmpty {
            text.append(row.isTimeUncertain ? ",true," : ",,")
            if let time = row.sourceTime { text.append(time) }
        }
        text.append("\r\n")
    }

    private static func append(_ cell: Cell, to text: inout TextBuffer) {
        if case .text(let value) = cell { append(value, to: &text) } else { text.append(cell) }
    }

    private static func append(_ field: String, to text: inout TextBuffer) {
        let mustBeQuoted =
            field.isEmpty
            || field.utf8.contains {
                $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: "\n")
            }
        guard mustBeQuoted else { return text.append(field) }
        text.append(UInt8(ascii: "\""))
        for byte in field.utf8 {
            if byte == UInt8(ascii: "\"") { text.append(byte) }
            text.append(byte)
        }
        text.append(UInt8(ascii: "\""))
    }
}
