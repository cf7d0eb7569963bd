package import Telemetry

extension HistorianReader {
    /// Hands the samples of some series to `body`, which says whether to go on: a row per poll, in log order.
    package func rows(
        of series: [Series], in snapshot: LogSnapshot, from: Timestamp? = nil, to: Timestamp? = nil,
        _ body: (OutputRow) throws -> Bool
    ) throws -> ReadReport {
        let selection = series.selection
        let places = series.places(in: selection)
        let formatters = series.map { CellFormatter($0.tag) }
        var row = OutputRow(time: Timestamp(nanoseconds: 0))
        return try columns(of: selection, in: snapshot, from: from, to: to) { section in
            let slicePlaces = section.slices.map { places[$0.stream] ?? [] }
            var cursor = RowCursor(section)
            while cursor.next() {
                row.entries.removeAll(keepingCapacity: true)
                row.cells.removeAll(keepingCapacity: true)
                row.time = Timestamp(nanoseconds: cursor.time)
                row.isTimeUncertain = cursor.isTimeUncertain
                row.sourceTime = cursor.sourceTime
                let slice = cursor.slicePlace
                for place in slicePlaces[slice].indices {
                    guard let found = cursor.find(column: place) else { continue }
                    let owner = slicePlaces[slice][place]
                    row.entries.append(OutputRow.Entry(series: owner, status: found.status))
                    row.cells.append(found.status.isBad ? nil : cursor.cell(found, column: place, by: formatters[owner]))
                }
                if !row.entries.isEmpty, try !body(row) { return false }
            }
            return true
        }
    }

    /// Hands statistics by bucket of some series to `body`, which says whether to go on: a row per bucket in which any series has something,
    /// in the order of time.
    ///
    /// A value from before the window is held into it. Where a value still holds at the end it counts until the window or the log ends.
    /// Throws `.limitExceeded` where too many buckets would be open at a time.
    package func buckets(
        of series: [Series], _ aggregates: [Aggregate], layout: BucketLayout, in snapshot: LogSnapshot,
        _ body: (OutputRow) throws -> Bool
    ) throws -> ReadReport {
        var layout = layout
        layout.weighsTime = aggregates.contains(where: \.weighsTime)
        layout.bucketsMax = max(1, min(layout.bucketsMax, 4 * BucketLayout.openBucketsMax / max(1, series.count)))
        let selection = series.selection
        let places = series.places(in: selection)
        var aggregators = series.map { SeriesAggregator(layout, tag: $0.tag) }
        let from = Timestamp(nanoseconds: layout.window.lowerBound)
        let to = Timestamp(nanoseconds: layout.window.upperBound)
        if layout.weighsTime, layout.window.lowerBound > .min {
            let before = try latest(of: selection, in: snapshot, before: from)
            for (index, series) in series.enumerated() {
                let samples = series.members.compactMap { before[$0] }
                if let newest = samples.max(by: { $0.position < $1.position }) { try aggregators[index].seed(newest) }
            }
        }
        var merger = BucketRows(aggregates)
        let report = try columns(of: selection, in: snapshot, from: from, to: to) { section in
            if let time = section.interruptedAt {
                for index in aggregators.indices { try aggregators[index].interrupt(at: time) }
            }
            for index in aggregators.indices { merger.add(try aggregators[index].take(before: section.nothingBefore), of: index) }
            guard try merger.take(body) else { return false }
            for slice in section.summaries {
                for (place, owner) in (places[slice.stream] ?? []).enumerated() where place < slice.tags.count {
                    try aggregators[owner].add(slice.tags[place], of: slice)
                }
            }
            // Streams follow each other where a group was changed, each in log order.
            for slice in section.slices.sorted(by: { ($0.positions.first ?? 0) < ($1.positions.first ?? 0) }) {
                for (place, owner) in (places[slice.stream] ?? []).enumerated() where place < slice.columns.count {
                    try aggregators[owner].add(slice.columns[place], of: slice)
                }
            }
            return true
        }
        guard !merger.isStopped else { return report }
        let end = min(to, snapshot.times?.upperBound ?? to)
        for index in aggregators.indices { merger.add(try aggregators[index].finish(at: end), of: index) }
        _ = try merger.take(body)
        return report
    }

    /// The last sample of each series as a row of its own, in the order of the series; those without any are left out.
    package func latestRows(of series: [Series], in snapshot: LogSnapshot, before: Timestamp? = nil) throws(GatewayError) -> [OutputRow] {
        let found = try latest(of: series.selection, in: snapshot, before: before)
        return series.enumerated().compactMap { index, series in
            let samples = series.members.compactMap { found[$0] }
            guard let newest = samples.max(by: { $0.position < $1.position }) else { return nil }
            var row = OutputRow(time: newest.time)
            row.entries = [OutputRow.Entry(series: index, status: newest.status)]
            row.cells = [newest.raw.map(CellFormatter(series.tag).cell)]
            return row
        }
    }
}

/// Puts the buckets of many series together by time.
private struct BucketRows {
    private let aggregates: [Aggregate]
    private var waiting: [(series: Int, statistics: BucketStatistics)] = []
    private(set) var isStopped = false

    init(_ aggregates: [Aggregate]) { self.aggregates = aggregates }

    mutating func add(_ buckets: [BucketStatistics], of series: Int) {
        for bucket in buckets { waiting.append((series, bucket)) }
    }

    /// Hands out a row per bucket of time; `false` when `body` had enough.
    mutating func take(_ body: (OutputRow) throws -> Bool) throws -> Bool {
        guard !waiting.isEmpty else { return true }
        waiting.sort { ($0.statistics.start, $0.series) < ($1.statistics.start, $1.series) }
        defer { waiting.removeAll(keepingCapacity: true) }
        var index = 0
        while index < waiting.count {
            let start = waiting[index].statistics.start
            var row = OutputRow(time: Timestamp(nanoseconds: start), end: Timestamp(nanoseconds: waiting[index].statistics.end))
            while index < waiting.count, waiting[index].statistics.start == start {
                let (series, statistics) = waiting[index]
                row.entries.append(OutputRow.Entry(series: series, status: statistics.status))
                for aggregate in aggregates { row.cells.append(statistics.cell(aggregate)) }
                index += 1
            }
            guard try body(row) else {
                isStopped = true
                return false
            }
        }
        return true
    }
}

extension BucketStatistics {
    /// Good when all samples were; `UncertainDataSubNormal` (OPC 10000-13, 4.3) when some were not; `BadNoData` when nothing is known.
    fileprivate var status: StatusCode {
        if isBlurred || uncertain > 0 || (bad > 0 && count > 0) { return .uncertainDataSubNormal }
        if count > 0 || (durationGood ?? .zero) > .zero { return bad > 0 ? .uncertainDataSubNormal : .good }
        return bad > 0 ? .bad : .badNoData
    }
}

extension [Series] {
    /// For each column of a selection's slices the series it belongs to.
    fileprivate func places(in selection: TagSelection) -> [StreamID: [Int]] {
        var owners: [TagID: Int] = [:]
        for (index, series) in enumerated() {
            for member in series.members { owners[member] = index }
        }
        var places: [StreamID: [Int]] = [:]
        for (stream, tags) in selection.tags {
            places[stream] = tags.compactMap { owners[TagID(stream: stream, index: $0)] }
        }
        return places
    }
}
