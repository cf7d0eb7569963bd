internal import GatewayCore
internal import Telemetry

/// What became of the site document, as a stream of samples, so that it is kept and goes up like any other.
enum ConfigurationStream {
    /// Most bytes of the reason; a longer one is cut.
    static let reasonCapacity = 500

    /// Tags: `configuration`, the digest of the newest document; `configurationState`, see `ConfigurationStatus.State`; `configurationReason`.
    static let descriptor = StreamDescriptor(
        device: "gateway", group: StreamDescriptor.diagnosticsGroup,
        tags: [
            Tag("configuration", .string, stringCapacity: 16), Tag("configurationState", .string, stringCapacity: 16),
            Tag("configurationReason", .string, stringCapacity: reasonCapacity),
        ])

    static func batch(_ status: ConfigurationStatus, stream: StreamID, at stamp: ClockStamp) -> SampleBatch {
        var batch = SampleBatch(stream: stream, descriptor: descriptor, time: stamp.time, status: .good)
        batch.stamp = stamp
        batch.set(.string(status.digest), tag: 0, in: descriptor)
        batch.set(.string(status.state.rawValue), tag: 1, in: descriptor)
        batch.set(.string(status.reasons.joined(separator: "; ")), tag: 2, in: descriptor)
        return batch
    }
}
