internal import Telemetry

/// Makes the tags that one entry stands for: the elements of an array, and the named bits of a register.
struct TagExpansion {
    let source: ObjectValue
    let file: String
    private(set) var diagnostics: [Diagnostic] = []

    init(_ source: ObjectValue, file: String) {
        self.source = source
        self.file = file
    }

    /// The tag itself, or its elements `name.0`, `name.1`, …; each followed by a `bool` for every named bit: `name.fault`.
    mutating func tags(of tag: TagDefinition) -> [TagDefinition] {
        let bits = namedBits(of: tag)
        return elements(of: tag).flatMap { element in [element] + bits.map { TagExpansion.bit($0.bit, named: $0.name, of: element) } }
    }

    private mutating func elements(of tag: TagDefinition) -> [TagDefinition] {
        guard let count = source.integer("count") else {
            if !source.isAbsent("stride"), source.isAbsent("count") {
                report("stride", "'stride' means nothing without 'count'", suggestion: "add count:, or remove 'stride'")
            }
            return [tag]
        }
        guard let step = step(of: tag) else { return [tag] }
        let bitsPerUnit = tag.address.bit == nil ? 1 : 16
        let first = tag.address.offset * bitsPerUnit + place(of: tag)
        let last = (first + (count - 1) * step) / bitsPerUnit + tag.unitCount - 1
        guard last <= ModbusAddress.offsetMax else {
            report(
                "count", "\(count) elements from \(tag.address) on end at \(last), beyond \(ModbusAddress.offsetMax)",
                value: String(count), allowed: "0…\(ModbusAddress.offsetMax)")
            return [tag]
        }
        return (0..<count).map { index in
            var element = tag
            element.name = "\(tag.name).\(index)"
            let position = first + index * step
            element.address.offset = position / bitsPerUnit
            if tag.address.bit != nil { element.address.bit = isHalf(tag) ? 8 - position % 16 : position % 16 }
            return element
        }
    }

    /// Bytes of a register follow each other as text does, the high one first; so their places count from there.
    private func place(of tag: TagDefinition) -> Int {
        guard let bit = tag.address.bit else { return 0 }
        return isHalf(tag) ? 8 - bit : bit
    }

    private func isHalf(_ tag: TagDefinition) -> Bool { tag.dataType != .bool && source.isAbsent("bitCount") }

    /// From one element to the next: in bits for parts of registers, else in registers or coils.
    private mutating func step(of tag: TagDefinition) -> Int? {
        let width = if case .bitField(let width) = tag.form.encoding { width } else { 1 }
        if let stride = source.integer("stride") {
            guard stride >= tag.unitCount else {
                report(
                    "stride", "elements of \(tag.unitCount) registers would overlap with a stride of \(stride)", value: String(stride),
                    allowed: "\(tag.unitCount) or more")
                return nil
            }
            return tag.address.bit == nil ? stride : 16 * stride
        }
        guard let bit = tag.address.bit else { return tag.unitCount }
        if 16 % width != 0 || bit % width != 0 {
            report(
                "count", "elements of \(width) bits from bit \(bit) on do not divide a register evenly", value: String(width),
                allowed: "1, 2, 4, 8 or 16 bits that begin at a multiple of that, or a stride")
            return nil
        }
        return width
    }

    // MARK: - Bits

    private mutating func namedBits(of tag: TagDefinition) -> [(bit: Int, name: String)] {
        guard !source.isAbsent("bits") else { return [] }
        guard [.uint16, .uint32, .uint64].contains(tag.dataType), tag.form.encoding == .plain, tag.form.rules?.table == nil else {
            report(
                "bits", "'bits' names the bits of a uint16, uint32 or uint64", suggestion: "change the type, or remove 'bits'")
            return []
        }
        var names: Set<String> = []
        var bits: Set<Int> = []
        return source.map("bits").compactMap { entry in
            guard case .text(let name) = entry.value.value else { return nil }
            guard let bit = parseInteger(entry.key), (0..<tag.dataType.width * 8).contains(bit) else {
                report(
                    entry, "a \(tag.dataType.name) has no bit \(entry.key)", allowed: "bits 0…\(tag.dataType.width * 8 - 1)")
                return nil
            }
            guard names.insert(name).inserted, bits.insert(bit).inserted else {
                report(entry, "bit \(bit) or its name '\(name)' is given twice", allowed: "each once")
                return nil
            }
            return (bit, name)
        }
    }

    /// The `bool` of a bit of a whole register or of one of several.
    private static func bit(_ bit: Int, named name: String, of tag: TagDefinition) -> TagDefinition {
        var result = tag
        let place = tag.unitCount - 1 - bit / 16
        result.name = "\(tag.name).\(name)"
        result.address.offset += place ^ tag.byteOrder.registerSwap(of: tag.unitCount)
        result.address.bit = bit % 16
        result.unitCount = 1
        result.dataType = .bool
        result.scaling = .identity
        result.unit = ""
        result.deadband = nil
        result.limits = nil
        result.range = nil
        result.description = nil
        result.form = .plain
        return result
    }

    private mutating func report(
        _ field: String, _ message: String, value: String? = nil, allowed: String? = nil, suggestion: String? = nil
    ) {
        diagnostics.append(
            Diagnostic(
                .error, file: file, at: source.position(of: field), path: source.path.key(field).description, message, value: value,
                allowed: allowed, suggestion: suggestion))
    }

    private mutating func report(_ entry: MapEntry, _ message: String, allowed: String) {
        diagnostics.append(
            Diagnostic(
                .error, file: file, at: entry.keyPosition, path: entry.value.path.description, message, value: entry.key, allowed: allowed))
    }
}
