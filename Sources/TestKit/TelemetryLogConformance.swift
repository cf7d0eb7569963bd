package import GatewayCore
internal import Telemetry

/// What every `TelemetryLog` must do: run it on a log that is new and empty.
///
/// The functions throw a `Violation` that says what was expected and what came.
package struct TelemetryLogConformance: Sendable {
    /// A promise of the contract that was not kept.
    package struct Violation: Error, CustomStringConvertible {
        package var description: String
    }

    private let log: any TelemetryLog

    package init(_ log: any TelemetryLog) { self.log = log }

    private static let descriptor = StreamDescriptor(
        device: "press-1", group: "fast", tags: [Tag("force", .uint16), Tag("position", .int32), Tag("isOpen", .bool)])

    private func expect(_ condition: Bool, _ message: @autoclosure () throws -> String) throws {
        if !condition { throw Violation(description: try message()) }
    }

    /// A stream of its own, whose batches are numbered from 0.
    private enum LaneStreams {
        static let descriptor = StreamDescriptor(device: "press-3", group: "fast", tags: TelemetryLogConformance.descriptor.tags)
    }

    private func batch(_ stream: StreamID, _ number: UInt16) -> SampleBatch {
        var batch = SampleBatch(
            stream: stream, descriptor: TelemetryLogConformance.descriptor, time: Timestamp(milliseconds: 1000 + Int64(number)),
            status: .good)
        batch.set(.uint(UInt64(number)), tag: 0, in: TelemetryLogConformance.descriptor)
        return batch
    }

    /// Reads exactly `count` entries.
    private func read(_ count: Int, from cursor: any LogCursor) async throws -> [LogEntry] {
        var entries: [LogEntry] = []
        while entries.count < count {
            let more = try await cursor.read(atMost: count - entries.count)
            try expect(
                !more.isEmpty && more.count <= count - entries.count, "a read of at most \(count - entries.count) gave \(more.count)")
            entries += more
        }
        return entries
    }

    private func numbers(_ entries: [LogEntry]) throws -> [UInt64] {
        try entries.map { entry in
            guard case .batch(let batch) = entry.content else {
                throw Violation(description: "expected a batch, but there is \(entry.content)")
            }
            return batch.sequence
        }
    }

    /// All promises, one after the other.
    package func run() async throws {
        try streamsKeepTheirNumbers()
        try await orderAndNumbers()
        try await acknowledgeAndRewind()
        try await refusedEntriesArePassedAndReadAgainUntilThen()
        try await outagesChangeNothingThatIsRead()
        try await liveIsNotBehindTheBacklog()
        try await whatFallsBehindOnTheLiveLaneBecomesBacklog()
        try await lanesGoBackTogether()
        try await waitingReadersOfLanesAreWoken()
        try await waitingReadersAreWoken()
        try await cancellation()
        try await newestSkipsThePast()
        try await timesAreCorrected()
    }

    private func streamsKeepTheirNumbers() throws {
        let first = try log.register(TelemetryLogConformance.descriptor)
        let again = try log.register(TelemetryLogConformance.descriptor)
        try expect(first == again, "an equal descriptor gave \(again), but had given \(first)")
        let other = try log.register(StreamDescriptor(device: "press-2", group: "fast", tags: [Tag("force", .uint16)]))
        try expect(other != first, "two descriptors share the number \(first)")
        try expect(log.descriptor(of: first) == TelemetryLogConformance.descriptor, "the descriptor of \(first) is not what was registered")
        try expect(log.descriptor(of: StreamID(rawValue: 60_000)) == nil, "a number never given has a descriptor")
    }

    private func orderAndNumbers() async throws {
        let stream = try log.register(TelemetryLogConformance.descriptor)
        let cursor = try log.cursor(named: "conformance/order", from: .oldest)
        for number in 0..<5 { log.append(batch(stream, UInt16(number))) }
        let entries = try await read(5, from: cursor)
        try expect(try numbers(entries) == [0, 1, 2, 3, 4], "sequences are \(try numbers(entries)), expected 0 to 4")
        for (before, after) in zip(entries, entries.dropFirst()) {
            try expect(before.position < after.position, "position \(after.position) follows \(before.position)")
        }
        for (number, entry) in entries.enumerated() {
            guard case .batch(let batch) = entry.content else { continue }
            try expect(batch.epoch == log.epoch, "the epoch is \(batch.epoch), but the log's is \(log.epoch)")
            let value = batch.raw(of: 0, in: TelemetryLogConformance.descriptor)
            try expect(value == .uint(UInt64(number)), "batch \(number) carries \(value)")
        }
        try expect(cursor.pendingSamples == 15, "15 samples are pending, but the cursor says \(cursor.pendingSamples)")
    }

    private func acknowledgeAndRewind() async throws {
        let cursor = try log.cursor(named: "conformance/rewind", from: .oldest)
        let entries = try await read(5, from: cursor)
        cursor.acknowledge(through: entries[1].position)
        try expect(cursor.pendingSamples == 9, "9 samples are pending, but the cursor says \(cursor.pendingSamples)")
        cursor.rewind()
        let again = try await read(3, from: cursor)
        try expect(try numbers(again) == [2, 3, 4], "after rewinding to 1 the sequences are \(try numbers(again))")
        cursor.acknowledge(through: again[2].position)
        cursor.acknowledge(through: entries[0].position)
        try expect(cursor.pendingSamples == 0, "an older acknowledgement took one back: \(cursor.pendingSamples) are pending")
    }

    private func refusedEntriesArePassedAndReadAgainUntilThen() async throws {
        let cursor = try log.cursor(named: "conformance/refused", from: .oldest)
        let entries = try await read(3, from: cursor)
        cursor.refuse(entries[1].position)
        try expect(cursor.pendingSamples == 15, "refusing alone settled samples: \(cursor.pendingSamples) are pending, not 15")
        cursor.rewind()
        try expect(try numbers(try await read(3, from: cursor)) == [0, 1, 2], "an entry that was refused and not passed is not read again")
        cursor.refuse(entries[1].position)
        cursor.refuse(LogPosition(rawValue: .max))
        cursor.acknowledge(through: entries[2].position)
        try expect(cursor.pendingSamples == 6, "6 samples are pending, but the cursor says \(cursor.pendingSamples)")
        cursor.refuse(entries[0].position)
        try expect(cursor.pendingSamples == 6, "a refusal that came too late changed what is pending")
        cursor.rewind()
        try expect(try numbers(try await read(2, from: cursor)) == [3, 4], "the entries after the passed ones are not 3 and 4")
    }

    private func outagesChangeNothingThatIsRead() async throws {
        let cursor = try log.cursor(named: "conformance/outage", from: .oldest)
        cursor.connectionRestored(at: Timestamp(milliseconds: 500))
        for _ in 0..<2 { cursor.connectionLost(at: Timestamp(milliseconds: 1000)) }
        let entries = try await read(5, from: cursor)
        cursor.acknowledge(through: entries[0].position)
        for _ in 0..<2 { cursor.connectionRestored(at: Timestamp(milliseconds: 2000)) }
        cursor.rewind()
        try expect(try numbers(try await read(4, from: cursor)) == [1, 2, 3, 4], "an outage moved the cursor")
        try expect(cursor.pendingSamples == 12, "12 samples are pending, but the cursor says \(cursor.pendingSamples)")
    }

    /// Reads exactly `count` entries of a lane.
    private func read(_ count: Int, of lane: LogLane, from cursor: any LogCursor) async throws -> [LogEntry] {
        var entries: [LogEntry] = []
        while entries.count < count {
            let more = try await cursor.read(lane, atMost: count - entries.count)
            try expect(!more.isEmpty && more.count <= count - entries.count, "a lane's read of \(count - entries.count) gave \(more.count)")
            entries += more
        }
        return entries
    }

    private func expect(_ cursor: any LogCursor, pending: UInt64, backlog: UInt64) throws {
        try expect(cursor.pendingSamples == pending, "\(pending) samples are pending, but the cursor says \(cursor.pendingSamples)")
        try expect(cursor.backlog.samples == backlog, "\(backlog) samples are backlog, but the cursor says \(cursor.backlog)")
        try expect((cursor.backlog.oldest == nil) == (backlog == 0), "of \(backlog) samples the oldest is \(cursor.backlog)")
    }

    private func liveIsNotBehindTheBacklog() async throws {
        let stream = try log.register(LaneStreams.descriptor)
        let cursor = try log.cursor(named: "conformance/lanes", from: .newest)
        for number in 0..<4 { log.append(batch(stream, UInt16(number))) }
        try expect(cursor, pending: 12, backlog: 12)
        try expect(cursor.backlog.oldest == Timestamp(milliseconds: 1000), "the oldest is of \(cursor.backlog), not of the first batch")
        try expect(cursor.beginLiveLane(), "a cursor without a live lane was refused one")
        for number in 4..<8 { log.append(batch(stream, UInt16(number))) }
        let live = try await read(4, of: .live, from: cursor)
        try expect(try numbers(live) == [4, 5, 6, 7], "the live lane has \(try numbers(live)), expected 4 to 7")
        try expect(cursor, pending: 24, backlog: 12)
        cursor.acknowledge(.live, through: live[2].position)
        cursor.acknowledge(.live, through: live[0].position)
        try expect(cursor, pending: 15, backlog: 12)
        let backlog = try await read(4, of: .backlog, from: cursor)
        try expect(try numbers(backlog) == [0, 1, 2, 3], "the backlog has \(try numbers(backlog)), expected 0 to 3")
        cursor.acknowledge(.backlog, through: live[3].position)
        try expect(cursor, pending: 3, backlog: 0)
        cursor.refuse(live[3].position)
        cursor.acknowledge(.live, through: live[3].position)
        try expect(cursor, pending: 0, backlog: 0)
    }

    private func whatFallsBehindOnTheLiveLaneBecomesBacklog() async throws {
        let stream = try log.register(LaneStreams.descriptor)
        let cursor = try log.cursor(named: "conformance/behind", from: .newest)
        log.append(batch(stream, 8))
        try expect(cursor.beginLiveLane(), "a cursor without a live lane was refused one")
        for number in 9..<13 { log.append(batch(stream, UInt16(number))) }
        let behind = try await read(3, of: .live, from: cursor)
        cursor.acknowledge(.live, through: behind[0].position)
        try expect(cursor.beginLiveLane(), "a live lane could not begin again")
        try expect(cursor, pending: 12, backlog: 12)
        cursor.acknowledge(.live, through: behind[2].position)
        try expect(cursor, pending: 12, backlog: 12)
        log.append(batch(stream, 13))
        let live = try await read(1, of: .live, from: cursor)
        try expect(try numbers(live) == [13], "the second live lane has \(try numbers(live)), expected 13")
        let backlog = try await read(4, of: .backlog, from: cursor)
        try expect(try numbers(backlog) == [8, 10, 11, 12], "the backlog has \(try numbers(backlog)), expected 8 and 10 to 12")
        cursor.acknowledge(through: backlog[1].position)
        try expect(cursor, pending: 9, backlog: 6)
    }

    private func lanesGoBackTogether() async throws {
        let stream = try log.register(LaneStreams.descriptor)
        let cursor = try log.cursor(named: "conformance/back", from: .newest)
        for number in 14..<16 { log.append(batch(stream, UInt16(number))) }
        try expect(cursor.beginLiveLane(), "a cursor without a live lane was refused one")
        for number in 16..<19 { log.append(batch(stream, UInt16(number))) }
        let live = try await read(2, of: .live, from: cursor)
        let backlog = try await read(2, of: .backlog, from: cursor)
        cursor.acknowledge(.live, through: live[0].position)
        cursor.acknowledge(.backlog, through: backlog[0].position)
        cursor.rewind()
        try expect(cursor, pending: 9, backlog: 9)
        cursor.acknowledge(.live, through: live[1].position)
        try expect(cursor, pending: 9, backlog: 9)
        let again = try await read(3, of: .backlog, from: cursor)
        try expect(try numbers(again) == [15, 17, 18], "without a live lane the backlog has \(try numbers(again)), expected 15, 17, 18")
        cursor.acknowledge(through: again[2].position)
        try expect(cursor, pending: 0, backlog: 0)
    }

    private func waitingReadersOfLanesAreWoken() async throws {
        let stream = try log.register(LaneStreams.descriptor)
        let cursor = try log.cursor(named: "conformance/woken", from: .newest)
        let live = Task { try await cursor.read(.live, atMost: 10) }
        await Task.yield()
        try expect(cursor.beginLiveLane(), "a cursor without a live lane was refused one")
        log.append(batch(stream, 19))
        let backlog = Task { try await cursor.read(.backlog, atMost: 10) }
        let entries = try await live.value
        try expect(try numbers(entries) == [19], "the waiting reader of the live lane got \(try numbers(entries)), expected 19")
        await Task.yield()
        cursor.rewind()
        let again = try await backlog.value
        try expect(try numbers(again) == [19], "the waiting reader of the backlog got \(try numbers(again)), expected 19")
    }

    private func waitingReadersAreWoken() async throws {
        let stream = try log.register(TelemetryLogConformance.descriptor)
        let cursor = try log.cursor(named: "conformance/waiting", from: .newest)
        let reader = Task { try await cursor.read(atMost: 10) }
        await Task.yield()
        log.append(batch(stream, 5))
        let entries = try await reader.value
        try expect(try numbers(entries) == [5], "the waiting reader got \(try numbers(entries)), expected 5")
    }

    private func cancellation() async throws {
        let cursor = try log.cursor(named: "conformance/cancelled", from: .newest)
        let reader = Task { try await cursor.read(atMost: 1) }
        await Task.yield()
        reader.cancel()
        do {
            _ = try await reader.value
            throw Violation(description: "a cancelled read returned")
        } catch is CancellationError {
            // What the contract asks for.
        }
    }

    /// Batches that were stamped before the clock was known, appended already or on their way, are read with the right time.
    private func timesAreCorrected() async throws {
        let stream = try log.register(TelemetryLogConformance.descriptor)
        let cursor = try log.cursor(named: "conformance/clock", from: .newest)
        func append(_ number: UInt16, _ stamp: ClockStamp) {
            var batch = batch(stream, number)
            batch.stamp = stamp
            log.append(batch)
        }
        let early = ClockStamp(time: Timestamp(milliseconds: 1000), isUncertain: true, mapping: 1)
        let late = ClockStamp(time: Timestamp(milliseconds: 2000), isUncertain: true, mapping: 1)
        log.adopt(ClockMapping(number: 1, offset: 0, isCertain: false))
        append(7, early)
        let before = try await read(1, from: cursor)
        guard case .batch(let uncertain)? = before.first?.content else { throw Violation(description: "expected a batch") }
        try expect(uncertain.stamp == early, "an uncertain time was read as \(uncertain.stamp)")
        log.adopt(ClockMapping(number: 2, offset: 5_000_000_000, isCertain: true))
        append(8, late)
        append(9, ClockStamp(time: Timestamp(milliseconds: 3000), isUncertain: true))
        cursor.rewind()
        let stamps = try await read(3, from: cursor).compactMap { if case .batch(let batch) = $0.content { batch.stamp } else { nil } }
        let expected = [
            ClockStamp(time: Timestamp(milliseconds: 6000)), ClockStamp(time: Timestamp(milliseconds: 7000)),
            ClockStamp(time: Timestamp(milliseconds: 3000), isUncertain: true),
        ]
        try expect(stamps == expected, "corrected times are \(stamps), expected \(expected)")
    }

    private func newestSkipsThePast() async throws {
        let stream = try log.register(TelemetryLogConformance.descriptor)
        let cursor = try log.cursor(named: "conformance/newest", from: .newest)
        try expect(cursor.pendingSamples == 0, "a new cursor at the end has \(cursor.pendingSamples) pending samples")
        log.append(batch(stream, 6))
        let entries = try await read(1, from: cursor)
        try expect(try numbers(entries) == [6], "the first entry is \(try numbers(entries)), expected 6")
    }
}
