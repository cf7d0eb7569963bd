internal import GatewayCore
internal import Logging
internal import Scoring
internal import Synchronization
internal import Telemetry

/// Reads the log with a cursor of its own, scores every asset, and appends the assessments to the log.
struct ScoringService: Sendable {
    static let cursorName = "scoring"

    private let log: any TelemetryLog
    private let time: any TimeSource
    private let wanted: Wanted
    private let logger: Logger

    /// What is to be scored; may change while the service runs.
    private final class Wanted: Sendable {
        struct State {
            var assets: [AssetScorer]
            var publishEvery: Duration
            var revision = 0
        }
        let state: Mutex<State>

        init(_ state: State) { self.state = Mutex(state) }
    }

    /// Batches are gathered for so long before they are scored: to look more often would change no assessment and wake the processor for nothing.
    private static let gatherFor = Duration.milliseconds(200)

    init(log: any TelemetryLog, time: any TimeSource, assets: [AssetScorer], publishEvery: Duration, logger: Logger) {
        self.log = log
        self.time = time
        wanted = Wanted(.init(assets: assets, publishEvery: publishEvery))
        self.logger = logger
    }

    /// Scores these assets from now on. Those that look at the same tags as before keep what they have learned.
    func update(assets: [AssetScorer], publishEvery: Duration) {
        wanted.state.withLock { state in
            state.assets = assets
            state.publishEvery = publishEvery
            state.revision += 1
        }
    }

    /// One asset at work.
    private struct Scored {
        var scorer: AssetScorer
        let stream: StreamID
        let descriptor: StreamDescriptor
        var lastAssessment: Timestamp?
        var lastState: Assessment.State?
    }

    /// Most batches taken from the log at once.
    private static let batchesMax = 256

    /// The assets as they are scored now, those that go on with all that they know.
    private func scored(_ assets: [AssetScorer], goingOn: [Scored]) throws -> (scored: [Scored], members: [StreamID: [Int]]) {
        let known = Dictionary(goingOn.map { ($0.scorer.name, $0) }, uniquingKeysWith: { first, _ in first })
        let scored = try assets.map { scorer in
            if let known = known[scorer.name], known.scorer.isAlike(scorer) { return known }
            let descriptor = HealthStream.descriptor(asset: scorer.name)
            return Scored(scorer: scorer, stream: try log.register(descriptor), descriptor: descriptor)
        }
        var members: [StreamID: [Int]] = [:]
        for index in scored.indices {
            for stream in scored[index].scorer.streams { members[stream, default: []].append(index) }
        }
        return (scored, members)
    }

    func run() async throws {
        let cursor = try log.cursor(named: ScoringService.cursorName, from: .newest)
        var orders = wanted.state.withLock { $0 }
        var (scored, members) = try scored(orders.assets, goingOn: [])
        while true {
            let entries = try await cursor.read(atMost: ScoringService.batchesMax)
            let newest = wanted.state.withLock { $0 }
            if newest.revision != orders.revision {
                orders = newest
                (scored, members) = try self.scored(orders.assets, goingOn: scored)
            }
            for entry in entries {
                // A gap needs no answer: the models forget by time, and take the next samples as they come.
                guard case .batch(let batch) = entry.content, let indexes = members[batch.stream] else { continue }
                for index in indexes {
                    scored[index].scorer.consume(batch)
                    // The batch that tells of an outage is the last one for its duration: held back, it would leave a good health standing.
                    assess(
                        &scored[index], at: batch.stamp, every: orders.publishEvery,
                        isUrgent: batch.quality.allSatisfy { $0.status.isBad })
                }
            }
            if let last = entries.last { cursor.acknowledge(through: last.position) }
            if entries.count < ScoringService.batchesMax { try await time.sleep(for: ScoringService.gatherFor) }
        }
    }

    private func assess(_ asset: inout Scored, at stamp: ClockStamp, every publishEvery: Duration, isUrgent: Bool) {
        let time = stamp.time
        // A wall clock that stepped back must not silence an asset until it has caught up.
        if !isUrgent, let last = asset.lastAssessment, time >= last, time.since(last) < publishEvery { return }
        asset.lastAssessment = time
        let assessment = asset.scorer.assessment(at: time)
        var batch = HealthStream.batch(assessment, stream: asset.stream, descriptor: asset.descriptor)
        batch.stamp = stamp
        log.append(batch)
        if assessment.state != asset.lastState {
            let isKnown = assessment.state != .learning && assessment.state != .noData
            logger.log(
                level: assessment.state == .alarm ? .warning : .info, "health of an asset changed",
                metadata: [
                    "asset": "\(asset.scorer.name)", "state": "\(assessment.state.rawValue)",
                    "health": "\(isKnown ? String(Int(assessment.health)) : "unknown")",
                    "reason": "\(assessment.reason)",
                ])
            asset.lastState = assessment.state
        }
    }
}
