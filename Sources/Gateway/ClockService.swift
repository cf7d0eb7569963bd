internal import GatewayCore
internal import Logging

/// Keeps the gateway's time: looks at the clocks of the machine every second, has the log correct what was stamped wrong, and tells of it once.
struct ClockService: Sendable {
    static let period = Duration.seconds(1)

    private let time: DisciplinedTime
    private let log: any TelemetryLog
    private let logger: Logger

    init(time: DisciplinedTime, log: any TelemetryLog, logger: Logger) {
        self.time = time
        self.log = log
        self.logger = logger
    }

    /// Hands the log what was known before it was there. To be called once, before anybody appends.
    func begin() {
        time.tell(log, time.firstEvents)
        tell(time.firstEvents)
    }

    func run() async throws {
        while true {
            try await time.sleep(for: ClockService.period)
            tell(time.update(log))
        }
    }

    private func tell(_ events: [ClockDiscipline.Event]) {
        for event in events {
            switch event {
            case .mapped: break
            case .uncertain:
                // Usual for a while after the start of a box: not a warning.
                logger.notice(
                    "clock is not synchronized: times are marked uncertain, and corrected when it is",
                    metadata: ["hint": "without a time server, clock: {trust: system} takes the clock as it is"])
            case .corrected(let step):
                logger.notice("clock was set: uncertain times of this boot are corrected", metadata: ["step": "\(step)"])
            case .synchronized(let step):
                logger.notice("clock is synchronized: uncertain times of this boot are corrected", metadata: ["step": "\(step)"])
            case .steppedForward(let step): logger.notice("clock stepped forward", metadata: ["step": "\(step)"])
            case .steppedBack(let step):
                logger.error("clock stepped back too far to hide it: times go back, too", metadata: ["step": "\(step)"])
            case .slewing(let step):
                logger.warning("clock stepped back: times run at half speed until it has caught up", metadata: ["step": "\(step)"])
            case .disbelieved(let step):
                logger.warning("clock stepped and nothing vouches for it: it is not followed", metadata: ["step": "\(step)"])
            case .believed: logger.notice("clock is believed again")
            }
        }
    }
}
