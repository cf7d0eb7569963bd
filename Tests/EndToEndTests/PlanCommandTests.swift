import Foundation
import TestKit
import Testing

@Suite("Plan command")
struct PlanCommandTests {
    @Test("plan shows requests, bytes and times offline; exit status 1 names the groups that cannot make their period")
    func plan() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/site.yaml"
        func write(period: String) throws {
            try """
            apiVersion: edge.indusedge.io/v1
            kind: ProtocolDefinition
            metadata: {name: meter, version: 1.2.0}
            spec:
              protocol: modbus
              scanGroups: {fast: \(period)}
              tags: [{name: a, address: "holding:0", type: float32}, {name: b, address: "holding:10", type: uint16}]
            ---
            apiVersion: edge.indusedge.io/v1
            kind: Site
            metadata: {name: plant}
            spec:
              devices: [{name: m, definition: meter, connection: {modbusRTU: {port: /dev/ttyX, baudRate: 9600}}}]

            """.write(toFile: path, atomically: true, encoding: .utf8)
        }
        try write(period: "1s")
        let good = try await TestSite.command(["plan", path])
        let text = good.output.joined(separator: "\n")
        #expect(good.status == 0, "\(good.errors)")
        #expect(text.contains("holding 0…10: 11 registers, 2 tags, 8 registers read in vain"), "\(text)")
        #expect(text.contains("1 request, 35 bytes") && text.contains("0 problems"), "\(text)")
        try write(period: "20ms")
        let bad = try await TestSite.command(["plan", path])
        #expect(bad.status == 1)
        #expect(bad.output.contains { $0.hasPrefix("problem: group fast of device m cannot make its period") }, "\(bad.output)")
        let json = try await TestSite.command(["plan", "--json", path])
        #expect(json.status == 1)
        let report = try #require(try JSONSerialization.jsonObject(with: Data(json.output.joined().utf8)) as? [String: Any])
        #expect((report["problems"] as? [[String: Any]])?.first?["group"] as? String == "fast")
    }
}
