import Telemetry
import Testing

@testable import Ingest

@Suite struct EncoderTests {
    private static let series = [
        Series(gateway: "g/n", device: "pump 1,a=b\\", group: "fast", tag: "t\n"), Series(gateway: "g/n", device: "", tag: "x"),
    ]

    private static func chunk() -> SampleChunk {
        var chunk = SampleChunk()
        func add(_ kind: Sample.Kind, _ bits: UInt64, status: UInt32 = 0, series: Int32 = 1, isTimeUncertain: Bool = false) {
            chunk.samples.append(
                Sample(
                    time: 1_700_000_000_123_000_000, series: series, status: status, kind: kind, bits: bits,
                    isTimeUncertain: isTimeUncertain))
        }
        chunk.texts = ["a \"b\",c\\", ""]
        add(.number, (23.5).bitPattern, series: 0)
        add(.number, (-0.0625).bitPattern, status: 0x4090_0000, isTimeUncertain: true)
        add(.number, Double.nan.bitPattern)
        add(.integer, UInt64(bitPattern: -9_007_199_254_740_993))
        add(.boolean, 1)
        add(.text, 0)
        add(.text, 1)
        add(.none, 0, status: 0x800A_0000)
        chunk.batches = [
            .init(key: .init(gateway: 0, epoch: 1, stream: 1, sequence: 1), samples: 0..<7),
            .init(key: .init(gateway: 0, epoch: 1, stream: 1, sequence: 2), samples: 7..<8, sourceTime: 5),
        ]
        return chunk
    }

    private func lines(_ dialect: LineProtocolEncoder.Dialect) -> [String] {
        var encoder = LineProtocolEncoder(dialect, measurement: "indusedge")
        encoder.learn(Self.series)
        let chunk = Self.chunk()
        return String(decoding: encoder.lines(chunk, chunk.batches), as: UTF8.self).split(separator: "\n").map(String.init)
    }

    @Test func linesOfInfluxDB() {
        let time = "1700000000123000000"
        #expect(
            lines(.influxDB) == [
                "indusedge,device=pump\\ 1\\,a\\=b_,gateway=g/n,group=fast,tag=t_ value=23.5 \(time)",
                "indusedge,gateway=g/n,tag=x value=-0.0625,quality=1083179008i,time_uncertain=true \(time)",
                "indusedge,gateway=g/n,tag=x text=\"NaN\" \(time)", "indusedge,gateway=g/n,tag=x integer=-9007199254740993i \(time)",
                "indusedge,gateway=g/n,tag=x boolean=true \(time)", #"indusedge,gateway=g/n,tag=x text="a \"b\",c\\" "# + time,
                "indusedge,gateway=g/n,tag=x text=\"\" \(time)", "indusedge,gateway=g/n,tag=x quality=2148139008i,source_time=5i \(time)",
            ])
    }

    @Test func linesOfVictoriaMetricsHaveNumbersOnly() {
        let time = "1700000000123000000"
        #expect(
            lines(.victoriaMetrics).dropFirst() == [
                "indusedge,gateway=g/n,tag=x value=-0.0625,quality=1083179008,time_uncertain=1 \(time)",
                "indusedge,gateway=g/n,tag=x,text=NaN text=1 \(time)",
                "indusedge,gateway=g/n,tag=x value=-9007199254740993 \(time)", "indusedge,gateway=g/n,tag=x value=1 \(time)",
                #"indusedge,gateway=g/n,tag=x,text=a\ "b"\,c_ text=1 "# + time, "indusedge,gateway=g/n,tag=x text=1 \(time)",
                "indusedge,gateway=g/n,tag=x quality=2148139008 \(time)",
            ])
    }

    @Test func rowsOfCopy() {
        var bytes: [UInt8] = []
        let chunk = Self.chunk()
        CopyEncoder.append(chunk.samples[0], series: 7, sourceTime: nil, texts: [], to: &bytes)
        let null: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF]
        // 2023-11-14T22:13:20.123Z is 753,315,200.123 s after 2000.
        let microseconds: Int64 = 753_315_200_123_000
        let time = withUnsafeBytes(of: microseconds.bigEndian) { Array($0) }
        let value: [UInt8] = [0x40, 0x37, 0x80, 0, 0, 0, 0, 0]
        var expected: [UInt8] = [0, 9, 0, 0, 0, 8]
        expected += time + [0, 0, 0, 4, 0, 0, 0, 7, 0, 0, 0, 8] + value
        expected += null + null + null + [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0] + null
        #expect(bytes == expected)
    }
}
