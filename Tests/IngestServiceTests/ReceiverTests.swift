import Foundation
import GatewayCore
import Ingest
import Logging
import Telemetry
import TestKit
import Testing

@testable import IngestService

/// A receiver at a real broker, with a database that obeys the test.
@Suite(.serialized) struct ReceiverTests {
    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// A worker that runs until it is told to end.
    private struct Worker {
        let status = IngestStatus()
        let task: Task<Void, any Error>

        init(_ broker: MosquittoBroker, _ database: ScriptedDatabase, aside folder: TemporaryFolder, idle: Duration? = nil) throws {
            let broker = BrokerSettings(
                name: "broker", host: "127.0.0.1", port: broker.port, security: nil, clientID: "worker",
                filters: BrokerSettings.filters(share: nil, documents: "indusedge/+/+/+"))
            let writer = ChunkWriter(
                setAside: .init(folder: folder.path), time: SystemTime(), status: status, logger: ReceiverTests.quiet,
                makeDatabase: { database })
            var settings = Receiver.Settings()
            settings.chunkSamplesMax = 100
            settings.finishTimeout = .milliseconds(100)
            settings.idleTimeout = idle
            let receiver = Receiver(
                brokers: [broker], decoder: IngestDecoder(pattern: try TopicPattern(TopicPattern.standard)), writer: writer,
                settings: settings,
                time: SystemTime(), status: status, logger: ReceiverTests.quiet)
            task = Task {
                try await writer.prepare()
                try await receiver.run()
            }
        }

        /// Waits until the counters are as wanted.
        func counters(_ within: Int = 3000, where fits: (IngestCounters) -> Bool) async throws -> IngestCounters {
            for _ in 0..<within where !fits(status.counters) { try await Task.sleep(for: .milliseconds(10)) }
            #expect(fits(status.counters))
            return status.counters
        }
    }

    private static func publish(_ documents: [String], to broker: MosquittoBroker, from folder: TemporaryFolder) async throws {
        let file = folder.path + "/documents-\(UUID().uuidString)"
        try (documents.joined(separator: "\n") + "\n").write(toFile: file, atomically: true, encoding: .utf8)
        let publisher = try ForeignProcess(
            "sh", ["-c", "exec mosquitto_pub -h 127.0.0.1 -p \(broker.port) -q 1 -l -t indusedge/plant/pump-1/fast < '\(file)'"])
        guard try await publisher.waitForExit() == 0 else { throw ForeignProcess.Failure(description: publisher.errorText) }
    }

    @Test(
        "scenario 02: nothing is acknowledged before the database has it; what a worker took with it in its end, the broker gives the next")
    func acknowledgesOnlyWhatIsStored() async throws {
        let broker = try MosquittoBroker(.plain)
        let (files, aside) = (try TemporaryFolder(), try TemporaryFolder())
        let slow = ScriptedDatabase()
        slow.close()
        defer { slow.open() }
        let first = try Worker(broker, slow, aside: aside)
        _ = try await first.counters { $0.connections == 1 }
        try await Self.publish((1...40).map { IngestProgram.document($0) }, to: broker, from: files)
        let counters = try await first.counters { $0.messages == 40 }
        // The writer has a thread of its own.
        for _ in 0..<3000 where slow.writes == 0 { try await Task.sleep(for: .milliseconds(10)) }
        #expect(slow.writes == 1)
        #expect(counters.acknowledgements == 0)
        #expect(counters.writtenSamples == 0)
        first.task.cancel()
        _ = await first.task.result
        // The broker has kept all of it, because none was acknowledged.
        let database = ScriptedDatabase()
        let second = try Worker(broker, database, aside: aside)
        let all = try await second.counters { $0.acknowledgements == 40 }
        #expect(all.messages == 40)
        #expect(all.writtenSamples == 80)
        #expect(database.samples.count == 80)
        second.task.cancel()
        _ = await second.task.result
        #expect(first.status.counters.acknowledgements == 0)
    }

    @Test("scenario 04: while the database stands still no more is read, and the broker keeps the rest")
    func readsNoMoreThanItCanWrite() async throws {
        let broker = try MosquittoBroker(.plain)
        let (files, aside) = (try TemporaryFolder(), try TemporaryFolder())
        let database = ScriptedDatabase()
        database.close()
        defer { database.open() }
        let worker = try Worker(broker, database, aside: aside)
        _ = try await worker.counters { $0.connections == 1 }
        try await Self.publish((1...20_000).map { IngestProgram.document($0) }, to: broker, from: files)
        var before = IngestCounters()
        while worker.status.counters != before || before.messages == 0 {
            before = worker.status.counters
            try await Task.sleep(for: .milliseconds(700))
        }
        // Two chunks of 100 samples at the database and one that fills, each with what was read at once with its last message: 256 KiB.
        #expect(before.messages < 7000)
        #expect(before.acknowledgements == 0)
        database.open()
        let after = try await worker.counters { $0.acknowledgements == 20_000 }
        #expect(after.messages == 20_000)
        #expect(after.writtenSamples == 40_000)
        #expect(database.samples.count == 40_000)
        worker.task.cancel()
        _ = await worker.task.result
    }

    @Test("What the broker sends again after each of many lost connections is in the database once")
    func redelivery() async throws {
        let broker = try MosquittoBroker(.plain)
        let (files, aside) = (try TemporaryFolder(), try TemporaryFolder())
        let database = ScriptedDatabase(takesPartsOfBatches: false)
        var workers: [Worker] = []
        // Each is thrown out by the next, which comes under its name while messages are on their way.
        for round in 0..<5 {
            let worker = try Worker(broker, database, aside: aside)
            _ = try await worker.counters { $0.connections >= 1 }
            try await Self.publish((1...400).map { IngestProgram.document(round * 400 + $0) }, to: broker, from: files)
            workers.last?.task.cancel()
            workers.append(worker)
        }
        for _ in 0..<3000 where database.samples.count < 4000 { try await Task.sleep(for: .milliseconds(10)) }
        #expect(database.samples.count == 4000)
        for worker in workers {
            worker.task.cancel()
            _ = await worker.task.result
        }
        let written = workers.reduce(0) { $0 + $1.status.counters.writtenSamples }
        #expect(written == 4000)
    }
}
