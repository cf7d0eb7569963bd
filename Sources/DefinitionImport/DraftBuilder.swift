internal import Definitions
internal import Telemetry

/// Collects the tags of one definition: makes names valid and unique, units UCUM, and leaves out, with a note, what the loader would refuse.
struct DraftBuilder {
    /// One tag as the other tool has it.
    struct Candidate {
        var name: String
        var address: ModbusAddress
        var dataType: DataType
        var stringLength = 0
        var byteOrder = ByteOrder.abcd
        var scaling = Scaling.identity
        var unit = ""
        var period: Duration
        var description: String?
        var position: SourcePosition
    }

    private(set) var definition: DraftDefinition
    private(set) var notes: [ImportNote] = []
    private var names = UniqueNames()
    /// Which tags lie at each register, coil or input.
    private var occupants: [ModbusAddress: [Int]] = [:]

    static let tagsMax = 65_535
    static let groupsMax = 64

    init(name: String, description: String, source: String, byteOrder: ByteOrder) {
        definition = DraftDefinition(name: name, description: description, source: source, byteOrder: byteOrder)
    }

    mutating func note(_ kind: ImportNote.Kind, at position: SourcePosition, _ subject: String, _ reason: String) {
        notes.append(ImportNote(kind, at: position, subject, reason))
    }

    mutating func add(_ candidate: Candidate) {
        var tag = DraftTag(
            name: "", address: candidate.address, dataType: candidate.dataType, stringLength: candidate.stringLength,
            byteOrder: candidate.byteOrder, scaling: candidate.scaling, scanGroup: "", description: candidate.description)
        if let reason = problem(tag) {
            note(.lost, at: candidate.position, candidate.name, reason)
            return
        }
        tag.scanGroup = group(for: candidate.period, candidate)
        if tag.dataType == .bool || tag.dataType == .string {
            tag.scaling = .identity
            if !candidate.scaling.isIdentity { note(.lost, at: candidate.position, candidate.name, "a \(tag.dataType.name) is not scaled") }
        } else {
            tag.unit = unit(candidate)
        }
        tag.name = names.tag(candidate.name)
        if tag.name != candidate.name {
            note(
                .changed, at: candidate.position, candidate.name,
                "is called \(tag.name): names here have letters, digits, _ - . / and are unique")
        }
        for unit in 0..<tag.unitCount { occupants[place(tag, unit), default: []].append(definition.tags.count) }
        definition.tags.append(tag)
    }

    /// The definition, its scan groups in order of their periods.
    consuming func finished() -> DraftDefinition {
        var finished = definition
        finished.scanGroups.sort { $0.period < $1.period }
        return finished
    }

    // MARK: - What the loader would refuse

    private static let scaleRange = 1e-15...1e15

    private func problem(_ tag: DraftTag) -> String? {
        guard definition.tags.count < DraftBuilder.tagsMax else { return "a definition has at most \(DraftBuilder.tagsMax) tags" }
        guard tag.address.offset >= 0, tag.address.offset + tag.unitCount - 1 <= ModbusAddress.offsetMax else {
            return "address \(tag.address.offset) of \(tag.unitCount) registers is beyond the last one, \(ModbusAddress.offsetMax)"
        }
        if let bit = tag.address.bit {
            guard (0...ModbusAddress.bitMax).contains(bit) else { return "a register has no bit \(bit)" }
            guard tag.dataType == .bool, tag.address.table.isRegister else { return "only a bool in a register has a bit" }
        } else if tag.address.table.isRegister == (tag.dataType == .bool) {
            return tag.dataType == .bool
                ? "a bool in a register needs its bit" : "a \(tag.address.table.rawValue) holds one bit, not \(tag.dataType.name)"
        }
        if tag.dataType == .int8 || tag.dataType == .uint8 { return "8-bit values have no place in a register here" }
        if tag.dataType == .string, !(1...250).contains(tag.stringLength) { return "a string has 1…250 bytes, not \(tag.stringLength)" }
        guard DraftBuilder.scaleRange.contains(abs(tag.scaling.scale)), abs(tag.scaling.offset) <= DraftBuilder.scaleRange.upperBound else {
            return "scale \(tag.scaling.scale) with offset \(tag.scaling.offset) is out of range"
        }
        for unit in 0..<tag.unitCount {
            for index in occupants[place(tag, unit)] ?? [] where conflicts(tag, definition.tags[index]) {
                let other = definition.tags[index]
                return "overlaps '\(other.name)' (\(other.dataType.name) at \(other.address)): one of them has a wrong address or type"
            }
        }
        return nil
    }

    private func place(_ tag: DraftTag, _ unit: Int) -> ModbusAddress {
        ModbusAddress(table: tag.address.table, offset: tag.address.offset + unit)
    }

    /// Bits may lie beside each other and under a `uint16`; the same value may have two names.
    private func conflicts(_ left: DraftTag, _ right: DraftTag) -> Bool {
        if left.address == right.address, left.dataType == right.dataType, left.unitCount == right.unitCount { return false }
        switch (left.address.bit, right.address.bit) {
        case (.some, .some): return false
        case (.some, nil): return right.dataType != .uint16
        case (nil, .some): return left.dataType != .uint16
        case (nil, nil): return true
        }
    }

    // MARK: - Groups and units

    private static let periodRange = Duration.milliseconds(1)...(.seconds(86_400))

    private mutating func group(for wanted: Duration, _ candidate: Candidate) -> String {
        let period = min(max(wanted, DraftBuilder.periodRange.lowerBound), DraftBuilder.periodRange.upperBound)
        if let known = definition.scanGroups.first(where: { $0.period == period }) { return known.name }
        if definition.scanGroups.count >= DraftBuilder.groupsMax,
            let nearest = definition.scanGroups.min(by: { distance($0.period, period) < distance($1.period, period) })
        {
            note(
                .changed, at: candidate.position, candidate.name,
                "is read every \(DraftWriter.text(of: nearest.period)): there are at most \(DraftBuilder.groupsMax) periods")
            return nearest.name
        }
        if period != wanted {
            note(.changed, at: candidate.position, candidate.name, "is read every \(DraftWriter.text(of: period)); allowed are 1ms…1d")
        }
        let group = ScanGroup(name: "every\(DraftWriter.text(of: period))", period: period)
        definition.scanGroups.append(group)
        return group.name
    }

    private func distance(_ left: Duration, _ right: Duration) -> Duration { left < right ? right - left : left - right }

    private mutating func unit(_ candidate: Candidate) -> String {
        let text = candidate.unit.trimmed
        guard !text.isEmpty else { return "" }
        if let meant = UCUM.unit(meantBy: text), meant.utf8.count <= 64 {
            if meant != text { note(.changed, at: candidate.position, candidate.name, "unit '\(text)' is written \(meant) (UCUM)") }
            return meant
        }
        let letters = text.unicodeScalars.filter { $0.value > 0x20 && $0.value < 0x7F && $0 != "{" && $0 != "}" }
        let annotation = "{\(String(String.UnicodeScalarView(letters.prefix(60))))}"
        guard annotation.count > 2, UCUM.unit(meantBy: annotation) != nil else {
            note(.lost, at: candidate.position, candidate.name, "unit '\(text.prefix(40))' is no UCUM unit")
            return ""
        }
        note(
            .changed, at: candidate.position, candidate.name,
            "unit '\(text.prefix(40))' is no UCUM unit and is kept as the remark \(annotation)")
        return annotation
    }
}
