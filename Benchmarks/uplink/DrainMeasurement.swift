internal import BenchmarkSignals
internal import Foundation
internal import GatewayCore
internal import Historian
internal import Sparkplug
internal import Synchronization
internal import Telemetry
internal import Uplink

/// A day's backlog drains to a broker on this machine while a device goes on being polled, whose samples a subscriber times.
struct DrainMeasurement {
    let samples: Int
    let devices: Int
    let seed: UInt64
    let isKept: Bool

    /// How often the live device is polled.
    private static let livePeriod = Duration.milliseconds(20)
    private static let live = StreamDescriptor(
        device: "live", group: "fast", tags: [Tag("stamp", .uint64)] + (0..<9).map { Tag("value\($0)", .uint16) })

    func run() async throws {
        let time = SystemTime()
        let name = "drain-\(samples)-\(devices)"
        let isFilled = isKept && FileManager.default.fileExists(atPath: "\(FigureLog.folder)/uplink/\(name).filled")
        if !isFilled {
            let began = time.now
            let plant = try DemoPlant(devices: devices, tagCount: 1000 / devices, seed: seed)
            let store = try BenchmarkLog(name, time: time)
            try await store.fill(plant, samples: samples, time: time)
            try await store.close()
            print("filled with \(samples) samples in \(decimal(began.duration(to: time.now).inSeconds)) s")
        }
        fflush(nil)
        let path = "\(FigureLog.folder)/uplink/\(name)"
        if isKept, !isFilled {
            // The route's place is kept in the store: what is drained is a copy.
            try FileManager.default.copyItem(atPath: path, toPath: path + ".filled")
        } else if isFilled {
            try? FileManager.default.removeItem(atPath: path)
            try FileManager.default.copyItem(atPath: path + ".filled", toPath: path)
        }
        try await drain(name, time)
    }

    private func drain(_ name: String, _ time: SystemTime) async throws {
        let broker = try BenchmarkBroker(time: time)
        defer { broker.stop() }
        let store = try BenchmarkLog(name, isKept: true, time: time)
        let log = store.log
        let liveStream = try log.register(DrainMeasurement.live)
        let observer = LiveObserver(time: time)
        let subscriber = Subscriber(
            cluster: broker.cluster, tls: broker.tls(as: "subscriber"), clientID: "uplink-bench-live",
            topics: ["spBv1.0/bench/DDATA/bench/live"], time: time)
        let listening = Task { try await subscriber.run { observer.receive($0) } }
        while !observer.isConnected { try await time.sleep(for: .milliseconds(20)) }

        let route = try Route(
            configuration: RouteConfiguration(
                name: "central", site: "bench", clusters: [broker.cluster], payload: .sparkplugB(group: "bench", node: "bench"),
                tls: broker.tls(as: "gateway"), clientID: "uplink-bench", epoch: log.epoch), log: log, time: time,
            logger: BenchmarkLog.logger)
        route.register(streams: [liveStream])
        let polling = Task { try await poll(liveStream, log, time) }
        let residentBefore = Machine.residentMiB
        let processorBefore = Machine.processorSeconds
        let running = Task { try await route.run() }
        while route.status.acknowledgedSamples == 0 { try await time.sleep(for: .milliseconds(5)) }
        let began = time.now
        // What was polled before the connection stood is backlog by right.
        observer.begin(at: time.utc)
        let alreadyAcknowledged = route.status.acknowledgedSamples
        var peak = residentBefore
        var progress: [(seconds: Double, samples: UInt64, mebibytes: Double)] = []
        while route.status.acknowledgedSamples < samples {
            try await time.sleep(for: .milliseconds(100))
            let resident = Machine.residentMiB
            peak = max(peak, resident)
            progress.append((began.duration(to: time.now).inSeconds, route.status.acknowledgedSamples, resident))
        }
        let seconds = began.duration(to: time.now).inSeconds
        let processor = Machine.processorSeconds - processorBefore
        let status = route.status
        let threads = Machine.secondsByThread
        polling.cancel()
        // What is on its way still counts.
        try await time.sleep(for: .seconds(1))
        let latencies = observer.latencies
        running.cancel()
        listening.cancel()
        _ = await (running.result, listening.result, polling.result)
        if isKept { try await store.close() } else { try await store.discard() }
        report(
            seconds: seconds, drained: Double(samples) - Double(alreadyAcknowledged), processor: processor, residentBefore: residentBefore,
            peak: peak, progress: progress, status: status, latencies: latencies, threads: threads)
    }

    private func report(
        seconds: Double, drained: Double, processor: Double, residentBefore: Double, peak: Double,
        progress: [(seconds: Double, samples: UInt64, mebibytes: Double)], status: RouteStatus, latencies: [Double],
        threads: [(name: String, seconds: Double)]
    ) {
        for index in stride(from: 0, to: progress.count, by: max(1, progress.count / 10)) {
            let point = progress[index]
            print(
                "  after \(padded("\(decimal(point.seconds)) s", 12))\(padded("\(point.samples) samples", 22))\(decimal(point.mebibytes)) MiB"
            )
        }
        print("  threads: " + threads.prefix(8).map { "\($0.name) \(decimal($0.seconds)) s" }.joined(separator: ", "))
        print(
            "  \(status.publishedMessages) messages, \(decimal(Double(status.publishedBytes) / Double(status.publishedSamples))) bytes per sample"
        )
        let figures = FigureLog()
        figures.report("uplink.drain_samples_per_s", drained / seconds, "samples/s", goal: .atLeast(500_000))
        figures.report("uplink.drain_cpu_us_per_sample", processor * 1e6 / drained, "us")
        figures.report("uplink.drain_rss_mib_before", residentBefore, "MiB")
        figures.report("uplink.drain_rss_mib_max", peak, "MiB")
        guard !latencies.isEmpty else {
            print("  no live sample arrived")
            return
        }
        let sorted = latencies.sorted()
        print("  \(sorted.count) live samples timed")
        figures.report("uplink.live_p50_ms", sorted[sorted.count / 2], "ms")
        figures.report("uplink.live_p99_ms", sorted[min(sorted.count - 1, sorted.count * 99 / 100)], "ms", goal: .atMost(100))
        figures.report("uplink.live_max_ms", sorted[sorted.count - 1], "ms")
    }

    /// Appends as a device's scan would, by absolute deadlines, until the task is cancelled. Each batch bears its time in microseconds.
    private func poll(_ stream: StreamID, _ log: Historian, _ time: SystemTime) async throws {
        var next = time.now
        while true {
            var batch = SampleBatch(stream: stream, descriptor: DrainMeasurement.live, time: time.utc, status: .good)
            batch.stamp = time.stamp
            batch.set(.uint(UInt64(time.utc.nanoseconds / 1000)), tag: 0, in: DrainMeasurement.live)
            log.append(batch)
            next = next.advanced(by: DrainMeasurement.livePeriod)
            try await time.sleep(until: next)
        }
    }
}

/// Times the live device's messages at the subscriber.
private final class LiveObserver: Sendable {
    private struct State {
        var isConnected = false
        var first = Int64.max
        var latencies: [Double] = []
    }
    private let state = Mutex(State())
    private let time: SystemTime

    init(time: SystemTime) { self.time = time }

    var isConnected: Bool { state.withLock { $0.isConnected } }
    /// Times what is polled from now on.
    func begin(at time: Timestamp) { state.withLock { $0.first = time.nanoseconds / 1000 } }

    /// In milliseconds, from the poll to the subscriber's receipt.
    var latencies: [Double] { state.withLock { $0.latencies } }

    func receive(_ event: Subscriber.Event) -> [Subscriber.Publication] {
        let now = Double(time.utc.nanoseconds) / 1e6
        switch event {
        case .connected: state.withLock { $0.isConnected = true }
        case .message(_, let payload):
            for metric in (try? SparkplugPayload(decoding: payload))?.metrics ?? [] {
                // The stamp is the only number of this size.
                guard case .long(let microseconds)? = metric.value, microseconds > 1_000_000_000_000_000 else { continue }
                state.withLock { state in
                    if Int64(microseconds) >= state.first { state.latencies.append(now - Double(microseconds) / 1000) }
                }
            }
        }
        return []
    }
}
