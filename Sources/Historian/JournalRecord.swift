internal import GatewayCore
package import Telemetry

/// Batches that were taken in and can never be read again: their values were given up while the disk refused.
package struct Loss: Sendable, Hashable {
    /// First and last position that were given up.
    package var first: UInt64
    package var last: UInt64
    /// What the batches held.
    package var counts: [StreamID: StreamCounts]

    package init(first: UInt64, last: UInt64, counts: [StreamID: StreamCounts]) {
        self.first = first
        self.last = last
        self.counts = counts
    }

    package var tallies: StreamTallies { counts.mapValues(\.stored) }
}

/// One record of a segment.
package enum JournalRecord: Sendable, Hashable {
    /// What the batches of a stream look like; before the first of them in every segment.
    case descriptor(StreamID, StreamDescriptor)
    case batch(position: UInt64, SampleBatch)
    case loss(Loss)
    /// How the batches after it were stamped; before the first of them in every segment.
    case clock(ClockStatement)

    package enum Kind: UInt32 {
        case descriptor = 1
        case batch = 2
        case loss = 3
        /// A batch whose time is uncertain, or whose device gave one of its own.
        case stampedBatch = 4
        case clock = 5
    }
}

extension JournalRecord {
    /// Appends the record to `bytes`.
    package func encode(into bytes: inout [UInt8]) {
        switch self {
        case .descriptor(let stream, let descriptor):
            JournalRecord.frame(.descriptor, into: &bytes) { JournalRecord.encode(descriptor, of: stream, into: &$0) }
        case .batch(let position, let batch): JournalRecord.encode(batch, at: position, into: &bytes)
        case .clock(let clock):
            JournalRecord.frame(.clock, into: &bytes) { bytes in
                bytes.append(littleEndian: clock.first)
                bytes.append(littleEndian: clock.boot.high)
                bytes.append(littleEndian: clock.boot.low)
                bytes.append(littleEndian: clock.offset)
                bytes.append(clock.isCertain ? 1 : 0)
            }
        case .loss(let loss):
            JournalRecord.frame(.loss, into: &bytes) { bytes in
                bytes.append(littleEndian: loss.first)
                bytes.append(littleEndian: loss.last)
                bytes.append(littleEndian: UInt32(loss.counts.count))
                for (stream, counts) in loss.counts.sorted(by: { $0.key < $1.key }) {
                    bytes.append(littleEndian: stream.rawValue)
                    counts.encode(into: &bytes)
                }
            }
        }
    }

    /// What a record of the kind `stampedBatch` says of its time.
    private struct StampFlags: OptionSet {
        var rawValue: UInt8
        static let isTimeUncertain = StampFlags(rawValue: 1 << 0)
        static let hasSourceTime = StampFlags(rawValue: 1 << 1)
        static let isToBeCorrected = StampFlags(rawValue: 1 << 2)
        static let all: StampFlags = [.isTimeUncertain, .hasSourceTime, .isToBeCorrected]

        init(rawValue: UInt8) { self.rawValue = rawValue }

        init(of batch: SampleBatch) {
            self = []
            if batch.isTimeUncertain { insert(.isTimeUncertain) }
            if batch.sourceTime != nil { insert(.hasSourceTime) }
            if batch.clockMapping != 0 { insert(.isToBeCorrected) }
        }
    }

    /// Appends a batch's record: what the commit does most.
    static func encode(_ batch: SampleBatch, at position: UInt64, into bytes: inout [UInt8]) {
        let flags = StampFlags(of: batch)
        frame(flags.isEmpty ? .batch : .stampedBatch, into: &bytes) { bytes in
            bytes.append(littleEndian: position)
            bytes.append(littleEndian: batch.sequence)
            bytes.append(littleEndian: batch.time.nanoseconds)
            bytes.append(littleEndian: batch.stream.rawValue)
            bytes.append(littleEndian: batch.suppressedPolls)
            bytes.append(littleEndian: UInt32(batch.quality.count))
            bytes.append(littleEndian: UInt32(batch.presence.count))
            bytes.append(littleEndian: UInt32(batch.values.count))
            for run in batch.quality {
                bytes.append(littleEndian: UInt32(run.count))
                bytes.append(littleEndian: run.status.rawValue)
            }
            for word in batch.presence { bytes.append(littleEndian: word) }
            bytes.append(contentsOf: batch.values)
            guard !flags.isEmpty else { return }
            bytes.append(littleEndian: batch.sourceTime?.nanoseconds ?? 0)
            bytes.append(flags.rawValue)
        }
    }

    /// The payload of a descriptor: also how the catalogue keeps it.
    static func encode(_ descriptor: StreamDescriptor, of stream: StreamID, into bytes: inout [UInt8]) {
        bytes.append(littleEndian: stream.rawValue)
        bytes.append(text: descriptor.device)
        bytes.append(text: descriptor.group)
        bytes.append(littleEndian: UInt32(descriptor.tags.count))
        for tag in descriptor.tags {
            bytes.append(text: tag.name)
            bytes.append(tag.dataType.rawValue)
            bytes.append(littleEndian: UInt16(tag.stringCapacity))
            bytes.append(littleEndian: tag.scaling.scale.bitPattern)
            bytes.append(littleEndian: tag.scaling.offset.bitPattern)
            bytes.append(text: tag.unit)
        }
    }

    /// Length, kind and checksum around a payload.
    private static func frame(_ kind: Kind, into bytes: inout [UInt8], _ payload: (inout [UInt8]) -> Void) {
        let start = bytes.count
        bytes.append(littleEndian: UInt32(0))
        bytes.append(littleEndian: kind.rawValue)
        bytes.append(littleEndian: UInt32(0))
        payload(&bytes)
        bytes.withUnsafeMutableBytes { bytes in
            let count = bytes.count - start - JournalFormat.recordHeaderBytes
            bytes.storeLittleEndian(UInt32(count), at: start)
            bytes.storeLittleEndian(checksum(UnsafeRawBufferPointer(rebasing: bytes[start...])), at: start + 8)
        }
    }

    /// The checksum of a whole record: of everything but the checksum itself.
    static func checksum(_ record: UnsafeRawBufferPointer) -> UInt32 {
        let head = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: record[..<8]))
        return CRC32C.checksum(UnsafeRawBufferPointer(rebasing: record[JournalFormat.recordHeaderBytes...]), after: head)
    }
}

extension JournalRecord {
    /// Decodes a payload whose checksum held. `nil` for one that is not of its kind: a checksum does not make bytes meaningful.
    ///
    /// `epoch` is that of the segment.
    package init?(_ kind: Kind, payload: UnsafeRawBufferPointer, epoch: UInt32) {
        var reader = ByteReader(payload)
        switch kind {
        case .descriptor:
            guard let (stream, descriptor) = JournalRecord.descriptor(from: &reader) else { return nil }
            self = .descriptor(stream, descriptor)
        case .batch, .stampedBatch:
            let isStamped = kind == .stampedBatch
            guard let (position, batch) = JournalRecord.batch(from: &reader, epoch: epoch, isStamped: isStamped) else { return nil }
            self = .batch(position: position, batch)
        case .loss:
            guard let loss = JournalRecord.loss(from: &reader) else { return nil }
            self = .loss(loss)
        case .clock:
            guard let clock = JournalRecord.clock(from: &reader, epoch: epoch) else { return nil }
            self = .clock(clock)
        }
        guard reader.remaining == 0 else { return nil }
    }

    static func descriptor(from reader: inout ByteReader) -> (StreamID, StreamDescriptor)? {
        guard let stream = JournalRecord.stream(from: &reader), let device = reader.text(), let group = reader.text(),
            let count = reader.count(ofWidth: tagBytesMin), count <= StreamDescriptor.tagsMax
        else { return nil }
        var tags: [Tag] = []
        tags.reserveCapacity(count)
        var valueBytes = 0
        for _ in 0..<count {
            guard let name = reader.text(), let code = reader.integer(UInt8.self), let type = DataType(rawValue: code),
                let capacity = reader.integer(UInt16.self), capacity <= Tag.stringCapacityMax, (capacity > 0) == (type == .string),
                let scale = reader.integer(UInt64.self), let offset = reader.integer(UInt64.self), let unit = reader.text()
            else { return nil }
            let scaling = Scaling(scale: Double(bitPattern: scale), offset: Double(bitPattern: offset))
            let tag = Tag(name, type, scaling: scaling, unit: unit, stringCapacity: Int(capacity))
            valueBytes += tag.slotWidth
            guard valueBytes <= JournalFormat.valueBytesMax else { return nil }
            tags.append(tag)
        }
        return (stream, StreamDescriptor(device: device, group: group, tags: tags))
    }

    private static func batch(from reader: inout ByteReader, epoch: UInt32, isStamped: Bool) -> (UInt64, SampleBatch)? {
        guard let position = reader.integer(UInt64.self), let sequence = reader.integer(UInt64.self),
            let time = reader.integer(Int64.self), let stream = stream(from: &reader), let suppressed = reader.integer(UInt32.self),
            let runs = reader.integer(UInt32.self), runs <= StreamDescriptor.tagsMax,
            let words = reader.integer(UInt32.self), words <= (StreamDescriptor.tagsMax + 63) / 64,
            let width = reader.integer(UInt32.self), width <= JournalFormat.valueBytesMax,
            reader.remaining == Int(runs) * 8 + Int(words) * 8 + Int(width) + (isStamped ? stampBytes : 0)
        else { return nil }
        var quality: [QualityRun] = []
        quality.reserveCapacity(Int(runs))
        for _ in 0..<runs {
            guard let count = reader.integer(UInt32.self), let status = reader.integer(UInt32.self) else { return nil }
            quality.append(QualityRun(count: Int(count), status: StatusCode(rawValue: status)))
        }
        var presence: [UInt64] = []
        presence.reserveCapacity(Int(words))
        for _ in 0..<words {
            guard let word = reader.integer(UInt64.self) else { return nil }
            presence.append(word)
        }
        guard let values = reader.bytes(Int(width)) else { return nil }
        var batch = SampleBatch(stream: stream, time: Timestamp(nanoseconds: time), quality: quality, values: Array(values))
        batch.sequence = sequence
        batch.epoch = epoch
        batch.presence = presence
        batch.suppressedPolls = suppressed
        if isStamped {
            guard let sourceTime = reader.integer(Int64.self), let flags = reader.integer(UInt8.self).map(StampFlags.init(rawValue:)),
                flags.isSubset(of: .all), !flags.isEmpty, flags.contains(.hasSourceTime) || sourceTime == 0,
                flags.contains(.isTimeUncertain) || !flags.contains(.isToBeCorrected)
            else { return nil }
            batch.isTimeUncertain = flags.contains(.isTimeUncertain)
            batch.clockMapping = flags.contains(.isToBeCorrected) ? 1 : 0
            if flags.contains(.hasSourceTime) { batch.sourceTime = Timestamp(nanoseconds: sourceTime) }
        }
        return (position, batch)
    }

    private static func clock(from reader: inout ByteReader, epoch: UInt32) -> ClockStatement? {
        guard let first = reader.integer(UInt64.self), first > 0, first < UInt64.max / 2, let high = reader.integer(UInt64.self),
            let low = reader.integer(UInt64.self), let offset = reader.integer(Int64.self), let isCertain = reader.integer(UInt8.self),
            isCertain <= 1
        else { return nil }
        return ClockStatement(
            epoch: epoch, boot: BootID(high: high, low: low), first: first, offset: offset, isCertain: isCertain == 1)
    }

    private static func loss(from reader: inout ByteReader) -> Loss? {
        guard let first = reader.integer(UInt64.self), let last = reader.integer(UInt64.self), first > 0, first <= last,
            let count = reader.count(ofWidth: 4)
        else { return nil }
        var counts: [StreamID: StreamCounts] = [:]
        for _ in 0..<count {
            guard let stream = stream(from: &reader), let part = StreamCounts(from: &reader) else { return nil }
            counts[stream] = part
        }
        guard counts.count == count else { return nil }
        return Loss(first: first, last: last, counts: counts)
    }

    private static func stream(from reader: inout ByteReader) -> StreamID? {
        guard let number = reader.integer(UInt32.self), number > 0, number <= JournalFormat.streamsMax else { return nil }
        return StreamID(rawValue: number)
    }

    /// Bytes that a `stampedBatch` has more than a `batch`.
    private static let stampBytes = 8 + 1
    /// Bytes of a tag with empty texts in a descriptor.
    private static let tagBytesMin = 2 + 1 + 2 + 8 + 8 + 2
}

extension SampleBatch {
    /// Whether the batch has the shape that a stream's descriptor demands, so that its slots and runs can be read without
    /// looking twice: for batches that come from disk.
    func fits(_ descriptor: StreamDescriptor) -> Bool {
        let tags = descriptor.tags.count
        guard values.count == descriptor.valueBytes, presence.isEmpty || presence.count == (tags + 63) / 64,
            quality.reduce(0, { $0 + $1.count }) == tags
        else { return false }
        guard let last = presence.last, tags & 63 != 0 else { return true }
        return last >> UInt64(tags & 63) == 0
    }
}
