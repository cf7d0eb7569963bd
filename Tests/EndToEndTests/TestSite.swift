import Foundation
import TestKit

/// The real program on a site of a test: documents in a folder of its own, a real broker, foreign devices.
final class TestSite {
    let folder: TemporaryFolder
    let identity: String
    let broker: MosquittoBroker
    var logPath: String

    /// One device: name, port, and its tags as YAML.
    struct Device {
        var name: String
        var port: UInt16
        var tags: [String]
    }

    init() async throws {
        folder = try TemporaryFolder()
        identity = folder.path + "/identity"
        logPath = folder.path + "/data"
        let created = try await TestSite.command(["identity", "create-dev", identity])
        guard created.status == 0 else { throw ForeignProcess.Failure(description: created.errors) }
        broker = try MosquittoBroker(.tls(folder: identity))
    }

    /// Built beside the tests.
    static var program: String {
        URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent("indusedge").path
    }

    /// Writes the site document and gives its path.
    func write(
        _ devices: [Device], payload: String = "sparkplugB", period: String = "50ms", brokerPort: UInt16? = nil, cluster: String = "local"
    ) throws -> String {
        var text = ""
        for device in devices {
            text += """
                apiVersion: edge.indusedge.io/v1
                kind: ProtocolDefinition
                metadata: {name: \(device.name)-definition, version: 1.0.0}
                spec:
                  protocol: modbus
                  scanGroups: {fast: \(period)}
                  tags:
                \(device.tags.map { "    - {\($0), scanGroup: fast}" }.joined(separator: "\n"))
                ---

                """
        }
        text += """
            apiVersion: edge.indusedge.io/v1
            kind: Site
            metadata: {name: test-plant}
            spec:
              log: {path: "\(logPath)", diskLimit: 64MiB}
              devices:
            \(devices.map { "    - {name: \($0.name), definition: \($0.name)-definition, connection: {modbusTCP: {host: 127.0.0.1, port: \($0.port)}}}" }.joined(separator: "\n"))
              routes:
                - name: central
                  payload: \(payload)
                  topic: "plant/{device}/{group}"
                  clusters: [{name: \(cluster), url: "mqtts://localhost:\(brokerPort ?? broker.port)"}]
                  tls: {ca: "\(identity)/ca.crt", certificate: "\(identity)/gateway.crt", key: "\(identity)/gateway.key"}

            """
        let path = folder.path + "/site.yaml"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    func run(_ site: String) throws -> ForeignProcess { try ForeignProcess(TestSite.program, ["run", site]) }

    /// The foreign subscriber: mosquitto_sub, a line `topic payload` per message.
    func subscriber(_ topic: String) throws -> ForeignProcess {
        try ForeignProcess(
            "mosquitto_sub",
            [
                "-h", "localhost", "-p", String(broker.port), "-t", topic, "-q", "1", "-F", "%t %p", "--cafile", identity + "/ca.crt",
                "--cert",
                identity + "/subscriber.crt", "--key", identity + "/subscriber.key", "--tls-version", "tlsv1.3",
            ])
    }

    /// The same, when the broker has taken its subscription.
    func readySubscriber(_ topic: String, port: UInt16? = nil) async throws -> ForeignProcess {
        let process = try ForeignProcess(
            "stdbuf",
            [
                "-oL", "mosquitto_sub", "-h", "localhost", "-p", String(port ?? broker.port), "-t", topic, "-q", "1", "-F", "%t %p", "-d",
                "--cafile",
                identity + "/ca.crt", "--cert", identity + "/subscriber.crt", "--key", identity + "/subscriber.key", "--tls-version",
                "tlsv1.3",
            ])
        _ = try await process.line { $0.hasPrefix("Subscribed") }
        return process
    }

    /// Runs a command of the program to its end.
    static func command(_ arguments: [String]) async throws -> (status: Int32, output: [String], errors: String) {
        let process = try ForeignProcess(program, arguments)
        let status = try await process.waitForExit(within: .seconds(60))
        try await process.drained()
        return (status, process.lines, process.errorText)
    }
}

extension ForeignProcess {
    /// Waits for the first message of a later start of the gateway.
    func epoch(after earlier: Int) async throws -> Int {
        Message(try await line { Message($0).map { $0.epoch > earlier } == true })?.epoch ?? earlier
    }
}

/// One JSON message of the route, as the foreign subscriber printed it.
struct Message {
    let topic: String
    let epoch: Int
    let sequence: Int
    let timestamp: Int
    let values: [String: Any]

    init?(_ line: String) {
        guard let space = line.firstIndex(of: " "),
            let object = try? JSONSerialization.jsonObject(with: Data(line[line.index(after: space)...].utf8)) as? [String: Any],
            let epoch = object["epoch"] as? Int, let sequence = object["sequence"] as? Int, let timestamp = object["timestamp"] as? Int
        else { return nil }
        topic = String(line[..<space])
        self.epoch = epoch
        self.sequence = sequence
        self.timestamp = timestamp
        values = object["values"] as? [String: Any] ?? [:]
    }
}
