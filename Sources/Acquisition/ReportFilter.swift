internal import GatewayCore
package import Telemetry

/// Decides which samples of a poll are stored: those that left their deadband, changed their quality or have no deadband.
///
/// A poll whose tags are all Bad for the same reasons as the poll before says nothing new and is suppressed as a whole.
package struct ReportFilter: Sendable {
    private struct Watched {
        var tag: Int
        /// In raw units.
        var threshold: Double
        var last: Double = .nan
        var lastStatus: StatusCode?
    }
    private let descriptor: StreamDescriptor
    private var watched: [Watched]
    /// Presence of the tags without a deadband.
    private let unconditional: [UInt64]
    private let hasUnconditional: Bool
    private var lastQuality: [QualityRun] = []

    /// `deadbands[i]`: how far tag `i` must move from its last stored value, in engineering units; `nil` for none.
    package init(descriptor: StreamDescriptor, deadbands: [Double?]) {
        precondition(deadbands.count == descriptor.tags.count, "a deadband, or none, for every tag")
        self.descriptor = descriptor
        var presence = [UInt64](repeating: 0, count: (descriptor.tags.count + 63) / 64)
        var watched: [Watched] = []
        for (tag, deadband) in deadbands.enumerated() {
            if let deadband, descriptor.tags[tag].dataType.isNumeric {
                watched.append(Watched(tag: tag, threshold: deadband / abs(descriptor.tags[tag].scaling.scale)))
            } else {
                presence[tag >> 6] |= 1 << UInt64(tag & 63)
            }
        }
        self.watched = watched
        unconditional = presence
        hasUnconditional = watched.count < descriptor.tags.count
    }

    /// Takes the suppressed samples out of the batch; `false` when nothing of it is to be stored.
    package mutating func apply(to batch: inout SampleBatch) -> Bool {
        let isAllBad = batch.quality.allSatisfy(\.status.isBad)
        if isAllBad, batch.quality == lastQuality { return false }
        lastQuality = batch.quality
        guard !watched.isEmpty else { return true }

        var presence = unconditional
        var kept = 0
        var runs = batch.quality.makeIterator()
        var run = runs.next()
        var runEnd = run?.count ?? 0
        for index in watched.indices {
            let tag = watched[index].tag
            while tag >= runEnd, let next = runs.next() {
                run = next
                runEnd += next.count
            }
            let status = run?.status ?? .badUnexpectedError
            let value = status.isBad ? .nan : rawNumber(batch, tag)
            let isNew =
                status != watched[index].lastStatus || value.isNaN != watched[index].last.isNaN
                || abs(value - watched[index].last) > watched[index].threshold
            guard isNew else { continue }
            watched[index].last = value
            watched[index].lastStatus = status
            presence[tag >> 6] |= 1 << UInt64(tag & 63)
            kept += 1
        }
        if kept == watched.count { return true }
        if kept == 0, !hasUnconditional { return false }
        batch.presence = presence
        for index in watched.indices where !batch.has(watched[index].tag) {
            let offset = descriptor.offsets[watched[index].tag]
            for byte in offset..<offset + descriptor.tags[watched[index].tag].slotWidth { batch.values[byte] = 0 }
        }
        return true
    }

    private func rawNumber(_ batch: SampleBatch, _ tag: Int) -> Double { batch.raw(of: tag, in: descriptor).number ?? .nan }
}
