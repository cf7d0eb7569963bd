/// Consecutive tags of a batch that share a status.
package struct QualityRun: Sendable, Hashable {
    package var count: Int
    package var status: StatusCode

    package init(count: Int, status: StatusCode) {
        self.count = count
        self.status = status
    }

    /// The runs of a status per tag.
    package static func runs(of statuses: some Sequence<StatusCode>) -> [QualityRun] {
        var runs: [QualityRun] = []
        for status in statuses {
            if runs.last?.status == status {
                runs[runs.count - 1].count += 1
            } else {
                runs.append(QualityRun(count: 1, status: status))
            }
        }
        return runs
    }
}

/// The samples of one poll of one stream: one timestamp, runs of quality, and the raw values side by side.
///
/// `values` holds a slot per tag of the stream's `StreamDescriptor`, in tag order, without padding: little-endian
/// two's complement integers, IEEE 754 floats, one byte 0/1 for `bool`; a string slot is a little-endian `UInt16`
/// byte count, then that many bytes of UTF-8, then zeros. The slot of a tag that is Bad or absent is all zeros.
package struct SampleBatch: Sendable, Hashable {
    package var stream: StreamID
    /// Unique per (gateway, epoch, stream); given by the log when it takes the batch, 0 before.
    package var sequence: UInt64
    /// Which start of the process took the samples; given by the log when it takes the batch, 0 before.
    package var epoch: UInt32
    /// When the poll began: no value is older than this.
    package var time: Timestamp
    /// Whether the clock was not known to be right when it told `time`. Says nothing about the values.
    package var isTimeUncertain: Bool
    /// Which mapping of this process's clock told an uncertain `time`; 0 where the time will not be corrected any more.
    /// A log that is read later gives its own; on disk there is none.
    package var clockMapping: UInt32
    /// The device's own time for these values, where it gives one: kept beside `time`, never in its place.
    package var sourceTime: Timestamp?
    /// Runs in tag order; their counts add up to the number of tags of the stream.
    package var quality: [QualityRun]
    /// Which tags the batch has: bit `i % 64` of word `i / 64` is tag `i`. Empty: all of them.
    /// A tag is absent when its deadband suppressed it.
    package var presence: [UInt64]
    /// How many whole polls of this stream its deadbands suppressed since the batch before this one.
    package var suppressedPolls: UInt32
    /// One slot per tag.
    package var values: [UInt8]

    package init(stream: StreamID, time: Timestamp, quality: [QualityRun], values: [UInt8]) {
        self.stream = stream
        sequence = 0
        epoch = 0
        self.time = time
        isTimeUncertain = false
        clockMapping = 0
        sourceTime = nil
        self.quality = quality
        presence = []
        suppressedPolls = 0
        self.values = values
    }

    /// A batch whose tags all have one status; Bad batches carry no values.
    package init(stream: StreamID, descriptor: StreamDescriptor, time: Timestamp, status: StatusCode) {
        self.init(
            stream: stream, time: time, quality: [QualityRun(count: descriptor.tags.count, status: status)],
            values: [UInt8](repeating: 0, count: descriptor.valueBytes))
    }

    /// `time` and what is known of the clock that told it: what derived batches take over from their cause.
    package var stamp: ClockStamp {
        get { ClockStamp(time: time, isUncertain: isTimeUncertain, mapping: clockMapping) }
        set {
            time = newValue.time
            isTimeUncertain = newValue.isUncertain
            clockMapping = newValue.mapping
        }
    }

    /// Whether every tag of the stream is in the batch.
    package var isComplete: Bool { presence.isEmpty }

    package func has(_ tag: Int) -> Bool { presence.isEmpty || presence[tag >> 6] >> UInt64(tag & 63) & 1 == 1 }

    /// How many samples the batch holds, for a stream of `tagCount` tags.
    package func sampleCount(of tagCount: Int) -> Int {
        presence.isEmpty ? tagCount : presence.reduce(0) { $0 + $1.nonzeroBitCount }
    }

    /// Whether every tag is Good.
    package var isGood: Bool { quality.allSatisfy { $0.status.isGood } }

    /// The status of one tag. Linear in the number of runs: for single values, not for loops over a batch.
    package func status(of tag: Int) -> StatusCode {
        var first = 0
        for run in quality {
            first += run.count
            if tag < first { return run.status }
        }
        return .badUnexpectedError
    }
}

extension SampleBatch {
    /// One tag's engineering value, for places that show single values. `nil` if the batch does not have the tag.
    package func value(of tag: Int, in descriptor: StreamDescriptor) -> DataValue? {
        guard has(tag) else { return nil }
        let status = status(of: tag)
        let value = status.isBad ? nil : raw(of: tag, in: descriptor).scaled(by: descriptor.tags[tag].scaling)
        return DataValue(value: value, status: status, time: time, isTimeUncertain: isTimeUncertain, sourceTime: sourceTime)
    }

    /// One tag's raw value, whatever its quality.
    package func raw(of tag: Int, in descriptor: StreamDescriptor) -> Variant {
        let offset = descriptor.offsets[tag]
        let capacity = descriptor.tags[tag].stringCapacity
        return values.withUnsafeBytes { bytes in
            switch descriptor.tags[tag].dataType {
            case .bool: .bool(bytes[offset] != 0)
            case .int8: .int(Int64(Int8(bitPattern: bytes[offset])))
            case .uint8: .uint(UInt64(bytes[offset]))
            case .int16: .int(Int64(bytes.littleEndian(Int16.self, at: offset)))
            case .uint16: .uint(UInt64(bytes.littleEndian(UInt16.self, at: offset)))
            case .int32: .int(Int64(bytes.littleEndian(Int32.self, at: offset)))
            case .uint32: .uint(UInt64(bytes.littleEndian(UInt32.self, at: offset)))
            case .int64: .int(bytes.littleEndian(Int64.self, at: offset))
            case .uint64: .uint(bytes.littleEndian(UInt64.self, at: offset))
            case .float32: .float(Float(bitPattern: bytes.littleEndian(UInt32.self, at: offset)))
            case .float64: .double(Double(bitPattern: bytes.littleEndian(UInt64.self, at: offset)))
            case .string:
                .string(
                    String(
                        decoding: bytes[(offset + 2)...].prefix(min(capacity, Int(bytes.littleEndian(UInt16.self, at: offset)))),
                        as: UTF8.self))
            }
        }
    }

    /// Puts a raw value into its slot. A string is cut at a character boundary to the slot's capacity.
    ///
    /// Precondition: the value's kind fits the tag's type.
    package mutating func set(_ value: Variant, tag: Int, in descriptor: StreamDescriptor) {
        let offset = descriptor.offsets[tag]
        let type = descriptor.tags[tag].dataType
        let capacity = descriptor.tags[tag].stringCapacity
        values.withUnsafeMutableBytes { bytes in
            switch (type, value) {
            case (.bool, .bool(let flag)): bytes[offset] = flag ? 1 : 0
            case (.int8, .int(let number)): bytes.storeLittleEndian(Int8(number), at: offset)
            case (.int16, .int(let number)): bytes.storeLittleEndian(Int16(number), at: offset)
            case (.int32, .int(let number)): bytes.storeLittleEndian(Int32(number), at: offset)
            case (.int64, .int(let number)): bytes.storeLittleEndian(number, at: offset)
            case (.uint8, .uint(let number)): bytes.storeLittleEndian(UInt8(number), at: offset)
            case (.uint16, .uint(let number)): bytes.storeLittleEndian(UInt16(number), at: offset)
            case (.uint32, .uint(let number)): bytes.storeLittleEndian(UInt32(number), at: offset)
            case (.uint64, .uint(let number)): bytes.storeLittleEndian(number, at: offset)
            case (.float32, .float(let number)): bytes.storeLittleEndian(number.bitPattern, at: offset)
            case (.float64, .double(let number)): bytes.storeLittleEndian(number.bitPattern, at: offset)
            case (.string, .string(let text)):
                var utf8 = text.utf8.count
                if utf8 > capacity {
                    utf8 = 0
                    for character in text {
                        guard utf8 + character.utf8.count <= capacity else { break }
                        utf8 += character.utf8.count
                    }
                }
                bytes.storeLittleEndian(UInt16(utf8), at: offset)
                var next = offset + 2
                for byte in text.utf8.prefix(utf8) {
                    bytes[next] = byte
                    next += 1
                }
                while next < offset + 2 + capacity {
                    bytes[next] = 0
                    next += 1
                }
            default: preconditionFailure("a \(type.name) slot cannot hold \(value)")
            }
        }
    }
}

extension Variant {
    /// The engineering value of this raw value; strings and booleans have none other than themselves.
    package func scaled(by scaling: Scaling) -> Variant {
        if scaling.isIdentity { return self }
        switch self {
        case .bool, .string: return self
        case .int, .uint, .float, .double:
            guard let number else { return self }
            return .double(scaling.engineering(number))
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Reads an integer from unaligned little-endian bytes.
    // Inlined into other modules: a generic call per value would cost more than the value.
    @inlinable
    package func littleEndian<Integer: FixedWidthInteger & BitwiseCopyable>(_: Integer.Type, at offset: Int) -> Integer {
        Integer(littleEndian: loadUnaligned(fromByteOffset: offset, as: Integer.self))
    }
}

extension UnsafeMutableRawBufferPointer {
    /// Writes an integer as unaligned little-endian bytes.
    @inlinable
    package func storeLittleEndian<Integer: FixedWidthInteger & BitwiseCopyable>(_ value: Integer, at offset: Int) {
        storeBytes(of: value.littleEndian, toByteOffset: offset, as: Integer.self)
    }
}
