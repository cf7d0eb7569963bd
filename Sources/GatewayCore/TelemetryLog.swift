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

    /// Lets cursors hold nothing back any more for which nobody reads now or will: retention takes what is before them when its time has come,
    /// and counts it as evicted, as if their readers were slow. Opening such a cursor takes that back; it then goes on where it was left.
    ///
    /// Asked for every cursor that is not open; those that are wanted hold back what is before them, as all did at the start.
    func releaseCursors(at time: Timestamp, where isUnwanted: (_ name: String) -> Bool)
}

/// Where a cursor starts that the log has not seen before.
package enum CursorStart: Sendable { case oldest, newest }

/// One of the two ways on which a cursor reads the log, so that what is new need not wait for what has piled up.
package enum LogLane: Sendable, Hashable, CaseIterable {
    /// What had been stored when the live lane began and is not acknowledged; without a live lane everything.
    case backlog
    /// What is stored since the live lane began.
    case live
}

/// What a cursor's backlog lane has before it.
package struct LogBacklog: Sendable, Hashable {
    /// Samples stored before the live lane began, without one all, and not acknowledged.
    package var samples: UInt64
    /// The time of the oldest of them; `nil` while there is none, or its time is not known.
    ///
    /// Where it is on disk and nothing near it was read since the start of the process, it may be told too old, at most by what one segment spans.
    package var oldest: Timestamp?

    package init(samples: UInt64, oldest: Timestamp? = nil) {
        self.samples = samples
        self.oldest = oldest
    }
}

/// One reader's place in the log. Used by one task at a time, or by one for each lane.
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

    /// Goes back to the entry after the last acknowledged one: after a lost connection. Both lanes go back, and the live lane ends.
    func rewind()

    /// Begins a live lane after the newest entry of now: all before it that is not acknowledged is backlog from then on.
    ///
    /// May be called again when the live lane has fallen behind: what is not acknowledged of it then becomes backlog, also what was read of
    /// it, which is read again. What is acknowledged on a live lane ahead of the backlog is persisted like any other acknowledgement and not read
    /// again, after a restart neither. `false`, and nothing changes, while so many pieces are acknowledged ahead of the backlog that
    /// no more can be kept apart; the lanes stay as they were.
    func beginLiveLane() -> Bool

    /// The next entries of one lane, in the order of the log, at most `limit`, at least one: waits until there is one.
    ///
    /// The backlog lane ends where the live lane begins and waits there; without a live lane it goes on to the newest entry, and a reader
    /// of the live lane waits until one begins. `read(atMost:)` reads the backlog lane. Gaps are told of on the lane that comes by them; what was
    /// evicted before it was read is told of on the backlog lane. Errors are those of `read(atMost:)`.
    func read(_ lane: LogLane, atMost limit: Int) async throws -> [LogEntry]

    /// Says that everything that was read on this lane up to here is done with; the other lane is left alone.
    ///
    /// A position before this live lane began changes nothing. `acknowledge(through:)` speaks of the backlog lane.
    func acknowledge(_ lane: LogLane, through position: LogPosition)

    /// What the backlog lane has before it. Costs no look at the disk.
    var backlog: LogBacklog { get }

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
    /// A log without lanes has none to begin.
    package func beginLiveLane() -> Bool { false }

    /// The backlog lane is the cursor itself. Throws `.unsupported` for the live lane, which a log without lanes never begins.
    package func read(_ lane: LogLane, atMost limit: Int) async throws -> [LogEntry] {
        guard lane == .backlog else {
            throw GatewayError(.unsupported, resource: "cursor \(name)", operation: "read", "this log has no live lane, only a backlog")
        }
        return try await read(atMost: limit)
    }

    /// The backlog lane is the cursor itself.
    package func acknowledge(_ lane: LogLane, through position: LogPosition) {
        if lane == .backlog { acknowledge(through: position) }
    }

    /// Everything that is pending; of its time nothing is known.
    package var backlog: LogBacklog { LogBacklog(samples: pendingSamples) }

    /// Nothing: a log whose names may have several readers has nothing to let go of.
    package func close() {}
    /// Nothing: most readers have no way that could be cut.
    package func connectionLost(at time: Timestamp) {}
    /// Nothing: most readers have no way that could be cut.
    package func connectionRestored(at time: Timestamp) {}
}

extension TelemetryLog {
    /// Nothing: a log that removes nothing is held back by nobody.
    package func releaseCursors(at time: Timestamp, where isUnwanted: (_ name: String) -> Bool) {}

    package func register(all descriptors: [StreamDescriptor]) throws {
        for descriptor in descriptors { _ = try register(descriptor) }
    }
}
