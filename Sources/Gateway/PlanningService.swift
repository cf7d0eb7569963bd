internal import Acquisition
internal import GatewayCore
internal import Logging
internal import Telemetry

/// Keeps what the adapters learn, and appends predicted and achieved poll times to the log, so that they are kept and sent like any other sample.
struct PlanningService: Sendable {
    /// One device whose plans are watched.
    struct Watched: Sendable {
        var device: String
        /// What its knowledge is kept under.
        var key: String
        var groups: [String]
        var monitor: PlanMonitor
    }

    /// How often poll times are appended.
    static let period = Duration.seconds(10)
    /// What was learned is written at most every so many periods.
    static let periodsPerSave = 6

    private let log: any TelemetryLog
    private let time: any TimeSource
    private let store: PlanStore
    private let devices: @Sendable () -> [Watched]
    private let logger: Logger

    /// `devices` gives those there are now, and is asked every period.
    init(
        log: any TelemetryLog, time: any TimeSource, store: PlanStore, logger: Logger, devices: @escaping @Sendable () -> [Watched]
    ) {
        self.log = log
        self.time = time
        self.store = store
        self.devices = devices
        self.logger = logger
    }

    /// The stream of a device's poll times, in milliseconds.
    static func descriptor(device: String, groups: [String]) -> StreamDescriptor {
        StreamDescriptor(
            device: device, group: StreamDescriptor.diagnosticsGroup,
            tags: groups.flatMap { group in
                [
                    Tag("scan/\(group)/requests", .uint32), Tag("scan/\(group)/predicted", .float64, unit: "ms"),
                    Tag("scan/\(group)/mean", .float64, unit: "ms"), Tag("scan/\(group)/p95", .float64, unit: "ms"),
                ]
            })
    }

    func run() async throws {
        var kept = store.load()
        var savedChanges: [String: UInt64] = [:]
        var next = time.now
        var tick = 0
        do {
            while true {
                next = next.advanced(by: PlanningService.period)
                try await time.sleep(until: next)
                tick += 1
                let stamp = time.stamp
                for watched in devices() {
                    let descriptor = PlanningService.descriptor(device: watched.device, groups: watched.groups)
                    guard let batch = batch(watched, try log.register(descriptor), descriptor, at: stamp) else { continue }
                    log.append(batch)
                }
                if tick % PlanningService.periodsPerSave == 0 { save(&kept, &savedChanges) }
            }
        } catch {
            save(&kept, &savedChanges)
            throw error
        }
    }

    /// The poll times of a device; groups that were not polled yet have no value. `nil` when no group was.
    private func batch(_ watched: Watched, _ stream: StreamID, _ descriptor: StreamDescriptor, at stamp: ClockStamp) -> SampleBatch? {
        let times = watched.monitor.times.filter { $0.polls > 0 }
        guard !times.isEmpty else { return nil }
        var batch = SampleBatch(stream: stream, descriptor: descriptor, time: stamp.time, status: .good)
        batch.stamp = stamp
        var statuses = [StatusCode](repeating: .badWaitingForInitialData, count: descriptor.tags.count)
        for (index, group) in watched.groups.enumerated() {
            guard let found = times.first(where: { $0.group == group }) else { continue }
            let values: [Variant] = [
                .uint(UInt64(found.requests)), .double(found.predictedSeconds * 1e3), .double(found.meanSeconds * 1e3),
                .double(found.p95Seconds * 1e3),
            ]
            for (offset, value) in values.enumerated() {
                batch.set(value, tag: 4 * index + offset, in: descriptor)
                statuses[4 * index + offset] = .good
            }
        }
        batch.quality = QualityRun.runs(of: statuses)
        return batch
    }

    /// Writes what is new. A disk that refuses costs only what would have to be learned again.
    private func save(_ kept: inout [String: PlanStore.Entry], _ savedChanges: inout [String: UInt64]) {
        var isNew = false
        let devices = devices()
        let keys = Set(devices.map(\.key))
        if kept.keys.contains(where: { !keys.contains($0) }) {
            kept = kept.filter { keys.contains($0.key) }
            isNew = true
        }
        for watched in devices {
            guard let learned = watched.monitor.learned, learned.changes != savedChanges[watched.key] else { continue }
            savedChanges[watched.key] = learned.changes
            kept[watched.key] = PlanStore.Entry(
                learned: learned.reads, groups: watched.monitor.times.filter { $0.polls > 0 }.map(PlanStore.AchievedTimes.init))
            isNew = true
        }
        guard isNew else { return }
        do {
            try store.save(kept)
        } catch {
            logger.warning("what was learned of the devices is not kept", metadata: ["error_chain": .chain(of: error)])
        }
    }
}
