internal import Acquisition
internal import Definitions
internal import Foundation
internal import GatewayCore
internal import Logging
internal import ModbusAdapter
internal import ModbusFirewall
internal import ModbusProtocol
internal import Telemetry

/// Makes firewalls of what a site document says.
struct FirewallFactory {
    let site: Site
    /// Finds the device that is polled under a name now.
    let device: @Sendable (_ name: String) async -> SiteRuntime.RunningDevice?
    /// Looks at the rules of tags that a write of a client touches, and counts it as a write where they let it be made.
    let judge: @Sendable (_ device: String, _ tags: [String]) async -> WriteRefusal?
    /// Writes an attempt down; false when that cannot be done.
    let audit: @Sendable (FirewallService.Attempt) async -> Bool
    let time: any TimeSource
    let logger: Logger

    /// `latest`: where the answers of devices are left, by their names.
    func firewall(_ firewall: Definitions.Firewall, latest: [String: LatestRegisters]) -> RunningFirewall {
        let path = site.log.path + "/firewall-\(firewall.name).baseline"
        let rules = FirewallRules(
            firewall.rules.map { rule in
                FirewallRules.Rule(
                    client: rule.client.map { NetworkBlock(bytes: $0.bytes, prefix: $0.prefix) },
                    units: rule.units.map { Set($0.map { UInt8($0) }) }, functions: Set(rule.functions.map { UInt8($0) }),
                    ranges: rule.ranges?.map { .init(area: FirewallFactory.area($0.table), addresses: $0.addresses) })
            })
        var guarded: [UInt8: [ModbusFirewall.GuardedTag]] = [:]
        var targets: [UInt8: FirewallService.Target] = [:]
        for target in firewall.targets {
            let unit = UInt8(target.unit)
            let tags = site.devices.first { $0.name == target.device }?.tags ?? []
            guarded[unit] = tags.compactMap { FirewallFactory.guarded($0) }
            targets[unit] = self.target(target.device, latest: firewall.freshFor > .zero ? latest[target.device] : nil)
        }
        let configuration = ModbusFirewall.Configuration(
            rules: rules, newWrites: ModbusFirewall.NewWrites(rawValue: firewall.newWrites.rawValue) ?? .block,
            writesPerSecond: firewall.writesPerSecond, writeBurst: firewall.writeBurst, guardedTags: guarded)
        let judge = judge
        let service = FirewallService(
            name: firewall.name, firewall: ModbusFirewall(configuration, baseline: baseline(of: firewall, at: path)), targets: targets,
            freshFor: firewall.freshFor, judge: { device, tags in await judge(device, tags).map(FirewallFactory.refusal) }, audit: audit,
            time: time, logger: logger)
        return RunningFirewall(
            service: service, address: firewall.address, port: UInt16(firewall.port), serial: firewall.serial.map(FirewallFactory.settings),
            baselinePath: firewall.newWrites == .learn ? path : nil, time: time, logger: logger)
    }

    /// What was learned before; nothing where the file is missing or damaged, which is told.
    private func baseline(of firewall: Definitions.Firewall, at path: String) -> WriteBaseline {
        guard firewall.newWrites != .allow else { return WriteBaseline() }
        do {
            let text = try String(contentsOfFile: path, encoding: .utf8)
            if let baseline = WriteBaseline(text: text) { return baseline }
            logger.warning(
                "the learned writes of a firewall are damaged and forgotten", metadata: ["firewall": "\(firewall.name)", "file": "\(path)"])
        } catch {
            guard firewall.newWrites == .block else { return WriteBaseline() }
            logger.warning(
                "no writes were learned: every write is refused until newWrites: learn has run for a while",
                metadata: ["firewall": "\(firewall.name)", "file": "\(path)"])
        }
        return WriteBaseline()
    }

    private func target(_ name: String, latest: LatestRegisters?) -> FirewallService.Target {
        let device = device
        return FirewallService.Target(
            device: name,
            forward: { request in
                guard let running = await device(name) else { return .exception(10) }
                // Clients of a device that does not answer must not make everybody on its line wait: whether it does again, its probes find out.
                switch running.runner.monitor.status.connection {
                case .online, .degraded: return await running.prepared.adapter.forward(request)
                case .connecting, .probing, .demoted, .waiting: return .exception(11)
                }
            }, latest: { access, oldest in latest?.values(of: access, notBefore: oldest) }, didWrite: { latest?.forget($0) })
    }

    /// What a client is told: what may be otherwise later is no fault of its request.
    private static func refusal(_ refusal: WriteRefusal) -> Refusal {
        Refusal(refusal.code == .confirmation ? .illegalDataAddress : .deviceBusy, .tagRule, refusal.reason)
    }

    /// A tag that can be written, and has limits or other rules for that.
    private static func guarded(_ tag: TagDefinition) -> ModbusFirewall.GuardedTag? {
        guard tag.address.table.isWritable else { return nil }
        let limits = tag.limits
        let hasRules =
            tag.write.interlock != nil || tag.write.minimumInterval != nil || limits?.writesPerMinute != nil
            || tag.write.confirmation == .twoStep
        guard limits != nil || hasRules else { return nil }
        guard tag.address.table == .holding else {
            return ModbusFirewall.GuardedTag(name: tag.name, area: .coils, start: tag.address.offset, count: 1, hasRules: hasRules) {
                $0.first.map { Double($0) }
            }
        }
        let encoder = RegisterEncoder(tag: tag.tag, field: SiteBuilder.field(tag, tag: 0))
        return ModbusFirewall.GuardedTag(
            name: tag.name, area: .holdingRegisters, start: tag.address.offset, count: tag.unitCount, minimum: limits?.minimum,
            maximum: limits?.maximum, maximumStep: limits?.maximumStep, hasRules: hasRules
        ) { encoder.decode($0).value?.number }
    }

    private static func settings(_ serial: Definitions.Firewall.SerialLine) -> SerialPortSettings {
        SerialPortSettings(
            path: serial.port, baudRate: serial.baudRate, parity: .init(rawValue: serial.parity.rawValue) ?? .even,
            stopBits: serial.stopBits)
    }

    private static func area(_ table: ModbusAddress.Table) -> ModbusArea {
        switch table {
        case .coil: .coils
        case .discrete: .discreteInputs
        case .holding: .holdingRegisters
        case .input: .inputRegisters
        }
    }
}

/// A firewall at work.
struct RunningFirewall: Sendable {
    let service: FirewallService
    let address: String
    let port: UInt16
    /// The serial line that it serves in place of a TCP port.
    let serial: SerialPortSettings?
    /// Where learned writes are kept; `nil` while nothing is learned.
    let baselinePath: String?
    let time: any TimeSource
    let logger: Logger

    /// How often learned writes are put into their file: so much of a learning time can a power cut lose.
    private static let saveEvery = Duration.seconds(10)

    var descriptor: StreamDescriptor { FirewallStream.descriptor(firewall: service.name) }

    /// Listens and serves until the task is cancelled.
    ///
    /// Throws a `GatewayError` that may be retried when the address cannot be used.
    func run(stream: StreamID, log: any TelemetryLog) async throws {
        let serve: @Sendable () async throws -> Void
        if let serial {
            let server = SerialFirewallServer(service: service, settings: serial)
            logger.info("firewall listens", metadata: ["firewall": "\(service.name)", "serial": "\(serial.path)"])
            serve = { [service] in
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    tasks.addTask { try await server.run() }
                    tasks.addTask { try await service.report(to: log, stream: stream) }
                    defer { tasks.cancelAll() }
                    try await tasks.next()
                }
            }
        } else {
            let server = try FirewallServer(service: service, address: address, port: port, stream: stream, log: log, logger: logger)
            logger.info("firewall listens", metadata: ["firewall": "\(service.name)", "address": "\(address)", "port": "\(server.port)"])
            serve = { try await server.run() }
        }
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await serve() }
            if let baselinePath { tasks.addTask { try await saveBaseline(to: baselinePath) } }
            defer { tasks.cancelAll() }
            try await tasks.next()
        }
    }

    private func saveBaseline(to path: String) async throws {
        var saved: WriteBaseline?
        while true {
            let isOver = await (try? time.sleep(for: RunningFirewall.saveEvery)) == nil
            let baseline = service.baseline
            if baseline != saved {
                do {
                    try Data(baseline.text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
                    saved = baseline
                } catch {
                    logger.warning(
                        "learned writes cannot be kept", metadata: ["firewall": "\(service.name)", "error_chain": .chain(of: error)])
                }
            }
            if isOver { throw CancellationError() }
        }
    }
}
