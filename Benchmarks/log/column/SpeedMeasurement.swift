internal import BenchmarkSignals
internal import CColumnCodec
internal import ChunkCodec
internal import Foundation

/// CPU time per sample of each signal, Swift and C in turns.
struct SpeedMeasurement {
    /// Seconds per sample of one signal, medians.
    struct Times {
        var encode = 0.0
        var decode = 0.0
    }

    private var rows: [(signal: Signal, swift: Times, c: Times?)] = []
    private static let rounds = 31
    /// Samples between two readings of the clock.
    private static let samplesPerReading = 160_000

    /// Measures all signals; throws where what was decoded is not what was encoded, or Swift and C do not write the same bytes.
    init(signals: [Signal]) throws {
        for signal in signals {
            switch signal.column {
            case .integers(let values):
                let (swift, c) = try SpeedMeasurement.integers(values, signal.name)
                rows.append((signal, swift, c))
            case .float64, .float32: rows.append((signal, try SpeedMeasurement.floats(signal), nil))
            }
        }
    }

    /// Million samples of the mix per second.
    var encodeMillions: Double { 1e-6 / average { $0.swift.encode } }
    var decodeMillions: Double { 1e-6 / average { $0.swift.decode } }

    /// The speed of Swift by that of C, over all integer signals as the mix weights them.
    var encodeRatio: Double { average { $0.c.map { $0.encode } } / average { $0.c == nil ? nil : $0.swift.encode } }
    var decodeRatio: Double { average { $0.c.map { $0.decode } } / average { $0.c == nil ? nil : $0.swift.decode } }

    private func average(_ value: ((signal: Signal, swift: Times, c: Times?)) -> Double?) -> Double {
        var (sum, weights) = (0.0, 0.0)
        for row in rows {
            guard let value = value(row) else { continue }
            // Times come once for all tags.
            let weight = Double(row.signal.weight) + (row.signal.name == "times, jitter in ns" ? 1 : 0)
            sum += value * weight
            weights += weight
        }
        return sum / weights
    }

    func report() {
        print(padded("ns per sample, \(rows.first?.signal.column.count ?? 0) rows", 28) + "encode      in C        decode      in C")
        for row in rows {
            let c = row.c.map { [$0.encode, $0.decode] } ?? []
            let columns = [row.swift.encode * 1e9, (c.first ?? .nan) * 1e9, row.swift.decode * 1e9, (c.last ?? .nan) * 1e9]
            print(padded(row.signal.name, 28) + columns.map { padded($0.isNaN ? "-" : decimal($0), 12) }.joined())
        }
        print()
    }

    private struct Disagreement: Error, CustomStringConvertible {
        let description: String
    }

    private static func integers(_ values: [Int64], _ name: String) throws -> (Times, Times) {
        var scratch = ColumnScratch()
        guard let cScratch = column_scratch_new(values.count) else { throw Disagreement(description: "no memory") }
        defer { column_scratch_free(cScratch) }
        var bytes: [UInt8] = []
        var cBytes = [UInt8](repeating: 0, count: column_bytes_max(values.count))
        var cCount = 0
        var decoded = [Int64](repeating: 0, count: values.count)
        var cDecoded = decoded
        var outcome: Int32 = 0
        var error: (any Error)?
        var samples: [[Double]] = [[], [], [], []]
        for _ in 0..<rounds {
            samples[0].append(
                perSample(values.count) {
                    bytes.removeAll(keepingCapacity: true)
                    values.withUnsafeBufferPointer { ColumnCodec.encode(integers: $0, into: &bytes, scratch: &scratch) }
                })
            samples[1].append(perSample(values.count) { cCount = column_encode(values, values.count, &cBytes, cScratch) })
            samples[2].append(
                perSample(values.count) {
                    do {
                        try bytes.withUnsafeBytes { bytes in
                            try decoded.withUnsafeMutableBufferPointer {
                                try ColumnCodec.decode(integers: bytes, into: $0, scratch: &scratch)
                            }
                        }
                    } catch let thrown {
                        error = thrown
                    }
                })
            samples[3].append(
                perSample(values.count) { outcome = column_decode(cBytes, cCount, &cDecoded, cDecoded.count, cScratch) })
        }
        if let error { throw error }
        guard bytes == Array(cBytes[..<cCount]) else { throw Disagreement(description: "\(name): Swift and C do not write the same bytes") }
        guard outcome == 0, decoded == values, cDecoded == values else { throw Disagreement(description: "\(name): decoded other values") }
        let times = samples.map(median)
        return (Times(encode: times[0], decode: times[2]), Times(encode: times[1], decode: times[3]))
    }

    private static func floats(_ signal: Signal) throws -> Times {
        var scratch = ColumnScratch()
        var bytes: [UInt8] = []
        var error: (any Error)?
        var samples: [[Double]] = [[], []]
        let count = signal.column.count
        for _ in 0..<rounds {
            samples[0].append(
                perSample(count) {
                    bytes.removeAll(keepingCapacity: true)
                    signal.column.encode(into: &bytes, &scratch)
                })
            switch signal.column {
            case .float32(let patterns):
                var decoded = [UInt32](repeating: 0, count: count)
                samples[1].append(
                    perSample(count) {
                        do {
                            try bytes.withUnsafeBytes { bytes in
                                try decoded.withUnsafeMutableBufferPointer {
                                    try ColumnCodec.decode(float32: bytes, into: $0, scratch: &scratch)
                                }
                            }
                        } catch let thrown {
                            error = thrown
                        }
                    })
                guard decoded == patterns else { throw Disagreement(description: "\(signal.name): decoded other patterns") }
            default: throw Disagreement(description: "\(signal.name): no float32")
            }
        }
        if let error { throw error }
        let times = samples.map(median)
        return Times(encode: times[0], decode: times[1])
    }

    /// Seconds of CPU time per sample of one repetition.
    private static func perSample(_ count: Int, _ work: () -> Void) -> Double {
        let repetitions = samplesPerReading / count
        let start = processorTime()
        for _ in 0..<repetitions { work() }
        return (processorTime() - start) / Double(count * repetitions)
    }

    private static func processorTime() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    private static func median(_ numbers: [Double]) -> Double { numbers.sorted()[numbers.count / 2] }
}
