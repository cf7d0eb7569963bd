internal import Telemetry

/// Finds the records in a piece of a segment, and the next whole one after damage.
struct RecordScanner {
    enum Step {
        /// A record whose checksum holds; the payload lies in the given range of the bytes.
        case record(JournalRecord.Kind, payload: Range<Int>)
        /// The bytes end within what may be a record; it needs this many from `offset`.
        case incomplete(needed: Int)
        /// What stands here is not a record.
        case damaged
    }

    /// Looks at the record that begins at `offset`. `remainingInFile` counts the bytes from `offset` to the segment's end.
    static func step(_ bytes: UnsafeRawBufferPointer, at offset: Int, remainingInFile: Int) -> Step {
        let available = bytes.count - offset
        guard remainingInFile >= JournalFormat.recordHeaderBytes else { return .damaged }
        guard available >= JournalFormat.recordHeaderBytes else { return .incomplete(needed: JournalFormat.recordHeaderBytes) }
        let length = Int(bytes.littleEndian(UInt32.self, at: offset))
        guard let kind = JournalRecord.Kind(rawValue: bytes.littleEndian(UInt32.self, at: offset + 4)),
            length <= JournalFormat.payloadBytesMax, length <= remainingInFile - JournalFormat.recordHeaderBytes
        else { return .damaged }
        let end = offset + JournalFormat.recordHeaderBytes + length
        guard end <= bytes.count else { return .incomplete(needed: end - offset) }
        let record = UnsafeRawBufferPointer(rebasing: bytes[offset..<end])
        guard JournalRecord.checksum(record) == bytes.littleEndian(UInt32.self, at: offset + 8) else { return .damaged }
        return .record(kind, payload: (offset + JournalFormat.recordHeaderBytes)..<end)
    }
}
