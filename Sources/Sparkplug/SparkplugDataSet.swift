/// A table as the value of a metric: named and typed columns, and rows of as many elements.
///
/// Source: Sparkplug 3.0.0, 6.4.11 to 6.4.13.
package struct SparkplugDataSet: Sendable, Equatable {
    /// What the payload says of the number of columns; `columns` and `types` have as many in a table that is well formed.
    package var columnCount: UInt64?
    package var columns: [String]
    /// A `SparkplugDataType` code per column, of the basic ones.
    package var types: [UInt32]
    /// An element without a value is null.
    package var rows: [[SparkplugValue?]]

    package init(columnCount: UInt64?, columns: [String], types: [UInt32], rows: [[SparkplugValue?]]) {
        self.columnCount = columnCount
        self.columns = columns
        self.types = types
        self.rows = rows
    }

    /// A table of these columns.
    package init(columns: [(name: String, type: SparkplugDataType)], rows: [[SparkplugValue?]]) {
        self.init(
            columnCount: UInt64(columns.count), columns: columns.map(\.name), types: columns.map(\.type.rawValue), rows: rows)
    }

    /// Whether names, types and every row have as many elements as there are columns, and all types are basic ones.
    package var isWellFormed: Bool {
        columnCount == UInt64(columns.count) && types.count == columns.count && rows.allSatisfy { $0.count == columns.count }
            && types.allSatisfy { SparkplugDataType(rawValue: $0)?.isBasic == true }
    }
}
