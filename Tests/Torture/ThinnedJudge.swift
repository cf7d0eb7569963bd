internal import Historian
internal import Telemetry

/// Judges what a store answers about samples of which old ones may be known by summaries only.
///
/// Every bucket of time must have the count, the minimum, the maximum and the last value of exactly the samples that the log still answers
/// for: all that were stored, less the oldest.
struct ThinnedJudge {
    let folder: String
    let samples: TortureSamples

    private static let aggregates: [Aggregate] = [.good, .uncertain, .bad, .count, .min, .max, .last]
    /// Of streams with many tags every so many are looked at.
    private static let step = 9

    /// What a bucket of one tag should be.
    private struct Expected {
        var samples = 0
        var bad = 0
        var minimum: Variant?
        var maximum: Variant?
        var last: Variant?
        /// Not Bad, and held when the bucket began.
        var before: Variant?
        var hasNaN = false
        var cells: Set<Cell> = []
    }

    private struct Found {
        var samples: Int
        var bad: Int
        var count: Int
        var minimum: Cell?
        var maximum: Cell?
        var last: Cell?
    }

    /// Looks at one stream. `stored` are its batches that were stored, oldest first, and `kept` how many of them are there as batches: the last
    /// ones. Where that is not known exactly (`isExact` is false), every value in a bucket must be one that was appended with a time in it.
    func check(kind: Int, stored: [BatchKey], kept: Set<BatchKey>, isExact: Bool, ledger: Ledger) throws {
        let descriptor = TortureSamples.descriptors[kind]
        let batches = stored.map { samples.batch($0.sequence, of: kind, epoch: $0.epoch, as: StreamID(rawValue: 1)) }
        let step = descriptor.tags.count > 100 ? ThinnedJudge.step : 1
        let tags = descriptor.tags.indices.filter { $0 % step == 0 }
        if isExact { try checkLedger(stored, batches, kept, descriptor, ledger) }
        let reader = try Historian.openReadOnly(folder: folder)
        let snapshot = try reader.snapshot()
        let series = Series.all(in: snapshot.streams)
            .filter { series in
                series.device == descriptor.device && series.group == descriptor.group
                    && tags.contains { descriptor.tags[$0].name == series.tag.name }
            }
        guard !series.isEmpty else { return }
        let width = hasHours ? 3_600_000_000_000 : 60_000_000_000 as Int64
        let found = try buckets(of: series, width: width, in: snapshot, reader)
        var gone = 0...batches.count
        for (place, series) in series.enumerated() {
            guard let tag = descriptor.tags.firstIndex(where: { $0.name == series.tag.name }) else { continue }
            var skipped = 0
            if isExact {
                let here = self.gone(batches, found[place], tag)
                skipped = here.upperBound
                guard here.overlaps(gone) else {
                    throw TortureFailure(
                        "\(descriptor.device)/\(series.tag.name) answers from batch \(here) on, but other tags from \(gone) of \(batches.count)"
                    )
                }
                gone = here.clamped(to: gone)
            }
            try compare(found[place], tag: tag, of: batches, skipping: skipped, isExact: isExact, width: width, descriptor)
        }
    }

    /// What was thinned and what was removed add up to what is not there as batches, and that is the oldest.
    private func checkLedger(
        _ stored: [BatchKey], _ batches: [SampleBatch], _ kept: Set<BatchKey>, _ descriptor: StreamDescriptor, _ ledger: Ledger
    ) throws(TortureFailure) {
        let first = stored.firstIndex { kept.contains($0) } ?? stored.count
        if let hole = stored[first...].first(where: { !kept.contains($0) }) {
            throw TortureFailure("\(hole) is missing between batches that are there")
        }
        for (tag, described) in descriptor.tags.enumerated() {
            let missing = UInt64(batches[..<first].count { $0.has(tag) })
            guard let row = ledger.tags.first(where: { $0.device == descriptor.device && $0.tag == described.name }) else { continue }
            if row.thinned + row.removed != missing {
                throw TortureFailure(
                    "\(missing) samples of \(descriptor.device)/\(described.name) are not there singly, but the ledger has \(row.thinned) "
                        + "thinned and \(row.removed) removed")
            }
        }
    }

    /// Whether summaries per hour are there, which no shorter bucket can be asked of.
    private var hasHours: Bool { StoreFiles(folder).data.contains { $0.hasSuffix(".2.block") } }

    private func buckets(
        of series: [Series], width: Int64, in snapshot: LogSnapshot, _ reader: HistorianReader
    ) throws -> [[Int64: Found]] {
        var found = [[Int64: Found]](repeating: [:], count: series.count)
        let layout = BucketLayout(window: (.min / 2)..<(.max / 2), width: width)
        let cells = ThinnedJudge.aggregates.count
        _ = try reader.buckets(of: series, ThinnedJudge.aggregates, layout: layout, in: snapshot) { row in
            for (index, entry) in row.entries.enumerated() {
                let answer = row.cells[(index * cells)..<((index + 1) * cells)].map { $0 }
                func number(_ place: Int) -> Int { if case .integer(let number)? = answer[place] { Int(number) } else { 0 } }
                found[entry.series][row.time.nanoseconds] = Found(
                    samples: number(0) + number(1) + number(2), bad: number(2), count: number(3), minimum: answer[4], maximum: answer[5],
                    last: answer[6])
            }
            return true
        }
        return found
    }

    /// How many of the oldest batches the log does not answer for any more, by the number of samples of a tag; batches without it may be either.
    private func gone(_ batches: [SampleBatch], _ found: [Int64: Found], _ tag: Int) -> ClosedRange<Int> {
        var answered = found.values.reduce(0) { $0 + $1.samples }
        var most = batches.count
        while most > 0, answered > 0 {
            most -= 1
            if batches[most].has(tag) { answered -= 1 }
        }
        // More answers than there were samples: the comparison says so.
        var least = most
        while least > 0, !batches[least - 1].has(tag) { least -= 1 }
        return least...most
    }

    private func compare(
        _ found: [Int64: Found], tag: Int, of batches: [SampleBatch], skipping gone: Int, isExact: Bool, width: Int64,
        _ descriptor: StreamDescriptor
    ) throws(TortureFailure) {
        let formatter = CellFormatter(descriptor.tags[tag])
        var expected: [Int64: Expected] = [:]
        var held: Variant?
        for batch in batches[gone...] where batch.has(tag) {
            let time = batch.time.nanoseconds
            let remainder = time % width
            var bucket = expected[time - remainder] ?? Expected(before: held)
            bucket.samples += 1
            if batch.status(of: tag).isBad {
                bucket.bad += 1
            } else {
                let value = batch.raw(of: tag, in: descriptor)
                if value.isNaN { bucket.hasNaN = true }
                if let least = bucket.minimum, !ThinnedJudge.isLess(value, least) {} else { bucket.minimum = value }
                if let most = bucket.maximum, !ThinnedJudge.isLess(most, value) {} else { bucket.maximum = value }
                bucket.last = value
                held = value
                if !isExact { bucket.cells.insert(formatter.cell(value)) }
            }
            expected[time - remainder] = bucket
        }
        let name = "\(descriptor.device)/\(descriptor.tags[tag].name)"
        if isExact, let missing = expected.keys.sorted().first(where: { found[$0] == nil }) {
            throw TortureFailure(
                "\(name) has nothing at \(Timestamp(nanoseconds: missing)), but \(expected[missing]?.samples ?? 0) samples were")
        }
        for (start, bucket) in found where bucket.samples > 0 {
            func fail(_ text: String) -> TortureFailure { TortureFailure("\(name) at \(Timestamp(nanoseconds: start)): \(text)") }
            guard let right = expected[start] else { throw fail("\(bucket.samples) samples, but none were") }
            if isExact ? bucket.samples != right.samples || bucket.bad != right.bad : bucket.samples > right.samples {
                throw fail("\(bucket.samples) samples, \(bucket.bad) of them Bad, but \(right.samples) and \(right.bad) were")
            }
            if right.hasNaN { continue }
            if bucket.count != bucket.samples - bucket.bad { throw fail("\(bucket.count) values of \(bucket.samples) samples") }
            func cell(_ value: Variant?) -> Cell? { value.map { formatter.cell($0) } }
            if !isExact {
                // The extremes of a tag that keeps its changes may be what it held before, which is not known here.
                if let last = bucket.last, !right.cells.contains(last) { throw fail("\(last) was never appended") }
                continue
            }
            // A tag that keeps its changes counts the value that was held when the bucket began among its extremes.
            var least = [cell(right.minimum)]
            var most = [cell(right.maximum)]
            if let before = right.before, let minimum = right.minimum, let maximum = right.maximum {
                if ThinnedJudge.isLess(before, minimum) { least.append(cell(before)) }
                if ThinnedJudge.isLess(maximum, before) { most.append(cell(before)) }
            }
            if !least.contains(bucket.minimum) || !most.contains(bucket.maximum) || bucket.last != cell(right.last) {
                throw fail(
                    "minimum, maximum and last are \(shown(bucket.minimum)), \(shown(bucket.maximum)), \(shown(bucket.last)), but were "
                        + "\(shown(least[0])), \(shown(most[0])), \(shown(cell(right.last)))")
            }
        }
    }

    private func shown(_ cell: Cell?) -> String { cell.map { "\($0)" } ?? "nothing" }

    private static func isLess(_ left: Variant, _ right: Variant) -> Bool {
        switch (left, right) {
        case (.bool(let left), .bool(let right)): !left && right
        case (.int(let left), .int(let right)): left < right
        case (.uint(let left), .uint(let right)): left < right
        case (.float(let left), .float(let right)): left < right
        case (.double(let left), .double(let right)): left < right
        case (.string(let left), .string(let right)): left < right
        default: false
        }
    }
}

extension Variant {
    fileprivate var isNaN: Bool {
        switch self {
        case .float(let value): value.isNaN
        case .double(let value): value.isNaN
        case .bool, .int, .uint, .string: false
        }
    }
}
