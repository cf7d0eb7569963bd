internal import BenchmarkSignals
internal import Compression
internal import Envelope
internal import GatewayCore
internal import Sparkplug
internal import Telemetry

/// What compression and the envelope cost the processor per sample: one thread, Sparkplug payloads with 1,000 tags of the demo plant, nothing sent.
struct EnvelopeMeasurement {
    let seed: UInt64

    /// Rounds of which the median counts, and how long each lasts, in CPU seconds.
    private static let rounds = 7
    private static let roundSeconds = 0.3
    private static let samplesPerPayload = 1000.0

    func run() throws {
        let payloads = try self.payloads()
        var compressed: [[UInt8]] = []
        for algorithm in [CompressionAlgorithm.columns, .zstd, .gzip] {
            let compressor = Compressor(algorithm)
            let smaller = payloads.compactMap { compressor.compress($0) }
            let pack = measure(payloads) { _ = compressor.compress($0) }
            let unpack = measure(smaller) { _ = try? Decompressor.decompress($0, algorithm) }
            if algorithm == .columns { compressed = smaller }
            print("\(padded(algorithm.rawValue, 14)) \(bytes(smaller)) bytes per sample of \(bytes(payloads))")
            FigureLog().report("uplink.compress_\(algorithm.rawValue.lowercased())_us_per_sample", pack, "µs")
            FigureLog().report("uplink.decompress_\(algorithm.rawValue.lowercased())_us_per_sample", unpack, "µs")
        }
        for suite in EnvelopeSuite.allCases { try measure(suite, compressed, payloads) }
    }

    private func measure(_ suite: EnvelopeSuite, _ compressed: [[UInt8]], _ plain: [[UInt8]]) throws {
        let signing = try EnvelopePrivateKey.generate(suite.curve)
        let recipient = try EnvelopePrivateKey.generate(suite.curve)
        let keys = EnvelopeKeys(signing: signing, recipients: [try recipient.publicKey()])
        let sealer = try EnvelopeSealer(
            suite: suite, gateway: "bench", route: "bench", cluster: "local", epoch: 1, period: .seconds(3600)
        ) { () throws(GatewayError) in keys }
        let opener = try EnvelopeOpener(
            cluster: "local", keys: [recipient], gateways: [TrustedGateway(name: "bench", keys: [try signing.publicKey()])])
        let time = Timestamp(nanoseconds: 1_700_000_000_000_000_000)
        func seal(_ payload: [UInt8]) throws -> [UInt8] {
            try sealer.seal(
                .data, topic: "spBv1.0/bench/DDATA/bench/line-1", payload: payload,
                batch: EnvelopeBatchKey(epoch: 1, stream: 1, sequence: 1), at: time
            ).bytes
        }
        let sealed = try compressed.map(seal)
        // The demand is one for the suite that a route has where it names none.
        let goal: FigureLog.Goal? = suite == .aes256gcm ? .atMost(0.1) : nil
        let suffix = suite == .aes256gcm ? "" : "_\(suite.rawValue)"
        FigureLog().report("uplink.envelope_us_per_sample\(suffix)", measure(compressed) { _ = try? seal($0) }, "µs", goal: goal)
        FigureLog().report("uplink.envelope_us_per_sample_uncompressed\(suffix)", measure(plain) { _ = try? seal($0) }, "µs", goal: goal)
        FigureLog().report("uplink.envelope_open_us_per_sample\(suffix)", measure(sealed) { _ = try? opener.open($0) }, "µs")
    }

    /// CPU microseconds per sample.
    private func measure(_ payloads: [[UInt8]], _ body: ([UInt8]) -> Void) -> Double {
        var costs: [Double] = []
        for _ in 0..<EnvelopeMeasurement.rounds {
            var count = 0
            let start = Machine.processorSeconds
            var spent = 0.0
            while spent < EnvelopeMeasurement.roundSeconds {
                for payload in payloads.prefix(20) { body(payload) }
                count += min(20, payloads.count)
                spent = Machine.processorSeconds - start
            }
            costs.append(spent * 1e6 / Double(count) / EnvelopeMeasurement.samplesPerPayload)
        }
        return costs.sorted()[EnvelopeMeasurement.rounds / 2]
    }

    private func bytes(_ payloads: [[UInt8]]) -> String {
        decimal(Double(payloads.reduce(0) { $0 + $1.count }) / Double(payloads.count) / EnvelopeMeasurement.samplesPerPayload)
    }

    /// Payloads of the plant's polls one after another, as they leave a route that does neither.
    private func payloads() throws -> [[UInt8]] {
        let time = SystemTime()
        let plant = try DemoPlant(devices: 1, tagCount: 1000, seed: seed)
        let stream = StreamID(rawValue: 1)
        var node = try EdgeNode(groupID: "bench", nodeID: "bench")
        node.register(stream, plant.descriptors[0])
        _ = node.connecting(at: time.utc)
        _ = node.births(at: time.utc)
        return (0..<DemoPlant.pollsMax).flatMap { poll in
            let batch = plant.batch(device: 0, poll: poll, of: stream, at: time.utc)
            return node.data(batch, isHistorical: false, at: batch.time).map(\.payload)
        }
    }
}
