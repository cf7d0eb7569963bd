internal import Acquisition
internal import Definitions
internal import GatewayCore
internal import ModbusAdapter
internal import Scoring
internal import Telemetry

/// Turns what a site document says into what the subsystems take.
struct SiteBuilder {
    let site: Site

    /// One device, ready to be polled.
    struct PreparedDevice {
        let name: String
        let adapter: ModbusAdapter
        let groups: [Acquisition.ScanGroup]
        let patience: DevicePatience
        /// Where its answers are left for a firewall; `nil` where there is none before it.
        let latest: LatestRegisters?
        /// What the adapter learns of reading the device, and what that is kept under.
        let plans: PlanMonitor
        let plansKey: String
        let lineKey: LineKey
        let line: ModbusLine
    }

    /// What devices share a connection by: where it leads, and how long its opening is waited for.
    struct LineKey: Hashable {
        var endpoint: ModbusEndpoint
        var connectTimeout: Duration
    }

    /// The line of each device by its name. The first device on an endpoint says how long its opening is waited for.
    func lineKeys() -> [String: LineKey] {
        var byEndpoint: [ModbusEndpoint: LineKey] = [:]
        var keys: [String: LineKey] = [:]
        for device in site.devices {
            let endpoint = SiteBuilder.endpoint(of: device.connection)
            let key = byEndpoint[endpoint] ?? LineKey(endpoint: endpoint, connectTimeout: device.connectTimeout)
            byEndpoint[endpoint] = key
            keys[device.name] = key
        }
        return keys
    }

    /// Registers the streams of the devices with these names and plans their requests. Devices that name the same line share its connection,
    /// also with those that are `sharing` one already. `known` is what an earlier run learned of them.
    ///
    /// Throws when the catalogue of the log cannot be written, or a tag cannot be read in one request.
    func devices(
        _ names: Set<String>, log: any TelemetryLog, sharing: [LineKey: ModbusLine] = [:], known: [String: PlanStore.Entry] = [:]
    ) throws -> [PreparedDevice] {
        var lines = sharing
        let keys = lineKeys()
        return try site.devices.enumerated().compactMap { index, device in
            guard names.contains(device.name), let key = keys[device.name] else { return nil }
            let line = lines[key] ?? SiteBuilder.line(to: device)
            lines[key] = line
            let settings = SiteBuilder.settings(device.reading)
            let groups = try device.scanGroups.map { group in
                let tags = device.tags(of: group.name)
                let descriptor = StreamDescriptor(device: device.name, group: group.name, tags: tags.map(\.tag))
                let plan = try ReadPlanner.plan(
                    stream: try log.register(descriptor), descriptor: descriptor,
                    fields: tags.enumerated().map { SiteBuilder.field($0.element, tag: $0.offset) },
                    limits: settings.limits(on: key.endpoint))
                let phase = SiteBuilder.phase(ofDevice: index, of: site.devices.count, period: group.period)
                return Acquisition.ScanGroup(plan: plan, period: group.period, phase: phase, deadbands: tags.map(\.deadband))
            }
            let latest = isBehindFirewall(device.name) ? LatestRegisters() : nil
            let plans = PlanMonitor()
            let plansKey = PlanStore.key(of: device)
            let adapter = ModbusAdapter(
                name: device.name, line: line, unit: SiteBuilder.unit(of: device.connection), responseTimeout: device.responseTimeout,
                retries: device.patience.retries, latest: latest, reading: settings,
                remembered: known[plansKey]?.learned, monitor: plans)
            let patience = DevicePatience(
                demoteAfter: device.patience.demoteAfter, backoffInitial: device.patience.backoffInitial,
                backoffMaximum: device.patience.backoffMaximum)
            return PreparedDevice(
                name: device.name, adapter: adapter, groups: groups, patience: patience, latest: latest, plans: plans, plansKey: plansKey,
                lineKey: key, line: line)
        }
    }

    /// What every stream of the site looks like, so that all can be registered in one step.
    func descriptors() -> [StreamDescriptor] {
        var descriptors: [StreamDescriptor] = []
        for device in site.devices {
            descriptors += device.scanGroups.map { group in
                StreamDescriptor(device: device.name, group: group.name, tags: device.tags(of: group.name).map(\.tag))
            }
            descriptors.append(DiagnosticsStream.descriptor(device: device.name))
            descriptors.append(PlanningService.descriptor(device: device.name, groups: device.scanGroups.map(\.name)))
        }
        if site.scoring.isEnabled { descriptors += site.assets.map { HealthStream.descriptor(asset: $0.name) } }
        return descriptors
    }

    /// Spread evenly over the period, so that devices do not all ask for the processor at the same moment; but a few at once, on a grid: to wake
    /// the processor, the log's readers and the routes costs more than the poll of a small device, and is done once for all of them.
    static func phase(ofDevice index: Int, of count: Int, period: Duration) -> Duration {
        let even = period.nanoseconds / Int64(count) * Int64(index + 1)
        let grid = min(phaseGrid.nanoseconds, period.nanoseconds)
        return .nanoseconds(min(period.nanoseconds, (even + grid - 1) / grid * grid))
    }

    private static let phaseGrid = Duration.milliseconds(10)

    private func isBehindFirewall(_ device: String) -> Bool {
        site.firewalls.contains { $0.freshFor > .zero && $0.targets.contains { $0.device == device } }
    }

    /// A scorer for every asset, over the streams of its members.
    func assets(log: any TelemetryLog) throws -> [AssetScorer] {
        try site.assets.map { asset in
            var members: [AssetScorer.Member] = []
            for device in site.devices {
                for group in device.scanGroups {
                    let tags = device.tags(of: group.name)
                    let scored = tags.map { tag in
                        tag.isScored && asset.members.contains { $0.device == device.name && ($0.tag == nil || $0.tag == tag.name) }
                    }
                    guard scored.contains(true) else { continue }
                    let descriptor = StreamDescriptor(device: device.name, group: group.name, tags: tags.map(\.tag))
                    members.append(.init(stream: try log.register(descriptor), descriptor: descriptor, scored: scored))
                }
            }
            return AssetScorer(name: asset.name, members: members)
        }
    }

    static func settings(_ reading: ModbusReading) -> ModbusReadSettings {
        ModbusReadSettings(
            maxRegistersPerRead: reading.maxRegistersPerRead, maxBitsPerRead: reading.maxBitsPerRead, alignment: reading.alignment,
            readsAcrossHoles: reading.holes == .learn)
    }

    static func field(_ tag: TagDefinition, tag index: Int) -> ReadField {
        ReadField(
            tag: index, area: area(tag.address.table), start: tag.address.offset, count: tag.unitCount, dataType: tag.dataType,
            byteOrder: tag.byteOrder, bit: tag.address.bit, encoding: tag.form.encoding, rules: tag.form.rules)
    }

    /// The function code that reads a table.
    private static func area(_ table: ModbusAddress.Table) -> UInt8 {
        switch table {
        case .coil: 1
        case .discrete: 2
        case .holding: 3
        case .input: 4
        }
    }
}
