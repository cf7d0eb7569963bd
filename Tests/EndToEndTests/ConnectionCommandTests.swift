import Foundation
import TestKit
import Testing

/// A site whose one device is reached as `connection` says.
private func document(_ connection: String) -> String {
    """
    apiVersion: edge.indusedge.io/v1
    kind: ProtocolDefinition
    metadata: {name: pump, version: 1.0.0}
    spec:
      protocol: modbus
      scanGroups: {fast: 100ms}
      tags: [{name: a, address: "holding:10", type: uint16}]
    ---
    apiVersion: edge.indusedge.io/v1
    kind: Site
    metadata: {name: plant}
    spec:
      devices: [{name: p1, definition: pump, connection: {\(connection)}}]

    """
}

@Suite("Connections on the command line", .serialized)
struct ConnectionCommandTests {
    @Test("identify shows who a device is, read reads it, over a serial line")
    func serial() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/site.yaml"
        let peer = try await ModbusTransportPeer(.rtu)
        try document("modbusRTU: {port: \(peer.path), baudRate: 115200, parity: none}").write(
            toFile: path, atomically: true, encoding: .utf8)
        let identity = try await TestSite.command(["identify", path, "p1"])
        #expect(identity.status == 0)
        #expect(identity.output.contains { $0.contains("vendor name") && $0.contains("Acme") }, "\(identity.output) \(identity.errors)")
        let json = try await TestSite.command(["identify", path, "p1", "--json"])
        #expect(json.output.contains { $0.contains("\"name\":\"model name\"") && $0.contains("FP-7/400") }, "\(json.output)")
        let value = try await TestSite.command(["read", path, "p1.a", "--json"])
        #expect(value.output.first?.contains("\"value\":10") == true, "\(value.output) \(value.errors)")
        try await peer.stop()
    }

    @Test("a certificate without the configured role is refused by check, and by reading before anything connects")
    func role() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/site.yaml"
        let made = try await TestSite.command(["identity", "create-dev", folder.path + "/pki"])
        #expect(made.status == 0)
        let files = "ca: pki/ca.crt, certificate: pki/gateway.crt, key: pki/gateway.key"
        try document("modbusTLS: {host: localhost, port: 9, \(files), role: operator}").write(
            toFile: path, atomically: true, encoding: .utf8)
        let check = try await TestSite.command(["check", path])
        #expect(check.status == 1)
        #expect(check.output.contains { $0.contains("carries no role") && $0.contains("p1") }, "\(check.output)")
        let read = try await TestSite.command(["read", path, "p1"])
        #expect(read.status == 1 && read.errors.contains("carries no role"), "\(read.errors)")
        try document("modbusTLS: {host: localhost, port: 9, \(files)}").write(toFile: path, atomically: true, encoding: .utf8)
        let without = try await TestSite.command(["check", path])
        #expect(without.status == 0, "\(without.output)")
    }
}
