internal import Telemetry

/// A JSON document (RFC 8259) per row and series, each on a line of its own. Numbers that are not finite are the texts `NaN`, `Infinity`, `-Infinity`.
package struct JSONLinesWriter: RowWriter {
    private let shape: OutputShape

    package init(_ shape: OutputShape) { self.shape = shape }

    package mutating func begin(into text: inout TextBuffer) {}

    package mutating func write(_ row: OutputRow, into text: inout TextBuffer) {
        for (index, entry) in row.entries.enumerated() {
            let series = shape.series[entry.series]
            text.append("{\"time\":\"")
            text.append(row.time)
            if let end = row.end {
                text.append("\",\"end\":\"")
                text.append(end)
            }
            if let sourceTime = row.sourceTime {
                text.append("\",\"sourceTime\":\"")
                text.append(sourceTime)
            }
            text.append(row.isTimeUncertain ? "\",\"timeUncertain\":true,\"device\":" : "\",\"device\":")
            JSONLinesWriter.append(series.device, to: &text)
            text.append(",\"group\":")
            JSONLinesWriter.append(series.group, to: &text)
            text.append(",\"tag\":")
            JSONLinesWriter.append(series.tag.name, to: &text)
            for cell in 0..<shape.width {
                guard let value = row.cells[index * shape.width + cell] else { continue }
                text.append(",\"")
                text.append(shape.aggregates.isEmpty ? "value" : shape.aggregates[cell].rawValue)
                text.append("\":")
                JSONLinesWriter.append(value, to: &text)
            }
            if !series.tag.unit.isEmpty {
                text.append(",\"unit\":")
                JSONLinesWriter.append(series.tag.unit, to: &text)
            }
            text.append(",\"status\":\"")
            text.append(entry.status.description)
            text.append("\"}\n")
        }
    }

    private static func append(_ cell: Cell, to text: inout TextBuffer) {
        switch cell {
        case .text(let value): append(value, to: &text)
        case .time(let value):
            text.append(UInt8(ascii: "\""))
            text.append(value)
            text.append(UInt8(ascii: "\""))
        case _ where cell.isNotFinite:
            text.append(UInt8(ascii: "\""))
            text.append(cell)
            text.append(UInt8(ascii: "\""))
        default: text.append(cell)
        }
    }

    private static func append(_ value: String, to text: inout TextBuffer) {
        text.append(UInt8(ascii: "\""))
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\""): text.append("\\\"")
            case UInt8(ascii: "\\"): text.append("\\\\")
            case 0x0A: text.append("\\n")
            case 0x0D: text.append("\\r")
            case 0x09: text.append("\\t")
            case 0..<0x20:
                let digits = String(byte, radix: 16)
                text.append("\\u" + String(repeating: "0", count: 4 - digits.count) + digits)
            default: text.append(byte)
            }
        }
        text.append(UInt8(ascii: "\""))
    }
}
