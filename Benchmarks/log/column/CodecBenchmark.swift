internal import BenchmarkSignals
internal import CColumnCodec
internal import ChunkCodec
internal import Foundation

/// Measures the column codec: size of each signal beside Gorilla's, speed beside the same algorithm in C.
@main
enum CodecBenchmark {
    static func main() throws {
        var arguments = CommandLine.arguments.dropFirst()
        var folders: [String] = []
        var seed: UInt64 = 1
        while let argument = arguments.popFirst() {
            switch (argument, arguments.popFirst()) {
            case ("--series", let folder?): folders.append(folder)
            case ("--seed", let text?): seed = UInt64(text) ?? seed
            default:
                FileHandle.standardError.write(Data("usage: log-codec-bench [--seed NUMBER] [--series FOLDER]...\n".utf8))
                exit(2)
            }
        }
        print("seed \(seed)\n")
        let size = reportSizes(seed: seed)
        for folder in folders { reportSeries(folder) }
        let speed = try SpeedMeasurement(signals: Signal.group(rows: 4096, seed: seed))
        speed.report()
        // As many rows as a chunk has when a thousand scan groups share a segment.
        let short = try SpeedMeasurement(signals: Signal.group(rows: 64, seed: seed))
        short.report()
        let figures = FigureLog()
        figures.report("log.codec_bytes_per_sample", size.ours, "B")
        figures.report("log.gorilla_bytes_per_sample", size.gorilla, "B")
        figures.report("log.encode_msps", speed.encodeMillions, "Msample/s", goal: .atLeast(100))
        figures.report("log.decode_msps", speed.decodeMillions, "Msample/s", goal: .atLeast(300))
        figures.report("log.encode_64_rows_msps", short.encodeMillions, "Msample/s")
        figures.report("log.decode_64_rows_msps", short.decodeMillions, "Msample/s")
        figures.report("log.encode_vs_c", speed.encodeRatio, "ratio", goal: .atLeast(0.85))
        figures.report("log.decode_vs_c", speed.decodeRatio, "ratio", goal: .atLeast(0.85))
    }

    /// The table of the signals for columns of an hour, ten minutes and a minute; the mix of the first.
    private static func reportSizes(seed: UInt64) -> (ours: Double, gorilla: Double) {
        print("bytes per sample            3,600 rows    600 rows    60 rows   Gorilla, 3,600 rows")
        var scratch = ColumnScratch()
        let counts = [3600, 600, 60]
        let groups = counts.map { Signal.group(rows: $0, seed: seed) }
        for index in groups[0].indices {
            let ours = groups.map { perRow($0[index], &scratch) }
            print(padded(groups[0][index].name, 28) + ours.map { padded(decimal($0), 12) }.joined() + decimal(gorilla(groups[0][index])))
        }
        let mixes = groups.map { mix($0, perValue: { perRow($0, &scratch) }, sharesTimes: true) }
        let theirs = mix(groups[0], perValue: gorilla, sharesTimes: false)
        print(padded("mix with its times in ns", 28) + mixes.map { padded(decimal($0), 12) }.joined() + decimal(theirs))
        let tags = groups[0].filter { $0.weight > 0 }.map { "\($0.weight) × \($0.name)" }.joined(separator: ", ")
        print("mix: \(tags); Gorilla stores the times with every series\n")
        return (mixes[0], theirs)
    }

    /// Bytes per sample of a group of all tags with the column of jittered times that they share, or that each has for itself.
    private static func mix(_ group: [Signal], perValue: (Signal) -> Double, sharesTimes: Bool) -> Double {
        let tags = Double(group.reduce(0) { $0 + $1.weight })
        let values = group.reduce(0) { $0 + perValue($1) * Double($1.weight) }
        let times = group.first { $0.name == "times, jitter in ns" }.map(perValue) ?? 0
        return (values + times * (sharesTimes ? 1 : tags)) / tags
    }

    private static func perRow(_ signal: Signal, _ scratch: inout ColumnScratch) -> Double {
        var bytes: [UInt8] = []
        signal.column.encode(into: &bytes, &scratch)
        return Double(bytes.count) / Double(signal.column.count)
    }

    private static func gorilla(_ signal: Signal) -> Double {
        var gorilla = Gorilla()
        if signal.weight == 0, case .integers(let times) = signal.column {
            gorilla.append(times: times)
        } else {
            gorilla.append(numbers: signal.numbers)
        }
        return Double(gorilla.bytes) / Double(signal.column.count)
    }

    /// Recorded series, as float64 and as the float32 that a device would have sent; values alone.
    private static func reportSeries(_ folder: String) {
        print("recorded series of \(folder), values only, columns of up to 4,096 rows")
        print("bytes per sample                 samples     float64     float32     Gorilla (float64)")
        for (dataset, series) in SeriesFolder.read(folder) {
            var scratch = ColumnScratch()
            var (samples, double, single) = (0, 0, 0)
            var gorilla = Gorilla()
            for one in series {
                for start in stride(from: 0, to: one.numbers.count, by: 4096) {
                    let part = Array(one.numbers[start..<min(start + 4096, one.numbers.count)])
                    var bytes: [UInt8] = []
                    Column.float64(part.map { $0.bitPattern }).encode(into: &bytes, &scratch)
                    double += bytes.count
                    bytes.removeAll()
                    Column.float32(part.map { Float($0).bitPattern }).encode(into: &bytes, &scratch)
                    single += bytes.count
                    gorilla.append(numbers: part)
                    samples += part.count
                }
            }
            guard samples > 0 else { continue }
            let perSample = [double, single, gorilla.bytes].map { padded(decimal(Double($0) / Double(samples)), 12) }
            print(padded("\(dataset), \(series.count) series", 33) + padded("\(samples)", 12) + perSample.joined())
        }
        print()
    }
}

extension Column {
    func encode(into bytes: inout [UInt8], _ scratch: inout ColumnScratch) {
        switch self {
        case .integers(let values):
            values.withUnsafeBufferPointer { ColumnCodec.encode(integers: $0, into: &bytes, scratch: &scratch) }
        case .float64(let patterns):
            patterns.withUnsafeBufferPointer { ColumnCodec.encode(float64: $0, into: &bytes, scratch: &scratch) }
        case .float32(let patterns):
            patterns.withUnsafeBufferPointer { ColumnCodec.encode(float32: $0, into: &bytes, scratch: &scratch) }
        }
    }
}
