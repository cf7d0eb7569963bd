import Foundation
import GatewayCore
import Historian
import Logging
import Telemetry
import TestKit
import Testing
import Uplink

import struct Telemetry.Tag

/// A log on disk and a route that carries it to a real broker, until `stop`.
private final class Carried: Sendable {
    static let small = StreamDescriptor(device: "plc", group: "fast", tags: [Tag("a", .int16), Tag("b", .uint32), Tag("c", .bool)])
    let log: Historian
    let route: Route
    let small: StreamID
    private let tasks: [Task<Void, any Error>]

    init(
        _ folder: String, _ broker: MosquittoBroker, keepAlive: Duration = .seconds(30), backoff: Duration = .milliseconds(100),
        documentBytesMax: Int = RouteConfiguration.documentBytesMax, memoryTailBytes: Int = 1 << 20
    ) throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let log = try Historian(
            configuration: HistorianConfiguration(folder: folder, diskLimit: 512 << 20, memoryTailBytes: memoryTailBytes),
            time: SystemTime(), logger: logger)
        self.log = log
        small = try log.register(Carried.small)
        let route = try Route(
            configuration: RouteConfiguration(
                name: "central", site: "plant", clusters: [.init(name: "c0", host: "127.0.0.1", port: broker.port, isTLS: false)],
                payload: .json(topicTemplate: "t/{device}"), tls: nil, keepAlive: keepAlive,
                clientID: "gw-\(UInt32.random(in: 0 ... .max))", epoch: log.epoch, connectTimeout: .seconds(1),
                documentBytesMax: documentBytesMax, backoffInitial: backoff, backoffMaximum: max(backoff, .seconds(1))),
            log: log, time: SystemTime(), logger: logger)
        self.route = route
        tasks = [Task { try await log.run() }, Task { try await route.run() }]
    }

    func append(_ count: Int = 1) {
        for _ in 0..<count {
            log.append(SampleBatch(stream: small, descriptor: Carried.small, time: SystemTime().utc, status: .good))
        }
    }

    /// Ends route and log in order.
    func stop() async throws {
        for task in tasks.reversed() {
            task.cancel()
            _ = await task.result
        }
        try await log.close()
    }

    func until(_ what: String, _ condition: (RouteStatus) -> Bool, location: SourceLocation = #_sourceLocation) async throws {
        for _ in 0..<6000 {
            if condition(route.status) { return }
            try await Task.sleep(for: .milliseconds(5))
        }
        Issue.record("not reached within 30 s: \(what); \(route.status)", sourceLocation: location)
        throw CancellationError()
    }

    /// The balanced account of the route.
    func account() async throws -> (row: Ledger.CursorRow, outages: [Ledger.OutageRow]) {
        let ledger = try await log.ledger()
        #expect(ledger.imbalances == [])
        return (try #require(ledger.total.cursors.first { $0.cursor == "route/central" }), ledger.outages.first?.outages ?? [])
    }
}

/// Memory of this process that is in use, in bytes.
private func residentBytes() throws -> Int {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
    return try #require(line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) }) * 1024
}

@Suite("Outages", .serialized, .timeLimit(.minutes(10)))
struct OutageScenarioTests {
    @Test("scenario 02: a broker that freezes without closing the connection: what was sent and not acknowledged is sent again")
    func frozenBroker() async throws {
        let folder = try TemporaryFolder()
        let broker = try MosquittoBroker(.plain)
        let site = try Carried(folder.path, broker, keepAlive: .seconds(5), backoff: .seconds(4))
        try await site.until("connected") { $0.state == .connected }
        site.append(10)
        try await site.until("acknowledged") { $0.acknowledgedEntries == 10 }
        broker.freeze()
        site.append(100)
        try await site.until("a full window") { $0.inFlight == 64 }
        try await site.until("the loss noticed") { $0.state != .connected }
        // What the frozen broker had taken dies with it.
        broker.kill()
        try broker.start()
        let subscriber = try ForeignProcess(
            "stdbuf",
            ["-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", "\(broker.port)", "-t", "t/#", "-q", "1", "-F", "%p", "-d"])
        _ = try await subscriber.line { $0.hasPrefix("Subscribed") }
        for expected in 10..<110 {
            let line = try await subscriber.line { $0.hasPrefix("{") }
            #expect(line.contains("\"sequence\":\(expected),"), "\(line)")
        }
        try await site.until("acknowledged") { $0.acknowledgedEntries == 110 }
        let (row, outages) = try await site.account()
        #expect(row.acknowledged == 330 && row.pending == 0 && row.evicted == 0)
        #expect(outages.count == 1)
        #expect(outages.first.map { $0.samples == 300 && $0.delivered == 300 && $0.lost == 0 && $0.end != nil } == true, "\(outages)")
        try await site.stop()
        await subscriber.stop()
    }

    @Test("an outage is as old as the start of the route when no broker answers then, and no outage when one does")
    func absentBroker() async throws {
        let folder = try TemporaryFolder()
        let broker = try MosquittoBroker(.plain)
        broker.kill()
        let before = SystemTime().utc
        let site = try Carried(folder.path, broker)
        site.append(20)
        try await site.until("a second failure") { $0.retryCount >= 2 }
        let open = try await site.account()
        #expect(open.outages.count == 1 && open.outages.first?.end == nil && open.outages.first?.pending == 60)
        #expect(open.outages.first.map { $0.start >= before } == true)
        try broker.start()
        try await site.until("acknowledged") { $0.acknowledgedEntries == 20 }
        let closed = try await site.account()
        #expect(closed.outages.first.map { $0.end != nil && $0.delivered == 60 } == true)
        try await site.stop()
        let again = try Carried(folder.path, broker)
        try await again.until("connected") { $0.state == .connected }
        #expect(try await again.account().outages.count == 1)
        try await again.stop()
    }

    @Test("a batch whose message would be too large is refused, in the ledger too, through a restart")
    func refused() async throws {
        let folder = try TemporaryFolder()
        let broker = try MosquittoBroker(.plain)
        let site = try Carried(folder.path, broker, documentBytesMax: 1000)
        let wide = StreamDescriptor(device: "wide", group: "fast", tags: (0..<200).map { Tag("tag\($0)", .uint16) })
        let stream = try site.log.register(wide)
        for _ in 0..<5 {
            site.append()
            site.log.append(SampleBatch(stream: stream, descriptor: wide, time: SystemTime().utc, status: .good))
        }
        site.append()
        try await site.until("acknowledged") { $0.acknowledgedSamples == 18 && $0.refusedBatches == 5 }
        #expect(site.route.status.refusedSamples == 1000)
        let row = try await site.account().row
        #expect(row.stored == 1018 && row.acknowledged == 18 && row.refused == 1000 && row.pending == 0)
        try await site.stop()
        let again = try Carried(folder.path, broker, documentBytesMax: 1000)
        again.append()
        try await again.until("acknowledged") { $0.acknowledgedSamples == 3 }
        let after = try await again.account().row
        #expect(after.acknowledged == 21 && after.refused == 1000 && after.pending == 0)
        try await again.stop()
    }

    @Test("scenario 04: a link slower than the intake: memory stays bounded, the rest waits on disk and is counted")
    func slowLink() async throws {
        let folder = try TemporaryFolder()
        let broker = try MosquittoBroker(.plain)
        let site = try Carried(folder.path, broker)
        // Large in the log, small as a message: empty texts.
        let texts = StreamDescriptor(
            device: "texts", group: "fast", tags: (0..<10).map { Tag("t\($0)", .string, stringCapacity: Tag.stringCapacityMax) })
        let stream = try site.log.register(texts)
        func store(_ count: Int) async throws {
            for number in 0..<count {
                site.log.append(SampleBatch(stream: stream, descriptor: texts, time: SystemTime().utc, status: .good))
                if number % 20 == 19 { try await site.log.flush() }
            }
        }
        try await site.until("connected") { $0.state == .connected }
        broker.freeze()
        try await store(200)
        let warm = try residentBytes()
        try await store(1200)
        let growth = try residentBytes() - warm
        let stored = 1200 * texts.valueBytes
        #expect(growth < stored / 2, "\(stored) bytes were stored and \(growth) more are in memory")
        #expect(site.route.status.inFlight <= 64)
        let waiting = try await site.account().row
        #expect(waiting.stored == 14_000 && waiting.pending == 14_000)
        broker.thaw()
        try await site.until("acknowledged") { $0.acknowledgedEntries == 1400 }
        let row = try await site.account().row
        #expect(row.acknowledged == 14_000 && row.pending == 0 && row.evicted == 0)
        try await site.stop()
    }

    @Test("scenario 27: memory does not grow with outages, reconnections, and streams and cursors that come again")
    func manyOutages() async throws {
        let folder = try TemporaryFolder()
        let broker = try MosquittoBroker(.plain)
        let site = try Carried(folder.path, broker, backoff: .milliseconds(20))
        func cut() async throws {
            try await site.until("connected") { $0.state == .connected }
            broker.kill()
            site.append(3)
            try await site.until("the loss noticed") { $0.state != .connected }
            try broker.start()
        }
        func churn(_ count: Int) async throws {
            for _ in 0..<count {
                #expect(try site.log.register(Carried.small) == site.small)
                let cursor = try site.log.cursor(named: "again", from: .newest)
                cursor.connectionLost(at: SystemTime().utc)
                site.append()
                cursor.connectionRestored(at: SystemTime().utc)
                if let last = try await cursor.read(atMost: 100).last { cursor.acknowledge(through: last.position) }
            }
            try await site.log.flush()
        }
        for _ in 0..<3 { try await cut() }
        try await churn(600)
        let warm = try residentBytes()
        for _ in 0..<9 { try await cut() }
        try await churn(1500)
        let growth = try residentBytes() - warm
        #expect(growth < 24 << 20, "\(growth) bytes more after 9 reconnections and 1,500 outages")
        try await site.until("everything acknowledged") { $0.acknowledgedEntries == 2136 }
        let ledger = try await site.log.ledger()
        #expect(ledger.imbalances == [])
        let again = try #require(ledger.outages.first { $0.cursor == "again" })
        #expect(again.outages.count == OutageBook.outagesMax)
        #expect(again.outages.reduce(again.earlier.outages) { $0 + $1.losses } == 2100)
        let route = try #require(ledger.outages.first { $0.cursor == "route/central" })
        #expect(route.outages.count == 12 && route.outages.allSatisfy { $0.lost == 0 && $0.pending == 0 })
        try await site.stop()
    }
}
