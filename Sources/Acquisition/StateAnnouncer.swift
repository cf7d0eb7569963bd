internal import GatewayCore
internal import Logging
internal import Telemetry

/// Tells of a device's changes of state: each once, in one line, with its reason.
///
/// What an operator must know is said aloud, once in an outage for every state; the attempts in between, and a device that wavers all the time,
/// are for those who look (`debug`, and the monitor).
struct StateAnnouncer {
    /// From the first poll without an answer, or the loss of the connection, to the next answer.
    private struct Outage {
        /// Shared by the lines of one outage.
        let trace = TraceID()
        let start: MonotonicInstant
        var announced: Set<DeviceStatus.Connection> = []
    }

    /// A device that falls silent and answers again at every other poll is told of once in so long.
    static let waveringQuiet = Duration.seconds(60)

    private let device: String
    private let logger: Logger
    private var outage: Outage?
    private var lastWavering: MonotonicInstant?
    /// Changes since then that were not said aloud.
    private var quietChanges = 0

    init(device: String, logger: Logger) {
        self.device = device
        self.logger = logger
    }

    mutating func tell(_ transition: DeviceTransition, at now: MonotonicInstant, extra: Logger.Metadata = [:]) {
        var metadata: Logger.Metadata = [
            "device": "\(device)", "from": "\(transition.from.rawValue)", "to": "\(transition.to.rawValue)",
            "reason": "\(transition.reason)",
        ]
        metadata.merge(extra) { $1 }
        switch transition.to {
        case .connecting, .probing: break
        case .online:
            guard let ended = outage else {
                say(.debug, "device is online", metadata)
                return
            }
            metadata["outage"] = "\(ended.start.duration(to: now))"
            say(ended.announced.isEmpty ? .debug : .info, "device is back", metadata)
            outage = nil
        case .degraded:
            let isLoud = lastWavering.map { $0.duration(to: now) >= StateAnnouncer.waveringQuiet } ?? true
            if isLoud {
                if quietChanges > 0 { metadata["like_this_before"] = "\(quietChanges)" }
                lastWavering = now
                quietChanges = 0
            } else {
                quietChanges += 1
            }
            announce(isLoud ? .info : nil, "device does not answer", .degraded, metadata, now)
        case .demoted: announce(.warning, "device is silent, will only be probed", .demoted, metadata, now)
        case .waiting: announce(.warning, "device is not available, will be tried again", .waiting, metadata, now)
        }
    }

    /// `level`: `nil` for a state that is not said aloud this time.
    private mutating func announce(
        _ level: Logger.Level?, _ message: Logger.Message, _ state: DeviceStatus.Connection, _ metadata: Logger.Metadata,
        _ now: MonotonicInstant
    ) {
        var current = outage ?? Outage(start: now)
        let isLoud = level != nil && current.announced.insert(state).inserted
        outage = current
        say(isLoud ? level ?? .info : .debug, message, metadata)
    }

    private func say(_ level: Logger.Level, _ message: Logger.Message, _ metadata: Logger.Metadata) {
        var metadata = metadata
        if let outage { metadata["trace_id"] = "\(outage.trace)" }
        logger.log(level: level, message, metadata: metadata)
    }
}
