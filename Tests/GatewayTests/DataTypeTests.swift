import Definitions
import Foundation
import Gateway
import GatewayCore
import Telemetry
import TestKit
import Testing

@Suite("Data types against a foreign device")
struct DataTypeTests {
    @Test("scenario 21: values that Python's struct wrote in every type and order come out of the definition's words as they were")
    func types() async throws {
        let seed = seedOfThisRun() % 1_000_000
        let peer = try ForeignProcess(Checkout.python, [Checkout.peer("modbus_types.py"), "--seed", String(seed)])
        let ready = try await peer.line { $0.hasPrefix("READY") }
        let lines = peer.allLines
        let tags = lines.filter { $0.hasPrefix("TAG ") }.map { "    - " + $0.dropFirst(4) }
        let folder = try TemporaryFolder()
        let path = folder.path + "/site.yaml"
        try """
        apiVersion: edge.indusedge.io/v1
        kind: ProtocolDefinition
        metadata: {name: types, version: 1.0.0}
        spec:
          protocol: modbus
          scanGroups: {all: 1s}
          tags:
        \(tags.joined(separator: "\n"))
        ---
        apiVersion: edge.indusedge.io/v1
        kind: Site
        metadata: {name: plant}
        spec:
          devices:
            - {name: device, definition: types, connection: {modbusTCP: {host: 127.0.0.1, port: \(ready.dropFirst(6)), unit: 1}}}

        """.write(toFile: path, atomically: true, encoding: .utf8)
        let loaded = ConfigurationLoader().load(files: [path], environment: [:])
        #expect(loaded.diagnostics.map(\.description) == [])
        let site = try #require(loaded.site)
        let readings = try await DirectRead.read(site, device: "device", tag: nil, time: SystemTime())
        let byName = Dictionary(readings.map { ($0.tag.name, $0) }, uniquingKeysWith: { first, _ in first })
        let expected = lines.filter { $0.hasPrefix("EXPECT ") }.map { $0.split(separator: " ", maxSplits: 2) }
        #expect(expected.count == tags.count && expected.count > 50)
        for words in expected {
            let (name, text) = (String(words[1]), String(words[2]))
            let reading = try #require(byName[name])
            if text == "bad" {
                #expect(reading.value.status.isBad && reading.value.value == nil && reading.value.reason?.isEmpty == false, "\(name)")
                continue
            }
            let isRight =
                switch reading.value.value {
                case .float(let number): Double(number) == Double(text)
                case .double(let number): number == Double(text)
                case let value: value?.description == text
                }
            #expect(isRight && reading.value.status.isGood, "\(name): \(String(describing: reading.value.value)), written was \(text)")
        }
        await peer.stop()
    }
}
