internal import Definitions
internal import Telemetry

/// Writes drafts as YAML documents that the loader accepts and people like to read: one tag a line.
package enum DraftWriter {
    /// The text of one protocol definition.
    package static func text(of definition: DraftDefinition) -> String {
        var lines = [
            "apiVersion: edge.indusedge.io/v1", "kind: ProtocolDefinition", "metadata:", "  name: \(definition.name)", "  version: 1.0.0",
            "  description: \(quoted(String(definition.description.prefix(proseMax))))",
            "  source: \(quoted(String(definition.source.prefix(proseMax))))",
        ]
        if let verification = definition.verification { lines.append("  verification: \(verification.rawValue)") }
        let groups = definition.scanGroups.map { "\($0.name): \(text(of: $0.period))" }.joined(separator: ", ")
        lines += ["spec:", "  protocol: modbus", "  byteOrder: \(definition.byteOrder.rawValue)", "  scanGroups: {\(groups)}", "  tags:"]
        lines += definition.tags.map { "    - " + text(of: $0, in: definition) }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The text of a site document with devices and nothing else.
    ///
    /// - Parameter files: The definition files to name, relative to the site document; none where all stand in one file.
    package static func siteText(name: String, devices: [DraftDevice], files: [String], comments: [String] = []) -> String {
        var lines = comments.map { "# \($0)" }
        lines += ["apiVersion: edge.indusedge.io/v1", "kind: Site", "metadata: {name: \(name)}", "spec:"]
        if !files.isEmpty {
            lines.append("  definitions:")
            lines += files.map { "    - \(quoted($0))" }
        }
        lines.append("  devices:")
        for device in devices {
            lines.append("    - name: \(device.name)")
            lines.append("      definition: \(device.definition)")
            lines.append("      connection: \(text(of: device.connection))")
            if let timeout = device.responseTimeout { lines.append("      responseTimeout: \(text(of: timeout))") }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// A duration as documents write it, in the largest unit that is whole.
    static func text(of duration: Duration) -> String {
        let nanoseconds = duration.components.seconds * 1_000_000_000 + duration.components.attoseconds / 1_000_000_000
        for (unit, size) in [
            ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000),
        ]
        where nanoseconds >= Int64(size) && nanoseconds % Int64(size) == 0 {
            return "\(nanoseconds / Int64(size))\(unit)"
        }
        return "\(nanoseconds / 1000)us"
    }

    private static func text(of tag: DraftTag, in definition: DraftDefinition) -> String {
        var parts = ["name: \(scalar(tag.name))", "address: \"\(tag.address)\"", "type: \(tag.dataType.name)"]
        if tag.dataType == .string { parts.append("length: \(tag.stringLength)") }
        if tag.byteOrder != definition.byteOrder, orderMatters(tag, definition.byteOrder) {
            parts.append("byteOrder: \(tag.byteOrder.rawValue)")
        }
        if tag.scaling.scale != 1 { parts.append("scale: \(number(tag.scaling.scale))") }
        if tag.scaling.offset != 0 { parts.append("offset: \(number(tag.scaling.offset))") }
        if !tag.unit.isEmpty { parts.append("unit: \(quoted(tag.unit))") }
        if tag.scanGroup != definition.scanGroups.first?.name { parts.append("scanGroup: \(tag.scanGroup)") }
        if !tag.isScored, tag.dataType != .string { parts.append("score: false") }
        // That NaN is no value goes without saying.
        if let mark = tag.notAvailable, mark.hasPrefix("0x") { parts.append("notAvailable: \(mark)") }
        if let description = tag.description, !description.isEmpty {
            parts.append("description: \(quoted(String(description.prefix(proseMax))))")
        }
        return "{\(parts.joined(separator: ", "))}"
    }

    /// Texts, bits and single registers know the order of bytes only, coils and inputs none.
    private static func orderMatters(_ tag: DraftTag, _ usual: ByteOrder) -> Bool {
        guard tag.address.table.isRegister else { return false }
        return tag.dataType != .string && tag.unitCount > 1 || tag.byteOrder.bytesSwapped != usual.bytesSwapped
    }

    private static func text(of connection: Connection) -> String {
        switch connection {
        case .modbusTCP(let tcp): text(of: tcp, "modbusTCP")
        case .modbusUDP(let udp): text(of: udp, "modbusUDP")
        case .modbusRTUoverTCP(let tcp): text(of: tcp, "modbusRTUoverTCP")
        case .modbusASCIIoverTCP(let tcp): text(of: tcp, "modbusASCIIoverTCP")
        case .modbusRTU(let line): text(of: line, "modbusRTU")
        case .modbusASCII(let line): text(of: line, "modbusASCII")
        case .modbusTLS(let tls):
            "{modbusTLS: {host: \(quoted(tls.host)), port: \(tls.port), unit: \(tls.unit), tls: {ca: \(quoted(tls.tls.certificateAuthority)), "
                + "certificate: \(quoted(tls.tls.certificate)), key: \(quoted(tls.tls.key))}}}"
        }
    }

    private static func text(of tcp: ModbusTCPConnection, _ key: String) -> String {
        "{\(key): {host: \(quoted(tcp.host)), port: \(tcp.port), unit: \(tcp.unit)}}"
    }

    private static func text(of line: ModbusRTUConnection, _ key: String) -> String {
        "{\(key): {port: \(quoted(line.port)), baudRate: \(line.baudRate), parity: \(line.parity.rawValue), "
            + (line.dataBits == 8 ? "" : "dataBits: \(line.dataBits), ") + "stopBits: \(line.stopBits), unit: \(line.unit)}}"
    }

    /// The longest text of a description or a source.
    private static let proseMax = 1900

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
    }

    /// A name without quotes where YAML takes it for a text.
    private static func scalar(_ text: String) -> String {
        guard let first = text.utf8.first, (first | 0x20) >= UInt8(ascii: "a"), (first | 0x20) <= UInt8(ascii: "z"),
            !["true", "false", "null", "yes", "no", "on", "off", "inf", "nan"].contains(text.lowercased())
        else { return quoted(text) }
        return text
    }

    /// A text in double quotes (YAML 1.2, 7.3.1); what would be taken for an environment variable is kept literal.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F || (0x80...0x9F).contains(scalar.value) || scalar.value == 0xFEFF:
                result += " "
            default: result.unicodeScalars.append(scalar)
            }
        }
        return escapingVariables(result) + "\""
    }

    /// `${` as `$${`, which stands for itself.
    private static func escapingVariables(_ text: String) -> String {
        var result = ""
        var rest = text[...]
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            let next = rest.index(after: dollar)
            result += next < rest.endIndex && rest[next] == "{" ? "$$" : "$"
            rest = rest[next...]
        }
        return result + rest
    }
}
