package import Telemetry

/// What a host asks of an edge node with an NCMD or DCMD.
package enum EdgeCommand: Sendable, Equatable {
    /// All births shall be published again.
    case rebirth
    /// Metrics of a device shall be written, in this order.
    case write(EdgeWriteCommand)
    /// Nothing this node can do; why, for the log.
    case ignored(reason: String)
}

/// A DCMD whose metrics are all known, and whose values all have their types.
package struct EdgeWriteCommand: Sendable, Equatable {
    /// One metric and the value it shall have, in engineering units.
    package struct Write: Sendable, Equatable {
        /// The metric's name, also where the host used its alias.
        package var metric: String
        /// The tag's name in the site.
        package var tag: String
        package var value: Variant

        package init(metric: String, tag: String, value: Variant) {
            self.metric = metric
            self.tag = tag
            self.value = value
        }
    }

    /// The device's name in the site.
    package var device: String
    /// When the host sent it, by the payload; `nil` where it does not say.
    package var sentAt: Timestamp?
    package var writes: [Write]

    package init(device: String, sentAt: Timestamp?, writes: [Write]) {
        self.device = device
        self.sentAt = sentAt
        self.writes = writes
    }

    /// The most metrics of one command.
    package static let writesMax = 64
}

/// Refuses commands that come late, or again.
///
/// Brokers deliver at least once, keep messages for sessions, and may be made to repeat what once went over them: a command counts only
/// near the time at which it was sent, and only once per metric, each newer than the one before.
package struct CommandFreshness: Sendable {
    private struct Metric: Hashable {
        var device: String
        var name: String
    }

    /// How far a command's time may be from ours, before or after.
    package static let ageMax = Duration.seconds(60)

    /// Commands from before this are refused: another run of the gateway may have obeyed them.
    private let startedAt: Timestamp
    private var newest: [Metric: Timestamp] = [:]

    package init(startedAt: Timestamp) { self.startedAt = startedAt }

    /// Why the command is not obeyed; `nil` if it is, whereby its time is remembered.
    ///
    /// - Parameter isClockUncertain: whether `now` is not known to be right: then no age can be told.
    package mutating func refusal(of command: EdgeWriteCommand, at now: Timestamp, isClockUncertain: Bool) -> String? {
        guard let sentAt = command.sentAt else { return "the command has no timestamp, so that its age cannot be told" }
        if isClockUncertain { return "the gateway's clock is not known to be right, so that the command's age cannot be told" }
        let age = now.since(sentAt)
        guard age <= CommandFreshness.ageMax else {
            return "the command was sent \(age) ago, at most \(CommandFreshness.ageMax) are accepted"
        }
        guard age >= .zero - CommandFreshness.ageMax else {
            return "the command's time is \(.zero - age) ahead, at most \(CommandFreshness.ageMax) are accepted"
        }
        guard sentAt >= startedAt else { return "the command was sent before this route started, and may have been obeyed by then" }
        for write in command.writes {
            if let last = newest[Metric(device: command.device, name: write.metric)], sentAt <= last {
                return "the command for '\(write.metric)' is not newer than the last one: it came twice, or late"
            }
        }
        for write in command.writes { newest[Metric(device: command.device, name: write.metric)] = sentAt }
        return nil
    }
}
