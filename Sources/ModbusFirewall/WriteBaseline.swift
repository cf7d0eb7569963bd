internal import ModbusProtocol

/// The writes that were seen while the firewall learned: who, to which unit, with which function, to which addresses.
package struct WriteBaseline: Sendable, Equatable {
    package struct Pattern: Sendable, Hashable, CustomStringConvertible {
        package var client: ClientAddress
        package var unit: UInt8
        package var function: UInt8
        package var start: Int
        package var count: Int

        package init(client: ClientAddress, unit: UInt8, function: UInt8, start: Int, count: Int) {
            self.client = client
            self.unit = unit
            self.function = function
            self.start = start
            self.count = count
        }

        init(client: ClientAddress, unit: UInt8, request: ModbusRequest) {
            let write = request.accesses?.first(where: \.isWrite)
            self.init(client: client, unit: unit, function: request.function, start: write?.start ?? 0, count: write?.count ?? 0)
        }

        package var description: String { "function \(function) to \(count) addresses from \(start) of unit \(unit)" }
    }

    /// Most patterns that are learned; a plant's writes are far fewer.
    package static let patternsMax = 10_000

    package private(set) var patterns: Set<Pattern>

    package init(patterns: Set<Pattern> = []) { self.patterns = patterns }

    package func contains(_ pattern: Pattern) -> Bool { patterns.contains(pattern) }

    mutating func learn(_ pattern: Pattern) {
        guard patterns.count < WriteBaseline.patternsMax else { return }
        patterns.insert(pattern)
    }
}

extension WriteBaseline {
    /// With the number of lines after it, so that a file that was cut is seen to be.
    private static let serialLine = "serial"
    private static let header = "# indusedge firewall baseline 1, writes: "

    /// One line per pattern: client, unit, function, start, count; sorted, so that it can be read and compared.
    package var text: String {
        let lines = patterns.map { pattern in
            let digits = pattern.client.bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            let client = digits.isEmpty ? WriteBaseline.serialLine : digits
            return "\(client) \(pattern.unit) \(pattern.function) \(pattern.start) \(pattern.count)"
        }
        return (["\(WriteBaseline.header)\(lines.count)"] + lines.sorted()).joined(separator: "\n") + "\n"
    }

    /// Reads what `text` wrote; `nil` if it is anything else: a damaged baseline is no baseline.
    package init?(text: String) {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard lines.count >= 2, lines.count <= WriteBaseline.patternsMax + 2, lines.last == "",
            lines[0] == "\(WriteBaseline.header)\(lines.count - 2)"
        else { return nil }
        lines.removeFirst()
        lines.removeLast()
        patterns = []
        for line in lines {
            let fields = line.split(separator: " ", omittingEmptySubsequences: false)
            guard fields.count == 5,
                fields[0] == WriteBaseline.serialLine || fields[0].utf8.count == 8 || fields[0].utf8.count == 32,
                let unit = UInt8(fields[1]),
                let function = UInt8(fields[2]), let start = Int(fields[3]), let count = Int(fields[4])
            else { return nil }
            var bytes: [UInt8] = []
            var rest = fields[0] == WriteBaseline.serialLine ? "" : fields[0]
            while !rest.isEmpty {
                guard let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
                bytes.append(byte)
                rest = rest.dropFirst(2)
            }
            patterns.insert(
                Pattern(client: ClientAddress(bytes: bytes), unit: unit, function: function, start: start, count: count))
        }
    }
}
