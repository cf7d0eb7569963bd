/// What a run of registers may be.
package enum FieldKind: String, Sendable, Hashable, CaseIterable {
    case uint16, int16, uint32, int32, float32, uint64, int64, float64, string

    /// Registers of one value; strings take one at a time.
    package var registerCount: Int {
        switch self {
        case .uint16, .int16, .string: 1
        case .uint32, .int32, .float32: 2
        case .uint64, .int64, .float64: 4
        }
    }

    var isSigned: Bool { self == .int16 || self == .int32 || self == .int64 }

    /// How many bits it takes to say that a value is of this kind: plain registers are what devices have most.
    var priorBits: Double {
        switch self {
        case .uint16: 0
        case .int16: 0.5
        case .float32: 1
        case .uint32: 2
        case .int32: 3
        case .float64, .uint64: 4
        case .int64: 5
        case .string: 3
        }
    }
}
