internal import Telemetry

/// Makes a `ProtocolDefinition` of a document that has the right shape, and reports what the shape alone cannot tell.
struct DefinitionBuilder {
    let file: String
    private(set) var diagnostics: [Diagnostic] = []
    private var validUnits: Set<String> = [""]

    init(file: String) { self.file = file }

    /// The definition; `nil` if a part it cannot do without is missing, which is then reported already.
    mutating func build(_ document: ObjectValue) -> ProtocolDefinition? {
        guard let metadata = document.object("metadata"), let spec = document.object("spec") else { return nil }
        let byteOrder = spec.text("byteOrder").flatMap(ByteOrder.init(word:)) ?? .abcd
        let scanGroups = buildScanGroups(spec)
        let tags = buildTags(spec, byteOrder: byteOrder, scanGroups: scanGroups)
        if tags.count > StreamDescriptor.tagsMax {
            report(
                spec, "tags", "the tags and the elements of their arrays are \(tags.count)", value: String(tags.count),
                allowed: "at most \(StreamDescriptor.tagsMax)")
        }
        diagnostics += AddressOverlap.problems(of: tags.map { ($0.definition, $0.source.located("address")) }, file: file)
        let reading = ModbusReading(spec.object("modbus"))
        if let source = spec.object("modbus"), let problem = reading.problem(tags: tags.map(\.definition)) {
            report(source, problem.key, problem.message, suggestion: problem.suggestion)
        }
        guard let name = metadata.text("name"), let version = metadata.text("version"),
            let wireProtocol = spec.text("protocol").flatMap(ProtocolDefinition.WireProtocol.init(rawValue:))
        else { return nil }
        return ProtocolDefinition(
            name: name, version: version, description: metadata.text("description"), source: metadata.text("source"),
            verification: metadata.text("verification").flatMap(ProtocolDefinition.Verification.init(rawValue:)),
            wireProtocol: wireProtocol, scanGroups: scanGroups, tags: tags.map(\.definition), file: file, reading: reading)
    }

    private mutating func buildScanGroups(_ spec: ObjectValue) -> [ScanGroup] {
        spec.map("scanGroups").compactMap { entry in
            if StreamDescriptor.folder(ofGroup: entry.key) != nil {
                report(
                    entry.keyPosition, entry.value.path, "scan group name '\(entry.key)' is reserved for what the gateway finds out itself",
                    value: entry.key,
                    suggestion: "choose another name")
            }
            guard case .duration(let period) = entry.value.value else { return nil }
            return ScanGroup(name: entry.key, period: period)
        }
    }

    private typealias BuiltTag = (definition: TagDefinition, source: ObjectValue)

    private mutating func buildTags(_ spec: ObjectValue, byteOrder: ByteOrder, scanGroups: [ScanGroup]) -> [BuiltTag] {
        var lines: [String: Int] = [:]
        var tags: [BuiltTag] = []
        let sources = spec.objects("tags")
        tags.reserveCapacity(sources.count)
        for source in sources {
            if let name = source.text("name") {
                if let first = lines[name] {
                    report(
                        source, "name", "tag '\(name)' is already defined at line \(first)", value: name,
                        suggestion: "give each tag its own name")
                } else {
                    lines[name] = source.position(of: "name").line
                }
            }
            guard let tag = buildTag(source, byteOrder: byteOrder, scanGroups: scanGroups) else { continue }
            var expansion = TagExpansion(source, file: file)
            for made in expansion.tags(of: tag) {
                if made.name != tag.name, let first = lines.updateValue(source.position(of: "name").line, forKey: made.name) {
                    report(
                        source, "name", "tag '\(made.name)', which this one makes, is already defined at line \(first)", value: made.name,
                        suggestion: "give each tag its own name")
                }
                tags.append((made, source))
            }
            diagnostics += expansion.diagnostics
            if tags.count > StreamDescriptor.tagsMax { break }
        }
        return tags
    }

    private mutating func buildTag(_ source: ObjectValue, byteOrder: ByteOrder, scanGroups: [ScanGroup]) -> TagDefinition? {
        checkUnit(source)
        checkScale(source)
        let range = buildRange(source)
        let deadband = buildDeadband(source, range: range)
        let limits = buildLimits(source)
        var writing = WriteSettingsBuilder(file: file)
        let write = writing.build(source)
        diagnostics += writing.diagnostics
        let group = scanGroup(of: source, among: scanGroups)
        guard let typeName = source.text("type"), let tagType = TagType.named(typeName) else { return nil }
        let type = tagType.dataType
        var values = TagValueBuilder(source, type: tagType, file: file)
        let form = values.build()
        defer { diagnostics += values.diagnostics }
        let length = stringLength(source, type: type)
        if !type.isNumeric { checkNotNumeric(source, type: type) }
        guard var address = buildAddress(source, type: tagType), let length, let name = source.text("name"), let group,
            let access = source.text("access").flatMap(TagDefinition.Access.init(rawValue:))
        else { return nil }
        if address.table.isRegister { address.bit = values.firstBit(of: address) }
        let order = values.byteOrder(default: byteOrder, address: address)
        let unitCount = address.table.isRegister ? form.encoding.registerCount(of: type, stringCapacity: length) : 1
        if address.offset + unitCount - 1 > ModbusAddress.offsetMax {
            report(
                source, "address", "\(typeName) at \(address) takes \(unitCount) registers and ends beyond \(ModbusAddress.offsetMax)",
                value: address.description, allowed: "0…\(ModbusAddress.offsetMax - unitCount + 1) for this type")
        }
        if access == .readWrite, !address.table.isWritable {
            report(
                source, "access", "'\(name)' is in the \(address.table.rawValue) table, which cannot be written", value: access.rawValue,
                allowed: "read")
        }
        let points = Double(sign: .plus, exponent: -values.fractionBits(), significand: 1)
        let scaling = Scaling(scale: (source.number("scale") ?? 1) * points, offset: source.number("offset") ?? 0)
        if let limits {
            let table = form.rules?.table?.points.map(\.value)
            let ends = table ?? values.rawRange.map { [$0.lowerBound, $0.upperBound].map { $0 * scaling.scale + scaling.offset } }
            checkLimitsFit(limits, source: source, typeName: typeName, ends: scaling.scale == 0 ? nil : ends, access: access)
        }
        return TagDefinition(
            name: name, address: address, unitCount: unitCount, dataType: type, stringLength: length,
            byteOrder: order, scaling: scaling, unit: source.text("unit") ?? "", scanGroup: group,
            deadband: deadband, access: access, limits: limits, write: write, range: range, description: source.text("description"),
            isScored: source.bool("score") ?? true, form: form)
    }

    // MARK: - Parts of a tag

    private mutating func buildAddress(_ source: ObjectValue, type: TagType) -> ModbusAddress? {
        guard let text = source.text("address") else { return nil }
        let parts = text.split(separator: ":")
        guard let table = parts.first.flatMap({ ModbusAddress.Table(rawValue: String($0)) }) else { return nil }
        let numbers = parts[1].split(separator: ".").map { Int($0) ?? .max }
        guard numbers[0] <= ModbusAddress.offsetMax else {
            report(
                source, "address", "address \(parts[1]) is beyond the last one, \(ModbusAddress.offsetMax)", value: text,
                allowed: "0…\(ModbusAddress.offsetMax)",
                suggestion: "addresses are 0-based protocol addresses: the register that manuals call 40001 or 400001 is holding:0")
            return nil
        }
        let address = ModbusAddress(table: table, offset: numbers[0], bit: numbers.count > 1 ? numbers[1] : nil)
        if let bit = address.bit {
            guard table.isRegister else {
                report(
                    source, "address", "a \(table.rawValue) address has no bits", value: text,
                    suggestion: "write \(table.rawValue):\(numbers[0])")
                return nil
            }
            guard bit <= ModbusAddress.bitMax else {
                report(source, "address", "a register has no bit \(parts[1].split(separator: ".")[1])", value: text, allowed: "bits 0…15")
                return nil
            }
            guard type.dataType == .bool || !source.isAbsent("bitCount") else {
                report(
                    source, "type", "a bit of a register is a bool, not \(type.name)", value: type.name, allowed: "bool",
                    suggestion: type.isInteger ? "add bitCount: for a number of several bits" : nil)
                return nil
            }
        } else if table.isRegister, type.dataType == .bool {
            report(
                source, "address", "a bool in a register needs its bit", value: text,
                suggestion: "write \(text).0 for the least significant bit")
            return nil
        }
        if !table.isRegister, type.dataType != .bool {
            report(
                source, "type", "a \(table.rawValue) address holds one bit, not \(type.name)", value: type.name, allowed: "bool",
                suggestion: "use type bool, or the holding or input table")
            return nil
        }
        return address
    }

    /// 0 for everything but strings; `nil` for a string without a valid length.
    private mutating func stringLength(_ source: ObjectValue, type: DataType) -> Int? {
        if type == .string {
            if source.isAbsent("length") {
                report(
                    source, "type", "a string needs its length in bytes", value: type.name,
                    suggestion: "add length: 16 (two bytes per register)")
            }
            return source.integer("length")
        }
        if !source.isAbsent("length") {
            report(source, "length", "only strings have a length; \(type.name) has \(type == .bool ? "one bit" : "\(type.width) bytes")")
        }
        return 0
    }

    /// Strings and booleans are no quantities.
    private mutating func checkNotNumeric(_ source: ObjectValue, type: DataType) {
        for field in ["scale", "offset", "deadband", "limits", "range"] where !source.isAbsent(field) {
            // How often anything may be written has a meaning for every type.
            if field == "limits", let limits = source.object(field), ["min", "max", "maxStep"].allSatisfy({ limits.isAbsent($0) }) {
                continue
            }
            report(source, field, "'\(field)' means nothing for a \(type.name)", suggestion: "remove '\(field)'")
        }
    }

    /// Beyond this no sensor's unit is a sensible choice, and engineering values leave what a float can hold.
    private static let scaleMax = 1e15

    private mutating func checkScale(_ source: ObjectValue) {
        let limit = DefinitionBuilder.scaleMax
        if let scale = source.number("scale") {
            if scale == 0 {
                report(source, "scale", "scale is 0, which makes every value the same", value: "0", suggestion: "leave scale out for 1")
            } else if abs(scale) > limit || abs(scale) < 1 / limit {
                report(source, "scale", "scale \(scale) is absurd", value: "\(scale)", allowed: "\(1 / limit)…\(limit), or negative")
            }
        }
        if let offset = source.number("offset"), abs(offset) > limit {
            report(source, "offset", "offset \(offset) is absurd", value: "\(offset)", allowed: "\(-limit)…\(limit)")
        }
    }

    private mutating func checkUnit(_ source: ObjectValue) {
        guard let unit = source.text("unit"), !validUnits.contains(unit) else { return }
        guard let problem = UCUM.problem(in: unit) else {
            validUnits.insert(unit)
            return
        }
        report(source, "unit", problem.message, value: unit, allowed: "UCUM, case-sensitive", suggestion: problem.suggestion)
    }

    private mutating func scanGroup(of source: ObjectValue, among groups: [ScanGroup]) -> String? {
        if source.isAbsent("scanGroup") { return groups.first?.name }
        guard let name = source.text("scanGroup") else { return nil }
        if groups.contains(where: { $0.name == name }) { return name }
        let names = groups.map(\.name)
        report(
            source, "scanGroup", "scan group '\(name)' is not defined", value: name, allowed: names.joined(separator: ", "),
            suggestion: nearestName(to: name, among: names).map { "did you mean '\($0)'?" } ?? "add it to spec.scanGroups")
        return nil
    }

    private mutating func buildRange(_ source: ObjectValue) -> ClosedRange<Double>? {
        guard let range = source.object("range"), let minimum = range.number("min"), let maximum = range.number("max") else { return nil }
        guard minimum < maximum else {
            report(source, "range", "range min \(numberText(minimum)) is not below max \(numberText(maximum))", suggestion: "swap them")
            return nil
        }
        return minimum...maximum
    }

    private mutating func buildDeadband(_ source: ObjectValue, range: ClosedRange<Double>?) -> Double? {
        guard let deadband = source.object("deadband") else { return nil }
        if let absolute = deadband.number("absolute") {
            if absolute > 0 { return absolute }
            report(
                deadband, "absolute", "deadband is \(numberText(absolute)), but must be more than 0", value: numberText(absolute),
                allowed: "more than 0")
        } else if let percent = deadband.number("percentOfRange") {
            guard percent > 0, percent <= 100 else {
                report(
                    deadband, "percentOfRange", "deadband is \(numberText(percent)) %, but must be more than 0 and at most 100",
                    value: numberText(percent),
                    allowed: "more than 0, at most 100")
                return nil
            }
            if let range { return percent / 100 * (range.upperBound - range.lowerBound) }
            if source.isAbsent("range") {
                report(
                    deadband, "percentOfRange", "a percentage of the range needs the range",
                    suggestion: "add range: {min: …, max: …} to the tag")
            }
        }
        return nil
    }

    private mutating func buildLimits(_ source: ObjectValue) -> WriteLimits? {
        guard let limits = source.object("limits") else { return nil }
        let result = WriteLimits(
            minimum: limits.number("min"), maximum: limits.number("max"), maximumStep: limits.number("maxStep"),
            writesPerMinute: limits.integer("writesPerMinute"))
        if let minimum = result.minimum, let maximum = result.maximum, minimum > maximum {
            report(
                limits, "min", "limits min \(numberText(minimum)) is above max \(numberText(maximum))", value: numberText(minimum),
                suggestion: "swap them")
        }
        if let step = result.maximumStep, step <= 0 {
            report(
                limits, "maxStep", "maxStep is \(numberText(step)), but must be more than 0", value: numberText(step),
                allowed: "more than 0")
        }
        return result
    }

    private mutating func checkLimitsFit(
        _ limits: WriteLimits, source: ObjectValue, typeName: String, ends: [Double]?, access: TagDefinition.Access
    ) {
        if access == .read {
            report(
                source, "limits", "limits have no effect: the tag cannot be written", severity: .warning,
                suggestion: "add access: readWrite, or remove them")
        }
        guard let ends, let written = source.object("limits"), let low = ends.min(), let high = ends.max() else { return }
        for (field, value) in [("min", limits.minimum), ("max", limits.maximum)] {
            guard let value, value < low || value > high else { continue }
            report(
                written, field, "limits \(field) \(numberText(value)) does not fit \(typeName)", value: numberText(value),
                allowed: "\(numberText(low))…\(numberText(high))")
        }
    }

    private mutating func report(
        _ source: ObjectValue, _ field: String, _ message: String, severity: Diagnostic.Severity = .error, value: String? = nil,
        allowed: String? = nil, suggestion: String? = nil
    ) {
        diagnostics.append(
            Diagnostic(
                severity, file: file, at: source.position(of: field), path: source.path.key(field).description, message, value: value,
                allowed: allowed, suggestion: suggestion))
    }

    private mutating func report(_ position: SourcePosition, _ path: DocumentPath, _ message: String, value: String, suggestion: String) {
        diagnostics.append(
            Diagnostic(.error, file: file, at: position, path: path.description, message, value: value, suggestion: suggestion))
    }
}
