internal import Telemetry

/// InfluxDB line protocol: a line per row and scan group, the device as measurement, the group as tag, a field per tag and one with its quality.
///
/// `pump-1,group=fast temperature=23.5,temperature.quality="Good" 1700000000000000000`
///
/// Source: InfluxData, "Line protocol reference" (InfluxDB v2): escapes, `i` and `u` suffixes, nanoseconds. There is no form for numbers that are
/// not finite: such a field is left out and counted.
package struct LineProtocolWriter: RowWriter {
    private let shape: OutputShape
    /// Which of the heads a series' lines begin with.
    private var headOf: [Int] = []
    private var heads: [String] = []
    /// `name=` for each cell of each series.
    private var keys: [[String]] = []
    private var qualityKeys: [String] = []
    /// Entries of the row that is written, by head.
    private var byHead: [[Int]]
    package private(set) var valuesLeftOut = 0

    package init(_ shape: OutputShape) {
        self.shape = shape
        var known: [String: Int] = [:]
        for series in shape.series {
            let group = series.group.isEmpty ? "" : ",group=" + LineProtocolWriter.escaped(series.group, also: "=")
            let head = LineProtocolWriter.escaped(series.device, also: "") + group + " "
            let place = known[head] ?? heads.count
            if place == heads.count {
                heads.append(head)
                known[head] = place
            }
            headOf.append(place)
            let name = series.tag.name + (series.generation > 1 ? " (\(series.generation))" : "")
            let key = LineProtocolWriter.escaped(name, also: "=")
            keys.append(shape.aggregates.isEmpty ? [key + "="] : shape.aggregates.map { "\(key).\($0.rawValue)=" })
            qualityKeys.append(key + ".quality=\"")
        }
        byHead = [[Int]](repeating: [], count: heads.count)
    }

    package mutating func begin(into text: inout TextBuffer) {}

    package mutating func write(_ row: OutputRow, into text: inout TextBuffer) {
        var touched: [Int] = []
        for (index, entry) in row.entries.enumerated() {
            let head = headOf[entry.series]
            if byHead[head].isEmpty { touched.append(head) }
            byHead[head].append(index)
        }
        for head in touched {
            text.append(heads[head])
            var isFirst = true
            for index in byHead[head] { append(row, index, isFirst: &isFirst, to: &text) }
            if row.isTimeUncertain { text.append(",timeUncertain=true") }
            if let sourceTime = row.sourceTime {
                text.append(",sourceTime=")
                LineProtocolWriter.append(.time(sourceTime), to: &text)
            }
            text.append(UInt8(ascii: " "))
            text.append(integer: row.time.nanoseconds)
            text.append(UInt8(ascii: "\n"))
            byHead[head].removeAll(keepingCapacity: true)
        }
    }

    private mutating func append(_ row: OutputRow, _ index: Int, isFirst: inout Bool, to text: inout TextBuffer) {
        let entry = row.entries[index]
        for cell in 0..<shape.width {
            guard let value = row.cells[index * shape.width + cell] else { continue }
            guard !value.isNotFinite else {
                valuesLeftOut += 1
                continue
            }
            if !isFirst { text.append(UInt8(ascii: ",")) }
            isFirst = false
            text.append(keys[entry.series][cell])
            LineProtocolWriter.append(value, to: &text)
        }
        if !isFirst { text.append(UInt8(ascii: ",")) }
        isFirst = false
        text.append(qualityKeys[entry.series])
        text.append(entry.status.description)
        text.append(UInt8(ascii: "\""))
    }

    private static func append(_ cell: Cell, to text: inout TextBuffer) {
        switch cell {
        case .integer(let value):
            text.append(integer: value)
            text.append(UInt8(ascii: "i"))
        case .unsigned(let value):
            text.append(unsigned: value)
            text.append(UInt8(ascii: "u"))
        case .time(let value):
            text.append(integer: value.nanoseconds)
            text.append(UInt8(ascii: "i"))
        case .text(let value):
            text.append(UInt8(ascii: "\""))
            for byte in value.utf8 {
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { text.append(UInt8(ascii: "\\")) }
                text.append(byte)
            }
            text.append(UInt8(ascii: "\""))
        case .bool, .decimal, .float, .real: text.append(cell)
        }
    }

    /// Commas, spaces and what else the place needs with a backslash before it. Line ends, which keys cannot have, become `\n`; a backslash at
    /// the end would escape what follows and is left out.
    private static func escaped(_ name: String, also special: String) -> String {
        var escaped = ""
        for character in name.unicodeScalars {
            switch character {
            case "\n": escaped += "\\n"
            case "\r": escaped += "\\r"
            case ",", " ": escaped += "\\" + String(character)
            default: escaped += (special.unicodeScalars.contains(character) ? "\\" : "") + String(character)
            }
        }
        while escaped.hasSuffix("\\") { escaped.removeLast() }
        return escaped
    }
}
