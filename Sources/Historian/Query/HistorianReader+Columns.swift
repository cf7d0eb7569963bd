package import Telemetry

extension HistorianReader {
    /// How often a read looks at the catalogue again because a file was gone, without coming further in between.
    private static let looksMax = 8

    /// The catalogue as it is on disk now. One snapshot can serve several reads.
    package func snapshot() throws(GatewayError) -> LogSnapshot { LogSnapshot(state: try look()) }

    /// Reads the raw columns of some tags in log order, a bounded number of rows at a time, and hands each section to `body`,
    /// which says whether to go on.
    ///
    /// Times are a half-open range, `from` inclusive. The log is read as the snapshot shows it: what is written later is left out.
    /// Segments that are sealed or removed meanwhile are looked up again; what retention took in the middle is counted in the
    /// report, never passed over silently. Throws what `body` throws.
    package func columns(
        of selection: TagSelection, in snapshot: LogSnapshot, from: Timestamp? = nil, to: Timestamp? = nil,
        _ body: (LogSection) throws -> Bool
    ) throws -> ReadReport {
        var request = ReadRequest(
            selection: selection, times: HistorianReader.range(from, to), end: snapshot.state.position, streams: snapshot.streams,
            clock: snapshot.state.clock)
        var report = ReadReport()
        var segments = snapshot.state.segments
        var floors = HistorianReader.floors(of: segments, request.clock)
        var continuity = Continuity()
        var index = 0
        var looks = 0
        while index < segments.count {
            let segment = segments[index]
            continuity.reach(segment)
            guard request.concerns(segment) else {
                continuity.pass(segment)
                index += 1
                continue
            }
            guard var source = try source(of: segment, newest: continuity.newest, for: request) else {
                looks += 1
                guard looks <= HistorianReader.looksMax else { throw HistorianReader.vanishing(segment) }
                let fresh = try look()
                request.streams.merge(fresh.streams.mapValues(\.descriptor)) { known, _ in known }
                let isStillThere = { (gone: Segment) in
                    fresh.segments.contains { $0.firstNumber <= gone.number && gone.number <= $0.number }
                }
                for gone in segments[index...] where !isStillThere(gone) && gone.base <= request.end {
                    if request.concerns(gone) { report.evicted &+= selection.samples(in: gone.tallies) }
                    continuity.lose()
                }
                segments = fresh.segments.filter { $0.end >= segment.base }
                floors = HistorianReader.floors(of: segments, request.clock)
                index = 0
                continue
            }
            looks = 0
            while let slices = try source.next() {
                if let time = source.interruptedAt { continuity.interrupt(at: time) }
                var section = LogSection(slices: slices, nothingBefore: floors[index], interruptedAt: continuity.take())
                section.summaries = source.summaries
                guard try body(section) else { return report }
            }
            if let time = source.interruptedAt { continuity.interrupt(at: time) }
            report += source.report
            continuity.pass(segment)
            index += 1
        }
        // A break behind the last sample ends what is held, too.
        if let time = continuity.take() {
            _ = try body(LogSection(slices: [], nothingBefore: Timestamp(nanoseconds: .max), interruptedAt: time))
        }
        return report
    }

    /// The last sample of each tag, in log order, with a time before `before`: searched for from the newest segment on, only as far
    /// back as needed. Tags without any are not in the result.
    package func latest(
        of selection: TagSelection, in snapshot: LogSnapshot, before: Timestamp? = nil
    ) throws(GatewayError) -> [TagID: LatestSample] {
        var request = ReadRequest(
            selection: selection, times: HistorianReader.range(nil, before), end: snapshot.state.position, streams: snapshot.streams,
            clock: snapshot.state.clock)
        var found: [TagID: LatestSample] = [:]
        var segments = snapshot.state.segments
        // Later segments that begin with `before` or after it say nothing of whether the value was continuous until then.
        var epoch = segments.last { ($0.times?.lowerBound).map(request.times.contains) ?? false }?.epoch
        var looks = 0
        while let segment = segments.popLast(), !request.selection.tags.isEmpty {
            if segment.isMissing { epoch = nil }
            guard request.concerns(segment) else { continue }
            guard var source = try source(of: segment, newest: Timestamp(nanoseconds: .min), for: request) else {
                looks += 1
                guard looks <= HistorianReader.looksMax else { throw HistorianReader.vanishing(segment) }
                segments = try look().segments.filter { $0.base <= segment.base }
                continue
            }
            var inSegment: [TagID: LatestSample] = [:]
            var isInterrupted = false
            while let slices = try source.next() {
                if source.interruptedAt != nil {
                    isInterrupted = true
                    for tag in inSegment.keys { inSegment[tag]?.isContinuous = false }
                }
                for slice in slices {
                    for column in slice.columns {
                        guard var sample = slice.last(of: column) else { continue }
                        sample.isContinuous = segment.epoch == epoch
                        inSegment[TagID(stream: slice.stream, index: column.tag)] = sample
                    }
                }
            }
            if source.interruptedAt != nil {
                isInterrupted = true
                for tag in inSegment.keys { inSegment[tag]?.isContinuous = false }
            }
            if isInterrupted { epoch = nil }
            found.merge(inSegment) { newer, _ in newer }
            request.selection = TagSelection(
                Dictionary(
                    uniqueKeysWithValues: request.selection.tags.map { stream, tags in
                        (stream, tags.filter { inSegment[TagID(stream: stream, index: $0)] == nil })
                    }))
        }
        return found
    }

    /// The rows of a segment: the one place that knows the representations on disk. `nil` if the file is gone: the segment was
    /// removed, or has another representation, since the catalogue was read.
    private func source(
        of segment: Segment, newest: Timestamp, for request: ReadRequest
    ) throws(GatewayError) -> (any SectionSource)? {
        do throws(GatewayError) {
            if segment.isSealed, !segment.isMissing {
                return try BlockSections(segment, journal: configuration.journal, newest: newest, for: request)
            }
            return try JournalSections(segment, journal: configuration.journal, newest: newest, for: request)
        } catch  where error.code == .notFound {
            return nil
        }
    }

    private static func range(_ from: Timestamp?, _ to: Timestamp?) -> Range<Timestamp> {
        let lower = from ?? Timestamp(nanoseconds: .min)
        return lower..<max(lower, to ?? Timestamp(nanoseconds: .max))
    }

    /// For each segment the oldest time in it and all that follow.
    private static func floors(of segments: [Segment], _ clock: ClockBook) -> [Timestamp] {
        var floors = [Timestamp](repeating: Timestamp(nanoseconds: .max), count: segments.count)
        var floor = Timestamp(nanoseconds: .max)
        for index in segments.indices.reversed() {
            if let times = clock.times(of: segments[index]) { floor = min(floor, times.lowerBound) }
            floors[index] = floor
        }
        return floors
    }

    private static func vanishing(_ segment: Segment) -> GatewayError {
        GatewayError(
            .notFound, resource: "log", operation: "query",
            "segment \(segment.number) is in the catalogue, but its file was gone each of \(looksMax) times it was opened")
    }
}

/// Whether the log goes on without a break from what was read last.
private struct Continuity {
    /// The newest time so far.
    private(set) var newest = Timestamp(nanoseconds: .min)
    private var epoch: UInt32?
    private var interruptedAt: Timestamp?

    /// Comes to a segment: another start of the process is a break.
    mutating func reach(_ segment: Segment) {
        if let epoch, epoch != segment.epoch { lose() }
        epoch = segment.epoch
    }

    /// Leaves a segment behind, read or not.
    mutating func pass(_ segment: Segment) {
        if let times = segment.times { newest = max(newest, times.upperBound) }
        if segment.isMissing { lose() }
    }

    mutating func lose() { interrupt(at: newest) }

    /// The first break since the last section counts: from it on nothing is known.
    mutating func interrupt(at time: Timestamp) { interruptedAt = interruptedAt ?? time }

    /// The break before the section that is delivered now.
    mutating func take() -> Timestamp? {
        defer { interruptedAt = nil }
        return interruptedAt
    }
}

extension StreamSlice {
    /// The last value of a column.
    fileprivate func last(of column: TagColumn) -> LatestSample? {
        let count = column.count
        guard count > 0, let run = column.quality.last else { return nil }
        let row = column.rows.map { Int($0[count - 1]) } ?? count - 1
        return LatestSample(
            position: positions[row], time: Timestamp(nanoseconds: times[row]), status: run.status,
            raw: run.status.isBad ? nil : column.raw(at: count - 1, as: descriptor.tags[column.tag].dataType), isContinuous: true)
    }
}
