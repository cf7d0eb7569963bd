internal import Telemetry

/// Reads the raw slots of a stream's scored tags into engineering values, a run of equal types at a time.
struct SlotReader: Sendable {
    private struct Segment: Sendable {
        var type: DataType
        var first: Int
        var count: Int
        var offset: Int
    }

    private var segments: [Segment] = []
    private var scale: [Double] = []
    private var offset: [Double] = []

    init(descriptor: StreamDescriptor, scored: [Bool]) {
        for (index, tag) in descriptor.tags.enumerated() {
            scale.append(tag.scaling.scale)
            offset.append(tag.scaling.offset)
            guard scored[index] else { continue }
            if let last = segments.last, last.type == tag.dataType, last.first + last.count == index {
                segments[segments.count - 1].count += 1
            } else {
                segments.append(Segment(type: tag.dataType, first: index, count: 1, offset: descriptor.offsets[index]))
            }
        }
    }

    /// Puts the values the batch has into `latest`; the others stay as they are.
    ///
    /// Precondition: the batch's slots and presence words fit the descriptor.
    func read(_ batch: SampleBatch, into latest: UnsafeMutablePointer<Double>) {
        batch.values.withUnsafeBytes { bytes in
            for segment in segments {
                switch segment.type {
                case .int8: integers(Int8.self, segment, bytes, batch.presence, latest)
                case .uint8: integers(UInt8.self, segment, bytes, batch.presence, latest)
                case .int16: integers(Int16.self, segment, bytes, batch.presence, latest)
                case .uint16: integers(UInt16.self, segment, bytes, batch.presence, latest)
                case .int32: integers(Int32.self, segment, bytes, batch.presence, latest)
                case .uint32: integers(UInt32.self, segment, bytes, batch.presence, latest)
                case .int64: integers(Int64.self, segment, bytes, batch.presence, latest)
                case .uint64: integers(UInt64.self, segment, bytes, batch.presence, latest)
                case .float32:
                    values(segment, batch.presence, latest) {
                        Double(Float(bitPattern: SlotReader.integer(bytes, segment.offset &+ 4 &* $0)))
                    }
                case .float64:
                    values(segment, batch.presence, latest) {
                        Double(bitPattern: SlotReader.integer(bytes, segment.offset &+ 8 &* $0))
                    }
                case .bool, .string: break
                }
            }
        }
    }

    @inline(__always)
    private func integers<Integer: FixedWidthInteger & BitwiseCopyable>(
        _ type: Integer.Type, _ segment: Segment, _ bytes: UnsafeRawBufferPointer, _ presence: [UInt64],
        _ latest: UnsafeMutablePointer<Double>
    ) {
        values(segment, presence, latest) {
            Double(SlotReader.integer(bytes, segment.offset &+ $0 &* MemoryLayout<Integer>.size) as Integer)
        }
    }

    /// Of this module, unlike the one of Telemetry, so that it is specialised: a call per tag would cost more than the detector.
    @inline(__always)
    private static func integer<Integer: FixedWidthInteger & BitwiseCopyable>(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> Integer {
        Integer(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Integer.self))
    }

    @inline(__always)
    private func values(
        _ segment: Segment, _ presence: [UInt64], _ latest: UnsafeMutablePointer<Double>, _ raw: (_ place: Int) -> Double
    ) {
        scale.withUnsafeBufferPointer { scale in
            offset.withUnsafeBufferPointer { offset in
                if presence.isEmpty {
                    for place in 0..<segment.count {
                        let tag = segment.first &+ place
                        latest[tag] = raw(place) * scale[tag] + offset[tag]
                    }
                } else {
                    for place in 0..<segment.count {
                        let tag = segment.first &+ place
                        if presence[tag >> 6] >> UInt64(tag & 63) & 1 == 1 { latest[tag] = raw(place) * scale[tag] + offset[tag] }
                    }
                }
            }
        }
    }
}
