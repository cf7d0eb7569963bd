/// What a request costs on a line: a fixed part for the exchange and its turnaround, and a part for every byte of data in the answer.
package struct LineCostModel: Sendable, Equatable, Codable {
    /// Seconds that a request takes however little it asks for.
    package var requestSeconds: Double
    /// Seconds that each byte of data in the answer adds.
    package var byteSeconds: Double

    package init(requestSeconds: Double, byteSeconds: Double) {
        self.requestSeconds = requestSeconds
        self.byteSeconds = byteSeconds
    }

    /// Seconds from the request's first byte to the answer's last.
    package func seconds(bytes: Double) -> Double { requestSeconds + byteSeconds * bytes }

    /// How many bytes may be read in vain for the price of one more request.
    package var breakEvenBytes: Double { requestSeconds / max(byteSeconds, .leastNormalMagnitude) }
}

/// Fits a `LineCostModel` to what requests are seen to take.
///
/// Least squares over pairs of bytes and seconds with exponential forgetting. Where all answers have the same length they tell nothing about the
/// price of a byte, so the start model stays in as a ridge. A single slow answer is cut to a few times the usual deviation before
/// it counts, while a line that has really become slower is followed.
package struct LineCostFit: Sendable {
    /// What the observations say so far.
    package private(set) var model: LineCostModel
    /// How many requests were looked at.
    package private(set) var observations: UInt64
    private let start: LineCostModel
    private var weight = 0.0
    private var meanBytes = 0.0
    private var meanSeconds = 0.0
    private var varianceBytes = 0.0
    private var covariance = 0.0
    private var deviation = 0.0

    /// Observations are forgotten with about this many newer ones.
    static let memory = 256.0
    /// How many observations are taken as they are before outliers are cut.
    static let observationsBeforeCutting: UInt64 = 16
    /// Deviations from the model beyond which an observation is cut.
    static let deviationsMax = 4.0
    /// Strength of the start model's price of a byte, in squared bytes.
    static let ridge = 3200.0

    /// Begins with what is known of such a line, or what an earlier run measured.
    package init(start: LineCostModel, observations: UInt64 = 0) {
        self.start = start
        self.observations = observations
        model = start
    }

    /// Takes one request that was answered with data.
    package mutating func observe(bytes: Double, seconds: Double) {
        guard seconds.isFinite, seconds >= 0, bytes >= 0 else { return }
        let predicted = model.seconds(bytes: bytes)
        var residual = seconds - predicted
        if weight >= Double(LineCostFit.observationsBeforeCutting) {
            let bound = LineCostFit.deviationsMax * max(deviation, predicted / 50)
            residual = min(max(residual, -bound), bound)
        }
        let taken = predicted + residual
        deviation += (abs(residual) - deviation) / (weight < 1 ? 1 : min(weight, 32))

        let keep = 1 - 1 / LineCostFit.memory
        weight = weight * keep + 1
        let distance = bytes - meanBytes
        meanBytes += distance / weight
        meanSeconds += (taken - meanSeconds) / weight
        varianceBytes = varianceBytes * keep + distance * (bytes - meanBytes)
        covariance = covariance * keep + distance * (taken - meanSeconds)
        observations &+= 1

        let slope = (covariance + LineCostFit.ridge * start.byteSeconds) / (varianceBytes + LineCostFit.ridge)
        // Neither part can be negative; what one cannot carry the other does.
        let perByte = min(max(slope, 0), meanBytes > 0 ? meanSeconds / meanBytes : slope)
        model = LineCostModel(requestSeconds: max(0, meanSeconds - max(0, perByte) * meanBytes), byteSeconds: max(0, perByte))
    }
}
