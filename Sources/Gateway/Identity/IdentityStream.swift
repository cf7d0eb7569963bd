package import Identity
package import Telemetry

/// How long certificates are still valid, as a stream of samples: an alarm that is kept, and goes up before everything else.
package enum IdentityStream {
    /// Most bytes of the reason; a longer one is cut.
    static let reasonCapacity = 400

    /// Tags: `alarm`; `alarmReason`, for people; `certificateDaysLeft` and `authorityDaysLeft`, whole days, negative once expired.
    package static func descriptor(device: String) -> StreamDescriptor {
        StreamDescriptor(
            device: device, group: StreamDescriptor.diagnosticsGroup,
            tags: [
                Tag("alarm", .bool), Tag("alarmReason", .string, stringCapacity: reasonCapacity),
                Tag("certificateDaysLeft", .int32, unit: "d"), Tag("authorityDaysLeft", .int32, unit: "d"),
            ])
    }

    /// What cannot be told is Bad, not a number made up. Without a reading: what it was about is gone, and is no alarm any more.
    package static func batch(
        _ reading: IdentityReading?, stream: StreamID, descriptor: StreamDescriptor, at stamp: ClockStamp
    ) -> SampleBatch {
        func days(_ forecast: ExpiryForecast?) -> Variant? { forecast?.daysLeft.map { .int(Int64(Int32(clamping: $0))) } }
        let values: [Variant?] = [
            .bool(reading?.isAlarm ?? false), .string(reading?.words.joined(separator: "; ") ?? "removed from the site document"),
            days(reading?.certificate), days(reading?.authority),
        ]
        var batch = SampleBatch(stream: stream, descriptor: descriptor, time: stamp.time, status: .good)
        batch.stamp = stamp
        batch.quality = []
        for (tag, value) in values.enumerated() {
            if let value { batch.set(value, tag: tag, in: descriptor) }
            batch.quality.append(QualityRun(count: 1, status: value == nil ? .badNoData : .good))
        }
        return batch
    }
}
