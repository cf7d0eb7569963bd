internal import Telemetry

/// The bytes of the file `catalogue`: a magic, then the descriptors of all streams as records of the journal.
enum CatalogueFormat {
    private static let magic: [UInt8] = Array("IECATAL\n".utf8)
    /// More is not read: nothing that a log wrote is as large.
    static let bytesMax = 256 << 20

    static func encode(_ streams: [StreamID: StreamDescriptor]) -> [UInt8] {
        var bytes = magic
        for (id, descriptor) in streams.sorted(by: { $0.key < $1.key }) { JournalRecord.descriptor(id, descriptor).encode(into: &bytes) }
        return bytes
    }

    /// The streams up to the first damage; none in bytes that are no catalogue.
    static func decode(_ bytes: UnsafeRawBufferPointer) -> [StreamID: StreamDescriptor] {
        guard bytes.starts(with: magic) else { return [:] }
        var streams: [StreamID: StreamDescriptor] = [:]
        var place = magic.count
        while case .record(let kind, let payload) = RecordScanner.step(bytes, at: place, remainingInFile: bytes.count - place),
            case .descriptor(let id, let descriptor)? = JournalRecord(
                kind, payload: UnsafeRawBufferPointer(rebasing: bytes[payload]), epoch: 0)
        {
            streams[id] = descriptor
            place = payload.upperBound
        }
        return streams
    }
}
