internal import BenchmarkSignals
internal import Telemetry

/// What one scan group reads, poll after poll: slots as in `SampleBatch.values`, made beforehand.
struct PollTable: Sendable {
    let tags: [Tag]
    let polls: Int
    private let pollBytes: Int
    private let slots: [UInt8]

    /// `tagCount` tags as the mix of the signals has them, each with a seed of its own; `only` makes all of one kind.
    init(tagCount: Int, polls: Int, seed: UInt64, only kind: String? = nil) {
        var tags: [Tag] = []
        var columns: [Column] = []
        var round = seed &* 1_000
        while tags.count < tagCount {
            // A group has each signal once: as many groups as the heaviest signal needs.
            var rest = Signal.group(rows: polls, seed: round).filter { $0.weight > 0 && (kind == nil || $0.name == kind) }
                .map { (signal: $0, left: kind == nil ? $0.weight : 1) }
            while tags.count < tagCount, rest.contains(where: { $0.left > 0 }) {
                for index in rest.indices where rest[index].left > 0 && tags.count < tagCount {
                    tags.append(PollTable.tag(rest[index].signal, number: tags.count))
                    columns.append(rest[index].signal.column)
                    rest[index].left -= 1
                }
                round &+= 1
                let next = Signal.group(rows: polls, seed: round).filter { $0.weight > 0 && (kind == nil || $0.name == kind) }
                for index in rest.indices { rest[index].signal = next[index] }
            }
        }
        self.init(tags: tags, columns: columns, polls: polls)
    }

    /// Columns of the same length.
    init(tags: [Tag], columns: [Column], polls: Int) {
        self.tags = tags
        self.polls = polls
        let pollBytes = tags.reduce(0) { $0 + $1.slotWidth }
        var slots = [UInt8](repeating: 0, count: pollBytes * polls)
        var offset = 0
        slots.withUnsafeMutableBytes { slots in
            for (tag, column) in zip(tags, columns) {
                for poll in 0..<polls {
                    let place = poll * pollBytes + offset
                    switch (column, tag.slotWidth) {
                    case (.integers(let values), 1): slots[place] = UInt8(truncatingIfNeeded: values[poll])
                    case (.integers(let values), 2): slots.storeLittleEndian(UInt16(truncatingIfNeeded: values[poll]), at: place)
                    case (.integers(let values), 4): slots.storeLittleEndian(UInt32(truncatingIfNeeded: values[poll]), at: place)
                    case (.integers(let values), _): slots.storeLittleEndian(values[poll], at: place)
                    case (.float32(let patterns), _): slots.storeLittleEndian(patterns[poll], at: place)
                    case (.float64(let patterns), _): slots.storeLittleEndian(patterns[poll], at: place)
                    }
                }
                offset += tag.slotWidth
            }
        }
        self.pollBytes = pollBytes
        self.slots = slots
    }

    private static func tag(_ signal: Signal, number: Int) -> Tag {
        let name = "tag\(number)"
        return switch signal.name {
        case "temperature", "temperature, quiet": Tag(name, .int16, scaling: Scaling(scale: 0.1), unit: "Cel")
        case "ADC counts, wide": Tag(name, .int16)
        case "counter of parts", "energy": Tag(name, .uint32)
        case "boolean": Tag(name, .bool)
        case "setpoint", "ADC counts", "state word": Tag(name, .uint16)
        default: Tag(name, .float32)
        }
    }

    /// The batch of one poll in memory of its own, as an adapter would make it; after the last poll the first one follows.
    func batch(_ poll: Int, of stream: StreamID, at time: Timestamp) -> SampleBatch {
        let start = (poll % polls) * pollBytes
        return SampleBatch(
            stream: stream, time: time, quality: [QualityRun(count: tags.count, status: .good)],
            values: Array(slots[start..<(start + pollBytes)]))
    }
}
