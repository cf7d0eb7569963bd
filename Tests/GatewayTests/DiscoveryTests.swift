import DefinitionImport
import Definitions
import Foundation
import Gateway
import GatewayCore
import Telemetry
import TestKit
import Testing

@Suite("Discovery", .serialized)
struct DiscoveryTests {
    @Test("a SunSpec device is read by its own description: discovered, defined and read back without a file of its own")
    func sunSpec() async throws {
        let peer = try await ImagePeer(refusesUnknown: true)
        let file = Checkout.root.appendingPathComponent("Tests/DefinitionImportTests/Fixtures/sunspec-inverter.txt")
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") where !line.hasPrefix("#") {
            let words = line.split(separator: " ")
            try await peer.set(try #require(Int(words[0])), words.dropFirst().compactMap { UInt16($0, radix: 16) })
        }
        let connection = Connection.modbusTCP(ModbusTCPConnection(host: "127.0.0.1", port: Int(peer.port), unit: 1))
        let device = try await Discovery.sunSpec(connection, bases: [0, 40_000], time: SystemTime())
        #expect(device.base == 40_000)
        #expect(device.problems.isEmpty)
        #expect(device.blocks.map(\.id) == [1, 103, 160, 64_001, 203])

        let made = try #require(SunSpecDefinition.make(of: device.blocks, name: "roof"))
        #expect(made.remarks.contains { $0.hasPrefix("model 64001") })
        let folder = try TemporaryFolder()
        let path = folder.path + "/site.yaml"
        let site = DraftWriter.siteText(
            name: "bench", devices: [DraftDevice(name: "roof", definition: "roof", connection: connection)], files: [])
        try (DraftWriter.text(of: made.definition) + "---\n" + site).write(toFile: path, atomically: true, encoding: .utf8)
        let loaded = ConfigurationLoader().load(files: [path], environment: [:])
        let readings = try await DirectRead.read(
            try #require(loaded.site, "\(loaded.diagnostics)"), device: "roof", tag: nil, time: SystemTime())
        await peer.stop()
        #expect(readings.allSatisfy { $0.value.status.isGood })
        let values = Dictionary(readings.map { ($0.tag.name, $0.value.value) }, uniquingKeysWith: { first, _ in first })
        #expect(values["common.SN"] == .string("SN-0042"))
        #expect(values["inverter.A"] == .double(15.2))
        #expect(values["inverter.PhVphA"] == .double(231.7))
        #expect(values["inverter.W"] == .double(10_500))
        #expect(values["inverter.WH"] == .uint(123_456_789))
        #expect(values["mppt.module2.DCV"] == .double(648))
        #expect(values["meter.W"] == .int(-1234))
        #expect(values["meter.TotWhImp"] == .double(700_000))
        #expect(values["inverter.DCA"] == nil, "not implemented by the device")
    }

    @Test("a device without a SunSpec map says so")
    func noMap() async throws {
        let peer = try await ImagePeer(refusesUnknown: true)
        let connection = Connection.modbusTCP(ModbusTCPConnection(host: "127.0.0.1", port: Int(peer.port), unit: 1))
        let device = try await Discovery.sunSpec(connection, time: SystemTime())
        await peer.stop()
        #expect(device.base == nil && device.blocks.isEmpty)
    }
}
