internal import Telemetry

/// Makes the `ValueForm` of one tag, and reports what its type, its place and its conversion forbid.
struct TagValueBuilder {
    let source: ObjectValue
    let type: TagType
    let file: String
    private(set) var diagnostics: [Diagnostic] = []

    init(_ source: ObjectValue, type: TagType, file: String) {
        self.source = source
        self.type = type
        self.file = file
    }

    /// Bits of the raw value: those of the type, or of the part of a register that `bitCount` names.
    private var width: Int { isBitField ? source.integer("bitCount") ?? type.bitWidth : type.bitWidth }
    private var isBitField: Bool { !source.isAbsent("bitCount") }

    /// The raw values that can be, where they are integers.
    var rawRange: ClosedRange<Double>? { type.rawRange(width: width) }

    /// The number of bits behind the binary point (Qm.n), 0 for none.
    mutating func fractionBits() -> Int {
        guard let bits = source.integer("fractionBits") else { return 0 }
        guard type.isInteger, type.encoding == .plain else {
            report("fractionBits", "'fractionBits' means nothing for a \(type.name)", suggestion: "use it with int16…uint64, or remove it")
            return 0
        }
        guard bits <= type.bitWidth else {
            report(
                "fractionBits", "\(type.name) has \(type.bitWidth) bits, not \(bits) behind the point", value: String(bits),
                allowed: "1…\(type.bitWidth)")
            return 0
        }
        return bits
    }

    /// Which bit of its register the value begins at, for parts of a register: the address's bit, or that of `byte`; `nil` for all else.
    mutating func firstBit(of address: ModbusAddress) -> Int? {
        if type.dataType == .bool { return address.bit }
        if isBitField {
            guard type.bitWidth <= 16, type.isInteger, type.encoding != .decimal else {
                report(
                    "bitCount", "'bitCount' is for parts of one register, not for a \(type.name)",
                    suggestion: "use it with int8, uint8, int16 or uint16")
                return nil
            }
            guard let bit = address.bit else {
                report("bitCount", "a bit field needs its first bit", suggestion: "write \(address).0 for the least significant bit")
                return nil
            }
            if width > type.bitWidth || bit + width > 16 {
                report(
                    "bitCount", "\(width) bits from bit \(bit) on do not fit \(type.name) in one register", value: String(width),
                    allowed: "1…\(min(type.bitWidth, 16 - bit))")
            }
            if !source.isAbsent("byte") { report("byte", "'byte' means nothing beside 'bitCount'", suggestion: "remove 'byte'") }
            return bit
        }
        guard case .bitField = type.encoding else {
            if !source.isAbsent("byte") {
                report("byte", "'byte' means nothing for a \(type.name)", suggestion: "remove 'byte', or use int8 or uint8")
            }
            return nil
        }
        if source.isAbsent("byte") {
            report(
                "type", "a \(type.name) is half a register, and which half is not said", value: type.name,
                suggestion: "add byte: high or byte: low; \(type.isSigned ? "int16" : "uint16") is the whole register")
        }
        return source.text("byte") == "high" ? 8 : 0
    }

    /// The form; parts that are wrong are reported and left out.
    mutating func build() -> ValueForm {
        checkMeaning()
        var rules = ValueRules(notAvailable: buildNotAvailable(), table: buildTable())
        rules.valid = buildValid(rules.table)
        let isEmpty = rules == ValueRules()
        return ValueForm(encoding: buildEncoding(), rules: isEmpty ? nil : rules, labels: buildLabels(hasTable: rules.table != nil))
    }

    /// Keys that the type has no use for.
    private mutating func checkMeaning() {
        if !type.dataType.isNumeric {
            for field in ["table", "valid", "notAvailable"] where !source.isAbsent(field) {
                report(field, "'\(field)' means nothing for a \(type.name)", suggestion: "remove '\(field)'")
            }
        }
        if type.dataType != .string {
            for field in ["encoding", "fill"] where !source.isAbsent(field) {
                report(field, "'\(field)' means nothing for a \(type.name)", suggestion: "only strings have it; remove '\(field)'")
            }
        }
        if !source.isAbsent("table") {
            for field in ["scale", "offset", "fractionBits"] where !source.isAbsent(field) {
                report(field, "'\(field)' means nothing beside a table", suggestion: "put the conversion into the table")
            }
        }
    }

    private func buildEncoding() -> RegisterEncoding {
        if isBitField { return .bitField(width: width) }
        guard type.dataType == .string, !source.isAbsent("encoding") || !source.isAbsent("fill") else { return type.encoding }
        return .text(isASCII: source.text("encoding") == "ascii", fill: source.integer("fill").map { UInt8(truncatingIfNeeded: $0) })
    }

    // MARK: - Conversion

    private mutating func buildTable() -> ConversionTable? {
        let rows = source.list("table")
        guard type.dataType.isNumeric, !rows.isEmpty else { return nil }
        var points: [ConversionTable.Point] = []
        var isDescending = false
        for row in rows {
            guard case .list(let pair) = row.value, pair.count == 2, case .number(let raw) = pair[0].value,
                case .number(let value) = pair[1].value
            else { return nil }
            if let range = rawRange, !range.contains(raw) {
                report(
                    row, "raw value \(numberText(raw)) does not fit \(type.name)", value: numberText(raw),
                    allowed: "\(numberText(range.lowerBound))…\(numberText(range.upperBound))")
                return nil
            }
            if let last = points.last {
                if points.count == 1 { isDescending = raw < last.raw }
                guard raw != last.raw, (raw < last.raw) == isDescending else {
                    report(
                        row, "the raw values of a table must go one way, but \(numberText(raw)) comes after \(numberText(last.raw))",
                        value: numberText(raw), suggestion: "sort the rows by their first number and remove repeated ones")
                    return nil
                }
            }
            points.append(.init(raw: raw, value: value))
        }
        guard let table = ConversionTable(points) else { return nil }
        if source.text("access") == TagDefinition.Access.readWrite.rawValue, !table.isInvertible {
            report(
                "table", "the engineering values of the table do not go one way, so that a value to write has no single raw value",
                suggestion: "remove access: readWrite, or the rows that turn back")
        }
        return table
    }

    private mutating func buildValid(_ table: ConversionTable?) -> ValueRules.ValidRange? {
        guard type.dataType.isNumeric, let valid = source.object("valid") else { return nil }
        let (minimum, maximum) = (valid.number("min"), valid.number("max"))
        if valid.isAbsent("min"), valid.isAbsent("max") {
            report("valid", "a valid range needs min, max or both", suggestion: "add min: or max:, or remove 'valid'")
            return nil
        }
        if let minimum, let maximum, minimum > maximum {
            report(
                valid, "min", "valid min \(numberText(minimum)) is above max \(numberText(maximum))", value: numberText(minimum),
                suggestion: "swap them")
            return nil
        }
        let isRaw = valid.text("of") == "raw"
        if isRaw, let range = rawRange {
            for (field, number, isOutside) in [
                ("min", minimum, (minimum ?? 0) > range.upperBound), ("max", maximum, (maximum ?? 0) < range.lowerBound),
            ] {
                guard let number, isOutside else { continue }
                report(
                    valid, field, "no raw value of \(type.name) is valid with \(field) \(numberText(number))", value: numberText(number),
                    allowed: "\(numberText(range.lowerBound))…\(numberText(range.upperBound))")
            }
        }
        return .init(
            minimum: minimum ?? -.infinity, maximum: maximum ?? .infinity, isRaw: isRaw,
            statusOutside: valid.text("outside") == "uncertain" ? .uncertainEngineeringUnitsExceeded : .badOutOfRange)
    }

    // MARK: - Marks and names of raw values

    private mutating func buildNotAvailable() -> [UInt64] {
        guard type.dataType.isNumeric else { return [] }
        return source.list("notAvailable").compactMap { element -> UInt64? in
            guard case .text(let text) = element.value else { return nil }
            guard let bits = bits(of: text) else {
                let range = rawRange.map { "\(numberText($0.lowerBound))…\(numberText($0.upperBound)), or " } ?? ""
                let isTooHigh = parseNumber(text).map { $0 > 0 } ?? true
                report(
                    element, "'\(text)' is not representable as \(type.name)", value: text,
                    allowed: "\(range)0x0…0x\(String(UInt64.max >> UInt64(64 - width), radix: 16, uppercase: true)) for the bits",
                    suggestion: type.isSigned && isTooHigh ? signedSuggestion(text) : nil)
                return nil
            }
            return bits
        }
    }

    /// 32768 of an `int16` is what manuals call 0x8000.
    private func signedSuggestion(_ text: String) -> String? {
        guard let number = UInt64(text), number <= UInt64.max >> UInt64(64 - width) else { return nil }
        return "write 0x\(String(number, radix: 16, uppercase: true)) for the bits"
    }

    /// A hexadecimal number is the bits of the value, any other one its raw value.
    private func bits(of text: String) -> UInt64? {
        let highest = UInt64.max >> UInt64(64 - width)
        if text.hasPrefix("0x") { return UInt64(text.dropFirst(2), radix: 16).flatMap { $0 <= highest ? $0 : nil } }
        if !type.isInteger {
            guard let number = parseNumber(text) else { return nil }
            switch type.name {
            case "float16": return Float16(number).isFinite ? UInt64(Float16(number).bitPattern) : nil
            case "float32": return Float(number).isFinite ? UInt64(Float(number).bitPattern) : nil
            default: return number.bitPattern
            }
        }
        if type.encoding == .decimal {
            guard let number = UInt64(text), String(number).utf8.count <= width / 4 else { return nil }
            return UInt64(String(number), radix: 16)
        }
        if type.isSigned {
            let half = Int64.max >> Int64(64 - width)
            guard let number = Int64(text), (~half...half).contains(number) else { return nil }
            return UInt64(bitPattern: number) & highest
        }
        return UInt64(text).flatMap { $0 <= highest ? $0 : nil }
    }

    private mutating func buildLabels(hasTable: Bool) -> [Int64: String] {
        guard !source.isAbsent("labels") else { return [:] }
        guard type.isInteger || type.dataType == .bool else {
            report("labels", "'labels' means nothing for a \(type.name)", suggestion: "labels name single values of integers and booleans")
            return [:]
        }
        for field in ["scale", "offset", "fractionBits", "table"] where !source.isAbsent(field) {
            report(
                field, "'\(field)' means nothing beside labels", suggestion: "labels name raw values; remove one of the two")
        }
        let range = type.dataType == .bool ? 0...1 : rawRange ?? 0...0
        var labels: [Int64: String] = [:]
        for entry in source.map("labels") {
            guard case .text(let label) = entry.value.value else { continue }
            guard let number = parseInteger(entry.key), range.contains(Double(number)) else {
                report(
                    entry.keyPosition, entry.value.path, "label \(entry.key) is not a value of \(type.name)", value: entry.key,
                    allowed: "\(numberText(range.lowerBound))…\(numberText(range.upperBound))")
                continue
            }
            if labels.updateValue(label, forKey: Int64(number)) != nil {
                report(entry.keyPosition, entry.value.path, "value \(number) has two labels", value: entry.key, allowed: "one label each")
            }
        }
        return labels
    }

    // MARK: - Order

    /// The tag's own byte order, or the definition's.
    mutating func byteOrder(default common: ByteOrder, address: ModbusAddress) -> ByteOrder {
        guard let word = source.text("byteOrder"), let order = ByteOrder(word: word), !source.isAbsent("byteOrder") else { return common }
        guard address.table.isRegister else {
            report("byteOrder", "'byteOrder' means nothing for a \(address.table.rawValue), which is one bit", suggestion: "remove it")
            return common
        }
        if word.count == 8, type.bitWidth != 64 || type.dataType == .string {
            report(
                "byteOrder", "\(word) is an order of 64 bits, and a \(type.name) is none of those", value: word,
                allowed: "bigEndian, littleEndian, \(ByteOrder.common.map(\.rawValue).joined(separator: ", "))")
            return common
        }
        if order == .cdab, type.bitWidth <= 16 {
            report(
                "byteOrder", "\(word) has no effect: \(type.dataType == .string ? "a string" : "one register") has no order of registers",
                severity: .warning, suggestion: "remove it, or write BADC where the bytes of a register are swapped")
        }
        return order
    }

    // MARK: - Reporting

    private mutating func report(
        _ field: String, _ message: String, severity: Diagnostic.Severity = .error, value: String? = nil, allowed: String? = nil,
        suggestion: String? = nil
    ) {
        report(source, field, message, severity: severity, value: value, allowed: allowed, suggestion: suggestion)
    }

    private mutating func report(
        _ object: ObjectValue, _ field: String, _ message: String, severity: Diagnostic.Severity = .error, value: String? = nil,
        allowed: String? = nil, suggestion: String? = nil
    ) {
        diagnostics.append(
            Diagnostic(
                severity, file: file, at: object.position(of: field), path: object.path.key(field).description, message, value: value,
                allowed: allowed, suggestion: suggestion))
    }

    private mutating func report(_ element: Located, _ message: String, value: String, allowed: String? = nil, suggestion: String? = nil) {
        diagnostics.append(
            Diagnostic(
                .error, file: file, at: element.position, path: element.path.description, message, value: value, allowed: allowed,
                suggestion: suggestion))
    }

    private mutating func report(_ position: SourcePosition, _ path: DocumentPath, _ message: String, value: String, allowed: String) {
        diagnostics.append(
            Diagnostic(.error, file: file, at: position, path: path.description, message, value: value, allowed: allowed))
    }
}

extension ByteOrder {
    /// The order a document calls `bigEndian`, `littleEndian` or by its letters, four or, for 64 bits, eight.
    init?(word: String) {
        switch word {
        case "bigEndian", "ABCDEFGH": self = .abcd
        case "littleEndian", "HGFEDCBA": self = .dcba
        case "GHEFCDAB": self = .cdab
        case "BADCFEHG": self = .badc
        default: self.init(rawValue: word)
        }
    }

    /// The words a tag may use.
    static let words = ["bigEndian", "littleEndian"] + common.map(\.rawValue) + wordsOf64Bits
    static let wordsOf64Bits = ["ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA", "EFGHABCD", "CDABGHEF"]
}
