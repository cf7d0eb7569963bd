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

    /// Learns of new names, before the chunk that has them.
    func learn(_ additions: CatalogAdditions)

    /// Writes some batches of a chunk, all or nothing as far as the database can.
    ///
    /// Throws `DatabaseFailure.refused` when it is the data that the database does not take, `.failed` for everything that may pass.
    func write(_ chunk: SampleChunk, _ batches: ArraySlice<SampleChunk.Batch>) throws(DatabaseFailure) -> WriteOutcome
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
