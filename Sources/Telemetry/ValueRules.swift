/// What a value that was read must pass before it is taken for one, and the table that converts it.
package struct ValueRules: Sendable, Hashable {
    /// Which values are believed.
    package struct ValidRange: Sendable, Hashable {
        /// -∞ where there is no lower end.
        package var minimum: Double
        /// +∞ where there is no upper end.
        package var maximum: Double
        /// Whether the ends are raw values, not engineering values.
        package var isRaw: Bool
        /// The status of a value outside: Bad, which drops the value, or Uncertain, which keeps it.
        package var statusOutside: StatusCode

        package init(minimum: Double, maximum: Double, isRaw: Bool, statusOutside: StatusCode) {
            self.minimum = minimum
            self.maximum = maximum
            self.isRaw = isRaw
            self.statusOutside = statusOutside
        }

        package func contains(_ number: Double) -> Bool { minimum <= number && number <= maximum }
    }

    /// What the device gives instead of a value that it does not have: the value's bits, put in order, before any conversion.
    package var notAvailable: [UInt64]
    package var valid: ValidRange?
    /// In place of a linear scaling; the stored value is then the engineering value, a `float64`.
    package var table: ConversionTable?

    package init(notAvailable: [UInt64] = [], valid: ValidRange? = nil, table: ConversionTable? = nil) {
        self.notAvailable = notAvailable
        self.valid = valid
        self.table = table
    }

    /// The most marks of a missing value one tag may have.
    package static let notAvailableMax = 16
}
