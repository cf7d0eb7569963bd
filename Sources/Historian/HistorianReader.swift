package import GatewayCore
package import Telemetry

/// A store opened for looking only: beside the process that writes it, or while none does. Takes no lock and changes no file.
///
/// Sees what is on disk: at most a commit interval less than the writer's own readers. Each call looks anew.
package final class HistorianReader: Sendable {
    let configuration: HistorianConfiguration

    /// One tag's value at one time.
    package struct Sample: Sendable, Hashable {
        package var device: String
        package var group: String
        package var tag: String
        package var unit: String
        package var value: DataValue

        package init(device: String, group: String, tag: String, unit: String, value: DataValue) {
            self.device = device
            self.group = group
            self.tag = tag
            self.unit = unit
            self.value = value
        }
    }

    /// Throws `.notFound` where there is no store.
    fileprivate init(folder: String) throws(GatewayError) {
        configuration = HistorianConfiguration(folder: folder, diskLimit: HistorianConfiguration.diskLimitMin)
        guard Files.exists(configuration.database) || Files.exists(configuration.journal) else {
            throw GatewayError(
                .notFound, resource: "log \(folder)", operation: "open",
                "the folder has no log: name the log folder of the site document, or start the gateway once")
        }
    }

    /// How often the catalogue is read again because segments that it lists were removed meanwhile.
    private static let looksMax = 8

    /// What is on disk now. A segment that the writer's retention takes during the look is not taken for a missing one.
    func look() throws(GatewayError) -> StoredState {
        for _ in 1..<HistorianReader.looksMax {
            do throws(GatewayError) {
                let recovery = try lookOnce()
                // The writer takes a segment from the catalogue before it removes the file.
                if recovery.report.missingSegments.isEmpty { return recovery.state }
                let again = try lookOnce()
                if again.report.missingSegments == recovery.report.missingSegments { return again.state }
            } catch {
                guard error.code == .notFound else { throw error }
            }
        }
        return try lookOnce().state
    }

    private func lookOnce() throws(GatewayError) -> Recovery {
        var stored: StoredState?
        if Files.exists(configuration.database) {
            let store = try StateStore(path: configuration.database, readOnly: true)
            stored = try store.load()
            try store.close()
        }
        return try Recovery(stored: stored, folder: configuration.folder, journal: configuration.journal)
    }

    /// The streams of the store, by number.
    package func streams() throws(GatewayError) -> [StreamID: StreamDescriptor] { try look().streams.mapValues(\.descriptor) }

    /// The account of every sample that is on disk.
    package func ledger() throws(GatewayError) -> Ledger {
        do throws(GatewayError) {
            return try LedgerView(look()).ledger(journal: configuration.journal)
        } catch  where error.code == .notFound {
            // The writer's retention took a segment between the look at the list and the look into the file.
            return try LedgerView(look()).ledger(journal: configuration.journal)
        }
    }

    /// A walk through a segment; `nil` if the writer's retention has taken it since the list was read.
    private func walk(_ segment: Segment, in state: StoredState) throws(GatewayError) -> SegmentWalk? {
        do throws(GatewayError) {
            return try SegmentWalk(segment, journal: configuration.journal) { state.streams[$0]?.descriptor }
        } catch  where error.code == .notFound {
            return nil
        }
    }

    /// Hands the values of some tags to `body`, in the order they were stored, and returns how many there were.
    ///
    /// `device` and `tags` choose by name, `nil` is all of them; times are a half-open range, `from` inclusive.
    /// Stops after `limit` values. Throws what `body` throws. For single values; `columns` is for many.
    @discardableResult
    package func query(
        device: String? = nil, tags: [String]? = nil, from: Timestamp? = nil, to: Timestamp? = nil, limit: Int = .max,
        _ body: (Sample) throws -> Void
    ) throws -> Int {
        let snapshot = try snapshot()
        let chosen = snapshot.streams.filter { device == nil || $0.value.device == device }
        let selection = TagSelection(
            chosen.mapValues { stream in stream.tags.indices.filter { tags?.contains(stream.tags[$0].name) ?? true } })
        var count = 0
        _ = try columns(of: selection, in: snapshot, from: from, to: to) { section in
            var rows = RowCursor(section)
            while rows.next() {
                let descriptor = rows.slice.descriptor
                for place in rows.slice.columns.indices {
                    guard let found = rows.find(column: place) else { continue }
                    guard count < limit else { return false }
                    let column = rows.slice.columns[place]
                    let tag = descriptor.tags[column.tag]
                    let raw = found.status.isBad ? nil : column.raw(at: found.index, as: tag.dataType)
                    try body(
                        Sample(
                            device: descriptor.device, group: descriptor.group, tag: tag.name, unit: tag.unit,
                            value: DataValue(
                                value: raw?.scaled(by: tag.scaling), status: found.status, time: Timestamp(nanoseconds: rows.time),
                                isTimeUncertain: rows.isTimeUncertain, sourceTime: rows.sourceTime)))
                    count += 1
                }
            }
            return true
        }
        return count
    }

    /// Where the log ends on disk now: what a follower starts after.
    package func end() throws(GatewayError) -> LogPosition { LogPosition(rawValue: try look().position) }

    /// Whole batches beyond a position, at most `limit`: what following a log is made of.
    package func entries(after position: LogPosition, atMost limit: Int) throws(GatewayError) -> [LogEntry] {
        let state = try look()
        var entries: [LogEntry] = []
        for segment in state.segments where segment.end > position.rawValue {
            guard let walk = try walk(segment, in: state) else { continue }
            while entries.count < limit, let entry = try walk.next(after: position.rawValue) {
                guard case .batch(let stored) = entry.content else { continue }
                let batch = state.clock.corrected(stored, at: entry.last)
                entries.append(LogEntry(position: LogPosition(rawValue: entry.last), content: .batch(batch), isFromDisk: true))
            }
        }
        return entries
    }
}

extension Historian {
    /// Opens the store in `folder` for looking only; a process may be writing it, or none.
    package static func openReadOnly(folder: String) throws(GatewayError) -> HistorianReader { try HistorianReader(folder: folder) }
}
