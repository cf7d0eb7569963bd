internal import Telemetry
internal import TestKit

/// The samples of a round: any batch can be made again from the seed and its key, so that nothing need be remembered.
struct TortureSamples {
    let seed: UInt64
    /// Seven seconds from batch to batch, in order, so that many buckets of time have a few each.
    var isSpread = false

    static let descriptors: [StreamDescriptor] = [
        StreamDescriptor(
            device: "pump-1", group: "fast",
            tags: [
                Tag("temperature", .int16, scaling: Scaling(scale: 0.1), unit: "Cel"), Tag("isRunning", .bool),
                Tag("serial", .string, stringCapacity: 12), Tag("runHours", .uint32, unit: "h"),
            ]),
        StreamDescriptor(device: "wide", group: "g", tags: (0..<500).map { Tag("t\($0)", .uint16) }),
        StreamDescriptor(
            device: "drive", group: "floats", tags: (0..<8).map { Tag("f\($0)", $0 % 2 == 0 ? .float64 : .float32) }),
        StreamDescriptor(
            device: "mixed", group: "slow",
            tags: DataType.allCases.map { Tag($0.name, $0, stringCapacity: $0 == .string ? 40 : 0) } + (0..<70).map { Tag("b\($0)", .bool) }
        ),
    ]

    /// How many whole polls deadbands suppressed right before a batch.
    func suppressedPolls(before sequence: UInt64, of kind: Int, epoch: UInt32) -> UInt32 {
        var random = generator(epoch, kind, sequence, purpose: 1)
        return Int.random(in: 0..<8, using: &random) == 0 ? UInt32.random(in: 1...3, using: &random) : 0
    }

    /// The batch as the log should hold it, with key and suppressed polls.
    func batch(_ sequence: UInt64, of kind: Int, epoch: UInt32, as stream: StreamID) -> SampleBatch {
        let descriptor = TortureSamples.descriptors[kind]
        var random = generator(epoch, kind, sequence, purpose: 2)
        let milliseconds: Int64
        if isSpread {
            milliseconds =
                1_700_000_000_000 + Int64(epoch % 4096) * 200_000_000 + Int64(sequence) * 7000 + Int64.random(in: 0..<7000, using: &random)
        } else {
            milliseconds =
                1_700_000_000_000 + Int64(epoch % 4096) * 100_000 + Int64(sequence) * 100 + Int64.random(in: -150...150, using: &random)
        }
        var batch = SampleBatch(stream: stream, descriptor: descriptor, time: Timestamp(milliseconds: milliseconds), status: .good)
        batch.epoch = epoch
        batch.sequence = sequence
        batch.suppressedPolls = suppressedPolls(before: sequence, of: kind, epoch: epoch)
        let tags = descriptor.tags.count
        if Int.random(in: 0..<4, using: &random) == 0 {
            batch.presence = (0..<((tags + 63) / 64)).map { _ in UInt64.random(in: 0 ... .max, using: &random) }
            if tags % 64 != 0 { batch.presence[tags / 64] &= (1 << UInt64(tags % 64)) - 1 }
        }
        if Int.random(in: 0..<4, using: &random) == 0 {
            let statuses: [StatusCode] = [.good, .badTimeout, .uncertain]
            let first = Int.random(in: 0...tags, using: &random)
            let chosen = (statuses.randomElement(using: &random) ?? .good, statuses.randomElement(using: &random) ?? .good)
            batch.quality = QualityRun.runs(of: (0..<tags).map { $0 < first ? chosen.0 : chosen.1 })
        }
        // Half of the batches look like a process, half like noise.
        let isNoise = Bool.random(using: &random)
        let base = Int64(sequence % 1000)
        var tag = 0
        for run in batch.quality {
            for _ in 0..<run.count {
                if !run.status.isBad, batch.has(tag) { fill(tag, of: &batch, descriptor, isNoise ? nil : base, &random) }
                tag += 1
            }
        }
        return batch
    }

    private func fill(
        _ tag: Int, of batch: inout SampleBatch, _ descriptor: StreamDescriptor, _ base: Int64?, _ random: inout SeededGenerator
    ) {
        let bits = base.map { UInt64(bitPattern: $0 + Int64(tag)) } ?? random.next()
        switch descriptor.tags[tag].dataType {
        case .bool: batch.set(.bool(bits & 1 == 1), tag: tag, in: descriptor)
        case .string:
            batch.set(.string(String("état-\(bits)".prefix(Int(bits % 12)))), tag: tag, in: descriptor)
        case .float32:
            let number = base == nil ? Float(bitPattern: UInt32(truncatingIfNeeded: bits)) : Float(bits) / 8
            batch.set(.float(number), tag: tag, in: descriptor)
        case .float64:
            let number = base == nil ? Double(bitPattern: bits) : Double(bits) / 10
            batch.set(.double(number), tag: tag, in: descriptor)
        default:
            let offset = descriptor.offsets[tag]
            for byte in 0..<descriptor.tags[tag].slotWidth {
                batch.values[offset + byte] = UInt8(truncatingIfNeeded: bits >> UInt64(8 * byte))
            }
        }
    }

    private func generator(_ epoch: UInt32, _ kind: Int, _ sequence: UInt64, purpose: UInt64) -> SeededGenerator {
        var mix = SeededGenerator(
            seed: seed &+ UInt64(epoch) &* 0x9E37_79B9 &+ UInt64(kind) &* 0x1_0000_01B3 &+ sequence &* 0xC2B2_AE3D_27D4_EB4F)
        return SeededGenerator(seed: mix.next() ^ purpose)
    }
}
