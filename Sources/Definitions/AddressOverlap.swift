internal import Telemetry

/// Finds tags that lie on each other: almost always a slip of the address or the type.
///
/// Bits and parts of one register may stand beside each other, and under the unsigned integer that holds them all. The same value twice
/// under two names is worth a warning; anything else that overlaps is an error.
enum AddressOverlap {
    static func problems(of tags: [(definition: TagDefinition, address: Located?)], file: String) -> [Diagnostic] {
        var diagnostics: [Diagnostic] = []
        for table in ModbusAddress.Table.allCases {
            let members = tags.indices.filter { tags[$0].definition.address.table == table }.sorted {
                let (left, right) = (tags[$0].definition.address, tags[$1].definition.address)
                return (left.offset, left.bit ?? -1, $0) < (right.offset, right.bit ?? -1, $1)
            }
            // Tags that reach beyond the address being looked at.
            var open: [Int] = []
            for index in members {
                let tag = tags[index].definition
                open.removeAll { tags[$0].definition.address.offset + tags[$0].definition.unitCount <= tag.address.offset }
                for other in open {
                    guard let conflict = conflict(tag, tags[other].definition) else { continue }
                    let (later, earlier) = index > other ? (index, other) : (other, index)
                    diagnostics.append(
                        diagnostic(conflict, tags[later], and: tags[earlier], file: file))
                    break
                }
                if open.count < openMax { open.append(index) }
            }
        }
        return diagnostics
    }

    private enum Conflict {
        case overlap
        case sameValue
    }

    /// With how many tags at one place a tag is compared at most; a sane file has up to 17, 16 bits and their register.
    private static let openMax = 32

    private static func conflict(_ left: TagDefinition, _ right: TagDefinition) -> Conflict? {
        if left.address == right.address, left.dataType == right.dataType, left.unitCount == right.unitCount,
            left.form.encoding == right.form.encoding
        {
            return .sameValue
        }
        switch (left.address.bit, right.address.bit) {
        case (.some(let leftBit), .some(let rightBit)):
            let isApart = leftBit + width(left) <= rightBit || rightBit + width(right) <= leftBit
            return isApart || left.dataType == .bool || right.dataType == .bool ? nil : .overlap
        case (.some, nil): return holdsBits(right) ? nil : .overlap
        case (nil, .some): return holdsBits(left) ? nil : .overlap
        case (nil, nil): return .overlap
        }
    }

    /// Bits of a part of a register.
    private static func width(_ tag: TagDefinition) -> Int {
        if case .bitField(let width) = tag.form.encoding { width } else { 1 }
    }

    /// Whether parts of the tag's registers may be tags as well.
    private static func holdsBits(_ tag: TagDefinition) -> Bool {
        tag.form.encoding == .plain && [.uint16, .uint32, .uint64].contains(tag.dataType)
    }

    private static func diagnostic(
        _ conflict: Conflict, _ tag: (definition: TagDefinition, address: Located?),
        and other: (definition: TagDefinition, address: Located?), file: String
    ) -> Diagnostic {
        let position = tag.address?.position ?? .start
        let line = other.address?.position.line ?? 0
        let (name, otherName) = (tag.definition.name, other.definition.name)
        let message =
            switch conflict {
            case .sameValue:
                "'\(name)' is the same \(tag.definition.dataType.name) at \(tag.definition.address) as '\(otherName)' (line \(line))"
            case .overlap: "'\(name)' (\(extent(tag.definition))) overlaps '\(otherName)' (\(extent(other.definition)), line \(line))"
            }
        return Diagnostic(
            conflict == .sameValue ? .warning : .error, file: file, at: position, path: tag.address?.path.description ?? "", message,
            value: tag.definition.address.description,
            suggestion: conflict == .sameValue ? "remove one of them" : "check address and type of both; addresses are 0-based")
    }

    /// For example `holding:6…7`.
    private static func extent(_ tag: TagDefinition) -> String {
        tag.unitCount == 1 ? tag.address.description : "\(tag.address)…\(tag.address.offset + tag.unitCount - 1)"
    }
}
