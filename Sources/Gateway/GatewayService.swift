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
    private let site: Site
    private let version: String
    private let time: DisciplinedTime
    private let logger: Logger

    /// `version` is told to the platform and the log.
    package init(site: Site, version: String, time: any MachineClock, logger: Logger) {
        self.site = site
        self.version = version
        self.time = DisciplinedTime(clock: time, trust: site.clock.trust == .system ? .system : .synchronized)
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
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        try await withThrowingTaskGroup(of: Bool.self) { tasks in
            tasks.addTask {
                try await group.run()
                return true
            }
            tasks.addTask {
                for await _ in signals { await group.triggerGracefulShutdown() }
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
        let builder = SiteBuilder(site: site)
        let devices = try builder.devices(log: log)
        let runners = devices.map { device in
            DeviceRunner(name: device.name, adapter: device.adapter, groups: device.groups, log: log, time: time, logger: logger)
        }
        var services = [
            service("log") {
                announce(epoch: log.epoch)
                try await log.run()
            }
        ]
        services.append(service("clock") { try await clock.run() })
        for route in try routes(log: log, devices: devices) {
            services.append(service("route \(route.configuration.name)") { try await route.run() })
        }
        if site.scoring.isEnabled {
            let scoring = ScoringService(
                log: log, time: time, assets: try builder.assets(log: log), publishEvery: site.scoring.publishEvery, logger: logger)
            services.append(service("scoring") { try await scoring.run() })
        }
        let diagnostics = DiagnosticsService(log: log, time: time, devices: zip(devices, runners).map { ($0.name, $1.monitor) })
        services.append(service("diagnostics") { try await diagnostics.run() })
        for (device, runner) in zip(devices, runners) { services.append(service("device \(device.name)") { try await runner.run() }) }
        let writes = WriteService(
            site: site,
            adapters: Dictionary(devices.map { ($0.name, $0.adapter as any TagWriting) }, uniquingKeysWith: { first, _ in first }),
            folder: site.log.path + "/audit", time: time, logger: logger)
        let control = ControlService(folder: site.log.path, writes: writes)
        services.append(service("control") { try await control.run() })
        return services
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

    private func routes(log: any TelemetryLog, devices: [SiteBuilder.PreparedDevice]) throws -> [Uplink.Route] {
        try site.routes.map { route in
            let configuration = RouteConfiguration(
                name: route.name, site: site.name,
                clusters: route.clusters.map { .init(name: $0.name, host: $0.host, port: UInt16($0.port), isTLS: $0.isEncrypted) },
                payload: route.payload == .json ? .json(topicTemplate: route.topic) : .sparkplugB(group: route.group, node: route.node),
                tls: route.tls.map {
                    .init(
                        ca: $0.certificateAuthority, certificate: $0.certificate, key: $0.key,
                        minimumVersion: $0.minimumVersion == .tls12 ? .tls12 : .tls13)
                }, inFlight: route.inFlight, keepAlive: route.keepAlive, clientID: route.clientID ?? "indusedge-\(site.name)-\(route.name)",
                epoch: log.epoch, gatewayVersion: version)
            let prepared = try Uplink.Route(
                configuration: configuration, log: log, time: time, logger: logger, preflight: preflight(of: route))
            prepared.register(streams: try streams(log: log, devices: devices))
            return prepared
        }
    }

    /// Every stream of the site, so that the first births name every metric.
    private func streams(log: any TelemetryLog, devices: [SiteBuilder.PreparedDevice]) throws -> [StreamID] {
        var streams = devices.flatMap { $0.groups.map(\.plan.stream) }
        streams += try devices.map { try log.register(DiagnosticsStream.descriptor(device: $0.name)) }
        if site.scoring.isEnabled {
            streams += try site.assets.map { try log.register(HealthStream.descriptor(asset: $0.name)) }
        }
        return streams
    }

    private func preflight(of route: Definitions.Route) -> @Sendable () throws -> Void {
        let time = time
        let logger = logger
        // Looked at before every attempt to connect, told only when it changes.
        let lastRemarks = LastRemarks()
        return {
            guard let tls = route.tls else { return }
            let remarks = try CertificateInformation.check(
                ca: tls.certificateAuthority, certificate: tls.certificate, key: tls.key, at: time.utc)
            guard lastRemarks.change(to: remarks) else { return }
            for remark in remarks { logger.warning("identity", metadata: ["route": "\(route.name)", "remark": "\(remark)"]) }
        }
    }

    /// The service group logs each start and stop at `info`; that is for those who look.
    private func quiet(_ logger: Logger) -> Logger {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        return quiet
    }
}

/// What a pre-flight check remarked last.
private final class LastRemarks: Sendable {
    private let remarks = Mutex<[String]>([])

    /// Returns whether they differ from the last ones.
    func change(to new: [String]) -> Bool {
        remarks.withLock { old in
            defer { old = new }
            return old != new
        }
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
