internal import Foundation
internal import Ingest
internal import Telemetry

/// All counters by name, for logs and checkers.
struct Summary {
    let values: [(String, UInt64)]

    init(_ counters: IngestCounters) {
        values =
            [
                ("messages", counters.messages), ("message_bytes", counters.messageBytes),
                ("lifecycle_messages", counters.lifecycleMessages),
                ("samples", counters.samples), ("duplicate_messages", counters.duplicateMessages),
                ("written_samples", counters.writtenSamples),
                ("known_samples", counters.knownSamples), ("writes", counters.writes), ("written_bytes", counters.writtenBytes),
                ("retries", counters.retries), ("set_aside_samples", counters.setAsideSamples),
                ("set_aside_messages", counters.setAsideMessages), ("dropped_samples", counters.droppedSamples),
                ("dropped_messages", counters.droppedMessages), ("held_messages", counters.heldMessages),
                ("rebirth_requests", counters.rebirthRequests), ("connections", counters.connections),
                ("acknowledgements", counters.acknowledgements),
            ] + counters.envelopes.values.map { ($0.name, $0.value) }
    }

    func write(_ file: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let data = try encoder.encode(Dictionary(uniqueKeysWithValues: values))
        do {
            try data.write(to: URL(fileURLWithPath: file), options: .atomic)
        } catch {
            throw GatewayError(.storageFailed, resource: file, operation: "write", "the summary cannot be written", cause: error)
        }
    }
}
