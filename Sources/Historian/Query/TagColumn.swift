package import Telemetry

/// Which tags of which streams a read is for.
package struct TagSelection: Sendable, Hashable {
    /// The places of the chosen tags in each stream, ascending, each once; never an empty list.
    package let tags: [StreamID: [Int]]

    package init(_ tags: [StreamID: [Int]]) {
        self.tags = tags.mapValues { Array(Set($0)).sorted() }.filter { !$0.value.isEmpty }
    }

    /// Every tag of some streams.
    package init(all streams: [StreamID: StreamDescriptor]) { self.init(streams.mapValues { Array($0.tags.indices) }) }

    /// How many samples of the chosen tags a tally counts.
    func samples(in tallies: StreamTallies) -> UInt64 {
        var sum: UInt64 = 0
        for (stream, chosen) in tags {
            guard let tally = tallies[stream] else { continue }
            for tag in chosen { sum &+= tally[tag] }
        }
        return sum
    }

    func has(_ tallies: StreamTallies) -> Bool {
        tags.contains { stream, chosen in
            guard let tally = tallies[stream] else { return false }
            return tally.whole > 0 || chosen.contains { tally[$0] > 0 }
        }
    }
}

/// The raw values of one tag over the rows of a `StreamSlice`, in log order, side by side.
package struct TagColumn: Sendable, Hashable {
    /// Raw values: registers as they were read, not yet scaled. A Bad sample has a zero or an empty text in its place.
    package enum Values: Sendable, Hashable {
        /// `bool` as 0 and 1; `uint64` as its bit pattern.
        case integers([Int64])
        /// `float32` widened, which is exact.
        case reals([Double])
        case texts([String])
    }

    /// The tag's place in its stream.
    package var tag: Int
    /// For each value the row it is of, ascending; `nil`: one in every row.
    package var rows: [UInt32]?
    /// The status of the values, in runs whose counts add up to their number.
    package var quality: [QualityRun]
    package var values: Values

    package init(tag: Int, rows: [UInt32]?, quality: [QualityRun], values: Values) {
        self.tag = tag
        self.rows = rows
        self.quality = quality
        self.values = values
    }

    /// How many values there are.
    package var count: Int {
        switch values {
        case .integers(let values): values.count
        case .reals(let values): values.count
        case .texts(let values): values.count
        }
    }

    /// One raw value, for places that handle single values.
    package func raw(at index: Int, as type: DataType) -> Variant {
        switch values {
        case .integers(let values):
            switch type {
            case .bool: .bool(values[index] != 0)
            case .uint8, .uint16, .uint32, .uint64: .uint(UInt64(bitPattern: values[index]))
            default: .int(values[index])
            }
        case .reals(let values): type == .float32 ? .float(Float(values[index])) : .double(values[index])
        case .texts(let values): .string(values[index])
        }
    }
}

/// Some rows of one stream in log order, with the columns that were asked for. A row is a batch of the log.
package struct StreamSlice: Sendable {
    package var stream: StreamID
    package var descriptor: StreamDescriptor
    /// The position of each row; ascending.
    package var positions: [UInt64]
    /// The time of each row in nanoseconds since 1970: shared by all columns. Falls where the clock was set back.
    package var times: [Int64]
    /// One per chosen tag, in the order of the selection; without values where no row has the tag.
    package var columns: [TagColumn]
    /// For each row whether the clock was not known to be right; empty where it was for all.
    package var isTimeUncertain: [Bool] = []
    /// The device's own times of the rows that have one, nanoseconds since 1970, by row.
    package var sourceTimes: [Int: Int64] = [:]

    package init(stream: StreamID, descriptor: StreamDescriptor, positions: [UInt64], times: [Int64], columns: [TagColumn]) {
        self.stream = stream
        self.descriptor = descriptor
        self.positions = positions
        self.times = times
        self.columns = columns
    }
}

/// What the log has of a selection between two of its positions: a slice per stream that has rows there.
package struct LogSection: Sendable {
    /// Empty in a last section that only tells of an interruption.
    package var slices: [StreamSlice]
    /// Neither this section nor a later one has a sample older than this: what is summed up by time can be closed before it.
    package var nothingBefore: Timestamp
    /// Set when the log is not continuous between the section before and this one (the gateway was started anew, or samples are
    /// missing): the newest time known from before. A value that was held is not known to have held beyond it.
    package var interruptedAt: Timestamp?
    /// What is left of thinned samples, in log order before the slices.
    var summaries: [SummarySlice] = []

    package init(slices: [StreamSlice], nothingBefore: Timestamp, interruptedAt: Timestamp? = nil) {
        self.slices = slices
        self.nothingBefore = nothingBefore
        self.interruptedAt = interruptedAt
    }
}

/// What a read did not deliver although the log once had it, in samples of the chosen tags.
///
/// Exact for whole segments; where a time range cuts a segment, up to so many.
package struct ReadReport: Sendable, Hashable {
    /// Removed by retention while the read was under way.
    package var evicted: UInt64 = 0
    /// Damaged or missing on disk.
    package var damaged: UInt64 = 0
    /// Given up before they reached the disk, because it refused.
    package var givenUp: UInt64 = 0
    /// Thinned: known by their summaries only.
    package var thinned: UInt64 = 0

    /// Pieces of blocks with summaries that are damaged; how many samples they stood for is not known any more.
    package var damagedSummaries: UInt64 = 0

    package init() {}

    package var isComplete: Bool { evicted == 0 && damaged == 0 && givenUp == 0 && thinned == 0 && damagedSummaries == 0 }

    package static func += (left: inout ReadReport, right: ReadReport) {
        left.evicted &+= right.evicted
        left.damaged &+= right.damaged
        left.givenUp &+= right.givenUp
        left.thinned &+= right.thinned
        left.damagedSummaries &+= right.damagedSummaries
    }
}
