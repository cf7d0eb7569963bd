package import Telemetry

/// What a firewall has done since the start, for people and for its stream of samples.
package struct FirewallStatus: Sendable, Equatable {
    package var clients = 0
    package var requests: UInt64 = 0
    /// Reads answered from the latest values, without asking the device.
    package var answeredFromLatest: UInt64 = 0
    package var forwarded: UInt64 = 0
    package var refusedReads: UInt64 = 0
    package var refusedWrites: UInt64 = 0
    /// Connections of clients no rule speaks of, or beyond the most at once.
    package var refusedConnections: UInt64 = 0
    /// Bytes that were no Modbus.
    package var malformed: UInt64 = 0
    /// Whether a write was refused within the last minute.
    package var isAlarm = false
    /// The last refusal; empty while there was none.
    package var reason = ""

    package init() {}
}

/// The status as a stream of samples, so that it is kept, goes up and raises an alarm like any other.
package enum FirewallStream {
    package static func descriptor(firewall: String) -> StreamDescriptor {
        StreamDescriptor(
            device: firewall, group: StreamDescriptor.diagnosticsGroup,
            tags: [
                Tag("alarm", .bool), Tag("clients", .uint32), Tag("requests", .uint64), Tag("answeredFromLatest", .uint64),
                Tag("forwarded", .uint64), Tag("refusedReads", .uint64), Tag("refusedWrites", .uint64), Tag("refusedConnections", .uint64),
                Tag("malformed", .uint64), Tag("reason", .string, stringCapacity: 200),
            ])
    }

    package static func batch(
        _ status: FirewallStatus, stream: StreamID, descriptor: StreamDescriptor, at stamp: ClockStamp
    ) -> SampleBatch {
        var batch = SampleBatch(stream: stream, descriptor: descriptor, time: stamp.time, status: .good)
        batch.stamp = stamp
        let values: [Variant] = [
            .bool(status.isAlarm), .uint(UInt64(status.clients)), .uint(status.requests), .uint(status.answeredFromLatest),
            .uint(status.forwarded), .uint(status.refusedReads), .uint(status.refusedWrites), .uint(status.refusedConnections),
            .uint(status.malformed), .string(status.reason),
        ]
        for (tag, value) in values.enumerated() { batch.set(value, tag: tag, in: descriptor) }
        return batch
    }
}
