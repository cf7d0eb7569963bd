import GatewayCore
import Ingest
import Logging
import Telemetry
import TestKit
import Testing

@testable import IngestService

/// What becomes of a chunk when the database has its own mind.
@Suite struct ChunkWriterTests {
    /// Chunks of JSON documents: batches of 1 to 9 values that count on.
    private static func chunks(_ count: Int, _ generator: inout SeededGenerator) throws -> [SampleChunk] {
        var decoder = IngestDecoder(pattern: try TopicPattern(TopicPattern.standard))
        var effects = IngestEffects()
        var sequence = 0
        return (0..<count).map { _ in
            var chunk = SampleChunk()
            for _ in 0..<Int.random(in: 1...40, using: &generator) {
                sequence += 1
                let values = (0..<Int.random(in: 1...9, using: &generator)).map { #""v\#($0)":\#(sequence * 10 + $0)"# }
                let text =
                    #"{"device":"d","group":"g","timestamp":\#(1_767_268_800_000 + sequence),"epoch":1,"stream":1,"sequence":\#(sequence),"#
                    + #""values":{\#(values.joined(separator: ","))}}"#
                decoder.receive(
                    IngestMessage(topic: "indusedge/plant/d/g", payload: Array(text.utf8), token: nil),
                    at: MonotonicInstant(nanoseconds: 0),
                    utc: Timestamp(nanoseconds: 0), into: &chunk, &effects)
            }
            decoder.complete(&chunk)
            return chunk
        }
    }

    private static func number(_ sample: Sample) -> Int { Int(Double(bitPattern: sample.bits)) }

    /// Writes all chunks, each `times` times, and returns the counters and how many lines were set aside.
    private static func write(_ chunks: [SampleChunk], _ database: ScriptedDatabase, into folder: TemporaryFolder, times: Int = 1)
        async throws -> IngestCounters
    {
        let status = IngestStatus()
        let writer = ChunkWriter(
            setAside: .init(folder: folder.path), time: HurriedTime(), status: status,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            makeDatabase: { database })
        try await writer.prepare()
        for var chunk in chunks {
            for _ in 0..<times {
                try await writer.write(chunk)
                chunk.additions = CatalogAdditions()
            }
        }
        return status.counters
    }

    @Test("Whatever fails, and whatever is refused: each sample is in the database once, or aside", arguments: [true, false])
    func troubles(takesParts: Bool) async throws {
        var generator = SeededGenerator()
        let chunks = try Self.chunks(30, &generator)
        let database = ScriptedDatabase(
            .init(failuresOf100: 40, keepsWhatFails: takesParts, refuses: { Self.number($0) % 100 == 13 }, samplesMax: 60),
            takesPartsOfBatches: takesParts, generator: generator)
        let folder = try TemporaryFolder()
        let counters = try await Self.write(chunks, database, into: folder)
        var expected: [ScriptedDatabase.Key: UInt64] = [:]
        var refused = 0
        for chunk in chunks {
            for batch in chunk.batches {
                let isCondemned = chunk.samples[batch.samples].contains { Self.number($0) % 100 == 13 }
                for sample in chunk.samples[batch.samples] {
                    // A batch that is known by its key goes as a whole, or not at all.
                    if takesParts ? Self.number(sample) % 100 == 13 : isCondemned {
                        refused += 1
                    } else {
                        expected[.init(series: sample.series, time: sample.time)] = sample.bits
                    }
                }
            }
        }
        #expect(refused > 0)
        #expect(database.samples == expected)
        #expect(counters.setAsideSamples == UInt64(refused))
        #expect(counters.writtenSamples == UInt64(expected.count))
        #expect(counters.retries > 0)
        #expect(counters.droppedSamples == 0)
        #expect(folder.lines.reduce(0) { $0 + $1.matches(of: /"kind":/).count } == refused)
        #expect(folder.lines.allSatisfy { $0.contains("13 is not taken") })
    }

    @Test("What a database would forget without a word is set aside, and the rest of its batch is written")
    func objections() async throws {
        var generator = SeededGenerator()
        let chunks = try Self.chunks(20, &generator)
        let isOdd: @Sendable (Sample) -> Bool = { Self.number($0) / 3 % 2 == 1 }
        let database = ScriptedDatabase(.init(objects: isOdd))
        let folder = try TemporaryFolder()
        let counters = try await Self.write(chunks, database, into: folder)
        let all = chunks.flatMap(\.samples)
        #expect(counters.setAsideSamples == UInt64(all.count { isOdd($0) }))
        #expect(database.samples.count == all.count { !isOdd($0) })
        #expect(counters.writtenSamples == UInt64(database.samples.count))
        #expect(folder.lines.allSatisfy { $0.contains("too old") })
    }

    @Test("A chunk that is written again changes nothing", arguments: [true, false])
    func repetition(takesParts: Bool) async throws {
        var generator = SeededGenerator()
        let chunks = try Self.chunks(10, &generator)
        let database = ScriptedDatabase(takesPartsOfBatches: takesParts)
        let counters = try await Self.write(chunks, database, into: TemporaryFolder(), times: 3)
        let count = UInt64(chunks.reduce(0) { $0 + $1.samples.count })
        #expect(database.samples.count == Int(count))
        #expect(counters.knownSamples == (takesParts ? 0 : 2 * count))
        #expect(counters.writtenSamples + counters.knownSamples == 3 * count)
    }

    @Test(
        "How long VictoriaMetrics keeps samples",
        arguments: [
            ("1", 31.0), ("12", 372), ("100y", 36_500), ("1d", 1), ("3w", 21), ("36h", 1.5), ("0.5y", 182.5), ("", nil), ("d", nil),
            ("1x", nil),
            ("-1", nil), ("1m", nil), ("9e99y", 9e9 / 86_400),
        ] as [(String, Double?)])
    func retention(_ text: String, _ days: Double?) {
        #expect(VictoriaMetricsRetention.duration(of: text).map { $0.inSeconds / 86_400 } == days)
    }
}
