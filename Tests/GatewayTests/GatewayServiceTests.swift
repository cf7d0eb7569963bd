import Definitions
import Foundation
import Gateway
import GatewayCore
import Logging
import Telemetry
import TestKit
import Testing

@Suite("Gateway service", .serialized)
struct GatewayServiceTests {
    private func site(_ peer: ModbusPeer, _ folder: TemporaryFolder, broker: MosquittoBroker) throws -> Site {
        let path = folder.path + "/site.yaml"
        try """
        apiVersion: edge.indusedge.io/v1
        kind: ProtocolDefinition
        metadata: {name: plc, version: 1.0.0}
        spec:
          protocol: modbus
          scanGroups: {fast: 10ms}
          tags: [{name: a, address: "holding:10", type: uint16}, {name: b, address: "holding:2000", type: uint32, deadband: {absolute: 5}}]
        ---
        apiVersion: edge.indusedge.io/v1
        kind: Site
        metadata: {name: plant}
        spec:
          log: {path: data, diskLimit: 64MiB, commitInterval: 20ms}
          devices: [{name: plc, definition: plc, connection: {modbusTCP: {host: 127.0.0.1, port: \(peer.port)}}}]
          routes: [{name: central, payload: sparkplugB, clusters: [{name: local, url: "mqtt://127.0.0.1:\(broker.port)"}], plaintext: allowed}]
        """.write(toFile: path, atomically: true, encoding: .utf8)
        let loaded = ConfigurationLoader().load(files: [path], environment: [:])
        return try #require(loaded.site, "\(loaded.diagnostics)")
    }

    @Test("cancelled at any moment, the whole pipeline ends without a retry, an error or a warning, and the store opens again")
    func cancellation() async throws {
        let seed = seedOfThisRun()
        var generator = SeededGenerator(seed: seed)
        let peer = try await ModbusPeer()
        let broker = try MosquittoBroker(.plain)
        let folder = try TemporaryFolder()
        let site = try site(peer, folder, broker: broker)
        for round in 0..<25 {
            let recorder = LogRecorder()
            let service = GatewayService(site: site, version: "test", time: SystemTime(), logger: recorder.logger)
            let task = Task { try await service.run() }
            // Round 0 and 1 are cancelled before and right after the start, the others anywhere in the first 150 ms.
            if round > 0 { try await Task.sleep(for: .microseconds(round == 1 ? 100 : Int.random(in: 1...150_000, using: &generator))) }
            task.cancel()
            do {
                try await task.value
            } catch {
                #expect(error.isCancellation, "seed \(seed), round \(round): \(error.chain)")
            }
            let loud = recorder.lines.filter { $0.level >= .warning }
            #expect(loud.isEmpty, "seed \(seed), round \(round): \(loud)")
            let retries = recorder.lines.filter { $0.metadata["retry_count"] != nil }
            #expect(retries.isEmpty, "seed \(seed), round \(round): \(retries)")
        }
    }
}
