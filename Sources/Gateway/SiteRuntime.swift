internal import Acquisition
internal import Definitions
internal import GatewayCore
internal import Logging
internal import ModbusAdapter
internal import ModbusFirewall
internal import Scoring
internal import Synchronization
internal import Telemetry
internal import Uplink

/// What of a site runs: its devices, routes and scoring, each a piece that can be stopped and started alone.
///
/// A difference between two sites touches the pieces that it names and no other: those keep their task, connection, counters and whatever
/// they have learned.
actor SiteRuntime {
    /// A device that is polled.
    struct RunningDevice: Sendable {
        let prepared: SiteBuilder.PreparedDevice
        let runner: DeviceRunner<ModbusAdapter>
        let meter: GoodTagsMeter
    }

    /// The services that keep the pieces.
    nonisolated let deviceHost: UnitHost
    nonisolated let routeHost: UnitHost
    nonisolated let scoringHost: UnitHost
    nonisolated let firewallHost: UnitHost
    /// The devices there are now, for the diagnostics.
    nonisolated let directory: DeviceDirectory
    /// What was learned of reading the devices.
    nonisolated let plans: PlanStore

    private(set) var site: Site
    private var devices: [String: RunningDevice]
    private var routes: [String: Uplink.Route]
    private var scoring: ScoringService?
    /// Streams of the gateway itself, which no device and no asset has.
    private var ownStreams: [StreamID] = []
    private let version: String
    private let log: any TelemetryLog
    private let time: any TimeSource
    private let logger: Logger
    /// Changes devices for those who ask, and writes down what passes a firewall.
    private let writes: WriteService

    /// Prepares everything and starts nothing.
    ///
    /// Throws a `GatewayError` when the site cannot work, or the catalogue of the log cannot be written.
    init(
        site: Site, version: String, log: any TelemetryLog, time: any TimeSource, logger: Logger,
        writes: WriteService
    ) throws {
        self.site = site
        self.writes = writes
        self.version = version
        self.log = log
        self.time = time
        self.logger = logger
        deviceHost = UnitHost(kind: "device", time: time, logger: logger)
        routeHost = UnitHost(kind: "route", time: time, logger: logger)
        scoringHost = UnitHost(kind: "service", time: time, logger: logger)
        firewallHost = UnitHost(kind: "firewall", time: time, logger: logger)
        directory = DeviceDirectory()
        plans = PlanStore(folder: site.log.path)
        let builder = SiteBuilder(site: site)
        try log.register(all: builder.descriptors())
        var devices: [String: RunningDevice] = [:]
        for device in try builder.devices(Set(site.devices.map(\.name)), log: log, known: plans.load()) {
            devices[device.name] = SiteRuntime.running(device, log: log, time: time, logger: logger)
        }
        self.devices = devices
        directory.replace(site.devices.compactMap { devices[$0.name] })
        let factory = RouteFactory(site: site, version: version, log: log, time: time, logger: logger, writes: writes)
        let streams = try SiteRuntime.streams(of: site, devices: devices, log: log)
        var routes: [String: Uplink.Route] = [:]
        for route in site.routes { routes[route.name] = try factory.route(route, streams: streams) }
        self.routes = routes
        if site.scoring.isEnabled {
            scoring = ScoringService(
                log: log, time: time, assets: try builder.assets(log: log), publishEvery: site.scoring.publishEvery, logger: logger)
        }
    }

    private static func running(
        _ device: SiteBuilder.PreparedDevice, log: any TelemetryLog, time: any TimeSource, logger: Logger
    ) -> RunningDevice {
        let meter = GoodTagsMeter(log)
        let runner = DeviceRunner(
            name: device.name, adapter: device.adapter, groups: device.groups, log: meter, time: time, logger: logger,
            patience: device.patience)
        return RunningDevice(prepared: device, runner: runner, meter: meter)
    }

    /// Every stream of a site, so that the first births name every metric.
    private static func streams(
        of site: Site, devices: [String: RunningDevice], log: any TelemetryLog
    ) throws -> [StreamID] {
        let present = site.devices.compactMap { devices[$0.name] }
        var streams = present.flatMap { $0.prepared.groups.map(\.plan.stream) }
        streams += try present.map { try log.register(DiagnosticsStream.descriptor(device: $0.prepared.name)) }
        streams += try present.map { device in
            let groups = device.prepared.groups.map(\.plan.descriptor.group)
            return try log.register(PlanningService.descriptor(device: device.prepared.name, groups: groups))
        }
        if site.scoring.isEnabled {
            streams += try site.assets.map { try log.register(HealthStream.descriptor(asset: $0.name)) }
        }
        return streams
    }

    // MARK: - Starting

    func startDevices() async {
        await adoptWrites()
        for device in site.devices { await startDevice(device.name) }
    }

    func startRoutes() async {
        releaseCursors()
        for route in site.routes { await startRoute(route.name) }
    }

    func startScoring() async {
        guard let scoring else { return }
        await scoringHost.start("scoring") { try await scoring.run() }
    }

    /// Starts these firewalls: after the devices they stand before.
    func startFirewalls(_ names: Set<String>? = nil) async throws {
        let factory = FirewallFactory(
            site: site, device: { [weak self] name in await self?.device(named: name) },
            judge: { [writes] device, tags in await writes.refusalOfForeign(device: device, tags: tags) },
            audit: { [writes] attempt in await writes.record(attempt) }, time: time, logger: logger)
        let latest = devices.compactMapValues(\.prepared.latest)
        for configured in site.firewalls where names?.contains(configured.name) ?? true {
            let firewall = factory.firewall(configured, latest: latest)
            let stream = try register(firewall.descriptor)
            let log = log
            await firewallHost.start(configured.name) { try await firewall.run(stream: stream, log: log) }
        }
    }

    private func adoptWrites() async {
        await writes.adopt(site: site, adapters: devices.mapValues { $0.prepared.adapter })
    }

    private func startDevice(_ name: String) async {
        guard let runner = devices[name]?.runner else { return }
        await deviceHost.start(name) { try await runner.run() }
    }

    private func startRoute(_ name: String) async {
        guard let route = routes[name] else { return }
        await routeHost.start(name) { try await route.run() }
    }

    // MARK: - Looking

    /// The route of this name that runs now; `nil` if there is none.
    func route(named name: String) -> Uplink.Route? { routes[name] }

    /// The device of this name that is polled now; `nil` if there is none.
    func device(named name: String) -> RunningDevice? { devices[name] }

    /// Which tags are read, and which of them are good now.
    func tagQuality() -> TagQuality {
        TagQuality(
            devices: devices.mapValues { device in
                var quality = TagQuality.Device(all: [], good: [])
                for group in device.prepared.groups {
                    quality.all.formUnion(group.plan.descriptor.tags.map(\.name))
                    quality.good.formUnion(device.meter.goodTags(of: group.plan.stream, group.plan.descriptor))
                }
                return quality
            })
    }

    /// Takes a stream of the gateway itself among those that the routes tell of.
    func register(_ descriptor: StreamDescriptor) throws -> StreamID {
        let stream = try log.register(descriptor)
        if !ownStreams.contains(stream) {
            ownStreams.append(stream)
            try tellRoutes()
        }
        return stream
    }

    private func tellRoutes() throws {
        let streams = try SiteRuntime.streams(of: site, devices: devices, log: log) + ownStreams
        for route in routes.values { route.retain(streams: streams) }
    }

    // MARK: - Changing

    /// Carries out a difference. Everything that can fail is done before anything is stopped.
    ///
    /// Throws a `GatewayError` when the new site cannot work; the old one runs on then, untouched.
    func apply(_ difference: SiteDifference, to next: Site) async throws {
        let builder = SiteBuilder(site: next)
        let touched = touchedDevices(difference, lines: builder.lineKeys())
        let kept = devices.filter { !touched.contains($0.key) }
        let lines = Dictionary(kept.values.map { ($0.prepared.lineKey, $0.prepared.line) }, uniquingKeysWith: { first, _ in first })
        var nextDevices = kept
        for device in try builder.devices(touched, log: log, sharing: lines, known: plans.load()) {
            nextDevices[device.name] = SiteRuntime.running(device, log: log, time: time, logger: logger)
        }
        let streams = try SiteRuntime.streams(of: next, devices: nextDevices, log: log) + ownStreams
        let factory = RouteFactory(site: next, version: version, log: log, time: time, logger: logger, writes: writes)
        var touchedRoutes = Set(difference.routes.map(\.name))
        // Their births name the definitions of the devices.
        if !difference.devices.isEmpty { touchedRoutes.formUnion(next.routes.filter(\.sparkplug.templates).map(\.name)) }
        var nextRoutes = routes.filter { !touchedRoutes.contains($0.key) }
        for route in next.routes where touchedRoutes.contains(route.name) {
            nextRoutes[route.name] = try factory.route(route, streams: streams)
        }
        let assets = next.scoring.isEnabled ? try builder.assets(log: log) : []

        let touchedFirewalls = SiteRuntime.touchedFirewalls(difference, of: next, devices: touched)
        await firewallHost.stop(touchedFirewalls)
        await deviceHost.stop(touched)
        for (name, device) in devices where nextDevices[name] == nil { tellRemoval(of: name, device) }
        await routeHost.stop(touchedRoutes)
        site = next
        devices = nextDevices
        routes = nextRoutes
        directory.replace(next.devices.compactMap { nextDevices[$0.name] })
        for route in routes.values { route.retain(streams: streams) }
        await adoptWrites()
        await update(assets)
        for name in touchedRoutes.sorted() { await startRoute(name) }
        for device in next.devices where touched.contains(device.name) { await startDevice(device.name) }
        releaseCursors()
        try await startFirewalls(touchedFirewalls)
    }

    /// What waits for a route that the site has no more, or for a scoring that is off, keeps nothing from removal.
    private func releaseCursors() {
        let routes = Dictionary(site.routes.map { ($0.name, Set($0.clusters.map(\.name))) }, uniquingKeysWith: { first, _ in first })
        let isScoring = site.scoring.isEnabled
        log.releaseCursors(at: time.utc) { name in
            if name == ScoringService.cursorName { return !isScoring }
            // route/<route>, or route/<route>/<cluster> where each cluster has its own.
            let parts = name.split(separator: "/", maxSplits: 2).map(String.init)
            guard parts.count >= 2, parts[0] == "route" else { return false }
            guard let clusters = routes[parts[1]] else { return true }
            return parts.count == 3 && !clusters.contains(parts[2])
        }
    }

    /// The devices that have to be stopped, started or both: those that changed, and those whose line is to be opened otherwise because of one.
    private func touchedDevices(_ difference: SiteDifference, lines: [String: SiteBuilder.LineKey]) -> Set<String> {
        var touched = Set(difference.devices.map(\.name))
        for (name, device) in devices {
            if let key = lines[name], key != device.prepared.lineKey { touched.insert(name) }
        }
        return touched
    }

    /// The firewalls that changed, and those before devices that did: limits of their tags may be others now.
    private static func touchedFirewalls(_ difference: SiteDifference, of site: Site, devices: Set<String>) -> Set<String> {
        let before = site.firewalls.filter { firewall in firewall.targets.contains { devices.contains($0.device) } }
        return Set(difference.firewalls.map(\.name)).union(before.map(\.name))
    }

    /// The last word of a device that is gone: nobody shall take it for connected.
    private func tellRemoval(of name: String, _ device: RunningDevice) {
        let descriptor = DiagnosticsStream.descriptor(device: name)
        guard let stream = try? log.register(descriptor) else { return }
        var status = device.runner.monitor.status
        status.connection = .connecting
        status.reason = "removed from the site document"
        log.append(DiagnosticsStream.batch(status, stream: stream, descriptor: descriptor, at: time.stamp))
    }

    private func update(_ assets: [AssetScorer]) async {
        switch (scoring, site.scoring.isEnabled) {
        case (let running?, true): running.update(assets: assets, publishEvery: site.scoring.publishEvery)
        case (nil, true):
            scoring = ScoringService(log: log, time: time, assets: assets, publishEvery: site.scoring.publishEvery, logger: logger)
            await startScoring()
        case (.some, false):
            await scoringHost.stop(["scoring"])
            scoring = nil
        case (nil, false): break
        }
    }
}

/// The devices there are now, with where they leave their status and what they learn.
final class DeviceDirectory: Sendable {
    private let entries = Mutex<[SiteRuntime.RunningDevice]>([])

    var devices: [(name: String, monitor: DeviceMonitor)] { entries.withLock { $0.map { ($0.prepared.name, $0.runner.monitor) } } }

    var plans: [PlanningService.Watched] {
        entries.withLock { devices in
            devices.map { device in
                let prepared = device.prepared
                return .init(
                    device: prepared.name, key: prepared.plansKey, groups: prepared.groups.map(\.plan.descriptor.group),
                    monitor: prepared.plans)
            }
        }
    }

    func replace(_ devices: [SiteRuntime.RunningDevice]) { entries.withLock { $0 = devices } }
}
