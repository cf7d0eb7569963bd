internal import Telemetry

/// Writes the batches of one stream as DDATA payloads: the hot path.
///
/// Everything that does not change from batch to batch is laid out once per tag; a metric is then a few unaligned
/// stores into memory that was sized up front. No string, dictionary or allocation per metric.
struct StreamEncoder {
    /// How the value of a slot becomes the value field of a metric.
    private enum Kind: UInt8 {
        case bool, int8, uint8, int16, uint16, int32, uint32, int64, uint64, float32, float64, string
        case scaledInt8, scaledUInt8, scaledInt16, scaledUInt16, scaledInt32, scaledUInt32, scaledInt64, scaledUInt64
        case scaledFloat32, scaledFloat64
    }

    private struct TagEncoding {
        /// `12 length 10 alias…`: the metric's header and its alias field, first byte lowest; the length is filled in later.
        var prefix: UInt64
        var prefixCount: UInt8
        var kind: Kind
        var stringCapacity: UInt16
        /// The slot's offset in the batch's values.
        var offset: UInt32
        /// The power of ten to divide by, 0 if the scaling is not one.
        var divisor: Double
        var scale: Double
        var addend: Double
    }

    private let tags: [TagEncoding]
    /// The alias of the template instance that holds the metrics.
    private let instanceAlias: UInt32?
    /// Room for the prefixes and values of all tags.
    private let bytesMax: Int
    /// Room for the prefix and value of any one tag.
    private let tagBytesMax: Int

    /// Bytes of a metric's timestamp and historical flag, at most: `18`, a varint of 10 bytes, `28 01`.
    private static let commonBytesMax = 13
    /// Bytes of the property `Quality` and the null flag, at most.
    private static let qualityBytesMax = 20
    /// Bytes of the property `TimeUncertain` and of the set's own header, at most.
    private static let timeUncertainBytesMax = 23
    /// Bytes of the payload's own fields: timestamp, sequence and a uuid of three numbers.
    private static let envelopeBytesMax = 96
    /// Wide stores may reach this far behind the last byte that counts.
    private static let slackBytes = 16

    /// Bytes of a template instance around its metrics, but for the name of its definition: two headers whose lengths grow to four bytes,
    /// alias, timestamp, flags.
    private static let instanceBytesMax = 64

    /// - Parameters:
    ///   - aliases: one per tag, in tag order.
    ///   - instanceAlias: of the template instance that holds the metrics; `nil` where they are flat.
    init(_ descriptor: StreamDescriptor, aliases: [UInt32], instanceAlias: UInt32? = nil) {
        self.instanceAlias = instanceAlias
        var bytesMax = 0
        var tagBytesMax = 0
        tags = descriptor.tags.indices.map { index in
            let tag = descriptor.tags[index]
            var prefix: UInt64 = 0x10_00_12
            var prefixCount = 3
            var alias = aliases[index]
            repeat {
                let byte = UInt64(alias & 0x7F) | (alias >= 0x80 ? 0x80 : 0)
                prefix |= byte << UInt64(8 * prefixCount)
                prefixCount += 1
                alias >>= 7
            } while alias > 0
            let kind = StreamEncoder.kind(of: tag)
            let bytes = prefixCount + StreamEncoder.valueBytesMax(of: kind, stringCapacity: tag.stringCapacity)
            bytesMax += bytes
            tagBytesMax = max(tagBytesMax, bytes)
            return TagEncoding(
                prefix: prefix, prefixCount: UInt8(prefixCount), kind: kind, stringCapacity: UInt16(tag.stringCapacity),
                offset: UInt32(descriptor.offsets[index]), divisor: tag.scaling.decimals.map { StreamEncoder.powersOfTen[$0] } ?? 0,
                scale: tag.scaling.scale, addend: tag.scaling.offset)
        }
        self.bytesMax = bytesMax
        self.tagBytesMax = tagBytesMax
    }

    private static let powersOfTen: [Double] = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]

    private static func kind(of tag: Tag) -> Kind {
        let isScaled = tag.engineeringType != tag.dataType || !tag.scaling.isIdentity && tag.dataType == .float64
        return switch tag.dataType {
        case .bool: .bool
        case .int8: isScaled ? .scaledInt8 : .int8
        case .uint8: isScaled ? .scaledUInt8 : .uint8
        case .int16: isScaled ? .scaledInt16 : .int16
        case .uint16: isScaled ? .scaledUInt16 : .uint16
        case .int32: isScaled ? .scaledInt32 : .int32
        case .uint32: isScaled ? .scaledUInt32 : .uint32
        case .int64: isScaled ? .scaledInt64 : .int64
        case .uint64: isScaled ? .scaledUInt64 : .uint64
        case .float32: isScaled ? .scaledFloat32 : .float32
        case .float64: isScaled ? .scaledFloat64 : .float64
        case .string: .string
        }
    }

    private static func valueBytesMax(of kind: Kind, stringCapacity: Int) -> Int {
        switch kind {
        case .bool: 2
        case .int8, .uint8: 3
        case .int16, .uint16: 4
        case .int32, .uint32: 6
        case .int64, .uint64: 11
        case .float32: 5
        // The metric's length and the string's grow to as many as four bytes each. A byte that is not UTF-8 becomes three.
        case .string: 8 + 3 * stringCapacity
        case .float64, .scaledInt8, .scaledUInt8, .scaledInt16, .scaledUInt16, .scaledInt32, .scaledUInt32, .scaledInt64, .scaledUInt64,
            .scaledFloat32, .scaledFloat64:
            9
        }
    }

    /// The payload of one batch.
    ///
    /// - Parameters:
    ///   - sequence: the message's `seq`.
    ///   - tellsQuality: per tag whether the host was last told a quality that is not good, so that it must hear of
    ///     a good one; empty for no tag.
    ///   - reference: the name of the template's definition.
    /// - Precondition: the batch has the shape of the stream.
    func payload(
        _ batch: SampleBatch, isHistorical: Bool, publishTime: Timestamp, sequence: UInt8, tellsQuality: [Bool],
        reference: String? = nil
    ) -> [UInt8] {
        let needsQuality = !tellsQuality.isEmpty || !batch.isGood
        let perTag =
            StreamEncoder.commonBytesMax + (needsQuality ? StreamEncoder.qualityBytesMax : 0)
            + (batch.isTimeUncertain ? StreamEncoder.timeUncertainBytesMax : 0)
        // A message may wait long for its acknowledgement: a batch of few samples must not hold room for many.
        let count = batch.sampleCount(of: tags.count)
        let capacity =
            StreamEncoder.envelopeBytesMax + min(bytesMax, count * tagBytesMax) + count * perTag + StreamEncoder.slackBytes
            + (instanceAlias == nil ? 0 : StreamEncoder.instanceBytesMax + (reference?.utf8.count ?? 0))
        return [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            guard let base = buffer.baseAddress else { return }
            var output = ByteOutput(UnsafeMutableRawPointer(base))
            output.byte(0x08)
            output.varint(publishTime.sparkplugMilliseconds)
            batch.values.withUnsafeBytes { slots in
                tags.withUnsafeBufferPointer { tags in
                    let common = CommonFields(batch.time, isHistorical: isHistorical)
                    if let instanceAlias {
                        output.instance(alias: instanceAlias, reference ?? "", common) { output in
                            metrics(batch, slots, tags, common, tellsQuality, &output)
                        }
                    } else {
                        metrics(batch, slots, tags, common, tellsQuality, &output)
                    }
                }
            }
            output.byte(0x18)
            output.varint(UInt64(sequence))
            output.uuid(batch.epoch, batch.stream.rawValue, batch.sequence)
            count = output.count(from: base)
        }
    }

    /// The fields that all metrics of a batch share, timestamp and historical flag, as they lie in memory.
    struct CommonFields {
        private(set) var low: UInt64 = 0
        private(set) var high: UInt64 = 0
        private(set) var count = 0

        init(_ time: Timestamp, isHistorical: Bool) {
            append(0x18)
            var rest = time.sparkplugMilliseconds
            while rest >= 0x80 {
                append(UInt8(truncatingIfNeeded: rest) | 0x80)
                rest >>= 7
            }
            append(UInt8(truncatingIfNeeded: rest))
            if isHistorical {
                append(0x28)
                append(1)
            }
        }

        private mutating func append(_ byte: UInt8) {
            if count < 8 { low |= UInt64(byte) << UInt64(8 * count) } else { high |= UInt64(byte) << UInt64(8 * (count - 8)) }
            count += 1
        }
    }

    private func metrics(
        _ batch: SampleBatch, _ slots: UnsafeRawBufferPointer, _ tags: UnsafeBufferPointer<TagEncoding>, _ common: CommonFields,
        _ tellsQuality: [Bool], _ output: inout ByteOutput
    ) {
        var first = 0
        for run in batch.quality {
            let quality = SparkplugQuality(run.status)
            let range = first..<(first + run.count)
            first = range.upperBound
            if batch.isTimeUncertain {
                batch.forEachTag(in: range) { tag in
                    let isToldOf = quality != .good || !tellsQuality.isEmpty && tellsQuality[tag]
                    metric(tags[tag], slots, common, isToldOf ? quality : nil, isTimeUncertain: true, &output)
                }
            } else if quality == .good && tellsQuality.isEmpty {
                batch.forEachTag(in: range) { metric(tags[$0], slots, common, &output) }
            } else {
                batch.forEachTag(in: range) { tag in
                    if quality != .good || tellsQuality[tag] {
                        metric(tags[tag], slots, common, quality, isTimeUncertain: false, &output)
                    } else {
                        metric(tags[tag], slots, common, &output)
                    }
                }
            }
        }
    }

    /// A metric that is good, as the host already believes.
    @inline(__always)
    private func metric(_ tag: TagEncoding, _ slots: UnsafeRawBufferPointer, _ common: CommonFields, _ output: inout ByteOutput) {
        let start = output.position
        output.wide(tag.prefix, count: Int(tag.prefixCount))
        output.wide(common.low, common.high, count: common.count)
        value(tag, slots, &output)
        finish(tag, from: start, &output)
    }

    /// A metric whose quality, or whose uncertain time, the host must hear of; a Bad one is null.
    private func metric(
        _ tag: TagEncoding, _ slots: UnsafeRawBufferPointer, _ common: CommonFields, _ quality: SparkplugQuality?,
        isTimeUncertain: Bool, _ output: inout ByteOutput
    ) {
        let start = output.position
        output.wide(tag.prefix, count: Int(tag.prefixCount))
        output.wide(common.low, common.high, count: common.count)
        if quality == .bad {
            output.byte(0x38)
            output.byte(1)
        }
        if isTimeUncertain { output.timeUncertain(quality) } else if let quality { output.quality(quality) }
        if quality != .bad { value(tag, slots, &output) }
        finish(tag, from: start, &output)
    }

    /// Fills in the metric's length. Only strings can make one longer than a byte says; their bytes then move up.
    @inline(__always)
    private func finish(_ tag: TagEncoding, from start: UnsafeMutableRawPointer, _ output: inout ByteOutput) {
        let length = output.position - start - 2
        if length < 0x80 {
            start.storeBytes(of: UInt8(truncatingIfNeeded: length), toByteOffset: 1, as: UInt8.self)
        } else {
            output.insertLength(length, at: start + 1)
        }
    }

    @inline(__always)
    private func value(_ tag: TagEncoding, _ slots: UnsafeRawBufferPointer, _ output: inout ByteOutput) {
        let offset = Int(tag.offset)
        switch tag.kind {
        case .bool: output.short(0x70, slots[offset] == 0 ? 0 : 1)
        case .int8, .uint8: output.int(UInt32(slots[offset]))
        case .int16, .uint16: output.int(UInt32(slots.littleEndian(UInt16.self, at: offset)))
        case .int32, .uint32: output.int(slots.littleEndian(UInt32.self, at: offset))
        case .int64, .uint64:
            output.byte(0x58)
            output.varint(slots.littleEndian(UInt64.self, at: offset))
        case .float32: output.float(bitPattern: slots.littleEndian(UInt32.self, at: offset))
        case .float64: output.double(bitPattern: slots.littleEndian(UInt64.self, at: offset))
        case .string: output.string(slots, at: offset, capacity: Int(tag.stringCapacity))
        case .scaledInt8: scaled(Double(Int8(bitPattern: slots[offset])), tag, &output)
        case .scaledUInt8: scaled(Double(slots[offset]), tag, &output)
        case .scaledInt16: scaled(Double(slots.littleEndian(Int16.self, at: offset)), tag, &output)
        case .scaledUInt16: scaled(Double(slots.littleEndian(UInt16.self, at: offset)), tag, &output)
        case .scaledInt32: scaled(Double(slots.littleEndian(Int32.self, at: offset)), tag, &output)
        case .scaledUInt32: scaled(Double(slots.littleEndian(UInt32.self, at: offset)), tag, &output)
        case .scaledInt64: scaled(Double(slots.littleEndian(Int64.self, at: offset)), tag, &output)
        case .scaledUInt64: scaled(Double(slots.littleEndian(UInt64.self, at: offset)), tag, &output)
        case .scaledFloat32: scaled(Double(Float(bitPattern: slots.littleEndian(UInt32.self, at: offset))), tag, &output)
        case .scaledFloat64: scaled(Double(bitPattern: slots.littleEndian(UInt64.self, at: offset)), tag, &output)
        }
    }

    @inline(__always)
    private func scaled(_ number: Double, _ tag: TagEncoding, _ output: inout ByteOutput) {
        // As `Variant.scaled(by:)` does: dividing by a power of ten is exact where multiplying by its reciprocal is not.
        let value = tag.divisor != 0 ? number / tag.divisor : number * tag.scale + tag.addend
        output.double(bitPattern: value.bitPattern)
    }
}
