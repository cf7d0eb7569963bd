/// Columns to bytes and back, without losing a bit: the encodings of the log's chunks.
///
/// A column's bytes hold neither its kind nor its number of rows; both come from the caller. The bytes of given values never change
/// within a format version. Format: `docs/format/chunk.md`.
package enum ColumnCodec {
    /// The version of the encodings that this program writes, and the newest it reads.
    package static let formatVersion: UInt16 = 1
    /// Most rows of one column.
    package static let rowsMax = 1_048_576
    /// Most bytes of all distinct texts of one column together.
    package static let textBytesMax = 64 << 20
}

/// Why bytes are not a column of the kind and the number of rows that were asked for.
package enum ColumnError: Error, Hashable, Sendable {
    /// Cut short, followed by other bytes, or contradicting themselves.
    case damaged
    /// The encoding byte is none of this version: written by a newer one.
    case unknownEncoding(UInt8)
    /// More rows were asked for than ``ColumnCodec/rowsMax``.
    case tooManyRows(Int)
}

/// How the residuals of an integer column relate to its values: bits 4 to 6 of the encoding byte.
enum Prediction: UInt8 {
    case none = 0
    case delta = 1
    case deltaOfDelta = 2
    case line = 3

    /// Values that lie in the head, not among the residuals.
    var headCount: Int {
        switch self {
        case .none, .line: 0
        case .delta: 1
        case .deltaOfDelta: 2
        }
    }
}

/// How the residuals of an integer column are laid out: bits 0 to 3 of the encoding byte.
enum Layout: UInt8 {
    case constant = 1
    case packed = 2
    case runs = 3
    case dictionary = 4

    /// Whether the format has this layout after that prediction.
    func allows(_ prediction: Prediction) -> Bool {
        switch self {
        case .packed: true
        case .constant, .runs: prediction == .none || prediction == .delta
        case .dictionary: prediction == .none
        }
    }
}

/// Numbers of the format that encoder and decoder share.
enum ColumnFormat {
    /// Residuals per block.
    static let blockRows = 256
    /// The bit of an encoding byte that announces a common divisor.
    static let divisorFlag: UInt8 = 0x80
    /// The bit of a block's width that announces exceptions.
    static let exceptionFlag: UInt8 = 0x80
    /// Binary digits of a line's slope behind the point.
    static let slopeFraction: Int64 = 8
    /// Most entries of a dictionary of integers.
    static let dictionaryMax = 256
    /// Float column: ordered patterns as integers.
    static let orderedPatterns: UInt8 = 1
    /// Float column: decimal numbers.
    static let decimal: UInt8 = 2
    /// Largest power of ten of a decimal column.
    static let exponentMax = 15
    /// Text column: dictionary and indices.
    static let distinctTexts: UInt8 = 1

    /// Bits needed for numbers up to `largest`; 0 for 0.
    @inline(__always)
    static func width(of largest: UInt64) -> Int { 64 &- largest.leadingZeroBitCount }

    /// Small for numbers near zero of either sign.
    @inline(__always)
    static func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: (value &<< 1) ^ (value &>> 63)) }

    /// The inverse of ``zigzag(_:)``.
    @inline(__always)
    static func unzigzag(_ value: UInt64) -> Int64 { Int64(bitPattern: (value &>> 1) ^ (0 &- (value & 1))) }

    /// Bytes of `value` as uvarint.
    @inline(__always)
    static func uvarintBytes(_ value: UInt64) -> Int { (width(of: value | 1) &+ 6) / 7 }
}
