internal import GatewayCore
package import Ingest
package import Telemetry

/// Where samples go. Used by one thread; calls block until the database has answered.
package protocol Database: AnyObject {
    /// For people: `VictoriaMetrics at http://127.0.0.1:8428`.
    var name: String { get }

    /// Whether a batch may be written in several parts; not where the database knows batches by their key.
    var takesPartsOfBatches: Bool { get }

    /// Looks whether the database is there and fit, and makes what is missing in it. Returns what should be put right, a sentence each.
    func prepare() throws(GatewayError) -> [String]

    /// Why the database would drop a sample while it answers that it has taken it; `nil` when it keeps it. Such samples are set aside instead.
    ///
    /// - Parameters:
    ///   - texts: those of the sample's chunk.
    ///   - now: the time, because databases forget what is old.
    func objection(to sample: Sample, texts: [String], at now: Timestamp) -> String?

    /// Whether `objection` ever has one: where not, samples are not looked at one by one.
    var hasObjections: Bool { get }

    /// Learns of new names, before the chunk that has them.
    func learn(_ additions: CatalogAdditions)

    /// Writes some batches of a chunk, all or nothing as far as the database can.
    ///
    /// Throws `DatabaseFailure.refused` when it is the data that the database does not take, `.failed` for everything that may pass.
    func write(_ chunk: SampleChunk, _ batches: ArraySlice<SampleChunk.Batch>) throws(DatabaseFailure) -> WriteOutcome
}

extension Database {
    package var hasObjections: Bool { false }
    package func objection(to sample: Sample, texts: [String], at now: Timestamp) -> String? { nil }
}

/// Why a write did not happen.
package enum DatabaseFailure: Error {
    /// Trying again helps, or an operator does.
    case failed(GatewayError)
    /// The same data will be refused again.
    case refused(reason: String)
    /// The same data in smaller pieces may be taken.
    case tooLarge(reason: String)
}

/// What became of a write.
package struct WriteOutcome: Sendable, Equatable {
    package var writtenSamples: Int
    /// Of batches that the database had already.
    package var knownSamples: Int
    package var bytes: Int

    package init(writtenSamples: Int, knownSamples: Int = 0, bytes: Int) {
        self.writtenSamples = writtenSamples
        self.knownSamples = knownSamples
        self.bytes = bytes
    }
}
