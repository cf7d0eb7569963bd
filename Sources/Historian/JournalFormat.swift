package import Telemetry

/// Names and limits of the journal's files, as `docs/format/journal.md` lays them down.
package enum JournalFormat {
    /// The version this program writes, and the newest it reads.
    package static let version: UInt16 = 2
    /// The first bytes of every segment: `IEJRNL`, then a line end that text-mode copying would change.
    static let magic: [UInt8] = Array("IEJRNL\r\n".utf8)
    package static let segmentHeaderBytes = 48
    package static let recordHeaderBytes = 12
    /// Longest payload of a record; a longer length field is damage.
    package static let payloadBytesMax = 16 << 20
    /// Longest slots of one batch; streams with more are not registered.
    package static let valueBytesMax = 4 << 20
    /// Most streams of one store: no number is higher.
    package static let streamsMax: UInt32 = 65_535
    /// Checksummed bytes, in segments' lengths, that the search for the next whole record after damage may cost.
    static let resynchronizationEffort = 4
}

/// The head of a segment file: who wrote it, and where in the log it begins.
package struct SegmentHeader: Sendable, Hashable {
    package var epoch: UInt32
    /// Grows by one with every segment of a store.
    package var number: UInt64
    /// The position of the first batch or loss in it.
    package var base: UInt64
    package var created: Timestamp

    package init(epoch: UInt32, number: UInt64, base: UInt64, created: Timestamp) {
        self.epoch = epoch
        self.number = number
        self.base = base
        self.created = created
    }

    package enum Refusal: Error, Hashable, Sendable {
        /// Shorter than a header, foreign, or with a wrong checksum.
        case damaged(String)
        /// Written by a newer version of the program.
        case newer(version: UInt16)
    }

    package func encode(into bytes: inout [UInt8]) {
        let start = bytes.count
        bytes.append(contentsOf: JournalFormat.magic)
        bytes.append(littleEndian: JournalFormat.version)
        bytes.append(littleEndian: UInt16(JournalFormat.segmentHeaderBytes))
        bytes.append(littleEndian: epoch)
        bytes.append(littleEndian: number)
        bytes.append(littleEndian: base)
        bytes.append(littleEndian: created.nanoseconds)
        bytes.append(littleEndian: UInt32(0))
        let checksum = bytes.withUnsafeBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[start...])) }
        bytes.append(littleEndian: checksum)
    }

    package init(decoding bytes: UnsafeRawBufferPointer) throws(Refusal) {
        guard bytes.count >= JournalFormat.segmentHeaderBytes else {
            throw .damaged("the file has \(bytes.count) bytes, but a segment header needs \(JournalFormat.segmentHeaderBytes)")
        }
        guard bytes.prefix(JournalFormat.magic.count).elementsEqual(JournalFormat.magic) else {
            throw .damaged("the file does not begin with the magic bytes of a journal segment")
        }
        let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[..<44]))
        let expected = bytes.littleEndian(UInt32.self, at: 44)
        guard checksum == expected else {
            throw .damaged("the header's checksum is \(hex(checksum)), but the file says \(hex(expected))")
        }
        let version = bytes.littleEndian(UInt16.self, at: 8)
        guard version <= JournalFormat.version else { throw .newer(version: version) }
        if version == 0 { throw .damaged("its format version is 0") }
        epoch = bytes.littleEndian(UInt32.self, at: 12)
        number = bytes.littleEndian(UInt64.self, at: 16)
        base = bytes.littleEndian(UInt64.self, at: 24)
        created = Timestamp(nanoseconds: bytes.littleEndian(Int64.self, at: 32))
        // Positions grow by addition; a base near the end of 64 bits can only be a lie.
        guard base > 0, base < UInt64.max / 2, number < UInt64.max / 2 else {
            throw .damaged("the base position is \(base), but must be from 1 to \(UInt64.max / 2)")
        }
    }
}

func hex(_ value: UInt32) -> String { "0x" + String(value, radix: 16, uppercase: true) }
