import Foundation
import GatewayCore
import Identity
import Logging
import Synchronization
import Telemetry
import TestKit
import Testing

@testable import Uplink

/// Certificates that are valid now: made once for all tests, because keys take their time.
enum Certificates {
    static let shared = make(at: SystemTime().utc)
    /// Another authority that knows nobody of `shared`.
    static let foreign = make(at: SystemTime().utc)
    /// Expired yesterday.
    static let expired = make(at: SystemTime().utc.advanced(by: .seconds(-91 * 86_400)))

    private static func make(at time: Timestamp) -> Result<TemporaryFolder, any Error> {
        Result {
            let folder = try TemporaryFolder()
            _ = try DevelopmentIdentity.create(in: folder.path, at: time)
            return folder
        }
    }
}

extension RouteConfiguration.TLS {
    static func client(_ name: String = "gateway", in folder: TemporaryFolder, ca: String? = nil) -> RouteConfiguration.TLS {
        RouteConfiguration.TLS(
            ca: ca ?? "\(folder.path)/ca.crt", certificate: "\(folder.path)/\(name).crt", key: "\(folder.path)/\(name).key")
    }
}

/// What was logged, for tests that say what must not be.
final class Records: Sendable {
    private let records = Mutex<[(level: Logger.Level, text: String)]>([])
    var all: [(level: Logger.Level, text: String)] { records.withLock { $0 } }
    func add(_ level: Logger.Level, _ text: String) { records.withLock { $0.append((level, text)) } }

    var logger: Logger {
        var logger = Logger(label: "test") { _ in Handler(records: self) }
        logger.logLevel = .debug
        return logger
    }

    private struct Handler: LogHandler {
        let records: Records
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.debug
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) { records.add(event.level, "\(event.message) \(event.metadata ?? [:])") }
    }
}

/// A route over a log in memory, that runs until `stop`.
final class RunningRoute: Sendable {
    let log = MemoryLog(epoch: 3)
    let records = Records()
    let route: Route
    let streams: [StreamID]
    let descriptor: StreamDescriptor
    private let task: Task<Void, any Error>

    init(
        _ brokers: [(host: String, port: UInt16)], tls: RouteConfiguration.TLS?,
        payload: RouteConfiguration.Payload = .json(topicTemplate: "t/{device}"),
        inFlight: Int = 64, keepAlive: Duration = .seconds(30), connectTimeout: Duration = .seconds(15),
        backoff: Duration = .milliseconds(100),
        backlog: Int = 0, clientID: String = "gw-\(UInt32.random(in: 0 ... .max))", mqtt: MQTTSettings = MQTTSettings(),
        failover: RouteConfiguration.Failover = .ordered, time: any TimeSource = SystemTime()
    ) throws {
        let tags = [Tag("a", .int16), Tag("temperature", .int16, scaling: Scaling(scale: 0.1)), Tag("on", .bool)]
        descriptor = StreamDescriptor(device: "pump-1", group: "fast", tags: tags)
        streams = [
            log.register(descriptor), log.register(StreamDescriptor(device: "pump-2", group: "fast", tags: tags)),
        ]
        let clusters = brokers.enumerated().map {
            RouteConfiguration.Cluster(name: "c\($0.offset)", host: $0.element.host, port: $0.element.port, isTLS: tls != nil)
        }
        var configuration = RouteConfiguration(
            name: "central", site: "plant", clusters: clusters, payload: payload, tls: tls, inFlight: inFlight, keepAlive: keepAlive,
            clientID: clientID, epoch: 3, connectTimeout: connectTimeout, backoffInitial: backoff,
            backoffMaximum: max(backoff, .seconds(1)))
        configuration.mqtt = mqtt
        configuration.failover = failover
        configuration.identityInterval = .milliseconds(50)
        let route = try Route(
            configuration: configuration, log: log, time: time, logger: records.logger)
        self.route = route
        route.register(streams: streams)
        for _ in 0..<backlog { Self.append(log, streams, descriptor) }
        task = Task { try await route.run() }
    }

    deinit { task.cancel() }

    var status: RouteStatus { route.status }

    private static func append(_ log: MemoryLog, _ streams: [StreamID], _ descriptor: StreamDescriptor) {
        for stream in streams {
            var batch = SampleBatch(stream: stream, descriptor: descriptor, time: SystemTime().utc, status: .good)
            batch.set(.int(235), tag: 1, in: descriptor)
            log.append(batch)
        }
    }

    /// A batch of each stream.
    func append() { Self.append(log, streams, descriptor) }

    /// Cancels and gives what `run` threw.
    func stop() async -> (any Error)? {
        task.cancel()
        do {
            try await task.value
            return nil
        } catch {
            return error
        }
    }

    func until(_ what: String, _ condition: (RouteStatus) -> Bool, location: SourceLocation = #_sourceLocation) async throws {
        for _ in 0..<6000 {
            if condition(status) { return }
            try await Task.sleep(for: .milliseconds(5))
        }
        Issue.record("not reached within 30 s: \(what); \(status); \(records.all.suffix(3))", sourceLocation: location)
        throw CancellationError()
    }

    /// The newest error with its causes, once there is one.
    ///
    /// The status forgets an error when the route is connected again, which may be sooner than a busy machine looks here; the log keeps it.
    func trouble() async throws -> String {
        var found = ""
        try await until("an error") { status in
            let logged = records.all.last { $0.text.hasPrefix("not connected") }?.text
            found = status.lastError.isEmpty ? logged ?? "" : status.lastError.joined(separator: "\n")
            return !found.isEmpty
        }
        return found
    }
}

/// mosquitto_sub: a subscriber that shares no code with us.
func subscriber(
    _ broker: MosquittoBroker, topic: String, tls folder: TemporaryFolder?, format: String = "%t %p"
) async throws -> ForeignProcess {
    // Without stdbuf its lines stay in a buffer as long as its output is no terminal.
    var arguments = [
        "-oL", "mosquitto_sub", "-h", folder == nil ? "127.0.0.1" : "localhost", "-p", "\(broker.port)", "-t", topic, "-q", "1", "-F",
        format, "-d",
    ]
    if let folder {
        arguments += [
            "--cafile", "\(folder.path)/ca.crt", "--cert", "\(folder.path)/subscriber.crt", "--key", "\(folder.path)/subscriber.key",
            "--tls-version", "tlsv1.3",
        ]
    }
    let process = try ForeignProcess("stdbuf", arguments)
    _ = try await process.line { $0.hasPrefix("Subscribed") }
    return process
}
