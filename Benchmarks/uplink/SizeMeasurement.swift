internal import BenchmarkSignals
internal import Envelope
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
        let sparkplug = RouteConfiguration.Payload.sparkplugB(group: "bench", node: "bench")
        let sealing = try SizeMeasurement.sealing(broker.identity)
        let forms: [(name: String, payload: RouteConfiguration.Payload, form: MessageForm, goal: FigureLog.Goal?)] = [
            ("uplink.bytes_per_sample", sparkplug, MessageForm(), .atMost(8)),
            ("uplink.bytes_per_sample_compressed", sparkplug, MessageForm(compression: .zstd), .atMost(3)),
            ("uplink.bytes_per_sample_gzip", sparkplug, MessageForm(compression: .gzip), nil),
            ("uplink.bytes_per_sample_sealed", sparkplug, MessageForm(compression: .zstd, sealing: sealing), nil),
            ("uplink.bytes_per_sample_json", .json(topicTemplate: "bench/{device}/{group}"), MessageForm(), nil),
            (
                "uplink.bytes_per_sample_json_compressed", .json(topicTemplate: "bench/{device}/{group}"), MessageForm(compression: .zstd),
                nil
            ),
        ]
        for form in forms {
            let perSample = try await measure(plant, form.payload, form.form, broker, time)
            FigureLog().report(form.name, perSample, "B", goal: form.goal)
        }
    }

    private func measure(
        _ plant: DemoPlant, _ payload: RouteConfiguration.Payload, _ form: MessageForm, _ broker: BenchmarkBroker, _ time: SystemTime
    ) async throws -> Double {
        let store = try BenchmarkLog("size", time: time)
        let stream = try store.log.register(plant.descriptors[0])
        for poll in 0..<SizeMeasurement.batches {
            store.log.append(plant.batch(device: 0, poll: poll, of: stream, at: time.utc))
            try await store.log.flush()
        }
        var configuration = RouteConfiguration(
            name: "size", site: "bench", clusters: [broker.cluster], payload: payload, tls: broker.tls(as: "gateway"),
            clientID: "uplink-bench", epoch: store.log.epoch)
        configuration.form = form
        let route = try Route(configuration: configuration, log: store.log, time: time, logger: BenchmarkLog.logger)
        let running = Task { try await route.run() }
        while route.status.acknowledgedSamples < SizeMeasurement.batches * 1000 { try await time.sleep(for: .milliseconds(10)) }
        let status = route.status
        running.cancel()
        _ = await running.result
        try await store.discard()
        return Double(status.publishedBytes) / Double(status.publishedSamples)
    }

    /// An envelope for one recipient, with new keys in a folder.
    private static func sealing(_ folder: String) throws -> MessageForm.Sealing {
        let signing = try EnvelopeKeyFile.create(folder + "/envelope-gateway", .p256)
        let recipient = try EnvelopeKeyFile.create(folder + "/envelope-local", .p256)
        return MessageForm.Sealing(
            suite: EnvelopeSuite.aes256gcm.rawValue, signingKey: signing.key, recipients: ["local": [recipient.publicKey]],
            period: .seconds(3600))
    }
}
