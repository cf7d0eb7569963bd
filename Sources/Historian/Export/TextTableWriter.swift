internal import Telemetry

/// A table for people. Rows come one by one, so that columns are as wide as their heads, or as numbers usually are.
package struct TextTableWriter: RowWriter {
    private let shape: OutputShape
    private let layout: TableLayout
    private var slots: [Int]
    private var widths: [Int] = []
    private let nameWidth: Int

    private static let timeWidth = 24
    private static let valueWidthMin = 10

    package init(_ shape: OutputShape, layout: TableLayout) {
        self.shape = shape
        self.layout = layout
        slots = [Int](repeating: -1, count: shape.series.count)
        nameWidth = shape.series.map(\.name.count).max() ?? 0
        for series in shape.series.indices {
            for cell in 0..<shape.width { widths.append(max(TextTableWriter.valueWidthMin, head(series, cell).count)) }
        }
    }

    private func head(_ series: Int, _ cell: Int) -> String {
        let unit = shape.unit(series, cell)
        return shape.columnName(series, cell) + (unit.isEmpty ? "" : " [\(unit)]")
    }

    package mutating func begin(into text: inout TextBuffer) {
        var line: [String] = [TextTableWriter.left("time", TextTableWriter.timeWidth)]
        switch layout {
        case .wide:
            for series in shape.series.indices {
                for cell in 0..<shape.width { line.append(TextTableWriter.right(head(series, cell), widths[series * shape.width + cell])) }
            }
            line.append("quality")
        case .long:
            line.append(TextTableWriter.left("tag", nameWidth))
            line +=
                shape.aggregates.isEmpty
                ? ["value"] : shape.aggregates.map { TextTableWriter.right($0.rawValue, TextTableWriter.valueWidthMin) }
        }
        text.append(line.joined(separator: "  ") + "\n")
    }

    package mutating func write(_ row: OutputRow, into text: inout TextBuffer) {
        let stamp = (row.isTimeUncertain ? "~" : "") + TextTableWriter.text { $0.append(row.time) }
        let time = TextTableWriter.left(stamp, TextTableWriter.timeWidth)
        switch layout {
        case .wide:
            for (index, entry) in row.entries.enumerated() { slots[entry.series] = index }
            var line = [time]
            for (series, slot) in slots.enumerated() {
                for cell in 0..<shape.width {
                    let value = slot < 0 ? "" : TextTableWriter.shown(row.cells[slot * shape.width + cell])
                    line.append(TextTableWriter.right(value, widths[series * shape.width + cell]))
                }
            }
            let quality = TextTableWriter.text { $0.append(qualityOf: row, in: shape) }
            text.append(line.joined(separator: "  ") + (quality == "Good" ? "" : "  " + quality) + "\n")
            for entry in row.entries { slots[entry.series] = -1 }
        case .long:
            for (index, entry) in row.entries.enumerated() {
                let series = shape.series[entry.series]
                var line = [time, TextTableWriter.left(series.name, nameWidth)]
                for cell in 0..<shape.width {
                    let value = TextTableWriter.shown(row.cells[index * shape.width + cell])
                    line.append(shape.aggregates.isEmpty ? value : TextTableWriter.right(value, TextTableWriter.valueWidthMin))
                }
                if !series.tag.unit.isEmpty { line.append(series.tag.unit) }
                if entry.status != .good { line.append(entry.status.description) }
                text.append(line.joined(separator: "  ") + "\n")
            }
        }
    }

    private static func shown(_ cell: Cell?) -> String {
        guard let cell else { return "-" }
        return text { $0.append(cell) }
    }

    private static func text(_ write: (inout TextBuffer) -> Void) -> String {
        var buffer = TextBuffer()
        write(&buffer)
        // Line ends and other controls in a value would break the table.
        return String(String(decoding: buffer.bytes, as: UTF8.self).map { $0.isNewline || ($0.asciiValue ?? 32) < 32 ? "␤" : $0 })
    }

    private static func left(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }
    private static func right(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }
}
