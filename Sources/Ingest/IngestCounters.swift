/// What a receiving end did so far: every message and sample that came is in exactly one of the outcomes, or still waiting.
package struct IngestCounters: Sendable, Equatable, Codable {
    /// Data messages that came, repeated ones included.
    package var messages: UInt64 = 0
    package var messageBytes: UInt64 = 0
    /// Births and deaths.
    package var lifecycleMessages: UInt64 = 0
    /// Samples of messages that were not duplicates.
    package var samples: UInt64 = 0
    /// Messages whose key came before, and their samples where these were counted.
    package var duplicateMessages: UInt64 = 0
    /// Samples that the database has taken.
    package var writtenSamples: UInt64 = 0
    /// Samples that the database had already: of batches that came before this process, or to another one.
    package var knownSamples: UInt64 = 0
    package var writes: UInt64 = 0
    package var writtenBytes: UInt64 = 0
    /// Attempts to write that failed and were repeated.
    package var retries: UInt64 = 0
    /// Samples that the database refused for what they are, kept in the folder for that.
    package var setAsideSamples: UInt64 = 0
    /// Messages that could not be understood, or whose births never came; kept in the folder too.
    package var setAsideMessages: UInt64 = 0
    /// What could not even be kept, because its folder is full or cannot be written.
    package var droppedMessages: UInt64 = 0
    package var droppedSamples: UInt64 = 0
    /// Messages that wait for a birth now.
    package var heldMessages: UInt64 = 0
    /// Requests for a birth.
    package var rebirthRequests: UInt64 = 0
    package var connections: UInt64 = 0
    package var acknowledgements: UInt64 = 0
    /// What became of the messages that should have come in envelopes.
    package var envelopes = EnvelopeCounters()

    package init() {}
}
