internal import Definitions
internal import GatewayCore
internal import Logging
internal import Telemetry

/// Watches the files of the site document, and carries out what `ConfigurationMachine` decides about them.
final class ConfigurationService: Sendable {
    /// How often the files are looked at.
    static let period = Duration.seconds(1)

    private let start: GatewayStart
    private let runtime: SiteRuntime
    private let control: ConfigurationControl
    private let store: ConfigurationStore
    private let log: any TelemetryLog
    private let time: any TimeSource
    private let logger: Logger

    init(
        start: GatewayStart, runtime: SiteRuntime, control: ConfigurationControl, log: any TelemetryLog, time: any TimeSource,
        logger: Logger
    ) {
        self.start = start
        self.runtime = runtime
        self.control = control
        store = ConfigurationStore(logPath: start.configuration.site.log.path)
        self.log = log
        self.time = time
        self.logger = logger
    }

    /// Runs until the task is cancelled. Trouble with documents is told, never thrown.
    func run() async throws {
        var machine = ConfigurationMachine(running: start.configuration, refused: start.refusal?.digest)
        try await begin()
        guard let source = start.source else {
            // A site without files cannot change.
            while true { try await time.sleep(for: .seconds(3600)) }
        }
        var watch = FileWatch()
        var paths = start.configuration.bundle.files.map(\.path)
        watch.willRead(stamps(of: paths))
        // What was changed between the reading at the start and now is found out by its content.
        var firstLook: MonotonicInstant? = time.now
        if start.isTrialInterrupted { firstLook = time.now.advanced(by: start.configuration.site.healthGate.within) }
        while true {
            if let gate = machine.gate, gate.deadline <= time.now {
                try await carryOut(machine.tick(at: time.now, tags: await runtime.tagQuality()), &machine)
            }
            let stamps = stamps(of: paths)
            let isWanted = control.takeReload() || firstLook.map { $0 <= time.now } ?? false
            if isWanted {
                firstLook = nil
                watch.willRead(stamps)
            }
            if isWanted || firstLook == nil && watch.look(stamps) {
                let loaded = ConfigurationLoader().load(files: source.files, environment: source.environment)
                paths = loaded.bundle.files.map(\.path)
                let action = machine.take(loaded)
                if case .apply = action { warn(of: loaded) }
                try await carryOut(action, &machine)
            }
            try await time.sleep(for: ConfigurationService.period)
        }
    }

    private func warn(of loaded: LoadedConfiguration) {
        for diagnostic in loaded.diagnostics where diagnostic.severity == .warning {
            logger.warning("site document", metadata: ["remark": "\(diagnostic)"])
        }
    }

    private func stamps(of paths: [String]) -> [String: FileStamp?] {
        Dictionary(paths.map { ($0, FileStamp(of: $0)) }, uniquingKeysWith: { first, _ in first })
    }

    // MARK: - Deeds

    /// Tells how the gateway started.
    private func begin() async throws {
        let running = start.configuration.bundle.digest
        guard let refusal = start.refusal else {
            if start.isTrialInterrupted, var kept = store.status() {
                kept.interruptions += 1
                logger.warning(
                    "the site document was on trial when the gateway ended: the last known good one runs, and the trial begins anew",
                    metadata: ["in": "\(start.configuration.site.healthGate.within)"])
                control.set(kept)
                return save(kept)
            }
            control.set(status(.accepted, of: start.configuration, running: running))
            guard start.source != nil else { return }
            keep(start.configuration)
            return
        }
        logger.error(
            refusal.wasRolledBack
                ? "the site document was taken back once and has not changed since: the last known good one runs"
                : "the site document cannot be used: the last known good one runs",
            metadata: ["reasons": .array(refusal.reasons.map { .string($0) }), "kept": "\(refusal.saved)"])
        await tell(
            ConfigurationStatus(
                state: refusal.wasRolledBack ? .rolledBack : .refused, since: time.utc.description, digest: refusal.digest,
                runningDigest: running, changes: [], reasons: refusal.reasons))
    }

    private func carryOut(_ action: ConfigurationMachine.Action, _ machine: inout ConfigurationMachine) async throws {
        switch action {
        case .none: break
        case .keep(let configuration):
            logger.debug("the site document was written otherwise and means the same")
            control.set(status(.accepted, of: configuration, running: configuration.bundle.digest))
            keep(configuration)
        case .refuse(let reasons): await refuse(reasons, machine)
        case .apply(let difference, let next):
            let before = await runtime.tagQuality()
            var trial = status(.onTrial, of: next, running: next.bundle.digest, changes: difference.changes)
            // The same trial, begun anew.
            if let last = control.status, last.digest == trial.digest { trial.interruptions = last.interruptions }
            // Before the deed: a document that ends the gateway at once must be known at the next start.
            save(trial)
            do {
                try await runtime.apply(difference, to: next.site)
            } catch {
                machine.didNotApply(next)
                return await refuse(error.chain, machine)
            }
            logger.notice("site document applied", metadata: ["changes": .array(difference.changes.map { .string($0) })])
            let followUp = machine.didApply(next, before: before, at: time.now)
            if machine.gate != nil { await tell(trial) }
            try await carryOut(followUp, &machine)
        case .accept(let configuration, let remarks):
            if remarks.isEmpty {
                logger.info("site document is good")
            } else {
                logger.warning(
                    "site document is good, but not all that is new is", metadata: ["remarks": .array(remarks.map { .string($0) })])
            }
            keep(configuration)
            await tell(status(.accepted, of: configuration, running: configuration.bundle.digest, reasons: remarks))
        case .rollBack(let difference, let good, let reason):
            let digest = machine.running.bundle.digest
            do {
                try await runtime.apply(difference, to: good.site)
            } catch {
                return logger.error("the last known good site document cannot be used again", metadata: ["error_chain": .chain(of: error)])
            }
            machine.didRollBack(to: good)
            logger.error(
                "site document taken back: the last known good one runs",
                metadata: ["reason": "\(reason)", "changes": .array(difference.changes.map { .string($0) })])
            await tell(
                ConfigurationStatus(
                    state: .rolledBack, since: time.utc.description, digest: digest, runningDigest: good.bundle.digest,
                    changes: difference.changes, reasons: [reason]))
        }
    }

    private func refuse(_ reasons: [String], _ machine: ConfigurationMachine) async {
        logger.error(
            "changed site document refused: nothing changes until it does", metadata: ["reasons": .array(reasons.map { .string($0) })])
        await tell(
            ConfigurationStatus(
                state: .refused, since: time.utc.description, digest: machine.refused ?? "", runningDigest: machine.running.bundle.digest,
                changes: [], reasons: reasons))
    }

    private func status(
        _ state: ConfigurationStatus.State, of configuration: Configuration, running: String, changes: [String] = [], reasons: [String] = []
    ) -> ConfigurationStatus {
        ConfigurationStatus(
            state: state, since: time.utc.description, digest: configuration.bundle.digest, runningDigest: running, changes: changes,
            reasons: reasons)
    }

    /// Leaves the status for everybody who asks: the commands, the log and the routes.
    private func tell(_ status: ConfigurationStatus) async {
        control.set(status)
        save(status)
        do {
            let stream = try await runtime.register(ConfigurationStream.descriptor)
            log.append(ConfigurationStream.batch(status, stream: stream, at: time.stamp))
        } catch {
            logger.warning("the state of the configuration is not in the log", metadata: ["error_chain": .chain(of: error)])
        }
    }

    /// Keeps the documents as the last known good ones. A disk that is full costs no more than that.
    private func keep(_ configuration: Configuration) {
        do {
            try store.save(configuration.bundle, at: time.utc)
        } catch {
            logger.warning("the last known good configuration is not kept", metadata: ["error_chain": .chain(of: error)])
        }
        if let status = control.status { save(status) }
    }

    private func save(_ status: ConfigurationStatus) {
        do {
            try store.save(status)
        } catch {
            logger.warning("the state of the configuration is not kept", metadata: ["error_chain": .chain(of: error)])
        }
    }
}
