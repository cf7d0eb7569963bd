package import GatewayCore
package import Telemetry

/// What was said of the clock at one place of the log: how the batches after it were stamped, as long as nothing else is said.
package struct ClockStatement: Sendable, Hashable {
    package var epoch: UInt32
    package var boot: BootID
    /// Batches from this position on were stamped so.
    package var first: UInt64
    /// UTC minus monotonic clock, in nanoseconds.
    package var offset: Int64
    /// Whether the clock was known to be right.
    package var isCertain: Bool

    package init(epoch: UInt32, boot: BootID, first: UInt64, offset: Int64, isCertain: Bool) {
        self.epoch = epoch
        self.boot = boot
        self.first = first
        self.offset = offset
        self.isCertain = isCertain
    }
}

/// How times that were stamped by an uncertain clock are corrected when more is known of it.
///
/// Batches stay on disk as they were stamped, and every reader passes them through `corrected`. Times of one boot are told by one
/// monotonic clock, so that a stretch of batches is corrected by one number: the offset that is right less the offset it was stamped with.
package struct ClockBook: Sendable, Hashable {
    /// Batches of one epoch that were stamped with one offset.
    struct Stretch: Sendable, Hashable {
        var statement: ClockStatement
        /// The offset that is right, as far as is known.
        var offset: Int64
        /// Whether that is known for certain: nothing said later changes it.
        var isSettled: Bool

        /// What to add to times of the stretch that were stamped to be corrected.
        var correction: Int64 { offset &- statement.offset }
    }

    /// In the order of their first positions.
    private(set) var stretches: [Stretch] = []
    /// The mapping of this process, and all that it had before: they are not stored.
    private var mappings: [ClockMapping] = []

    /// A clock that steps at every look would fill the disk. Beyond this the oldest stretch is forgotten: its times stay uncertain, and as they are.
    static let stretchesMax = 4096

    package init() {}

    init(stretches: [Stretch]) { self.stretches = stretches }

    package static func == (left: ClockBook, right: ClockBook) -> Bool { left.stretches == right.stretches }
    package func hash(into hasher: inout Hasher) { hasher.combine(stretches) }

    /// Takes over what was said. What is not newer than all that is known was said before, and changes nothing.
    mutating func take(_ statement: ClockStatement) {
        if let last = stretches.last?.statement, (last.epoch, last.first) >= (statement.epoch, statement.first) { return }
        settle(statement)
        stretches.append(Stretch(statement: statement, offset: statement.offset, isSettled: statement.isCertain))
        if stretches.count > ClockBook.stretchesMax { stretches.removeFirst(stretches.count - ClockBook.stretchesMax) }
    }

    /// A new mapping of this process, for the batches from position `first` on.
    mutating func adopt(_ mapping: ClockMapping, epoch: UInt32, boot: BootID, first: UInt64) {
        mappings.append(mapping)
        if mappings.count > ClockBook.stretchesMax { mappings.removeFirst() }
        // A stretch without batches was never written: the new one takes its place.
        if let last = stretches.last?.statement, last.epoch == epoch, last.first == first { stretches.removeLast() }
        take(ClockStatement(epoch: epoch, boot: boot, first: first, offset: mapping.offset, isCertain: mapping.isCertain))
    }

    private mutating func settle(_ statement: ClockStatement) {
        for index in stretches.indices where stretches[index].statement.boot == statement.boot && !stretches[index].isSettled {
            stretches[index].offset = statement.offset
            stretches[index].isSettled = statement.isCertain
        }
    }

    /// Brings the time of a batch that is being appended to the present mapping: it may have been stamped just before that changed.
    func rebased(_ batch: inout SampleBatch) {
        guard batch.clockMapping != 0, let present = mappings.last, batch.clockMapping != present.number else { return }
        if let former = mappings.last(where: { $0.number == batch.clockMapping }) {
            batch.time = batch.time.advanced(by: .nanoseconds(present.offset &- former.offset))
            if present.isCertain { batch.isTimeUncertain = false }
        }
        batch.clockMapping = batch.isTimeUncertain ? present.number : 0
    }

    /// The batch at a position as it is to be read now: a time that was stamped to be corrected, is, by what is known of its clock.
    ///
    /// Such a time has a `clockMapping` that is not 0; which one does not matter here, because the position tells.
    package func corrected(_ batch: SampleBatch, at position: UInt64) -> SampleBatch {
        guard batch.clockMapping != 0 else { return batch }
        var batch = batch
        batch.stamp = corrected(batch.stamp, epoch: batch.epoch, at: position)
        return batch
    }

    /// The same for the stamp of a batch of an epoch alone.
    package func corrected(_ stamp: ClockStamp, epoch: UInt32, at position: UInt64) -> ClockStamp {
        var corrected = stamp
        corrected.mapping = 0
        guard stamp.mapping != 0, let stretch = stretch(at: position), stretch.statement.epoch == epoch else { return corrected }
        corrected.time = stamp.time.advanced(by: .nanoseconds(stretch.correction))
        corrected.isUncertain = !stretch.isSettled
        if !stretch.isSettled, let present = mappings.last, stretch.statement.boot == stretches.last?.statement.boot {
            corrected.mapping = present.number
        }
        return corrected
    }

    private func stretch(at position: UInt64) -> Stretch? {
        let next = stretches.partitioningIndex { $0.statement.first > position }
        return next > 0 ? stretches[next - 1] : nil
    }

    /// The oldest and newest time that a batch of a segment can be read with.
    package func times(of segment: Segment) -> ClosedRange<Timestamp>? {
        guard let times = segment.times else { return nil }
        var (earliest, latest) = (Int64(0), Int64(0))
        for (index, stretch) in stretches.enumerated() where stretch.statement.first <= segment.end {
            // A stretch ends where the next one begins; a block may hold segments of several epochs.
            if index + 1 < stretches.count, stretches[index + 1].statement.first <= segment.base { continue }
            earliest = min(earliest, stretch.correction)
            latest = max(latest, stretch.correction)
        }
        return times.lowerBound.advanced(by: .nanoseconds(earliest))...times.upperBound.advanced(by: .nanoseconds(latest))
    }

    /// What a segment of an epoch has to say before batches up to a position: the statement in force at `first`, and those after it.
    func statements(of epoch: UInt32, from first: UInt64, through last: UInt64) -> [ClockStatement] {
        let all = stretches.lazy.map(\.statement).filter { $0.epoch == epoch && $0.first <= last }
        return Array(all.suffix(all.count { $0.first > first } + 1))
    }

    /// Forgets stretches of which nothing reached the disk before the process ended.
    mutating func removeUnreached(after newest: UInt64) { stretches.removeAll { $0.statement.first > newest } }

    /// Forgets stretches of positions that are gone.
    mutating func remove(before oldest: UInt64) {
        var gone = 0
        while gone + 1 < stretches.count, stretches[gone + 1].statement.first <= oldest { gone += 1 }
        stretches.removeFirst(gone)
    }
}
