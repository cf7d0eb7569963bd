internal import BenchmarkSignals
internal import GatewayCore
internal import Sparkplug
internal import Telemetry

/// What making Sparkplug payloads costs: one thread, 1,000 tags of the demo plant per batch, nothing sent.
struct EncodeMeasurement {
    let seed: UInt64

    /// Rounds of which the median counts, and how long each lasts, in CPU seconds.
    private static let rounds = 7
    private static let roundSeconds = 0.5

    func run() throws {
        let time = SystemTime()
        let plant = try DemoPlant(devices: 1, tagCount: 1000, seed: seed)
        let stream = StreamID(rawValue: 1)
        let batches = (0..<DemoPlant.pollsMax).map { plant.batch(device: 0, poll: $0, of: stream, at: time.utc) }
        var node = try EdgeNode(groupID: "bench", nodeID: "bench")
        node.register(stream, plant.descriptors[0])
        _ = node.connecting(at: time.utc)
        _ = node.births(at: time.utc)
        var rates: [Double] = []
        var bytes = 0
        var messages = 0
        for _ in 0..<EncodeMeasurement.rounds {
            var metrics = 0
            let start = Machine.processorSeconds
            var spent = 0.0
            while spent < EncodeMeasurement.roundSeconds {
                for batch in batches {
                    for message in node.data(batch, isHistorical: false, at: batch.time) {
                        bytes += message.payload.count
                        messages += 1
                    }
                    metrics += 1000
                }
                spent = Machine.processorSeconds - start
            }
            rates.append(Double(metrics) / spent / 1e6)
        }
        rates.sort()
        print(
            "encode: \(rates.map { decimal($0) }.joined(separator: ", ")) million metrics per CPU second, \(bytes / messages) bytes per batch"
        )
        FigureLog().report("uplink.encode_mmps", rates[rates.count / 2], "million metrics/s", goal: .atLeast(20))
    }
}
