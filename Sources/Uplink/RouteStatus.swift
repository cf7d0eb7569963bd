package import Telemetry

/// How a route is doing: a snapshot for the console, metrics and the command line.
package struct RouteStatus: Sendable, Hashable {
    package enum State: Sendable, Hashable {
        /// Not started, or ended by its task's cancellation.
        case stopped
        case connecting
        case connected
        /// Waits before the next round of attempts.
        case backingOff(until: Timestamp)
    }

    package var state = State.stopped
    /// The cluster that is connected or tried last, and its `host:port`.
    package var cluster: String?
    package var broker: String?
    /// Of the present connection, for example `TLSv1.3`; `nil` without TLS.
    package var tlsVersion: String?
    package var cipher: String?
    /// What the broker said when it accepted the present connection.
    package var connection: ConnectionProperties?
    /// Since when the present connection stands.
    package var connectedSince: Timestamp?

    /// Totals since the start of the process: messages and bytes of payload handed to the connection, samples in them.
    package var publishedMessages: UInt64 = 0
    package var publishedBytes: UInt64 = 0
    package var publishedSamples: UInt64 = 0
    /// Log entries and samples the broker acknowledged, in the order of the log.
    package var acknowledgedEntries: UInt64 = 0
    package var acknowledgedSamples: UInt64 = 0
    /// Messages sent and not yet acknowledged.
    package var inFlight = 0
    /// Samples that were evicted from the log before this route came to them.
    package var gapSamples: UInt64 = 0
    /// Batches that could not be encoded and were passed over.
    package var refusedBatches: UInt64 = 0
    /// Samples in these; a batch that was refused, and read again after a lost connection, counts again.
    package var refusedSamples: UInt64 = 0
    /// How often a broker accepted this route.
    package var connections: UInt64 = 0
    /// Connections after the first.
    package var reconnects: UInt64 = 0
    package var rebirths: UInt64 = 0
    /// Writes that hosts asked for, and that the devices show.
    package var obeyedCommands: UInt64 = 0
    /// Commands from the broker that were refused or dropped.
    package var refusedCommands: UInt64 = 0
    /// From publishing to the acknowledgement, as an exponentially weighted mean with weight 1/16.
    package var roundTrip: Duration?

    /// The newest failure with its causes, outermost first; empty if there was none since the last connection.
    package var lastError: [String] = []
    package var lastErrorTime: Timestamp?
    /// Failures in a row.
    package var retryCount = 0

    /// Each cluster of the route, in the order of the configuration.
    package var clusters: [ClusterStatus] = []
    /// What is fresh, and what had piled up: totals since the start of the process.
    package var live = LaneStatus()
    package var backlogLane = LaneStatus()
    /// Samples in the log that are not acknowledged, on both lanes; of a mirror, the most of its clusters.
    package var pendingSamples: UInt64 = 0
    /// What has piled up and is not acknowledged; of a mirror, the largest of its clusters.
    package var backlog = BacklogStatus()
    /// Certificates and keys; `nil` for a route without TLS.
    package var identity: IdentityStatus?
    /// What the rules of delivery hold back now.
    package var holds: [LaneHold] = []
    /// Bytes of payload sent today, in UTC, where a limit counts them; and that limit.
    package var sentToday: UInt64?
    package var dailyLimit: UInt64?
    /// How often fresh data fell behind, so that the live lane began anew.
    package var liveLaneRestarts: UInt64 = 0

    package init() {}

    /// Payload bytes per sample since the start of the process; `nil` before the first.
    package var bytesPerSample: Double? { publishedSamples == 0 ? nil : Double(publishedBytes) / Double(publishedSamples) }

    /// When the next attempt is due, while the route waits.
    package var nextRetry: Timestamp? {
        if case .backingOff(let time) = state { time } else { nil }
    }

    /// The exponentially weighted mean with weight 1/16.
    static func mean(_ mean: Duration?, _ new: Duration) -> Duration {
        guard let mean else { return new }
        return .nanoseconds(mean.nanoseconds + (new.nanoseconds - mean.nanoseconds) / 16)
    }
}

extension RouteStatus {
    /// After a connection: what troubles other clusters still, or nothing.
    mutating func tellNewestError(keepsOthers: Bool) {
        let newest =
            keepsOthers
            ? clusters.filter { !$0.lastError.isEmpty && $0.state != .connected && $0.name != cluster }
                .max { ($0.lastErrorTime ?? Timestamp(nanoseconds: 0)) < ($1.lastErrorTime ?? Timestamp(nanoseconds: 0)) } : nil
        lastError = newest?.lastError ?? []
        lastErrorTime = newest?.lastErrorTime
        retryCount = newest?.retryCount ?? 0
    }
}
