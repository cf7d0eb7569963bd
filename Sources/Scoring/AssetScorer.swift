package import Telemetry

/// Joins the streams of one asset into its health.
package struct AssetScorer: Sendable {
    /// One of the asset's streams.
    package struct Member: Sendable {
        package var stream: StreamID
        package var descriptor: StreamDescriptor
        /// Which tags to look at, one flag per tag.
        package var scored: [Bool]

        /// - Parameter scored: one flag per tag; without it all numeric tags are looked at.
        package init(stream: StreamID, descriptor: StreamDescriptor, scored: [Bool]? = nil) {
            self.stream = stream
            self.descriptor = descriptor
            self.scored = scored ?? descriptor.tags.map(\.dataType.isNumeric)
        }
    }

    package let name: String
    /// The scorers of the streams, in the order of the members.
    package private(set) var scorers: [StreamScorer]
    /// The streams it looks at, in the order of the members.
    package let streams: [StreamID]
    private let namesDevices: Bool
    private let scored: [[Bool]]

    package init(name: String, members: [Member], configuration: ScoringConfiguration = ScoringConfiguration()) {
        self.name = name
        streams = members.map(\.stream)
        scored = members.map(\.scored)
        scorers = members.map { StreamScorer(descriptor: $0.descriptor, scored: $0.scored, configuration: configuration) }
        namesDevices = Set(members.map(\.descriptor.device)).count > 1
    }

    /// Whether the other is of the same asset and looks at the same tags, so that what was learned holds for both.
    package func isAlike(_ other: AssetScorer) -> Bool {
        name == other.name && streams == other.streams && scored == other.scored
    }

    /// Looks at one batch. Returns false if its stream is none of the asset's.
    @discardableResult
    package mutating func consume(_ batch: SampleBatch) -> Bool {
        guard let index = streams.firstIndex(of: batch.stream) else { return false }
        scorers[index].consume(batch)
        return true
    }

    /// Forgets what was learned about all streams, for a machine that was repaired or changed.
    package mutating func relearn() {
        for index in scorers.indices { scorers[index].relearn() }
    }

    /// The asset's health at a time, from the batches consumed so far.
    ///
    /// The worst tag counts in full, the second worst half, the third a third: health = 100 (1 − s₁)(1 − s₂/2)(1 − s₃/3).
    package func assessment(at time: Timestamp) -> Assessment {
        var contributions: [Contribution] = []
        var isJudging = false
        var hasData = false
        for scorer in scorers {
            if scorer.hasData { hasData = true }
            let maturing = scorer.maturing
            for tag in 0..<scorer.models.count {
                switch scorer.models.condition[tag] {
                case .unscored, .learning: continue
                case .normal: isJudging = true
                case .suspect, .alarm:
                    isJudging = true
                    guard let finding = scorer.models.finding(of: tag, maturing: maturing) else { continue }
                    let name = scorer.descriptor.tags[tag].name
                    contributions.append(
                        Contribution(
                            tag: namesDevices ? "\(scorer.descriptor.device).\(name)" : name,
                            direction: finding.sigmas < 0 ? .below : .above, sigmas: finding.sigmas.magnitude, since: finding.since,
                            duration: max(time.since(finding.since).inSeconds, 0), severity: finding.severity))
                }
            }
        }
        contributions.sort { $0.severity > $1.severity }
        var health = 100.0
        for (rank, contribution) in contributions.prefix(3).enumerated() { health *= 1 - contribution.severity / Double(rank + 1) }
        let state: Assessment.State =
            if !hasData { .noData } else if !isJudging { .learning } else if health < Assessment.alarmBelow {
                .alarm
            } else if health < Assessment.alertBelow { .alert } else { .normal }
        return Assessment(
            asset: name, time: time, health: health, state: state,
            contributions: Array(contributions.prefix(Assessment.contributionsMax)))
    }
}
