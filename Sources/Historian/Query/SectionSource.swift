internal import Telemetry

/// The rows of one segment, a bounded number at a time, whatever the segment's representation on disk.
protocol SectionSource {
    /// The next rows of the selection, in log order; `nil` at the end of the segment.
    mutating func next() throws(GatewayError) -> [StreamSlice]?
    /// Set by `next` when positions are missing between the slices before and these, or since the last slices: the newest time before.
    var interruptedAt: Timestamp? { get }
    /// What of the selection could not be read so far.
    var report: ReadReport { get }
    /// What is left of thinned samples, set by `next`.
    var summaries: [SummarySlice] { get }
}

/// What a read is for: the same for all its segments.
struct ReadRequest {
    var selection: TagSelection
    /// Rows of other times are left out.
    var times: Range<Timestamp>
    /// Rows at later positions are left out: a read sees the log as it was when it began.
    var end: UInt64
    var streams: [StreamID: StreamDescriptor]
    var clock: ClockBook

    /// Most rows of all slices of one section together.
    static let rowsMax = 4096
    /// Most values of eight bytes in one section, by the widest they can be; at least one row is always read.
    static let valuesMax = 256 << 10

    /// Whether a segment can have rows that are wanted.
    func concerns(_ segment: Segment) -> Bool {
        guard segment.base <= end, let times = clock.times(of: segment) else { return false }
        return times.upperBound >= self.times.lowerBound && times.lowerBound < self.times.upperBound
            && (segment.level > 0 || selection.has(segment.tallies))
    }
}

/// Rows of a segment that is a journal file.
struct JournalSections: SectionSource {
    private let walk: SegmentWalk
    private let request: ReadRequest
    private let journal: String
    private var builders: [SliceBuilder] = []
    private var places: [StreamID: Int] = [:]
    private var newest: Timestamp
    private var isInterrupted = false
    private var isHoleCounted = false
    private(set) var interruptedAt: Timestamp?
    private(set) var report = ReadReport()
    var summaries: [SummarySlice] { [] }

    /// `newest` is the newest time of the segments before. Throws `.notFound` when the file is gone without that being known.
    init(_ segment: Segment, journal: String, newest: Timestamp, for request: ReadRequest) throws(GatewayError) {
        walk = try SegmentWalk(segment, journal: journal) { request.streams[$0] }
        self.journal = journal
        self.request = request
        self.newest = newest
        for (stream, tags) in request.selection.tags.sorted(by: { $0.key < $1.key }) {
            guard let descriptor = request.streams[stream] else { continue }
            places[stream] = builders.count
            builders.append(SliceBuilder(stream: stream, descriptor: descriptor, tags: tags))
        }
    }

    mutating func next() throws(GatewayError) -> [StreamSlice]? {
        interruptedAt = isInterrupted ? newest : nil
        isInterrupted = false
        var rows = 0
        var cost = 0
        while rows < ReadRequest.rowsMax, cost < ReadRequest.valuesMax, let entry = try walk.next(after: 0) {
            guard case .batch(let stored) = entry.content else {
                try count(entry)
                if rows > 0 {
                    isInterrupted = true
                    break
                }
                interruptedAt = newest
                continue
            }
            guard entry.last <= request.end else { break }
            let batch = request.clock.corrected(stored, at: entry.last)
            newest = max(newest, batch.time)
            guard let place = places[batch.stream], request.times.contains(batch.time), batch.fits(builders[place].descriptor),
                builders[place].append(batch, at: entry.last)
            else { continue }
            rows += 1
            cost += builders[place].rowCost
        }
        guard rows > 0 else { return nil }
        return builders.indices.compactMap { builders[$0].isEmpty ? nil : builders[$0].finish() }
    }

    /// Takes note of samples that were in the log and cannot be delivered.
    private mutating func count(_ entry: SegmentEntry) throws(GatewayError) {
        switch entry.content {
        case .batch: break
        case .loss(let loss): report.givenUp &+= request.selection.samples(in: loss.tallies)
        case .hole:
            // A segment's holes are counted together: by what it should hold and does not.
            guard !isHoleCounted else { return }
            isHoleCounted = true
            let streams = request.streams
            var readable = StreamTallies()
            for content in try SegmentWalk.contents(of: walk.segment, journal: journal, catalogue: { streams[$0] }) {
                readable += content.tallies
            }
            let missing = walk.segment.tallies.subtracting(readable)
            report.damaged &+= request.selection.samples(in: missing)
        }
    }
}
