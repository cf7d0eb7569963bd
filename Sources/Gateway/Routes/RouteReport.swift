internal import GatewayCore
internal import Identity
package import Telemetry
package import Uplink

/// How a route is doing, as programs on the same machine are told. One JSON object; absent keys are not known.
///
/// Times are RFC 3339 in UTC, spans are seconds, round trips milliseconds; counts are since the start of the gateway.
package struct RouteReport: Codable, Sendable, Equatable {
    /// One broker of the route.
    package struct Cluster: Codable, Sendable, Equatable {
        package var name: String
        package var broker: String
        package var state: String
        /// `healthy`, `degraded`, `down`, `recovering`, `failed`.
        package var health: String
        /// Devices that go through this cluster now.
        package var devices: Int
        package var roundTripMilliseconds: Double?
        package var tlsVersion: String?
        package var cipher: String?
        package var connectedSince: String?
        package var inFlight: Int
        package var publishedSamples: UInt64
        package var backlog: Backlog?
        package var lastError: Trouble?
    }

    /// What waits to be acknowledged.
    package struct Backlog: Codable, Sendable, Equatable {
        package var samples: UInt64
        /// The age of the oldest.
        package var ageSeconds: Double?
        package var drainPerSecond: Double?
        /// At this rate, not counting what is added.
        package var goneInSeconds: Double?
    }

    /// A lane that may not send for long.
    package struct Hold: Codable, Sendable, Equatable {
        /// `live` or `backlog`.
        package var lane: String
        /// `quietHours` or `dailyLimit`.
        package var reason: String
        package var until: String

        package init(lane: String, reason: String, until: String) {
            self.lane = lane
            self.reason = reason
            self.until = until
        }
    }

    /// The newest failure.
    package struct Trouble: Codable, Sendable, Equatable {
        /// Outermost first.
        package var chain: [String]
        package var time: String?
        /// Failures in a row.
        package var attempts: Int
    }

    /// The route's own certificate, as it is in use.
    package struct Certificate: Codable, Sendable, Equatable {
        package var subject: String
        package var notAfter: String
        /// Whole days until then; negative afterwards. Absent while the clock is not known to be right.
        package var daysLeft: Int?
        /// `valid`, `expiring` (within 30 days), `expired`, `notYetValid`, `unknown` (while the clock is not known to be right).
        package var state: String
        /// When the last of the trusted authorities ends.
        package var authorityNotAfter: String?
        /// How often other certificates were taken since the start of the gateway.
        package var renewals: UInt64
        /// What is wrong with the files, outermost first; those in use may be good all the same.
        package var trouble: [String]

        /// `nil` for a route that has none in use and no trouble with it.
        package init?(_ identity: IdentityStatus, at stamp: ClockStamp) {
            guard let certificate = identity.certificate else { return nil }
            subject = certificate.subject
            notAfter = certificate.notAfter.description
            let forecast = ExpiryForecast(notBefore: certificate.notBefore, notAfter: certificate.notAfter, at: stamp)
            daysLeft = forecast.daysLeft
            state = forecast.state.rawValue
            authorityNotAfter = identity.authorityNotAfter?.description
            renewals = identity.renewals
            trouble = identity.trouble
        }
    }

    package var name: String
    package var state: String
    package var failover: String
    package var payload: String
    package var clusters: [Cluster]
    package var backlog: Backlog
    package var roundTripMilliseconds: Double?
    /// Payload bytes, without MQTT and TLS.
    package var bytesPerSample: Double?
    package var inFlight: Int
    package var publishedMessages: UInt64
    package var publishedSamples: UInt64
    package var acknowledgedSamples: UInt64
    /// In the log and not acknowledged: the backlog, and what is on its way.
    package var pendingSamples: UInt64
    /// Of the published samples, those that were sent as they came, and those that had piled up.
    package var liveSamples: UInt64
    package var backlogSamples: UInt64
    /// How often fresh data fell behind, so that the live lane began anew.
    package var liveLaneRestarts: UInt64
    /// What the rules of delivery hold back now.
    package var holds: [Hold]
    /// Bytes of payload of the present day in UTC, where the route has a daily limit.
    package var sentToday: UInt64?
    package var dailyLimit: UInt64?
    /// Evicted from the log before this route came to them.
    package var evictedSamples: UInt64
    /// Left out because they can never be sent.
    package var refusedSamples: UInt64
    package var reconnects: UInt64
    package var nextAttempt: String?
    package var certificate: Certificate?
    package var lastError: Trouble?

    /// - Parameters:
    ///   - failover: how its clusters share the work, in the word of the site document.
    ///   - payload: the form of its messages, likewise.
    package init(name: String, failover: String, payload: String, status: RouteStatus, at stamp: ClockStamp) {
        self.name = name
        self.failover = failover
        self.payload = payload
        certificate = status.identity.flatMap { Certificate($0, at: stamp) }
        state = RouteReport.word(status.state)
        clusters = status.clusters.map(RouteReport.cluster)
        backlog = RouteReport.backlog(status.backlog)
        roundTripMilliseconds = RouteReport.milliseconds(status.roundTrip)
        bytesPerSample = status.bytesPerSample
        inFlight = status.inFlight
        publishedMessages = status.publishedMessages
        publishedSamples = status.publishedSamples
        pendingSamples = status.pendingSamples
        acknowledgedSamples = status.acknowledgedSamples
        liveSamples = status.live.publishedSamples
        backlogSamples = status.backlogLane.publishedSamples
        liveLaneRestarts = status.liveLaneRestarts
        holds = status.holds.map {
            Hold(lane: $0.lane == .live ? "live" : "backlog", reason: $0.reason.rawValue, until: $0.until.description)
        }
        sentToday = status.sentToday
        dailyLimit = status.dailyLimit
        evictedSamples = status.gapSamples
        refusedSamples = status.refusedSamples
        reconnects = status.reconnects
        nextAttempt = status.nextRetry?.description
        lastError = RouteReport.trouble(status.lastError, status.lastErrorTime, status.retryCount)
    }

    /// `stopped`, `connecting`, `connected`, `waiting`.
    static func word(_ state: RouteStatus.State) -> String {
        switch state {
        case .stopped: "stopped"
        case .connecting: "connecting"
        case .connected: "connected"
        case .backingOff: "waiting"
        }
    }

    static func milliseconds(_ duration: Duration?) -> Double? { duration.map { Double($0.nanoseconds) / 1e6 } }

    private static func cluster(_ status: ClusterStatus) -> Cluster {
        Cluster(
            name: status.name, broker: status.broker, state: word(status.state), health: status.health.rawValue, devices: status.devices,
            roundTripMilliseconds: milliseconds(status.roundTrip), tlsVersion: status.tlsVersion, cipher: status.cipher,
            connectedSince: status.connectedSince?.description, inFlight: status.inFlight, publishedSamples: status.publishedSamples,
            backlog: status.backlog.map(backlog), lastError: trouble(status.lastError, status.lastErrorTime, status.retryCount))
    }

    private static func backlog(_ status: BacklogStatus) -> Backlog {
        func seconds(_ duration: Duration?) -> Double? { duration.map { Double($0.nanoseconds) / 1e9 } }
        return Backlog(
            samples: status.samples, ageSeconds: seconds(status.age), drainPerSecond: status.drainRate,
            goneInSeconds: seconds(status.drainForecast))
    }

    private static func trouble(_ chain: [String], _ time: Timestamp?, _ attempts: Int) -> Trouble? {
        chain.isEmpty ? nil : Trouble(chain: chain, time: time?.description, attempts: attempts)
    }
}
