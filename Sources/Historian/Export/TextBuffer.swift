internal import Telemetry

/// Text on its way to a file: bytes of UTF-8 that a caller takes out piece by piece.
package struct TextBuffer: Sendable {
    package private(set) var bytes: [UInt8] = []
    private var day: Int64 = .min
    private var date: [UInt8] = []

    package init() {}

    package var count: Int { bytes.count }

    /// Takes out what is there.
    package mutating func take() -> [UInt8] {
        let taken = bytes
        bytes = []
        bytes.reserveCapacity(taken.count)
        return taken
    }

    mutating func append(_ byte: UInt8) { bytes.append(byte) }
    mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }
    mutating func append(_ part: [UInt8]) { bytes.append(contentsOf: part) }

    mutating func append(integer value: Int64) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        append(unsigned: value.magnitude)
    }

    mutating func append(unsigned value: UInt64) {
        if value < 10 { return bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value)) }
        var width = 2
        var power: UInt64 = 100
        while width < 20, value >= power {
            width += 1
            if width < 20 { power *= 10 }
        }
        append(padded: value, width)
    }

    /// `width` digits with leading zeros.
    private mutating func append(padded value: UInt64, _ width: Int) {
        for _ in 0..<width { bytes.append(UInt8(ascii: "0")) }
        var rest = value
        var index = bytes.count
        bytes.withUnsafeMutableBufferPointer { bytes in
            while rest > 0, index > 0 {
                index &-= 1
                let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
                bytes[index] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: digit)
                rest = quotient
            }
        }
    }

    private mutating func append(padded value: Int64, _ width: Int) { append(padded: UInt64(max(0, value)), width) }

    /// `raw` with a point before the last `digits` digits; at least one digit stays behind it, trailing zeros do not.
    mutating func append(decimal raw: Int64, digits: Int) {
        if raw < 0 { bytes.append(UInt8(ascii: "-")) }
        var power: UInt64 = 1
        for _ in 0..<digits { power *= 10 }
        let (whole, fraction) = raw.magnitude.quotientAndRemainder(dividingBy: power)
        append(unsigned: whole)
        bytes.append(UInt8(ascii: "."))
        append(padded: fraction, digits)
        for _ in 1..<max(1, digits) where bytes.last == UInt8(ascii: "0") { bytes.removeLast() }
    }

    /// RFC 3339 in UTC with three, six or nine fractional digits, as many as the time needs.
    mutating func append(_ time: Timestamp) {
        let nanosecondsPerDay: Int64 = 86_400_000_000_000
        var (days, rest) = time.nanoseconds.quotientAndRemainder(dividingBy: nanosecondsPerDay)
        if rest < 0 {
            days -= 1
            rest += nanosecondsPerDay
        }
        if days != day { changeDay(to: days) }
        bytes.append(contentsOf: date)
        let seconds = rest / 1_000_000_000
        let fraction = rest % 1_000_000_000
        append(padded: seconds / 3600, 2)
        bytes.append(UInt8(ascii: ":"))
        append(padded: seconds / 60 % 60, 2)
        bytes.append(UInt8(ascii: ":"))
        append(padded: seconds % 60, 2)
        bytes.append(UInt8(ascii: "."))
        if fraction % 1_000_000 == 0 {
            append(padded: fraction / 1_000_000, 3)
        } else if fraction % 1000 == 0 {
            append(padded: fraction / 1000, 6)
        } else {
            append(padded: fraction, 9)
        }
        bytes.append(UInt8(ascii: "Z"))
    }

    /// Rows of one day share its date.
    private mutating func changeDay(to days: Int64) {
        let (year, month, dayOfMonth) = Timestamp.civil(daysSince1970: days)
        let start = bytes.count
        append(padded: year, 4)
        bytes.append(UInt8(ascii: "-"))
        append(padded: month, 2)
        bytes.append(UInt8(ascii: "-"))
        append(padded: dayOfMonth, 2)
        bytes.append(UInt8(ascii: "T"))
        date = Array(bytes[start...])
        bytes.removeSubrange(start...)
        day = days
    }

    /// A finite number in the fewest digits that read back as the same one; NaN and infinities by the names given.
    mutating func append(_ value: Double, notANumber: String = "NaN", infinity: String = "Infinity") {
        if value.isFinite { return append("\(value)") }
        append(value.isNaN ? notANumber : value < 0 ? "-" + infinity : infinity)
    }

    /// A value that is not a text; numbers that are not finite are `NaN`, `Infinity`, `-Infinity`.
    mutating func append(_ cell: Cell) {
        switch cell {
        case .bool(let value): append(value ? "true" : "false")
        case .integer(let value): append(integer: value)
        case .unsigned(let value): append(unsigned: value)
        case .decimal(let value, let digits): append(decimal: value, digits: digits)
        case .float(let value): if value.isFinite { append("\(value)") } else { append(Double(value)) }
        case .real(let value): append(value)
        case .text(let value): append(value)
        case .time(let value): append(value)
        }
    }

    /// The quality of a row: the status that all entries have, else those that are not Good by name.
    mutating func append(qualityOf row: OutputRow, in shape: OutputShape) {
        if let shared = row.sharedStatus { return append(shared.description) }
        var isFirst = true
        for entry in row.entries where entry.status != .good {
            if !isFirst { append(UInt8(ascii: ";")) }
            isFirst = false
            append(shape.series[entry.series].name)
            append(UInt8(ascii: "="))
            append(entry.status.description)
        }
    }
}

/// Writes the rows of an answer in some format.
package protocol RowWriter {
    /// What comes before the first row.
    mutating func begin(into text: inout TextBuffer)
    mutating func write(_ row: OutputRow, into text: inout TextBuffer)
    /// How many values were left out because the format has no form for them.
    var valuesLeftOut: Int { get }
}

extension RowWriter {
    package var valuesLeftOut: Int { 0 }
}

/// How rows become lines.
package enum TableLayout: String, Sendable, CaseIterable {
    /// A line per row, a column per series.
    case wide
    /// A line per row and series.
    case long
}
