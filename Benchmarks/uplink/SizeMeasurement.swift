internal import BenchmarkSignals
internal import Foundation
internal import GatewayCore
internal import Historian
internal import Logging
internal import Telemetry
internal import Uplink

/// Payload bytes per sample of 1,000-tag batches of the demo plant, as they leave for the broker.
struct SizeMeasurement {
    let seed: UInt64

    private static let batches = 240

    func run() async throws {
        let time = SystemTime()
        let broker = try BenchmarkBroker(time: time)
        defer { broker.stop() }
        let plant = try DemoPlant(devices: 1, tagCount: 1000, seed: seed)
        let forms: [(name: String, payload: RouteConfiguration.Payload, goal: FigureLog.Goal?)] = [
            ("uplink.bytes_per_sample", .sparkplugB(group: "bench", node: "bench"), .atMost(8)),
            ("uplink.bytes_per_sample_json", .json(topicTemplate: "bench/{device}/{group}"), nil),
        ]
        for form in forms {
            let perSample = try await measure(plant, form.payload, broker, time)
            FigureLog().report(form.name, perSample, "B", goal: form.goal)
        }
    }

    private func measure(
        _ plant: DemoPlant, _ payload: RouteConfiguration.Payload, _ broker: BenchmarkBroker, _ time: SystemTime
    ) async throws -> Double {
        let store = try BenchmarkLog("size", time: time)
        let stream = try store.log.register(plant.descriptors[0])
        for poll in 0..<SizeMeasurement.batches {
            store.log.append(plant.batch(device: 0, poll: poll, of: stream, at: time.utc))
            try await store.log.flush()
        }
        let route = try Route(
            configuration: RouteConfiguration(
                name: "size", site: "bench", clusters: [broker.cluster], payload: payload, tls: broker.tls(as: "gateway"),
                clientID: "uplink-bench", epoch: store.log.epoch), log: store.log, time: time, logger: BenchmarkLog.logger)
        let running = Task { try await route.run() }
        while route.status.acknowledgedSamples < SizeMeasurement.batches * 1000 { try await time.sleep(for: .milliseconds(10)) }
        let status = route.status
        running.cancel()
        _ = await running.result
        try await store.discard()
        return Double(status.publishedBytes) / Double(status.publishedSamples)
    }
}
