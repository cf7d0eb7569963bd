import Foundation
import Identity
import TestKit
import Testing

@testable import IngestService

/// The whole way with an envelope: foreign device, gateway, real broker, receiving end, real database.
@Suite(.serialized) struct SealedRouteTests {
    /// A gateway with a sealed and compressed route, and the keys of both sides.
    private struct Plant {
        let folder: TemporaryFolder
        let broker: MosquittoBroker
        let device: ModbusPeer

        static let tags = 30

        init(payload: String, suite: String) async throws {
            folder = try TemporaryFolder()
            let identity = folder.path + "/identity"
            _ = try DevelopmentIdentity.create(in: identity, at: SystemClockForTests.now)
            broker = try MosquittoBroker(.tls(folder: identity))
            device = try await ModbusPeer()
            let options = suite == "sm" ? ["--sm2"] : []
            try FileManager.default.createDirectory(atPath: folder.path + "/gateways/plant-7", withIntermediateDirectories: true)
            for name in ["signing", "east"] {
                let made = try await Plant.command(["envelope", "create-keys", folder.path + "/" + name] + options)
                guard made.status == 0 else { throw ForeignProcess.Failure(description: made.errors) }
            }
            try FileManager.default.copyItem(atPath: folder.path + "/signing.pub", toPath: folder.path + "/gateways/plant-7/1.pub")
            // The documents' topic is not the default: a file says what the gateway may use.
            try "spBv1.0/+/+/plant-7/#\nsecret/plant-7/#\n".write(
                toFile: folder.path + "/gateways/plant-7/topics", atomically: true, encoding: .utf8)
            let tags = (0..<Plant.tags).map {
                "    - {name: hiddenTag\($0), address: \"holding:\($0)\", type: uint16, scanGroup: hiddenGroup}"
            }
            try """
            apiVersion: edge.indusedge.io/v1
            kind: ProtocolDefinition
            metadata: {name: reactor, version: 1.0.0}
            spec:
              protocol: modbus
              scanGroups: {hiddenGroup: 50ms}
              tags:
            \(tags.joined(separator: "\n"))
                - {name: hiddenCounter, address: "holding:2000", type: uint32, scanGroup: hiddenGroup}
            ---
            apiVersion: edge.indusedge.io/v1
            kind: Site
            metadata: {name: plant-7}
            spec:
              log: {path: "\(folder.path)/data", diskLimit: 64MiB}
              devices:
                - {name: hiddenDevice, definition: reactor, connection: {modbusTCP: {host: 127.0.0.1, port: \(device.port)}}}
              scoring: {enabled: false}
              routes:
                - name: central
                  payload: \(payload)
                  topic: "secret/{site}/{device}/{group}"
                  compression: zstd
                  envelope: {suite: \(suite), signingKey: "\(folder.path)/signing.key", recipients: [{cluster: east, key: "\(folder.path)/east.pub"}]}
                  clusters: [{name: east, url: "mqtts://localhost:\(broker.port)"}]
                  tls: {ca: "\(identity)/ca.crt", certificate: "\(identity)/gateway.crt", key: "\(identity)/gateway.key"}

            """.write(toFile: folder.path + "/site.yaml", atomically: true, encoding: .utf8)
        }

        func run() throws -> ForeignProcess { try ForeignProcess(Self.program("indusedge"), ["run", folder.path + "/site.yaml"]) }

        /// Everything that anybody with access to the broker sees, in hexadecimal.
        func eavesdropper() async throws -> ForeignProcess {
            let identity = folder.path + "/identity"
            let process = try ForeignProcess(
                "stdbuf",
                [
                    "-oL", "mosquitto_sub", "-h", "localhost", "-p", String(broker.port), "-t", "#", "-q", "1", "-F", "%t %x", "-d",
                    "--cafile",
                    identity + "/ca.crt", "--cert", identity + "/subscriber.crt", "--key", identity + "/subscriber.key",
                ])
            _ = try await process.line { $0.hasPrefix("Subscribed") }
            return process
        }

        func receive(_ database: TestDatabase, _ more: [String] = []) throws -> ForeignProcess {
            let identity = folder.path + "/identity"
            return try ForeignProcess(
                IngestProgram.program,
                [
                    "ingest", "--broker", "mqtts://127.0.0.1:\(broker.port)", "--ca", identity + "/ca.crt", "--certificate",
                    identity + "/subscriber.crt", "--key", identity + "/subscriber.key", "--database", database.kind.rawValue, "--url",
                    database.url,
                    "--set-aside", folder.path + "/aside", "--client-id", "worker-1", "--log-level", "debug", "--json-topic",
                    "secret/{site}/{device}/{group}", "--envelope-key", folder.path + "/east.key", "--cluster", "east", "--gateway-keys",
                    folder.path + "/gateways", "--envelope-state", folder.path + "/envelopes",
                ] + more)
        }

        static func program(_ name: String) -> String {
            URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent(name).path
        }

        static func command(_ arguments: [String]) async throws -> (status: Int32, output: [String], errors: String) {
            let process = try ForeignProcess(program("indusedge"), arguments)
            let status = try await process.waitForExit(within: .seconds(60))
            try await process.drained()
            return (status, process.allLines, process.errorText)
        }

        /// Time in microseconds and value of every stored sample of a tag.
        func stored(_ tag: String) async throws -> [String] {
            let query = try await Plant.command([
                "query", folder.path + "/data", "--device", "hiddenDevice", "--tag", tag, "--limit", "100000", "--json",
            ])
            guard query.status == 0 else { throw ForeignProcess.Failure(description: query.errors) }
            return query.output.compactMap { line in
                guard let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
                    let value = object["value"] as? Int
                else {
                    return nil
                }
                return String(value)
            }
        }
    }

    @Test(
        "scenarios 17 and 18: sealed and compressed, every row arrives once and equal, and the broker sees no name",
        .enabled(if: TestDatabase.Kind.postgresql.isInstalled), arguments: [("sparkplugB", "aes256gcm"), ("json", "sm")])
    func sealedRoute(_ payload: String, _ suite: String) async throws {
        let plant = try await Plant(payload: payload, suite: suite)
        let database = try await TestDatabase(.postgresql)
        let summary = plant.folder.path + "/summary.json"
        let eavesdropper = try await plant.eavesdropper()
        let first = try plant.receive(database)
        try await IngestProgram.connected(first)
        let gateway = try plant.run()
        _ = try await eavesdropper.line { $0.hasPrefix("ie/1/plant-7/data ") }
        try await Task.sleep(for: .seconds(1))
        // Killed in the middle; what it had not acknowledged comes again.
        await first.stop()
        try await Task.sleep(for: .seconds(1))
        // It knows no birth any more, and asks the gateway for them.
        let second = try plant.receive(database, ["--until-idle", "4", "--summary", summary])
        try await IngestProgram.connected(second)
        try await Task.sleep(for: .seconds(2))
        gateway.signal(SIGTERM)
        #expect(try await gateway.waitForExit() == 0, "\(gateway.errorText)")
        let status = try await second.waitForExit(within: .seconds(60))
        try #require(status == 0, "\(second.errorText)")
        let counters = try JSONDecoder().decode([String: Int].self, from: try Data(contentsOf: URL(fileURLWithPath: summary)))
        let refused = counters.filter { $0.key.hasPrefix("envelopes_refused_") && $0.value > 0 }
        #expect(refused.isEmpty)
        #expect((counters["envelopes_opened"] ?? 0) > 0)
        #expect(counters["set_aside_messages"] == 0)

        for tag in ["hiddenCounter", "hiddenTag7"] {
            let stored = try await plant.stored(tag)
            let rows = try await database.ask("SELECT value::bigint FROM indusedge.value WHERE tag = '\(tag)' ORDER BY time")
            #expect(rows.split(separator: "\n").map(String.init) == stored)
            #expect(stored.count > 20)
        }
        try await eavesdropper.drained()
        let seen = eavesdropper.allLines.filter { !$0.hasPrefix("Client ") && !$0.hasPrefix("Subscribed") }
        #expect(seen.count > 20)
        for line in seen {
            guard let space = line.firstIndex(of: " ") else { continue }
            let topics = ["ie/1/plant-7/data", "ie/1/plant-7/birth", "ie/1/plant-7/death", "spBv1.0/plant-7/NCMD/plant-7"]
            #expect(topics.contains(String(line[..<space])))
            #expect(!line.contains(Self.hexadecimal("hidden")) && !line.contains("hidden"))
            // zstd and gzip begin with these: what is compressed lies inside of what is encrypted.
            #expect(!line[space...].hasPrefix(" 28b52ffd") && !line[space...].hasPrefix(" 1f8b"))
        }
    }

    private static func hexadecimal(_ text: String) -> String { text.utf8.map { String($0, radix: 16) }.joined() }
}
