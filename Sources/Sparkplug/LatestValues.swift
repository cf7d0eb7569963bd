internal import Telemetry

/// The last value of each tag of a stream that was published live: what births repeat.
///
/// As long as batches are complete, the last one is simply kept; only batches that lack tags are merged tag by tag.
struct LatestValues {
    private var batch: SampleBatch?
    private var statuses: [StatusCode] = []
    private var times: [Timestamp] = []
    private var areTimesUncertain: [Bool] = []
    private var values: [UInt8] = []

    mutating func update(_ new: SampleBatch, _ descriptor: StreamDescriptor) {
        if new.isComplete {
            batch = new
            return
        }
        if let batch {
            values = batch.values
            times = [Timestamp](repeating: batch.time, count: descriptor.tags.count)
            areTimesUncertain = [Bool](repeating: batch.isTimeUncertain, count: descriptor.tags.count)
            statuses = []
            statuses.reserveCapacity(descriptor.tags.count)
            for run in batch.quality { statuses.append(contentsOf: repeatElement(run.status, count: run.count)) }
            self.batch = nil
        } else if statuses.isEmpty {
            values = [UInt8](repeating: 0, count: descriptor.valueBytes)
            times = [Timestamp](repeating: Timestamp(nanoseconds: .min), count: descriptor.tags.count)
            areTimesUncertain = [Bool](repeating: false, count: descriptor.tags.count)
            statuses = [StatusCode](repeating: .badWaitingForInitialData, count: descriptor.tags.count)
        }
        merge(new, descriptor)
    }

    private mutating func merge(_ new: SampleBatch, _ descriptor: StreamDescriptor) {
        var first = 0
        for run in new.quality {
            new.forEachTag(in: first..<(first + run.count)) { tag in
                statuses[tag] = run.status
                times[tag] = new.time
                areTimesUncertain[tag] = new.isTimeUncertain
                let offset = descriptor.offsets[tag]
                for byte in offset..<(offset + descriptor.tags[tag].slotWidth) { values[byte] = new.values[byte] }
            }
            first += run.count
        }
    }

    /// The value of every tag in tag order; `nil` where there never was one.
    func all(_ descriptor: StreamDescriptor) -> [DataValue?] {
        if let batch { return LatestValues.expand(batch, descriptor) }
        guard !statuses.isEmpty else { return [DataValue?](repeating: nil, count: descriptor.tags.count) }
        let merged = SampleBatch(stream: StreamID(rawValue: 0), time: Timestamp(nanoseconds: 0), quality: [], values: values)
        return descriptor.tags.indices.map { tag in
            guard times[tag].nanoseconds != .min else { return nil }
            return LatestValues.dataValue(merged, tag, descriptor, statuses[tag], times[tag], areTimesUncertain[tag])
        }
    }

    private static func expand(_ batch: SampleBatch, _ descriptor: StreamDescriptor) -> [DataValue?] {
        var all: [DataValue?] = []
        all.reserveCapacity(descriptor.tags.count)
        for run in batch.quality {
            for tag in all.count..<(all.count + run.count) {
                all.append(dataValue(batch, tag, descriptor, run.status, batch.time, batch.isTimeUncertain))
            }
        }
        return all
    }

    private static func dataValue(
        _ batch: SampleBatch, _ tag: Int, _ descriptor: StreamDescriptor, _ status: StatusCode, _ time: Timestamp,
        _ isTimeUncertain: Bool
    ) -> DataValue {
        let value = status.isBad ? nil : batch.raw(of: tag, in: descriptor).scaled(by: descriptor.tags[tag].scaling)
        return DataValue(value: value, status: status, time: time, isTimeUncertain: isTimeUncertain)
    }
}
