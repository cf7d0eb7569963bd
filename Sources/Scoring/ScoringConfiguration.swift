/// The parameters of the detectors; the defaults suit most machines. Times in seconds, deviations in σ (see docs/scoring.md).
package struct ScoringConfiguration: Sendable, Hashable {
    /// How long a tag is watched before it is judged. Longer: fewer surprises from modes not seen yet; shorter: judged sooner.
    package var learningDuration: Double
    /// How many samples a tag is watched for at least before it is judged.
    package var learningSamples: Int
    /// The age at which a model's σ is still taken as twice as wide, because little has been seen of the machine.
    package var maturingDuration: Double
    /// The same in polls, for slowly polled streams: the longer of the two counts.
    package var maturingPolls: Int
    /// How far back the model remembers once it is older than that.
    package var memory: Double
    /// Time constant of the EWMA of the samples that the CUSUM judges, and the time that weighs one unit of evidence.
    package var smoothing: Double
    /// The band of normal operation reaches at least this far to either side of the location.
    package var tolerance: Double
    /// How far beyond the band of normal operation a tag may be without evidence against it: the CUSUM's reference value k.
    package var allowance: Double
    /// How much evidence raises an alarm: the CUSUM's decision interval h.
    package var decisionInterval: Double
    /// How far from the location a sample is at most taken to be when the model learns from it: Huber's clipping constant.
    package var clipping: Double
    /// The excess over the band that halves the health.
    package var halfHealthExcess: Double

    package init(
        learningDuration: Double = 5, learningSamples: Int = 50, maturingDuration: Double = 30, maturingPolls: Int = 200,
        memory: Double = 7 * 86_400, smoothing: Double = 1, tolerance: Double = 2.5, allowance: Double = 1, decisionInterval: Double = 8,
        clipping: Double = 2, halfHealthExcess: Double = 6
    ) {
        self.learningDuration = learningDuration
        self.learningSamples = learningSamples
        self.maturingDuration = maturingDuration
        self.maturingPolls = maturingPolls
        self.memory = memory
        self.smoothing = smoothing
        self.tolerance = tolerance
        self.allowance = allowance
        self.decisionInterval = decisionInterval
        self.clipping = clipping
        self.halfHealthExcess = halfHealthExcess
    }
}
