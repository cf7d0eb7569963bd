internal import GatewayCore
internal import Telemetry

/// Chooses the cluster that answers fastest, and does not change its mind for little.
///
/// Round trips count in proportion to the weights: a cluster with half of another's weight must be more than twice as fast.
struct LatencySelector: Sendable {
    /// A new cluster must be faster by this share of the present one's round trip …
    static let hysteresis = 0.25
    /// … and by this much, so that clusters on the same network are not told apart by noise.
    static let differenceMin = Duration.milliseconds(5)
    /// How long a choice stands at least while its cluster can be used.
    static let dwell = Duration.seconds(30)
    /// Each loss of a connection makes a cluster look slower by its own round trip; half of that is forgiven in this time.
    static let penaltyHalfLife = Duration.seconds(120)
    /// More losses than this add nothing.
    static let penaltyMax = 16.0
    /// The round trip, in nanoseconds, of who never answered: longer than any.
    private static let unmeasured = 1e30

    private struct Candidate {
        /// Exponentially weighted mean with weight 1/8, in nanoseconds.
        var roundTrip: Double?
        var penalty = 0.0
        var penaltyAt = MonotonicInstant(nanoseconds: 0)
    }
    private var candidates: [Candidate]
    private let hasWeight: [Bool]
    private(set) var selected: Int?
    private var selectedAt: MonotonicInstant?

    /// By cluster, how much slower than it is its weight makes it look.
    private let handicaps: [Double]

    /// - Parameter weights: of the clusters; one without any is only taken where no other can be used.
    init(weights: [Int]) {
        candidates = [Candidate](repeating: Candidate(), count: weights.count)
        let heaviest = Double(max(weights.max() ?? 1, 1))
        handicaps = weights.map { $0 > 0 ? heaviest / Double($0) : 1 }
        hasWeight = weights.map { $0 > 0 }
    }

    /// A cluster answered.
    mutating func measured(_ roundTrip: Duration, of cluster: Int) {
        let new = Double(roundTrip.nanoseconds)
        candidates[cluster].roundTrip = candidates[cluster].roundTrip.map { $0 + (new - $0) / 8 } ?? new
    }

    /// A cluster's connection was lost.
    mutating func lost(_ cluster: Int, at now: MonotonicInstant) {
        candidates[cluster].penalty = min(penalty(of: cluster, at: now) + 1, Self.penaltyMax)
        candidates[cluster].penaltyAt = now
    }

    /// How many losses a cluster has to answer for, less what time has forgiven.
    func penalty(of cluster: Int, at now: MonotonicInstant) -> Double {
        var halvings = max(candidates[cluster].penaltyAt.duration(to: now), .zero) / Self.penaltyHalfLife
        var penalty = candidates[cluster].penalty
        while halvings >= 1, penalty > 0.001 {
            penalty /= 2
            halvings -= 1
        }
        // Between two halvings a straight line is close enough.
        return penalty > 0.001 ? penalty * (1 - min(halvings, 1) / 2) : 0
    }

    /// The cluster to use, among those that can be used; keeps the present one unless another is clearly better.
    mutating func select(among usable: [Int], at now: MonotonicInstant) -> Int? {
        // One that was never measured comes after all that were.
        func score(_ cluster: Int) -> Double {
            (candidates[cluster].roundTrip ?? Self.unmeasured) * (1 + penalty(of: cluster, at: now)) * handicaps[cluster]
        }
        let wanted = usable.filter { hasWeight[$0] }
        let usable = wanted.isEmpty ? usable : wanted
        guard let best = usable.min(by: { score($0) < score($1) }) else {
            selected = nil
            return nil
        }
        if let selected, usable.contains(selected) {
            let present = score(selected)
            let isClearlyBetter =
                score(best) < present * (1 - Self.hysteresis) && present - score(best) > Double(Self.differenceMin.nanoseconds)
            let hasStoodLongEnough = selectedAt.map { $0.duration(to: now) >= Self.dwell } ?? true
            if best == selected || !isClearlyBetter || !hasStoodLongEnough { return selected }
        }
        selected = best
        selectedAt = now
        return best
    }
}
