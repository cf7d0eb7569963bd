package import Telemetry

/// The derived stream that carries an asset's assessments: device = the asset's name, group = `health`.
package enum HealthStream {
    package static let group = StreamDescriptor.healthGroup
    /// Most bytes of the reason; a longer one is cut.
    package static let reasonCapacity = 240

    /// Tags: `score` float64 in %, 0 to 100; `state` string (see `Assessment.State`); `reason` string, empty while all is normal.
    package static func descriptor(asset: String) -> StreamDescriptor {
        StreamDescriptor(
            device: asset, group: group,
            tags: [
                Tag("score", .float64, unit: "%"), Tag("state", .string, stringCapacity: 16),
                Tag("reason", .string, stringCapacity: reasonCapacity),
            ])
    }

    /// The assessment as a batch of the asset's health stream. The score is Uncertain while learning and Bad without data: an unknown
    /// health must not look like a good one.
    ///
    /// Precondition: the descriptor is one of `descriptor(asset:)`.
    package static func batch(_ assessment: Assessment, stream: StreamID, descriptor: StreamDescriptor) -> SampleBatch {
        let status: StatusCode =
            switch assessment.state {
            case .learning: .uncertain
            case .noData: .badNoCommunication
            case .normal, .alert, .alarm: .good
            }
        var batch = SampleBatch(stream: stream, descriptor: descriptor, time: assessment.time, status: .good)
        if !status.isGood { batch.quality = [QualityRun(count: 1, status: status), QualityRun(count: 2, status: .good)] }
        if !status.isBad { batch.set(.double((assessment.health * 10).rounded() / 10), tag: 0, in: descriptor) }
        batch.set(.string(assessment.state.rawValue), tag: 1, in: descriptor)
        batch.set(.string(assessment.reason), tag: 2, in: descriptor)
        return batch
    }
}
