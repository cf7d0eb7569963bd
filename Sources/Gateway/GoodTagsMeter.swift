internal import GatewayCore
internal import Synchronization
internal import Telemetry

/// The log as one device sees it, with a note of the quality of its newest samples.
///
/// A poll that its deadbands suppress has the quality of the one before, so that what is appended tells enough.
final class GoodTagsMeter: TelemetryLog {
    private let log: any TelemetryLog
    private let newest = Mutex<[StreamID: [QualityRun]]>([:])

    init(_ log: any TelemetryLog) { self.log = log }

    /// Which tags of a stream are good; none before its first sample.
    func goodTags(of stream: StreamID, _ descriptor: StreamDescriptor) -> Set<String> {
        guard let runs = newest.withLock({ $0[stream] }) else { return [] }
        var good: Set<String> = []
        var first = 0
        for run in runs {
            let end = min(first + run.count, descriptor.tags.count)
            if run.status.isGood { for tag in first..<max(first, end) { good.insert(descriptor.tags[tag].name) } }
            first += run.count
        }
        return good
    }

    func append(_ batch: SampleBatch) {
        newest.withLock { $0[batch.stream] = batch.quality }
        log.append(batch)
    }

    var epoch: UInt32 { log.epoch }
    func register(_ descriptor: StreamDescriptor) throws -> StreamID { try log.register(descriptor) }
    func descriptor(of stream: StreamID) -> StreamDescriptor? { log.descriptor(of: stream) }
    func countSuppressedPoll(of stream: StreamID) { log.countSuppressedPoll(of: stream) }
    func adopt(_ mapping: ClockMapping) { log.adopt(mapping) }
    func cursor(named name: String, from start: CursorStart) throws -> any LogCursor { try log.cursor(named: name, from: start) }
}
