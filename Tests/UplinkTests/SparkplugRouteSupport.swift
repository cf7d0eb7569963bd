import Foundation
import GatewayCore
import Logging
import Sparkplug
import Synchronization
import Telemetry
import TestKit
import Testing

@testable import Uplink

/// Notes what it is handed, and refuses what it is told to.
final class CommandRecorder: RouteCommandHandler {
    private let state = Mutex((commands: [RouteCommand](), refusals: [String]()))
    var commands: [RouteCommand] { state.withLock { $0.commands } }
    var refusals: [String] { state.withLock { $0.refusals } }

    func submit(_ command: RouteCommand) async -> RouteCommandOutcome {
        state.withLock { $0.commands.append(command) }
        return command.tag == "locked" ? .refused(reason: "locked") : .done
    }

    func record(refused topic: String, route: String, cluster: String, reason: String) async {
        state.withLock { $0.refusals.append(reason) }
    }
}

/// A Sparkplug route over a log in memory whose batches count themselves.
final class SparkplugRoute: Sendable {
    let log = MemoryLog(epoch: 3)
    let records = Records()
    let recorder = CommandRecorder()
    let route: Route
    private let streams: [(id: StreamID, descriptor: StreamDescriptor)]
    private let counts = Mutex([StreamID: UInt64]())
    private let task: Task<Void, any Error>

    static let expected = #"{"pump-1": ["count", "on", "temperature", "locked"], "pump-2": ["count", "on", "temperature", "locked"]}"#

    init(
        ports: [UInt16], isFlat: Bool = true, version: MQTTSettings.Version = .v5, connectTimeout: Duration = .seconds(15),
        options: SparkplugOptions = SparkplugOptions()
    ) throws {
        let tags = [
            Tag("count", .uint64), Tag("temperature", .int16, scaling: Scaling(scale: 0.1)), Tag("on", .bool), Tag("locked", .uint16),
        ]
        let log = log
        streams = ["pump-1", "pump-2"].map { device in
            let descriptor = StreamDescriptor(device: device, group: "fast", tags: tags)
            return (log.register(descriptor), descriptor)
        }
        var configuration = RouteConfiguration(
            name: "central", site: "plant",
            clusters: ports.enumerated().map { .init(name: "c\($0.offset)", host: "127.0.0.1", port: $0.element, isTLS: false) },
            payload: .sparkplugB(group: "plant-a", node: "line-1"), tls: nil, keepAlive: .seconds(5),
            clientID: "gw-\(UInt32.random(in: 0 ... .max))", epoch: 3, gatewayVersion: "1", connectTimeout: connectTimeout,
            backoffInitial: .milliseconds(50), backoffMaximum: .milliseconds(300))
        configuration.mqtt.version = version
        configuration.sparkplug = options
        if !isFlat {
            configuration.sparkplug.templates = [
                "pump-1": TemplateName(name: "pump", version: "1"), "pump-2": TemplateName(name: "pump", version: "1"),
            ]
        }
        let route = try Route(configuration: configuration, log: log, time: SystemTime(), logger: records.logger, commands: recorder)
        self.route = route
        route.register(streams: streams.map(\.id))
        task = Task { try await route.run() }
    }

    deinit { task.cancel() }

    /// One batch of each device.
    func append() {
        for (stream, descriptor) in streams {
            let count = counts.withLock { counts in
                defer { counts[stream, default: 0] += 1 }
                return counts[stream] ?? 0
            }
            var batch = SampleBatch(stream: stream, descriptor: descriptor, time: SystemTime().utc, status: .good)
            batch.set(.uint(count), tag: 0, in: descriptor)
            batch.set(.int(Int64(count % 1000)), tag: 1, in: descriptor)
            batch.set(.bool(count % 2 == 0), tag: 2, in: descriptor)
            log.append(batch)
        }
    }

    func stop() async {
        task.cancel()
        _ = try? await task.value
    }

    func until(_ what: String, _ condition: () throws -> Bool, location: SourceLocation = #_sourceLocation) async throws {
        for _ in 0..<6000 {
            if try condition() { return }
            try await Task.sleep(for: .milliseconds(5))
        }
        Issue.record("not reached within 30 s: \(what); \(route.status); \(records.all.suffix(5))", sourceLocation: location)
        throw CancellationError()
    }
}

/// The host application of Tests/Peers, and the relay in it that the route connects through.
final class SparkplugHost: Sendable {
    let process: ForeignProcess
    let relay: UInt16
    private let folder: TemporaryFolder

    struct Line: Decodable, Sendable {
        var relay: UInt16?
        var violation: String?
        var topic: String?
        var report: Report?
    }

    struct Report: Decodable, Sendable {
        struct Stream: Decodable, Sendable {
            var count: Int
            var first: Int
            var last: Int
            var ordered: Bool
        }

        var violations: Int
        var births: Int
        var data: Int
        var duplicates: Int
        var historical: Int
        var rebirths: Int
        var deaths: Int
        var streams: [String: Stream]
        var online: [String]
    }

    init(_ broker: MosquittoBroker, hostID: String = "scada") async throws {
        folder = try TemporaryFolder()
        try SparkplugRoute.expected.write(toFile: folder.path + "/expected.json", atomically: true, encoding: .utf8)
        process = try ForeignProcess(
            Checkout.python,
            [
                Checkout.peer("sparkplug_host.py"), "--port", "\(broker.port)", "--host-id", hostID, "--expect",
                folder.path + "/expected.json",
            ])
        let line = try await process.line { $0.contains("\"ready\"") }
        relay = try #require(try Self.decode(line).relay)
    }

    static func decode(_ line: String) throws -> Line { try JSONDecoder().decode(Line.self, from: Data(line.utf8)) }

    func send(_ command: String) throws { try process.send(command) }

    func report() async throws -> Report {
        try send("report")
        return try #require(try Self.decode(try await process.line { $0.hasPrefix("{\"report\"") }).report)
    }
}
