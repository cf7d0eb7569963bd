package import GatewayCore
package import Telemetry

/// How one cluster of a route is doing.
package struct ClusterStatus: Sendable, Hashable {
    /// How far the cluster can be relied on.
    package enum Health: String, Sendable, Hashable, CaseIterable {
        case healthy
        /// Two probes in a row were not answered, though the connection stands.
        case degraded
        /// Not connected.
        case down
        /// Connected again, and not yet trusted with devices as long as another cluster is healthy.
        case recovering
        /// Not connected for long, or for a reason that does not mend itself; still tried.
        case failed
    }

    package var name: String
    /// `host:port`.
    package var broker: String
    package var weight: Int
    package var state = RouteStatus.State.stopped
    package var health = Health.down
    /// How many devices go through this cluster now.
    package var devices = 0
    package var connectedSince: Timestamp?
    package var tlsVersion: String?
    package var cipher: String?
    /// What the broker said when it accepted the present connection.
    package var connection: ConnectionProperties?
    /// From publishing to the acknowledgement, as an exponentially weighted mean with weight 1/16.
    package var roundTrip: Duration?
    package var inFlight = 0
    package var publishedMessages: UInt64 = 0
    package var publishedBytes: UInt64 = 0
    package var publishedSamples: UInt64 = 0
    package var acknowledgedMessages: UInt64 = 0
    package var connections: UInt64 = 0
    /// The newest failure with its causes, outermost first; empty if there was none since the last connection.
    package var lastError: [String] = []
    package var lastErrorTime: Timestamp?
    /// Failures in a row.
    package var retryCount = 0
    /// What waits for this cluster alone; `nil` where the clusters share one backlog.
    package var backlog: BacklogStatus?

    package init(name: String, broker: String, weight: Int) {
        self.name = name
        self.broker = broker
        self.weight = weight
    }
}

/// What went over one lane of a route.
package struct LaneStatus: Sendable, Hashable {
    package var publishedMessages: UInt64 = 0
    package var publishedBytes: UInt64 = 0
    package var publishedSamples: UInt64 = 0

    package init() {}
}

/// A lane that may not send for long, and why.
package struct LaneHold: Sendable, Hashable {
    package enum Reason: String, Sendable, Hashable, CaseIterable {
        case quietHours
        /// What may be sent in a day is sent.
        case dailyLimit
    }

    package var lane: LogLane
    package var reason: Reason
    package var until: Timestamp

    package init(lane: LogLane, reason: Reason, until: Timestamp) {
        self.lane = lane
        self.reason = reason
        self.until = until
    }
}

/// What has piled up.
package struct BacklogStatus: Sendable, Hashable {
    package var samples: UInt64 = 0
    /// How old the oldest sample is; `nil` while there is none.
    package var age: Duration?
    /// Samples per second that were acknowledged lately; `nil` while nothing is.
    package var drainRate: Double?
    /// When it will be gone at this rate, not counting what is added; `nil` where nobody can tell.
    package var drainForecast: Duration? {
        guard samples > 0, let drainRate, drainRate > 0 else { return nil }
        return .seconds(Double(samples) / drainRate)
    }

    package init() {}
}

extension LaneStatus {
    mutating func add(_ messages: Int, _ bytes: Int, _ item: DeliveryWindow.Item, isBacklog: Bool) {
        guard item.isBacklog == isBacklog else { return }
        publishedMessages += UInt64(messages)
        publishedBytes += UInt64(bytes)
        publishedSamples += item.samples
    }

    mutating func add(_ other: LaneStatus) {
        publishedMessages += other.publishedMessages
        publishedBytes += other.publishedBytes
        publishedSamples += other.publishedSamples
    }
}
