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
    }

    /// Registers every stream of every device and plans its requests. Devices that name the same line share its connection.
    ///
    /// Throws when the catalogue of the log cannot be written, or a tag cannot be read in one request.
    func devices(log: any TelemetryLog) throws -> [PreparedDevice] {
        var lines: [ModbusEndpoint: ModbusLine] = [:]
        return try site.devices.enumerated().map { index, device in
            let endpoint = SiteBuilder.endpoint(of: device.connection)
            let line = lines[endpoint] ?? SiteBuilder.line(to: device)
            lines[endpoint] = line
            let groups = try device.scanGroups.map { group in
                let tags = device.tags(of: group.name)
                let descriptor = StreamDescriptor(device: device.name, group: group.name, tags: tags.map(\.tag))
                let plan = try ReadPlanner.plan(
                    stream: try log.register(descriptor), descriptor: descriptor,
                    fields: tags.enumerated().map { SiteBuilder.field($0.element, tag: $0.offset) }, limits: ModbusAdapter.limits)
                // Spread evenly over the period, so that devices do not all ask for the processor at the same moment.
                let phase = Duration.nanoseconds(group.period.nanoseconds / Int64(site.devices.count) * Int64(index + 1))
                return Acquisition.ScanGroup(plan: plan, period: group.period, phase: phase, deadbands: tags.map(\.deadband))
            }
            let adapter = ModbusAdapter(
                name: device.name, line: line, unit: SiteBuilder.unit(of: device.connection), responseTimeout: device.responseTimeout)
            return PreparedDevice(name: device.name, adapter: adapter, groups: groups)
        }
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

    static func field(_ tag: TagDefinition, tag index: Int) -> ReadField {
        ReadField(
            tag: index, area: area(tag.address.table), start: tag.address.offset, count: tag.unitCount, dataType: tag.dataType,
            byteOrder: tag.byteOrder, bit: tag.address.bit)
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
