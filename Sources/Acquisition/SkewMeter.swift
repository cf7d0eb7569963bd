package import Telemetry

/// How far a device's own clock is from ours: the median over the latest polls, so that a single slow answer does not count.
///
/// Only measures: neither our times nor the device's are changed by it.
package struct SkewMeter: Sendable {
    private var latest: [Double] = []
    private var next = 0
    /// Polls that the median is taken over.
    package static let pollsMax = 31

    package init() {}

    /// Our time minus the device's, in milliseconds; `nil` while there is nothing to compare.
    package var skewMilliseconds: Double? {
        latest.isEmpty ? nil : latest.sorted()[latest.count / 2]
    }

    /// Looks at a poll. One without a source time, or stamped by a clock that may be wrong itself, tells nothing.
    package mutating func take(_ batch: SampleBatch) {
        guard let sourceTime = batch.sourceTime, !batch.isTimeUncertain else { return }
        // A foreign time may be anything, and the difference more than 64 bits hold.
        let (difference, overflow) = batch.time.nanoseconds.subtractingReportingOverflow(sourceTime.nanoseconds)
        let skew = (overflow ? Double(batch.time.nanoseconds) - Double(sourceTime.nanoseconds) : Double(difference)) / 1e6
        if latest.count < SkewMeter.pollsMax {
            latest.append(skew)
        } else {
            latest[next] = skew
            next = (next + 1) % SkewMeter.pollsMax
        }
    }
}
