package import Telemetry

/// A place in the log. Places grow in the order of appending, over restarts too; nothing else is promised of them.
package struct LogPosition: RawRepresentable, Sendable, Hashable, Comparable, Codable {
    package var rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
    package static func < (left: LogPosition, right: LogPosition) -> Bool { left.rawValue < right.rawValue }
    /// Before everything: the place of a cursor that has read nothing.
    package static let start = LogPosition(rawValue: 0)
}

/// What a cursor reads.
package struct LogEntry: Sendable {
    package enum Content: Sendable {
        case batch(SampleBatch)
        /// Samples that this cursor will never see, because they were evicted before it came to them.
        case gap(samples: UInt64)
    }
    /// Acknowledging this position says: this entry and all before it are done with.
    package var position: LogPosition
    package var content: Content
    /// Whether the batch was appended before this process started or the reader has fallen behind the memory of the
    /// log, so that it comes from disk.
    package var isFromDisk: Bool

    package init(position: LogPosition, content: Content, isFromDisk: Bool) {
        self.position = position
        self.content = content
        self.isFromDisk = isFromDisk
    }
}

/// The log of all samples: adapters append, everybody else reads with a cursor.
package protocol TelemetryLog: AnyObject, Sendable {
    /// The number of this start of the process; every start has a higher one.
    var epoch: UInt32 { get }

    /// Gives the stream of these batches its number: always the same for an equal descriptor.
    ///
    /// Throws a `GatewayError` when the catalogue cannot be written.
    func register(_ descriptor: StreamDescriptor) throws -> StreamID

    /// Gives the streams of all these batches their numbers, in one step where that is cheaper; `register` finds them then.
    func register(all descriptors: [StreamDescriptor]) throws

    /// What the batches of a stream look like; `nil` for a number this log never gave.
    func descriptor(of stream: StreamID) -> StreamDescriptor?

    /// Takes a batch: brings an uncertain time to the present mapping of the clock, gives it its sequence and epoch, serves it to waiting cursors at once, and commits it to disk within the commit interval.
    /// Never waits for the disk. When memory for uncommitted batches runs out (the disk refuses), the oldest are given up and counted.
    func append(_ batch: SampleBatch)

    /// Counts a poll of which no sample was stored, because its deadbands suppressed all of them.
    /// (A partly suppressed poll is told by its batch's `presence`, and the next batch's `suppressedPolls` tells of this one to the disk.)
    func countSuppressedPoll(of stream: StreamID)

    /// Says how uncertain times are told from now on, and corrects all of this boot that were told otherwise, appended already or on their way:
    /// they move by the difference of the offsets, and are certain if the mapping is.
    func adopt(_ mapping: ClockMapping)

    /// Opens the persistent cursor of that name, where it was left; a new one starts `from`.
    /// Only one may be open per name.
    func cursor(named name: String, from: CursorStart) throws -> any LogCursor
}

/// Where a cursor starts that the log has not seen before.
package enum CursorStart: Sendable { case oldest, newest }

/// One reader's place in the log. Used by one task at a time.
package protocol LogCursor: AnyObject, Sendable {
    var name: String { get }

    /// The next entries, at most `limit`, at least one: waits until there is one.
    ///
    /// Throws `CancellationError` when the task is cancelled, a `GatewayError` when the log cannot be read.
    func read(atMost limit: Int) async throws -> [LogEntry]

    /// Says that everything up to here is done with. Persisted within a second, and never beyond what is on disk.
    /// May be called from another thread while `read` waits.
    func acknowledge(through position: LogPosition)

    /// Says that the entry at this position, which was read and is not acknowledged yet, can never be delivered: when `acknowledge`
    /// passes it, its samples count as refused. A rewind takes that back; the entry is then read again.
    func refuse(_ position: LogPosition)

    /// Goes back to the entry after the last acknowledged one: after a lost connection.
    func rewind()

    /// Samples not yet acknowledged.
    var pendingSamples: UInt64 { get }

    /// Lets the name be opened again at once, even where somebody still holds this reader; it must not be used any more.
    /// A reader that nobody holds is closed by itself.
    func close()

    /// Says that the way to whom this cursor reads for is cut: an outage begins, unless one goes on already.
    ///
    /// What is pending now, and what is stored until `connectionRestored`, is the outage's; the ledger tells what became of it.
    func connectionLost(at time: Timestamp)

    /// Says that the way stands (again): ends the outage if there is one, also one that began in an earlier run of the process.
    func connectionRestored(at time: Timestamp)
}

extension LogCursor {
    /// Nothing: a log whose names may have several readers has nothing to let go of.
    package func close() {}
    /// Nothing: most readers have no way that could be cut.
    package func connectionLost(at time: Timestamp) {}
    /// Nothing: most readers have no way that could be cut.
    package func connectionRestored(at time: Timestamp) {}
}

extension TelemetryLog {
    package func register(all descriptors: [StreamDescriptor]) throws {
        for descriptor in descriptors { _ = try register(descriptor) }
    }
}
