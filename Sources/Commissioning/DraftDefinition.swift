internal import Telemetry

/// What a probe found, to be written down as a protocol definition that people go on with.
package struct DraftDefinition: Sendable {
    /// One area of registers: its table's name in addresses (`holding`, `input`), and what it seems to hold.
    package struct Registers: Sendable {
        package var table: String
        package var map: ProposedMap

        package init(table: String, map: ProposedMap) {
            self.table = table
            self.map = map
        }
    }
    /// One area of coils or discrete inputs.
    package struct Bits: Sendable {
        package var table: String
        package var ranges: [Range<Int>]

        package init(table: String, ranges: [Range<Int>]) {
            self.table = table
            self.ranges = ranges
        }
    }
    package var name: String
    /// What was asked, when and how often; a line of a comment each.
    package var remarks: [String]
    package var registers: [Registers]
    package var bits: [Bits]

    package init(name: String, remarks: [String], registers: [Registers], bits: [Bits]) {
        self.name = DraftDefinition.identifier(name)
        self.remarks = remarks
        self.registers = registers
        self.bits = bits
    }

    /// The most coils or inputs of one array in a definition.
    private static let bitsPerArrayMax = 4096
    /// Most bytes of a text (125 registers, the most one request reads).
    private static let textBytesMax = 250

    /// The document; `nil` when there is nothing to define.
    package var yaml: String? {
        let tags = registers.flatMap(lines(of:)) + bits.flatMap(lines(of:))
        guard tags.contains(where: { !$0.hasPrefix("#") }) else { return nil }
        let order = commonOrder
        var text = """
            # DRAFT. Types, byte orders and scales below are guesses from what the device showed; names and units it cannot tell. Check every line
            # against the vendor's document before anybody relies on it, and name that document under metadata.source.

            """
        for remark in remarks { text += "# \(DraftDefinition.comment(remark))\n" }
        text += """
            apiVersion: edge.indusedge.io/v1
            kind: ProtocolDefinition
            metadata:
              name: \(name)
              version: 0.1.0
              description: Draft made by probing a device; not checked against a vendor's document.
            spec:
              protocol: modbus
              byteOrder: \(order.rawValue)
              scanGroups: {all: 1s}
              tags:

            """
        for line in tags { text += "    \(line)\n" }
        return text
    }

    /// The order of the area whose registers say most about it.
    private var commonOrder: ByteOrder {
        registers.filter { $0.map.orderMarginBits > 0 }.max { $0.map.orderMarginBits < $1.map.orderMarginBits }?.map.byteOrder
            ?? registers.first?.map.byteOrder ?? .abcd
    }

    private func lines(of area: Registers) -> [String] {
        var lines: [String] = []
        let margin = Int(area.map.orderMarginBits.rounded())
        let verdict =
            area.map.orderMarginBits < MapInference.orderMarginMin
            ? "nothing here tells which byte order it is"
            : "byte order \(area.map.byteOrder.rawValue), \(margin) bits ahead of the next one"
        lines.append("# \(area.table) registers: \(verdict)")
        for field in DraftDefinition.withoutLongBlanks(area.map.fields) {
            let tag = "- {" + parts(of: field, in: area).joined(separator: ", ") + "}"
            let comment = "# \(field.certainty.rawValue): \(DraftDefinition.comment(field.evidence))"
            let last = field.address + field.registerCount - 1
            let place = last > field.address ? "\(area.table):\(field.address)…\(last)" : "\(area.table):\(field.address)"
            lines.append(field.isBlank ? "# \(place) always 0, perhaps unused" : "\(tag)  \(comment)")
        }
        return lines
    }

    /// Neighbouring registers that are always 0 become one line of a comment.
    private static func withoutLongBlanks(_ fields: [ProposedField]) -> [ProposedField] {
        var result: [ProposedField] = []
        for field in fields {
            if field.isBlank, let last = result.last, last.isBlank, last.address + last.registerCount == field.address {
                result[result.count - 1].registerCount += field.registerCount
            } else {
                result.append(field)
            }
        }
        return result
    }

    private func parts(of field: ProposedField, in area: Registers) -> [String] {
        var parts = ["name: \(area.table)-\(field.address)", "address: \"\(area.table):\(field.address)\"", "type: \(field.kind.rawValue)"]
        if field.kind == .string { parts.append("length: \(min(field.registerCount * 2, DraftDefinition.textBytesMax))") }
        let order = area.map.byteOrder
        let differs =
            switch field.kind.registerCount {
            case 1: order.bytesSwapped != commonOrder.bytesSwapped
            default: order != commonOrder
            }
        if differs {
            // A single register has no order of registers.
            let word = field.kind.registerCount > 1 ? order : order.bytesSwapped ? .badc : .abcd
            parts.append("byteOrder: \(word.rawValue)")
        }
        return parts
    }

    private func lines(of area: Bits) -> [String] {
        var lines: [String] = []
        for range in area.ranges {
            for start in stride(from: range.lowerBound, to: range.upperBound, by: DraftDefinition.bitsPerArrayMax) {
                let count = min(range.upperBound - start, DraftDefinition.bitsPerArrayMax)
                lines.append("- {name: \(area.table)-\(start), address: \"\(area.table):\(start)\", type: bool, count: \(count)}")
            }
        }
        return lines
    }

    /// A name as definitions have them, made of whatever a device says.
    static func identifier(_ text: String) -> String {
        var name = ""
        for scalar in text.lowercased().unicodeScalars.prefix(64) {
            let isAllowed = ("a"..."z").contains(scalar) || ("0"..."9").contains(scalar)
            if isAllowed {
                name.unicodeScalars.append(scalar)
            } else if !name.isEmpty, name.last != "-" {
                name += "-"
            }
        }
        while name.last == "-" { name.removeLast() }
        return name.isEmpty ? "probed-device" : name
    }

    /// A device's texts must not end a comment.
    static func comment(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            let isHarmless = scalar.value >= 32 && scalar.value < 127 || scalar == "…"
            result.unicodeScalars.append(isHarmless ? scalar : "?")
        }
        return result
    }
}
