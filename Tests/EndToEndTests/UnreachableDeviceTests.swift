import Foundation
import TestKit
import Testing

@Suite("Devices that are not there, end to end", .serialized)
struct UnreachableDeviceTests {
    /// Resident memory in bytes and open files of a process.
    private static func footprint(_ process: ForeignProcess) throws -> (memory: Int, files: Int) {
        let statm = try String(contentsOfFile: "/proc/\(process.processIdentifier)/statm", encoding: .utf8)
        let pages = statm.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        let files = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process.processIdentifier)/fd").count
        return (pages * Int(getpagesize()), files)
    }

    @Test("scenarios 19 and 27: thousands of failed attempts to connect leave memory and open files as they were")
    func memory() async throws {
        let folder = try TemporaryFolder()
        let dead = try MosquittoBroker.freePort()
        let listener = try Listener(port: dead)
        var text = """
            apiVersion: edge.indusedge.io/v1
            kind: ProtocolDefinition
            metadata: {name: one, version: 1.0.0}
            spec:
              protocol: modbus
              scanGroups: {fast: 50ms}
              tags: [{name: a, address: "holding:1", type: uint16}]
            ---
            apiVersion: edge.indusedge.io/v1
            kind: Site
            metadata: {name: dead-plant}
            spec:
              log: {path: "\(folder.path)/data", diskLimit: 64MiB}
              scoring: {enabled: false}
              devices:

            """
        // Some are refused, and some accepted and hung up on.
        for number in 0..<20 {
            let host = "127.0.0.\(number % 2 == 0 ? 200 + number : 100 + number)"
            text +=
                "    - {name: d\(number), definition: one, backoff: {initial: 10ms, max: 20ms}, "
                + "connection: {modbusTCP: {host: \(host), port: \(dead), unit: \(number)}}}\n"
        }
        let path = folder.path + "/site.yaml"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        let gateway = try ForeignProcess(TestSite.program, ["run", path])
        try await gateway.errorLine { $0.contains("not available") }
        while listener.accepted < 100 { try await Task.sleep(for: .milliseconds(10)) }
        let before = try UnreachableDeviceTests.footprint(gateway)
        let start = listener.accepted
        while listener.accepted < start + 1000 { try await Task.sleep(for: .milliseconds(10)) }
        let after = try UnreachableDeviceTests.footprint(gateway)
        print("memory \(before.memory) → \(after.memory) bytes, files \(before.files) → \(after.files), sessions \(listener.accepted)")
        #expect(after.memory < before.memory + 2 << 20)
        #expect(after.files <= before.files + 12, "a connection may be open for each address")
        gateway.signal(SIGTERM)
        #expect(try await gateway.waitForExit() == 0)
        listener.stop()
    }
}

/// Accepts connections on the odd ones of 127.0.0.101 to .119 and closes them at once.
private final class Listener: Sendable {
    private let process: ForeignProcess

    init(port: UInt16) throws {
        process = try ForeignProcess(
            Checkout.python,
            [
                "-uc",
                """
                import select, socket
                listeners = [socket.create_server((f"127.0.0.{100 + n}", \(port)), backlog=64) for n in range(1, 20, 2)]
                while True:
                    for one in select.select(listeners, [], [])[0]: one.accept()[0].close(); print("session")
                """,
            ])
    }

    var accepted: Int { process.allLines.count }

    func stop() { process.signal(SIGKILL) }
}
