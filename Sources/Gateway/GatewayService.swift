internal import Acquisition
package import Definitions
package import GatewayCore
internal import Historian
internal import Identity
package import Logging
internal import Scoring
internal import ServiceLifecycle
internal import Synchronization
internal import Telemetry
internal import UnixSignals
internal import Uplink

/// The whole gateway of one site: log, devices, scoring and routes, as one group of services.
package struct GatewayService: Sendable {
    private let start: GatewayStart
    private let version: String
    private let time: DisciplinedTime
    private let logger: Logger
    /// The way to the configuration while the gateway runs.
    package let configuration = ConfigurationControl()

    private var site: Site { start.configuration.site }

    /// `version` is told to the platform and the log. The site does not change.
    package init(site: Site, version: String, time: any MachineClock, logger: Logger) {
        self.init(GatewayStart(site: site), version: version, time: time, logger: logger)
    }

    /// The same with a site that follows its files.
    package init(_ start: GatewayStart, version: String, time: any MachineClock, logger: Logger) {
        self.start = start
        self.version = version
        self.time = DisciplinedTime(clock: time, trust: start.configuration.site.clock.trust == .system ? .system : .synchronized)
        self.logger = logger
    }

    /// Runs until the task is cancelled or the process gets SIGTERM or SIGINT; then ends in order and commits for the last time.
    ///
    /// Throws a `GatewayError` when the log cannot be opened or the configuration cannot work.
    package func run() async throws {
        let log = try openLog()
        do {
            let services = try prepare(log)
            var configuration = ServiceGroupConfiguration(services: services, logger: quiet(logger))
            configuration.maximumGracefulShutdownDuration = .seconds(20)
            try await run(ServiceGroup(configuration: configuration))
            try await log.close()
        } catch  where error.isCancellation {
            try await log.close()
            throw error
        } catch {
            // The first error is the one to tell; closing after it can only add that the disk is still broken.
            try? await log.close()
            throw error
        }
        logger.notice("gateway stopped", metadata: ["site": "\(site.name)"])
    }

    /// Runs the group until it ends or a signal tells it to.
    ///
    /// The group could watch the signals itself, but only begins to while its services start already: a signal that comes as soon as
    /// the gateway says that it is there would end the process without a last commit.
    private func run(_ group: ServiceGroup) async throws {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup)
        try await withThrowingTaskGroup(of: Bool.self) { tasks in
            tasks.addTask {
                try await group.run()
                return true
            }
            tasks.addTask {
                for await signal in signals {
                    if signal == .sighup { configuration.reload() } else { await group.triggerGracefulShutdown() }
                }
                return false
            }
            defer { tasks.cancelAll() }
            for try await isOver in tasks where isOver { return }
        }
    }

    private func openLog() throws -> Historian {
        try Historian(
            configuration: HistorianConfiguration(
                folder: site.log.path, diskLimit: Int(site.log.diskLimit), commitInterval: site.log.commitInterval,
                keepFor: site.log.keepFor, policy: RetentionPolicy(rawValue: site.log.policy.rawValue) ?? .thin,
                writeBudget: site.log.writeBudget.map { Int($0) }),
            time: time, logger: logger)
    }

    /// The service group ends its services last to first: devices stop first, the log last.
    private func prepare(_ log: Historian) throws -> [ServiceGroupConfiguration.ServiceConfiguration] {
        let clock = ClockService(time: time, log: log, logger: logger)
        clock.begin()
        let writes = WriteService(site: site, adapters: [:], folder: site.log.path + "/audit", time: time, logger: logger)
        let runtime = try SiteRuntime(site: site, version: version, log: log, time: time, logger: logger, writes: writes)
        let control = ControlService(folder: site.log.path, writes: writes) { [time] in
            await runtime.routeReports(named: $0, at: time.stamp)
        }
        let routeDiagnostics = RouteDiagnosticsService(
            log: log, time: time, routes: { await runtime.routeStatuses() }, register: { try await runtime.register($0) })
        let identities = IdentityService(
            log: log, time: time, logger: logger, identities: { await runtime.identities(at: $0) },
            register: { try await runtime.register($0) })
        let diagnostics = DiagnosticsService(log: log, time: time) { runtime.directory.devices }
        let planning = PlanningService(log: log, time: time, store: runtime.plans, logger: logger) { runtime.directory.plans }
        let configuration = ConfigurationService(
            start: start, runtime: runtime, control: configuration, log: log, time: time, logger: logger)
        return [
            service("log") {
                announce(epoch: log.epoch)
                try await log.run()
            },
            service("clock") { try await clock.run() },
            service("routes") {
                await runtime.startRoutes()
                try await runtime.routeHost.run()
            },
            service("scoring") {
                await runtime.startScoring()
                try await runtime.scoringHost.run()
            },
            service("diagnostics") { try await diagnostics.run() },
            service("route diagnostics") { try await routeDiagnostics.run() },
            service("identities") { try await identities.run() },
            service("planning") { try await planning.run() },
            service("devices") {
                await runtime.startDevices()
                try await runtime.deviceHost.run()
            },
            service("control") { try await control.run() },
            // Ends before the devices: no client is let through to one that has gone.
            service("firewalls") {
                try await runtime.startFirewalls()
                try await runtime.firewallHost.run()
            },
            // Ends first: nothing is started any more when the rest ends.
            service("configuration") { try await configuration.run() },
        ]
    }

    private func announce(epoch: UInt32) {
        logger.notice(
            "gateway started",
            metadata: [
                "site": "\(site.name)", "version": "\(version)", "epoch": "\(epoch)", "devices": "\(site.devices.count)",
                "tags": "\(site.devices.reduce(0) { $0 + $1.tags.count })", "routes": "\(site.routes.count)",
            ])
    }

    private func service(
        _ name: String, _ work: @escaping @Sendable () async throws -> Void
    ) -> ServiceGroupConfiguration.ServiceConfiguration {
        let supervisor = Supervisor(resource: name, logger: logger, time: time)
        return .init(
            service: SupervisedService(supervisor: supervisor, work: work), successTerminationBehavior: .gracefullyShutdownGroup,
            failureTerminationBehavior: .gracefullyShutdownGroup)
    }

    /// The service group logs each start and stop at `info`; that is for those who look.
    private func quiet(_ logger: Logger) -> Logger {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        return quiet
    }
}

/// A piece of the gateway in the service group: ends when the group shuts down, is started again when it fails.
private struct SupervisedService: Service {
    let supervisor: Supervisor
    let work: @Sendable () async throws -> Void

    func run() async throws {
        do {
            try await cancelWhenGracefulShutdown { try await supervisor.run(work) }
        } catch  where error.isCancellation {
            // Told to stop, and stopped.
        }
    }
}
