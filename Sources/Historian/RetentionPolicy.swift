internal import Telemetry

/// What a log does when its disk limit is reached.
package enum RetentionPolicy: String, Sendable, Hashable, CaseIterable {
    /// Old data that everybody has is replaced by summaries, first per minute, then per hour, and goes at last. What a reader has not
    /// acknowledged goes only when nothing else is left.
    case thin
    /// The oldest data goes, whoever has it.
    case dropOldest
    /// Nothing goes; new samples are not kept.
    case stop
}

extension HistorianConfiguration {
    /// Lengths of the buckets of the first and the second thinning.
    static let thinningBuckets: [Duration] = [.seconds(60), .seconds(3600)]
    /// Thinning begins when less than this part of the limit is free.
    private static let thinningBelow = 5
    /// Summaries per minute may take this part of the limit, then the oldest become summaries per hour; these may take half of that.
    private static let finePart = 4
    /// Most blocks that are thinned into one: of batches, of summaries.
    private static let blocksMax = [4, 16]

    /// Which blocks to thin next; `nil` while there is room enough, or nothing that may be thinned.
    ///
    /// `isFree` tells whether every reader is done with a block, `isKept` whether it has to stay as it is: then it is passed over, as one is
    /// that is missing.
    func nextThinning(
        of segments: [Segment], room: Int, isKept: (Segment) -> Bool, isFree: (Segment) -> Bool
    ) -> ThinningJob? {
        guard policy == .thin else { return nil }
        func neighbours(level: UInt8) -> [Segment] {
            let blocks = segments.drop { $0.isMissing || $0.isSealed && ($0.level > level || isKept($0)) }
                .prefix { $0.isSealed && !$0.isMissing && $0.level == level && !isKept($0) && isFree($0) }
            return Array(blocks.prefix(HistorianConfiguration.blocksMax[Int(level)]))
        }
        let fine = segments.reduce(0) { $0 + ($1.level == 1 ? $1.bytes : 0) }
        if fine > diskLimit / HistorianConfiguration.finePart {
            let blocks = neighbours(level: 1)
            if !blocks.isEmpty { return ThinningJob(blocks: blocks, level: 2, bucket: HistorianConfiguration.thinningBuckets[1]) }
        }
        guard room < diskLimit / HistorianConfiguration.thinningBelow else { return nil }
        let blocks = neighbours(level: 0)
        return blocks.isEmpty ? nil : ThinningJob(blocks: blocks, level: 1, bucket: HistorianConfiguration.thinningBuckets[0])
    }

    /// Whether what was thinned twice takes more than its part.
    func isThinnestTooLarge(_ segments: [Segment]) -> Bool {
        guard segments.first?.level == 2 else { return false }
        return segments.reduce(0) { $0 + ($1.level == 2 ? $1.bytes : 0) } > diskLimit / (2 * HistorianConfiguration.finePart)
    }
}
