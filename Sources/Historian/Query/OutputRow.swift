package import Telemetry

/// What the rows of an answer consist of.
package struct OutputShape: Sendable, Hashable {
    package let series: [Series]
    /// What is asked of each bucket; empty: samples as they were taken.
    package let aggregates: [Aggregate]

    package init(series: [Series], aggregates: [Aggregate] = []) {
        self.series = series
        self.aggregates = aggregates
    }

    /// Cells per series.
    package var width: Int { max(1, aggregates.count) }

    /// `pump-1/temperature` or `pump-1/temperature mean`.
    package func columnName(_ series: Int, _ cell: Int) -> String {
        aggregates.isEmpty ? self.series[series].name : "\(self.series[series].name) \(aggregates[cell].rawValue)"
    }

    /// UCUM; empty for none.
    package func unit(_ series: Int, _ cell: Int) -> String {
        guard !aggregates.isEmpty, !aggregates[cell].hasUnit else { return self.series[series].tag.unit }
        return aggregates[cell] == .durationGood ? "s" : ""
    }
}

/// One row of an answer: a poll of a stream, or a bucket of all series.
package struct OutputRow: Sendable {
    package struct Entry: Sendable {
        /// The place in the shape's series.
        package var series: Int
        package var status: StatusCode
    }

    /// When the poll began, or the bucket begins.
    package var time: Timestamp
    /// When the bucket ends.
    package var end: Timestamp?
    /// Whether the clock was not known to be right when it told the time.
    package var isTimeUncertain = false
    /// When the device says that it took the samples, where it does.
    package var sourceTime: Timestamp?
    /// The series that have something here.
    package var entries: [Entry] = []
    /// `width` cells for each entry; `nil` where there is no value.
    package var cells: [Cell?] = []

    package init(time: Timestamp, end: Timestamp? = nil) {
        self.time = time
        self.end = end
    }

    /// The status all entries have; `nil` when they differ.
    var sharedStatus: StatusCode? {
        guard let first = entries.first?.status else { return .good }
        return entries.contains { $0.status != first } ? nil : first
    }
}
