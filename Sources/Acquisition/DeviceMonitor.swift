package import GatewayCore
internal import Synchronization
package import Telemetry

/// One change of a device's state, explained; attempts in between are none.
package struct DeviceTransition: Sendable, Equatable {
    package var time: Timestamp
    package var from: DeviceStatus.Connection
    package var to: DeviceStatus.Connection
    package var reason: String
}

/// How a device is doing, for people and for the diagnostics stream.
package struct DeviceStatus: Sendable, Equatable {
    package enum Connection: String, Sendable {
        /// An attempt to connect is under way.
        case connecting
        /// Connected, and asked whether it answers.
        case probing
        case online
        /// Its last poll brought no answer.
        case degraded
        /// Silent for so long that it is only probed now and then.
        case demoted
        /// Not connected; the next attempt is to come.
        case waiting

        /// On the way from one lasting state to another: an answer, or its absence, will end it.
        var isAttempt: Bool { self == .connecting || self == .probing }
    }

    /// The most transitions that are kept.
    package static let transitionsMax = 16

    package var connection: Connection = .connecting
    /// Polls that began, began late (by more than half a period) and never began.
    package var polls: UInt64 = 0
    package var latePolls: UInt64 = 0
    package var missedPolls: UInt64 = 0
    /// Deadlines at which the device was not asked because it was not there; its tags are Bad then.
    package var unavailablePolls: UInt64 = 0
    /// Deadlines, with a poll or without, that brought at least one tag that is not Good.
    package var faultyPolls: UInt64 = 0
    /// Requests that were sent again.
    package var retries: UInt64 = 0
    /// Probes of the device while it was silent.
    package var probes: UInt64 = 0
    /// Time its line has waited for answers that did not come.
    package var silence: Duration = .zero
    /// Connections that were made.
    package var connections: UInt64 = 0
    /// Failed attempts in a row.
    package var retryCount = 0
    /// Our clock minus the device's, in milliseconds, where it gives times of its own.
    package var clockSkewMilliseconds: Double?
    /// What came on the device's line beside the answers that were waited for; of all units on it.
    package var strayReplies = StrayReplies()
    /// Why the last poll was not all Good, or the connection is not there; empty when all is well.
    package var reason = ""
    /// Changes from one lasting state to another so far, and the latest of them, oldest first.
    package var transitionCount: UInt64 = 0
    package private(set) var transitions: [DeviceTransition] = []

    /// The last lasting state; `connecting` before there was one.
    package var lastingState: Connection { transitions.last?.to ?? .connecting }

    mutating func note(_ transition: DeviceTransition) {
        transitionCount += 1
        if transitions.count == DeviceStatus.transitionsMax { transitions.removeFirst() }
        transitions.append(transition)
    }
}

/// Where a runner leaves its device's status for others to read.
package final class DeviceMonitor: Sendable {
    private let value = Mutex(DeviceStatus())
    private let line = Mutex<(@Sendable () -> StrayReplies)?>(nil)

    package init() {}

    package var status: DeviceStatus {
        var status = value.withLock { $0 }
        if let line = line.withLock({ $0 }) { status.strayReplies = line() }
        return status
    }

    /// Where the line of the device counts.
    func follow(_ line: @escaping @Sendable () -> StrayReplies) { self.line.withLock { $0 = line } }

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
                Tag("state", .string, stringCapacity: 12), Tag("unavailablePolls", .uint64), Tag("retries", .uint64),
                Tag("probes", .uint64), Tag("silence", .float64, unit: "s"), Tag("transitions", .uint64),
                Tag("lateReplies", .uint64), Tag("duplicateReplies", .uint64), Tag("invalidReplies", .uint64),
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
            .string(status.lastingState.rawValue), .uint(status.unavailablePolls), .uint(status.retries), .uint(status.probes),
            .double(Double(status.silence.nanoseconds) / 1e9), .uint(status.transitionCount),
            .uint(status.strayReplies.late), .uint(status.strayReplies.duplicate), .uint(status.strayReplies.invalid),
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
