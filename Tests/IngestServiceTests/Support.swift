import Foundation
import GatewayCore
import Telemetry
import TestKit

/// The program as a platform team runs it.
struct IngestProgram {
    let folder: TemporaryFolder
    let broker: MosquittoBroker
    let database: TestDatabase
    var brokerArguments: [String]

    /// Built beside the tests.
    static var program: String {
        URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent("indusedge-control").path
    }

    init(_ kind: TestDatabase.Kind, transport: MosquittoBroker.Transport = .plain) async throws {
        folder = try TemporaryFolder()
        broker = try MosquittoBroker(transport)
        database = try await TestDatabase(kind)
        brokerArguments = ["--broker", "mqtt://127.0.0.1:\(broker.port)"]
    }

    func start(_ more: [String] = [], name: String = "worker-1") throws -> ForeignProcess {
        try ForeignProcess(
            Self.program,
            ["ingest"] + brokerArguments + [
                "--database", database.kind.rawValue, "--url", database.url, "--influx-database", TestDatabase.database, "--set-aside",
                folder.path + "/aside", "--client-id", name, "--log-level", "debug",
            ] + more)
    }

    /// Waits until it has subscribed.
    static func connected(_ process: ForeignProcess) async throws {
        try await process.errorLine { $0.contains("connected to a broker") }
        try await Task.sleep(for: .milliseconds(200))
    }

    /// Publishes at QoS 1 and returns when the broker has all of it.
    func publish(_ documents: [String], topic: String = "indusedge/plant/pump-1/fast", options: String = "") async throws {
        let file = folder.path + "/documents-\(UUID().uuidString)"
        try (documents.joined(separator: "\n") + "\n").write(toFile: file, atomically: true, encoding: .utf8)
        let publisher = try ForeignProcess(
            "sh", ["-c", "exec mosquitto_pub -h 127.0.0.1 -p \(broker.port) \(options) -q 1 -l -t '\(topic)' < '\(file)'"])
        let status = try await publisher.waitForExit()
        guard status == 0 else { throw ForeignProcess.Failure(description: publisher.errorText) }
    }

    /// Runs until nothing comes any more, and gives its counters.
    func finish(_ process: ForeignProcess, summary: String) async throws -> [String: Int] {
        let status = try await process.waitForExit()
        guard status == 0 else { throw ForeignProcess.Failure(description: "exit \(status): \(process.errorText)") }
        let data = try Data(contentsOf: URL(fileURLWithPath: summary))
        return try JSONDecoder().decode([String: Int].self, from: data)
    }

    /// Ends it when so many messages are acknowledged, and gives its counters.
    func finish(_ process: ForeignProcess, summary: String, acknowledged: Int) async throws -> [String: Int] {
        try await process.errorLine { $0.contains(" acknowledgements=\(acknowledged) ") }
        process.signal(SIGTERM)
        return try await finish(process, summary: summary)
    }

    /// What was set aside, a line each.
    var setAside: [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path + "/aside")) ?? []
        return names.flatMap { name in
            ((try? String(contentsOfFile: folder.path + "/aside/" + name, encoding: .utf8)) ?? "").split(separator: "\n").map(String.init)
        }
    }

    /// A document with two numbers that count on.
    static func document(_ number: Int, device: String = "pump-1") -> String {
        #"{"device":"\#(device)","group":"fast","timestamp":\#(1_767_268_800_000 + number * 1000),"epoch":3,"stream":7,"sequence":\#(number),"#
            + #""values":{"count":\#(number),"half":\#(Double(number) / 2)}}"#
    }
}

extension TemporaryFolder {
    /// The lines of all its files.
    var lines: [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return names.flatMap { name in
            ((try? String(contentsOfFile: path + "/" + name, encoding: .utf8)) ?? "").split(separator: "\n").map(String.init)
        }
    }
}

/// The machine's clock, for certificates.
enum SystemClockForTests {
    static var now: Timestamp { SystemTime().utc }
}
