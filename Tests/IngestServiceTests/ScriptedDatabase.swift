import Foundation
import GatewayCore
import Ingest
import Synchronization
import Telemetry

@testable import IngestService

/// A database in memory that does what a test says: stands still, fails for a while, refuses samples.
final class ScriptedDatabase: Database, Sendable {
    /// What a test tells it to do.
    struct Script: Sendable {
        /// The part of all writes that fail for no reason, of 100.
        var failuresOf100 = 0
        /// Whether failures come after the samples were kept: the answer is what got lost.
        var keepsWhatFails = false
        var refuses: @Sendable (Sample) -> Bool = { _ in false }
        /// The most samples of one write.
        var samplesMax = Int.max
        var objects: @Sendable (Sample) -> Bool = { _ in false }
    }

    /// One value as it was stored.
    struct Key: Hashable {
        var series: Int32
        var time: Int64
    }

    private struct State {
        var script: Script
        var generator: any RandomNumberGenerator & Sendable
        var samples: [Key: UInt64] = [:]
        var keys: Set<BatchKey> = []
        var largestWrite = 0
        var writes = 0
        var isClosed = false
    }

    let name = "a database in memory"
    let takesPartsOfBatches: Bool
    let hasObjections = true
    private let state: Mutex<State>
    private let gate = NSCondition()

    /// - Parameter takesPartsOfBatches: as line protocol does; else it knows batches by their keys, as PostgreSQL does.
    init(
        _ script: Script = Script(), takesPartsOfBatches: Bool = true,
        generator: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator()
    ) {
        self.takesPartsOfBatches = takesPartsOfBatches
        state = Mutex(State(script: script, generator: generator))
    }

    /// From now on writes stand still until `open`.
    func close() { state.withLock { $0.isClosed = true } }
    func open() {
        state.withLock { $0.isClosed = false }
        gate.withLock { gate.broadcast() }
    }

    /// How many writes were begun.
    var writes: Int { state.withLock { $0.writes } }
    var largestWrite: Int { state.withLock { $0.largestWrite } }
    /// All it holds: each series and time once, as databases of time series do.
    var samples: [Key: UInt64] { state.withLock { $0.samples } }

    func prepare() throws(GatewayError) -> [String] { [] }
    func learn(_ additions: CatalogAdditions) {}

    func objection(to sample: Sample, texts: [String], at now: Timestamp) -> String? {
        state.withLock { $0.script.objects(sample) } ? "too old" : nil
    }

    func write(_ chunk: SampleChunk, _ batches: ArraySlice<SampleChunk.Batch>) throws(DatabaseFailure) -> WriteOutcome {
        let count = batches.reduce(0) { $0 + $1.samples.count }
        state.withLock { state in
            state.writes += 1
            state.largestWrite = max(state.largestWrite, count)
        }
        gate.withLock { while state.withLock({ $0.isClosed }) { gate.wait() } }
        let result: Result<WriteOutcome, DatabaseFailure> = state.withLock { state in
            let fails = Int.random(in: 0..<100, using: &state.generator) < state.script.failuresOf100
            let failure = DatabaseFailure.failed(GatewayError(.connectionLost, resource: name, operation: "write", "as the script says"))
            if fails, !state.script.keepsWhatFails { return .failure(failure) }
            if count > state.script.samplesMax { return .failure(.tooLarge(reason: "\(count) samples")) }
            for batch in batches where chunk.samples[batch.samples].contains(where: state.script.refuses) {
                return .failure(.refused(reason: "13 is not taken"))
            }
            var known = 0
            for batch in batches {
                if !takesPartsOfBatches, !state.keys.insert(batch.key).inserted {
                    known += batch.samples.count
                    continue
                }
                for sample in chunk.samples[batch.samples] { state.samples[Key(series: sample.series, time: sample.time)] = sample.bits }
            }
            return fails ? .failure(failure) : .success(WriteOutcome(writtenSamples: count - known, knownSamples: known, bytes: count))
        }
        return try result.get()
    }
}

/// A clock that nobody waits for: what sleeps goes on at once, and the time has moved.
final class HurriedTime: TimeSource {
    private let moved = Mutex(Int64(0))

    var utc: Timestamp { Timestamp(nanoseconds: 1_767_268_800_000_000_000 + moved.withLock { $0 }) }
    var now: MonotonicInstant { MonotonicInstant(nanoseconds: 1_000_000_000 + moved.withLock { $0 }) }

    func sleep(until deadline: MonotonicInstant) async throws {
        try Task.checkCancellation()
        let left = now.duration(to: deadline).nanoseconds
        moved.withLock { $0 += max(0, left) }
        await Task.yield()
    }
}
