/// Neighbouring positions.
struct PositionRange: Sendable, Hashable {
    /// The position before the first one.
    var after: UInt64
    /// The last one.
    var through: UInt64
}

/// All positions up to one, and some ranges beyond it.
struct PositionSet: Sendable, Hashable {
    var through: UInt64
    /// In order, apart from each other, and beyond `through`.
    var ranges: [PositionRange] = []

    enum Coverage { case none, part, all }

    func contains(_ position: UInt64) -> Bool {
        position <= through || ranges.contains { position > $0.after && position <= $0.through }
    }

    func contains(_ first: UInt64, through last: UInt64) -> Bool {
        last <= through || ranges.contains { first > $0.after && last <= $0.through }
    }

    /// How much of a segment's positions is in the set.
    func coverage(of segment: Segment) -> Coverage {
        let after = segment.base - 1
        if through >= segment.end || ranges.contains(where: { $0.after <= after && $0.through >= segment.end }) { return .all }
        if through > after || ranges.contains(where: { $0.through > after && $0.after < segment.end }) { return .part }
        return .none
    }

    /// Without what lies beyond a position.
    func limited(to end: UInt64) -> PositionSet {
        PositionSet(
            through: min(through, end),
            ranges: ranges.compactMap { $0.after < end ? PositionRange(after: $0.after, through: min($0.through, end)) : nil })
    }
}
