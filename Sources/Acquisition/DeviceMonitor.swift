internal import Synchronization
package import Telemetry

/// How a device is doing, for people and for the diagnostics stream.
package struct DeviceStatus: Sendable, Equatable {
    package enum Connection: String, Sendable { case connecting, online, waiting }
    package var connection: Connection = .connecting
    /// Polls that began, began late (by more than half a period) and never began.
    package var polls: UInt64 = 0
    package var latePolls: UInt64 = 0
    package var missedPolls: UInt64 = 0
    /// Polls with at least one tag that is not Good.
    package var faultyPolls: UInt64 = 0
    /// Connections that were made.
    package var connections: UInt64 = 0
    /// Failed attempts in a row.
    package var retryCount = 0
    /// Our clock minus the device's, in milliseconds, where it gives times of its own.
    package var clockSkewMilliseconds: Double?
    /// Why the last poll was not all Good, or the connection is not there; empty when all is well.
    package var reason = ""
}

/// Where a runner leaves its device's status for others to read.
package final class DeviceMonitor: Sendable {
    private let value = Mutex(DeviceStatus())

    package init() {}

    package var status: DeviceStatus { value.withLock { $0 } }

    func update(_ change: (inout DeviceStatus) -> Void) { value.withLock { change(&$0) } }
}

/// The status as a stream of samples, so that it is kept and goes up like any other.
package enum DiagnosticsStream {
    package static let group = StreamDescriptor.diagnosticsGroup

    package static func descriptor(device: String) -> StreamDescriptor {
        StreamDescriptor(
            device: device, group: group,
            tags: [
                Tag("online", .bool), Tag("polls", .uint64), Tag("latePolls", .uint64), Tag("missedPolls", .uint64),
                Tag("faultyPolls", .uint64), Tag("connections", .uint64), Tag("reason", .string, stringCapacity: 200),
            ])
    }

    package static func batch(
        _ status: DeviceStatus, stream: StreamID, descriptor: StreamDescriptor, at stamp: ClockStamp
    ) -> SampleBatch {
        var batch = SampleBatch(stream: stream, descriptor: descriptor, time: stamp.time, status: .good)
        batch.stamp = stamp
        let values: [Variant] = [
            .bool(status.connection == .online), .uint(status.polls), .uint(status.latePolls), .uint(status.missedPolls),
            .uint(status.faultyPolls), .uint(status.connections), .string(status.reason),
        ]
        for (tag, value) in values.enumerated() { batch.set(value, tag: tag, in: descriptor) }
        return batch
    }

    /// The stream of the device's clock: only devices that give times of their own have it.
    package static func clockDescriptor(device: String) -> StreamDescriptor {
        StreamDescriptor(device: device, group: group, tags: [Tag("clockSkew", .float64, unit: "ms")])
    }

    /// `skew`: our time minus the device's, in milliseconds.
    package static func clockBatch(
        skew: Double, stream: StreamID, descriptor: StreamDescriptor, at stamp: ClockStamp
    ) -> SampleBatch {
        var batch = SampleBatch(stream: stream, descriptor: descriptor, time: stamp.time, status: .good)
        batch.stamp = stamp
        batch.set(.double(skew), tag: 0, in: descriptor)
        return batch
    }
}
