/// Writes samples as rows of PostgreSQL's binary COPY format.
///
/// Columns: time, series, value, integer, boolean, text, quality, time_uncertain, source_time. Source: PostgreSQL 15, "COPY", Binary Format.
package enum CopyEncoder {
    /// Seconds from 1970 to 2000, where PostgreSQL's times begin.
    private static let epochSeconds: Int64 = 946_684_800

    /// What stands before the first row.
    package static let header: [UInt8] = Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0x00] + [UInt8](repeating: 0, count: 8)
    /// What stands after the last.
    package static let trailer: [UInt8] = [0xFF, 0xFF]

    /// Appends one row. `series` is the database's number of the series.
    package static func append(_ sample: Sample, series: Int32, sourceTime: Int64?, texts: [String], to bytes: inout [UInt8]) {
        append(Int16(9), to: &bytes)
        appendTime(sample.time, to: &bytes)
        append(Int32(4), to: &bytes)
        append(series, to: &bytes)
        if sample.kind == .number { appendLong(Int64(bitPattern: sample.bits), to: &bytes) } else { appendNull(to: &bytes) }
        if sample.kind == .integer { appendLong(Int64(bitPattern: sample.bits), to: &bytes) } else { appendNull(to: &bytes) }
        if sample.kind == .boolean { appendBoolean(sample.bits != 0, to: &bytes) } else { appendNull(to: &bytes) }
        if sample.kind == .text {
            // The one byte that PostgreSQL cannot keep in a text.
            let text = texts[Int(sample.bits)].utf8.map { $0 == 0 ? UInt8(ascii: " ") : $0 }
            append(Int32(clamping: text.count), to: &bytes)
            bytes.append(contentsOf: text)
        } else {
            appendNull(to: &bytes)
        }
        appendLong(Int64(sample.status), to: &bytes)
        appendBoolean(sample.isTimeUncertain, to: &bytes)
        if let sourceTime { appendTime(sourceTime, to: &bytes) } else { appendNull(to: &bytes) }
    }

    /// Microseconds since 2000.
    private static func appendTime(_ nanoseconds: Int64, to bytes: inout [UInt8]) {
        let quotient = nanoseconds / 1000
        appendLong((nanoseconds % 1000 < 0 ? quotient - 1 : quotient) - epochSeconds * 1_000_000, to: &bytes)
    }

    private static func appendLong(_ value: Int64, to bytes: inout [UInt8]) {
        append(Int32(8), to: &bytes)
        append(value, to: &bytes)
    }

    private static func appendBoolean(_ value: Bool, to bytes: inout [UInt8]) {
        append(Int32(1), to: &bytes)
        bytes.append(value ? 1 : 0)
    }

    private static func appendNull(to bytes: inout [UInt8]) { append(Int32(-1), to: &bytes) }

    @inline(__always)
    private static func append<Integer: FixedWidthInteger>(_ value: Integer, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }
}
