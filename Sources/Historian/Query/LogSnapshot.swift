package import Telemetry

/// What a store's catalogue says at one moment, without its samples: the streams, and what times there are.
package struct LogSnapshot: Sendable {
    var state: StoredState

    /// The streams of the store, by number.
    package var streams: [StreamID: StreamDescriptor] { state.streams.mapValues(\.descriptor) }

    /// Oldest and newest time of the samples in the store; `nil` while it has none.
    package var times: ClosedRange<Timestamp>? {
        let ranges = state.segments.compactMap(\.times)
        guard let oldest = ranges.map(\.lowerBound).min(), let newest = ranges.map(\.upperBound).max() else { return nil }
        return oldest...newest
    }
}

/// The last sample of a tag, in log order.
package struct LatestSample: Sendable, Hashable {
    package var position: UInt64
    package var time: Timestamp
    package var status: StatusCode
    /// The raw value, not yet scaled; `nil` when the status is Bad.
    package var raw: Variant?
    /// Whether the log is continuous from the sample on: no new start of the gateway and no loss lies behind it.
    package var isContinuous: Bool

    package init(position: UInt64, time: Timestamp, status: StatusCode, raw: Variant?, isContinuous: Bool) {
        self.position = position
        self.time = time
        self.status = status
        self.raw = raw
        self.isContinuous = isContinuous
    }
}
