internal import Definitions
internal import Telemetry

/// Reads the tag export of KEPServerEX (File > Export CSV on a device or tag group) for its Modbus drivers.
///
/// The columns are those of the server's help, "Tag Management: CSV import and export": a heading record, then a record per tag. The device's
/// settings (address, unit, order of words, zero- or one-based bits) are not in the file; the driver's defaults are taken and said.
enum KepwareReader {
    private static let columns = [
        "tag name", "address", "data type", "respect data type", "client access", "scan rate", "scaling", "raw low", "raw high",
        "scaled low",
        "scaled high", "scaled data type", "clamp low", "clamp high", "eng units", "description", "negate value",
    ]

    /// Whether a line begins the export: it names tags and their addresses.
    static func isHeader(_ line: String) -> Bool {
        let names = line.split(separator: Character(Unicode.Scalar(CSVReader.delimiter(of: line)))).map(normalized)
        return names.contains("tag name") && names.contains("address")
    }

    static func read(_ utf8: [UInt8], options: DefinitionImport.Options) throws(ImportError) -> ImportResult {
        let firstLine = String(decoding: utf8.drop { $0.isLineEnd || $0.isBlank }.prefix { !$0.isLineEnd }, as: UTF8.self)
        let rows = try CSVReader.rows(utf8, delimiter: CSVReader.delimiter(of: firstLine))
        guard let header = rows.first, isHeader(firstLine) else {
            throw ImportError("the first line is no heading of KEPServerEX: 'Tag Name' and 'Address' are missing", at: .start)
        }
        var conversion = Conversion(header: header, options: options)
        for row in rows.dropFirst() { conversion.take(row) }
        return conversion.finished()
    }

    fileprivate static func normalized(_ name: some StringProtocol) -> String {
        String(name.trimmed.lowercased().filter { $0 != "\"" && $0 != "." })
    }

    // MARK: - Rows to tags

    private struct Conversion {
        var index: [String: Int] = [:]
        let fieldCount: Int
        var builder: DraftBuilder
        let options: DefinitionImport.Options
        var notes: [ImportNote] = []
        var writable: (count: Int, first: SourcePosition)?
        var clamped: (count: Int, first: SourcePosition)?
        var hasLongValues = false

        init(header: [CSVReader.Field], options: DefinitionImport.Options) {
            self.options = options
            fieldCount = header.count
            var names = UniqueNames()
            let name = names.device(options.name)
            builder = DraftBuilder(
                name: name, description: "Imported from the KEPServerEX tag export \(options.name).",
                source: "KEPServerEX tag export (CSV)",
                byteOrder: options.byteOrder ?? .cdab)
            for (place, field) in header.enumerated() {
                let column = KepwareReader.normalized(field.text)
                if columns.contains(column) {
                    index[column] = index[column] ?? place
                } else if !column.isEmpty {
                    notes.append(ImportNote(.skipped, at: field.position, field.text.trimmed, "a column that KEPServerEX does not have"))
                }
            }
        }

        mutating func take(_ row: [CSVReader.Field]) {
            let position = row[0].position
            let name = text(row, "tag name")
            guard row.count >= fieldCount - 1 else {
                builder.note(
                    .lost, at: position, name.isEmpty ? "row" : name,
                    "the row has \(row.count) fields, the heading \(fieldCount): it is cut off")
                return
            }
            guard !name.isEmpty else {
                builder.note(.lost, at: position, "row", "it has no tag name")
                return
            }
            let addressText = text(row, "address")
            let addressPosition = index["address"].map { row[$0].position } ?? position
            guard let address = KepwareAddress(addressText) else {
                builder.note(.lost, at: addressPosition, name, "address '\(addressText.prefix(40))' is none of the Modbus drivers'")
                return
            }
            switch KepwareType.make(text(row, "data type"), at: address) {
            case .failure(let refusal): builder.note(.lost, at: position, name, refusal.reason)
            case .success(let type): take(row, name: name, address: address, type: type, at: position)
            }
        }

        private mutating func take(
            _ row: [CSVReader.Field], name: String, address: KepwareAddress, type: KepwareType, at position: SourcePosition
        ) {
            let access = text(row, "client access").lowercased()
            guard access != "wo" else {
                builder.note(.lost, at: position, name, "it can only be written")
                return
            }
            if access == "rw" || access == "r/w", address.table == .holding || address.table == .coil {
                writable = ((writable?.count ?? 0) + 1, writable?.first ?? position)
            }
            let scaling: Scaling
            switch self.scaling(row) {
            case .failure(let refusal):
                builder.note(.lost, at: position, name, refusal.reason)
                return
            case .success(let found): scaling = found
            }
            if text(row, "clamp low") == "1" || text(row, "clamp high") == "1" {
                clamped = ((clamped?.count ?? 0) + 1, clamped?.first ?? position)
            }
            let rate = text(row, "scan rate")
            guard let milliseconds = rate.isEmpty ? 100 : Int64(rate), milliseconds >= 0 else {
                builder.note(.lost, at: position, name, "scan rate '\(rate.prefix(40))' is no number of milliseconds")
                return
            }
            let order: ByteOrder = type.dataType == .string ? (address.isLowByteFirst ? .badc : .abcd) : options.byteOrder ?? .cdab
            var candidate = DraftBuilder.Candidate(
                name: name,
                address: ModbusAddress(table: address.table, offset: address.offset, bit: type.dataType == .bool ? address.bit : nil),
                dataType: type.dataType, stringLength: type.dataType == .string ? address.stringLength ?? 0 : 0, byteOrder: order,
                scaling: scaling, unit: text(row, "eng units"), period: .milliseconds(milliseconds), description: text(row, "description"),
                position: position)
            let width = max(1, type.dataType.width / 2)
            if width > 1 { hasLongValues = true }
            guard let count = address.arrayCount else {
                builder.add(candidate)
                return
            }
            builder.note(.changed, at: position, name, "the array of \(count) became tags \(name)_0 to \(name)_\(count - 1)")
            for element in 0..<count {
                candidate.name = "\(name)_\(element)"
                candidate.address.offset = address.offset + element * (address.table.isRegister ? width : 1)
                builder.add(candidate)
            }
        }

        private func text(_ row: [CSVReader.Field], _ column: String) -> String {
            guard let place = index[column], place < row.count else { return "" }
            return row[place].text.trimmed
        }

        /// Engineering value = (raw − raw low) × (scaled high − scaled low) / (raw high − raw low) + scaled low.
        private func scaling(_ row: [CSVReader.Field]) -> Result<Scaling, Refusal> {
            var scaling = Scaling.identity
            switch text(row, "scaling").lowercased() {
            case "", "none": break
            case "linear":
                let numbers = ["raw low", "raw high", "scaled low", "scaled high"].map { number(text(row, $0)) }
                guard let rawLow = numbers[0], let rawHigh = numbers[1], let low = numbers[2], let high = numbers[3] else {
                    return .failure(Refusal("linear scaling needs raw low, raw high, scaled low and scaled high as numbers"))
                }
                guard rawHigh != rawLow, high != low else { return .failure(Refusal("linear scaling from or to a range of no width")) }
                let scale = (high - low) / (rawHigh - rawLow)
                scaling = Scaling(scale: scale, offset: low - rawLow * scale)
            case let mode: return .failure(Refusal("\(mode) scaling has no counterpart"))
            }
            if text(row, "negate value") == "1" {
                scaling = Scaling(scale: -scaling.scale, offset: scaling.offset == 0 ? 0 : -scaling.offset)
            }
            return .success(scaling)
        }

        /// A number as the regional settings of the exporting computer may have written it.
        private func number(_ text: String) -> Double? {
            let plain = text.contains(".") ? text : String(text.map { $0 == "," ? "." : $0 })
            return Double(plain).flatMap { $0.isFinite ? $0 : nil }
        }

        consuming func finished() -> ImportResult {
            var notes = notes
            notes.append(
                ImportNote(
                    .assumed, at: .start, "connection",
                    "the export does not say where the device is; the site document has 192.0.2.1, port 502, unit 1"))
            if hasLongValues, options.byteOrder == nil {
                notes.append(
                    ImportNote(
                        .assumed, at: .start, "byte order",
                        "the export does not have the device's data encoding; the driver's default, first word low (CDAB), was taken"))
            }
            if let writable {
                notes.append(
                    ImportNote(
                        .changed, at: writable.first, "client access",
                        "\(writable.count) tags could be written; here they are read only until access: readWrite and limits are given"))
            }
            if let clamped {
                notes.append(
                    ImportNote(
                        .changed, at: clamped.first, "clamping",
                        "\(clamped.count) tags were clamped to their range; here values are shown as they come"))
            }
            let all = (notes + builder.notes).sorted { $0.position < $1.position }
            let definition = builder.finished()
            guard !definition.tags.isEmpty else { return ImportResult(format: .kepwareCSV, notes: all) }
            let device = DraftDevice(
                name: definition.name, definition: definition.name,
                connection: .modbusTCP(ModbusTCPConnection(host: "192.0.2.1", port: 502, unit: 1)))
            return ImportResult(format: .kepwareCSV, definitions: [definition], devices: [device], notes: all)
        }
    }
}

/// Why something cannot be carried over.
struct Refusal: Error {
    var reason: String
    init(_ reason: String) { self.reason = reason }
}

/// An address of the Modbus drivers: a digit for the table and the 1-based number, `400001`, `40001`, `4H00A0`; a bit or a length behind a dot,
/// `400001.3`, `400001.20H`; an array, `400001 [4]`.
struct KepwareAddress {
    var table: ModbusAddress.Table
    var offset: Int
    var bit: Int?
    /// Bytes, where a length stands behind the dot.
    var stringLength: Int?
    var isLowByteFirst = false
    var arrayCount: Int?

    static let arrayMax = 1000

    init?(_ text: String) {
        var rest = text.filter { !$0.isWhitespace }[...]
        if let bracket = rest.firstIndex(of: "[") {
            guard rest.last == "]" else { return nil }
            var count = 1
            for part in rest[bracket...].dropFirst().dropLast().split(separator: "]", omittingEmptySubsequences: false) {
                let digits = part.first == "[" ? part.dropFirst() : part
                guard let size = Int(digits), (1...KepwareAddress.arrayMax).contains(size), count * size <= KepwareAddress.arrayMax else {
                    return nil
                }
                count *= size
            }
            arrayCount = count
            rest = rest[..<bracket]
        }
        let parts = rest.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let number = KepwareAddress.number(parts[0]) else { return nil }
        (table, offset) = number
        guard parts.count == 2 else { return }
        var suffix = parts[1]
        if let last = suffix.last, "HhLl".contains(last) {
            isLowByteFirst = last == "L" || last == "l"
            suffix.removeLast()
        }
        guard let value = Int(suffix), value >= 0, value <= 250, suffix.utf8.allSatisfy(\.isDigit) else { return nil }
        bit = value
        stringLength = value
    }

    private static func number(_ text: Substring) -> (ModbusAddress.Table, Int)? {
        let tables: [Character: ModbusAddress.Table] = ["0": .coil, "1": .discrete, "3": .input, "4": .holding]
        guard let first = text.first, let table = tables[first] else { return nil }
        var digits = text.dropFirst()
        let number: Int?
        if digits.first == "H" || digits.first == "h" {
            digits = digits.dropFirst()
            number = (4...5).contains(digits.count) ? Int(digits, radix: 16) : nil
        } else {
            number = (4...5).contains(digits.count) && digits.utf8.allSatisfy(\.isDigit) ? Int(digits) : nil
        }
        guard let number, (1...ModbusAddress.offsetMax + 1).contains(number) else { return nil }
        return (table, number - 1)
    }
}

/// A data type of KEPServerEX.
struct KepwareType {
    var dataType: DataType

    static func make(_ text: String, at address: KepwareAddress) -> Result<KepwareType, Refusal> {
        var name = text.lowercased()
        if name.hasSuffix(" array") { name = String(name.dropLast(6)) }
        let hasBits = !address.table.isRegister
        let types: [String: DataType] = [
            "boolean": .bool, "short": .int16, "word": .uint16, "long": .int32, "dword": .uint32, "llong": .int64, "qword": .uint64,
            "float": .float32, "double": .float64, "string": .string,
        ]
        let isDefault = name.isEmpty || name == "default"
        guard let type = isDefault ? (hasBits || address.bit != nil ? .bool : .uint16) : types[name] else {
            return .failure(Refusal("data type '\(text.prefix(40))' has no counterpart"))
        }
        switch type {
        case .bool where !hasBits && address.bit == nil: return .failure(Refusal("a Boolean in a register needs its bit"))
        case .bool: break
        case _ where hasBits: return .failure(Refusal("a coil or discrete input is a Boolean, not \(text)"))
        case .string where address.stringLength == nil:
            return .failure(Refusal("the address of a string needs its length, as in 400001.20H"))
        case .string: break
        case _ where address.bit != nil: return .failure(Refusal("a \(text) has no bit"))
        default: break
        }
        return .success(KepwareType(dataType: type))
    }
}
