internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// What the batches of a stream look like, as far as is known.
typealias Catalogue = (StreamID) -> StreamDescriptor?

/// Reads the records of one segment in order, a bounded piece at a time, and finds its way past damage.
final class SegmentReader {
    private let file: OpenFile
    private let epoch: UInt32
    private let catalogue: Catalogue
    private let isCatalogueFirst: Bool
    /// Where the bytes that count end.
    var end: Int
    /// Where the next record begins.
    private(set) var offset = JournalFormat.segmentHeaderBytes
    /// Behind the last record that was read.
    private(set) var wholeThrough = JournalFormat.segmentHeaderBytes
    /// Bytes that were passed over because they are not records.
    private(set) var damagedBytes = 0
    /// Kind and place in the file of the payload of the record that was read last.
    private(set) var lastKind = JournalRecord.Kind.descriptor
    private(set) var lastPayload = 0..<0
    /// What was said of the clock in what was read.
    private(set) var statements: [ClockStatement] = []
    private(set) var descriptors: [StreamID: StreamDescriptor] = [:]
    private var buffer: [UInt8] = []
    private var bufferStart = JournalFormat.segmentHeaderBytes

    /// Bytes read at a time; a longer record is read whole.
    private static let pieceBytes = 256 << 10

    /// `catalogue` helps out where a descriptor of the segment's own is damaged; if it comes first, only those that it lacks are decoded.
    init(path: String, epoch: UInt32, end: Int, isCatalogueFirst: Bool = false, catalogue: @escaping Catalogue) throws(GatewayError) {
        file = try OpenFile(path, O_RDONLY)
        self.catalogue = catalogue
        self.isCatalogueFirst = isCatalogueFirst
        self.epoch = epoch
        self.end = min(end, file.size)
    }

    /// Reads and checks the head of a segment file.
    static func header(path: String) throws(GatewayError) -> Result<SegmentHeader, SegmentHeader.Refusal> {
        // Whatever else has taken the name must not keep a log closed.
        guard Files.isFile(path) else { return .failure(.damaged("it is no file")) }
        let bytes = try OpenFile(path, O_RDONLY).bytes(at: 0, count: JournalFormat.segmentHeaderBytes)
        return bytes.withUnsafeBytes { buffer in Result { () throws(SegmentHeader.Refusal) in try SegmentHeader(decoding: buffer) } }
    }

    /// The next batch or loss with a position beyond `position`; `nil` at the end.
    func next(after position: UInt64) throws(GatewayError) -> JournalRecord? {
        while offset < end {
            switch try step(at: offset) {
            case .record(let kind, let payload, let length):
                let found = decode(kind, payload: payload, after: position)
                switch found {
                case .unwanted: accept(length)
                case .record(let record):
                    lastKind = kind
                    lastPayload = (offset + JournalFormat.recordHeaderBytes)..<(offset + length)
                    accept(length)
                    return record
                case .meaningless: try resynchronize()
                }
            case .damaged, .incomplete: try resynchronize()
            }
        }
        return nil
    }

    private func accept(_ length: Int) {
        offset += length
        wholeThrough = offset
    }

    private enum Decoded {
        case unwanted, meaningless
        case record(JournalRecord)
    }

    private func decode(_ kind: JournalRecord.Kind, payload: Range<Int>, after position: UInt64) -> Decoded {
        buffer.withUnsafeBytes { bytes in
            let payload = UnsafeRawBufferPointer(rebasing: bytes[payload])
            // The last position a record speaks of comes first in a batch and second in a loss.
            let place = kind == .loss ? 8 : 0
            if kind != .descriptor, kind != .clock, payload.count >= place + 8, payload.littleEndian(UInt64.self, at: place) <= position {
                return .unwanted
            }
            if kind == .descriptor, isCatalogueFirst, payload.count >= 4 {
                let stream = StreamID(rawValue: payload.littleEndian(UInt32.self, at: 0))
                if let known = catalogue(stream) {
                    descriptors[stream] = known
                    return .unwanted
                }
            }
            guard let record = JournalRecord(kind, payload: payload, epoch: epoch) else { return .meaningless }
            switch record {
            case .descriptor(let stream, let descriptor):
                descriptors[stream] = descriptor
                return .unwanted
            case .batch(_, let batch):
                guard let descriptor = descriptors[batch.stream] ?? catalogue(batch.stream), batch.fits(descriptor) else {
                    return .meaningless
                }
            case .clock(let statement):
                statements.append(statement)
                return .unwanted
            case .loss: break
            }
            return .record(record)
        }
    }

    private enum FileStep {
        case record(JournalRecord.Kind, payload: Range<Int>, length: Int)
        case incomplete, damaged
    }

    /// Looks at what stands at a place of the file, reading as much of it as that takes.
    private func step(at place: Int) throws(GatewayError) -> FileStep {
        while true {
            let step = buffer.withUnsafeBytes { bytes in
                place - bufferStart > bytes.count
                    ? RecordScanner.Step.incomplete(needed: JournalFormat.recordHeaderBytes)
                    : RecordScanner.step(bytes, at: place - bufferStart, remainingInFile: end - place)
            }
            switch step {
            case .record(let kind, let payload):
                return .record(kind, payload: payload, length: JournalFormat.recordHeaderBytes + payload.count)
            case .damaged: return .damaged
            case .incomplete(let needed):
                guard try fill(from: place, atLeast: needed) else { return .incomplete }
            }
        }
    }

    /// Reads a piece that begins at `place`; `false` when the file has not that many bytes.
    private func fill(from place: Int, atLeast needed: Int) throws(GatewayError) -> Bool {
        buffer = try file.bytes(at: place, count: min(max(needed, SegmentReader.pieceBytes), end - place))
        bufferStart = place
        return buffer.count >= needed
    }

    /// Goes on to the next whole record after damage, or to the end where none is found.
    private func resynchronize() throws(GatewayError) {
        let start = offset
        var effort = JournalFormat.resynchronizationEffort * max(end, 1 << 20)
        var place = offset + 1
        while place + JournalFormat.recordHeaderBytes <= end, effort > 0 {
            if let candidate = try nextCandidate(from: place) {
                place = candidate
            } else {
                break
            }
            if case .record(_, _, let length) = try step(at: place) {
                effort -= length
                damagedBytes += place - start
                offset = place
                return
            }
            effort -= SegmentReader.pieceBytes / 16
            place += 1
        }
        damagedBytes += end - start
        offset = end
    }

    /// The next place whose eight bytes could be a record's length and kind.
    private func nextCandidate(from start: Int) throws(GatewayError) -> Int? {
        var place = start
        while place + JournalFormat.recordHeaderBytes <= end {
            if place < bufferStart || place + JournalFormat.recordHeaderBytes > bufferStart + buffer.count {
                guard try fill(from: place, atLeast: JournalFormat.recordHeaderBytes) else { return nil }
            }
            let found = buffer.withUnsafeBytes { bytes -> Int? in
                var index = place - bufferStart
                while index + JournalFormat.recordHeaderBytes <= bytes.count {
                    if JournalRecord.Kind(rawValue: bytes.littleEndian(UInt32.self, at: index + 4)) != nil,
                        Int(bytes.littleEndian(UInt32.self, at: index)) <= end - bufferStart - index - JournalFormat.recordHeaderBytes
                    {
                        return index
                    }
                    index += 1
                }
                place = bufferStart + index
                return nil
            }
            if let found { return bufferStart + found }
        }
        return nil
    }
}
