/// What a range of registers held at several readings.
package struct RegisterReadings: Sendable, Hashable {
    /// The address of the first register.
    package let start: Int
    /// One row per reading, all equally long.
    package let rows: [[UInt16]]

    /// `nil` unless there is a reading and all have the same number of registers.
    package init?(start: Int, rows: [[UInt16]]) {
        guard let first = rows.first, !first.isEmpty, rows.allSatisfy({ $0.count == first.count }) else { return nil }
        self.start = start
        self.rows = rows
    }

    package var count: Int { rows[0].count }

    func isConstant(_ index: Int) -> Bool { rows.allSatisfy { $0[index] == rows[0][index] } }
}
