package import Telemetry

/// Goes through the rows of a section in log order, over all its slices.
package struct RowCursor {
    /// Where one value of the current row is.
    package struct Found {
        /// The value's place in its column.
        package var index: Int
        package var status: StatusCode
    }

    /// How far one column has been read.
    private struct Place {
        private let rows: [UInt32]
        private let isSparse: Bool
        private let quality: [QualityRun]
        private let count: Int
        // One of them has the values: taking them out of the column's enumeration anew for each value would count references.
        private var integers: [Int64] = []
        private var reals: [Double] = []
        private var texts: [String] = []
        private var next = 0
        private var run = 0
        private var runEnd: Int

        init(_ column: TagColumn) {
            rows = column.rows ?? []
            isSparse = column.rows != nil
            quality = column.quality
            switch column.values {
            case .integers(let values): integers = values
            case .reals(let values): reals = values
            case .texts(let values): texts = values
            }
            count = column.count
            runEnd = column.quality.first?.count ?? 0
        }

        @inline(__always)
        mutating func find(row: Int) -> Found? {
            guard next < count, !isSparse || Int(rows[next]) == row else { return nil }
            while next >= runEnd, run + 1 < quality.count {
                run += 1
                runEnd += quality[run].count
            }
            defer { next += 1 }
            return Found(index: next, status: quality[run].status)
        }

        @inline(__always)
        func cell(at index: Int, by formatter: CellFormatter) -> Cell {
            if index < integers.count { return formatter.cell(integer: integers[index]) }
            if index < reals.count { return formatter.cell(real: reals[index]) }
            return .text(texts[index])
        }
    }

    private let slices: [StreamSlice]
    /// Slice and row, in the order of positions; empty where there is one slice, whose rows are in order.
    private let order: [(slice: Int, row: Int)]
    private var places: [[Place]]
    private var step = -1
    private var sliceIndex = 0
    private var row = 0

    package init(_ section: LogSection) {
        slices = section.slices
        places = slices.map { $0.columns.map(Place.init) }
        guard slices.count > 1 else {
            order = []
            return
        }
        var keyed: [(position: UInt64, slice: Int, row: Int)] = []
        for (index, slice) in slices.enumerated() {
            for (row, position) in slice.positions.enumerated() { keyed.append((position, index, row)) }
        }
        keyed.sort { $0.position < $1.position }
        order = keyed.map { ($0.slice, $0.row) }
    }

    /// Goes to the next row; `false` at the end.
    package mutating func next() -> Bool {
        step += 1
        if slices.count == 1 {
            row = step
            return step < slices[0].times.count
        }
        guard step < order.count else { return false }
        (sliceIndex, row) = order[step]
        return true
    }

    /// The slice of the current row.
    package var slice: StreamSlice { slices[sliceIndex] }
    /// Which of the section's slices that is.
    package var slicePlace: Int { sliceIndex }
    /// The time of the current row in nanoseconds since 1970.
    package var time: Int64 { slices[sliceIndex].times[row] }

    /// Whether the clock was not known to be right when it told the time.
    package var isTimeUncertain: Bool {
        let marks = slices[sliceIndex].isTimeUncertain
        return !marks.isEmpty && marks[row]
    }

    /// The device's own time of the current row, where it gave one.
    package var sourceTime: Timestamp? { slices[sliceIndex].sourceTimes[row].map { Timestamp(nanoseconds: $0) } }

    /// Where the current row's value in one column of its slice is; `nil` where the row does not have the tag. Each column once per row.
    package mutating func find(column: Int) -> Found? { places[sliceIndex][column].find(row: row) }

    /// A value that was found, in engineering units.
    func cell(_ found: Found, column: Int, by formatter: CellFormatter) -> Cell {
        places[sliceIndex][column].cell(at: found.index, by: formatter)
    }
}
