import Foundation
import TestKit
import Testing

@Suite("A foreign client behind the gateway's Modbus firewall", .serialized)
struct FirewallTests {
    private func document(_ folder: TemporaryFolder, device: UInt16, port: UInt16, newWrites: String) throws -> String {
        let path = folder.path + "/site.yaml"
        try """
        apiVersion: edge.indusedge.io/v1
        kind: ProtocolDefinition
        metadata: {name: pump, version: 1.0.0}
        spec:
          protocol: modbus
          scanGroups: {fast: 20ms}
          tags:
            - {name: speed, address: "holding:100", type: uint16, limits: {min: 0, max: 3000, maxStep: 200}, access: readWrite}
            - {name: flow, address: "holding:101", type: uint16}
        ---
        apiVersion: edge.indusedge.io/v1
        kind: Site
        metadata: {name: plant}
        spec:
          log: {path: data, diskLimit: 64MiB}
          scoring: {enabled: false}
          devices: [{name: pump-1, definition: pump, connection: {modbusTCP: {host: 127.0.0.1, port: \(device)}}}]
          firewalls:
            - name: wall
              port: \(port)
              devices: [{unit: 7, device: pump-1}]
              newWrites: \(newWrites)
              rules:
                - {}
                - {client: 127.0.0.0/8, units: [7], functions: [writeSingleRegister], registers: ["holding:100-109"]}
        """.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    /// The two ends of a serial line that socat plays.
    private func serialLine() async throws -> (line: ForeignProcess, ours: String, theirs: String) {
        let folder = try TemporaryFolder()
        let ends = ["\(folder.path)/ours", "\(folder.path)/theirs"]
        let process = try ForeignProcess("socat", ends.map { "pty,raw,echo=0,link=\($0)" })
        for _ in 0..<500 where !ends.allSatisfy({ FileManager.default.fileExists(atPath: $0) }) {
            try await Task.sleep(for: .milliseconds(10))
        }
        // The links may go with the folder: the terminals stay as long as socat does.
        let terminals = try ends.map { try FileManager.default.destinationOfSymbolicLink(atPath: $0) }
        return (process, terminals[0], terminals[1])
    }

    /// mbpoll, once: its exit status and all it said.
    private func poll(_ port: UInt16, _ arguments: String...) async throws -> (status: Int32, text: String) {
        let process = try ForeignProcess(
            "mbpoll", ["-m", "tcp", "-p", String(port), "-0", "-1", "-o", "5", "-q"] + arguments)
        let status = try await process.waitForExit(within: .seconds(60))
        try await process.drained()
        return (status, process.allLines.joined(separator: "\n") + process.errorText)
    }

    private func started(_ site: String, _ port: UInt16) async throws -> ForeignProcess {
        let gateway = try ForeignProcess(TestSite.program, ["run", site])
        for _ in 0..<500 {
            if try await poll(port, "-a", "7", "-r", "101", "-c", "1", "127.0.0.1").status == 0 { return gateway }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw ForeignProcess.Failure(description: "no firewall: \(gateway.errorText)")
    }

    @Test("reads are answered, allowed writes reach the device and stand in the audit trail, others do not and raise an alarm")
    func firewall() async throws {
        let folder = try TemporaryFolder()
        let peer = try await WritablePeer()
        let port = try MosquittoBroker.freePort()
        let site = try document(folder, device: peer.port, port: port, newWrites: "learn")
        var gateway = try await started(site, port)

        let flow = try await poll(port, "-a", "7", "-r", "101", "-c", "1", "127.0.0.1")
        #expect(flow.text.contains("101"), "\(flow)")
        let unread = try await poll(port, "-a", "7", "-r", "3000", "-c", "2", "127.0.0.1")
        #expect(unread.status == 0 && unread.text.contains("3001"), "\(unread)")
        let write = try await poll(port, "-a", "7", "-r", "100", "127.0.0.1", "250")
        #expect(write.status == 0, "\(write)")
        #expect(try await peer.command("get holding 100") == "250")

        let step = try await poll(port, "-a", "7", "-r", "100", "127.0.0.1", "600")
        #expect(step.status != 0 && step.text.contains("Illegal data value"), "\(step)")
        let outside = try await poll(port, "-a", "7", "-r", "200", "127.0.0.1", "1")
        #expect(outside.status != 0 && outside.text.contains("Illegal data address"), "\(outside)")
        let coil = try await poll(port, "-a", "7", "-t", "0", "-r", "1", "127.0.0.1", "1")
        #expect(coil.status != 0 && coil.text.contains("Illegal function"), "\(coil)")
        let unit = try await poll(port, "-a", "1", "-r", "100", "-c", "1", "127.0.0.1")
        #expect(unit.status != 0, "\(unit)")
        #expect(try await peer.command("get holding 100") == "250")
        #expect(try await peer.command("get holding 200") == "200")
        var alarm = try await TestSite.command(["query", site, "wall/Diagnostics/alarm", "--from", "-5m", "--csv"])
        for _ in 0..<100 where !alarm.output.contains(where: { $0.lowercased().contains("true") }) {
            try await Task.sleep(for: .milliseconds(50))
            alarm = try await TestSite.command(["query", site, "wall/Diagnostics/alarm", "--from", "-5m", "--csv"])
        }
        #expect(alarm.output.contains { $0.lowercased().contains("true") }, "\(alarm)")
        gateway.signal(SIGTERM)
        #expect(try await gateway.waitForExit(within: .seconds(60)) == 0)

        let trail = try await TestSite.command(["audit", "verify", site])
        #expect(trail.status == 0, "\(trail)")
        let shown = try await TestSite.command(["audit", "show", site])
        let text = shown.output.joined(separator: "\n")
        #expect(text.contains("firewall wall") && text.contains("by at most 200.0 is allowed"), "\(text)")

        // What was learned passes, what was not does not, after a restart too.
        let strict = try document(folder, device: peer.port, port: port, newWrites: "block")
        gateway = try await started(strict, port)
        let seen = try await poll(port, "-a", "7", "-r", "100", "127.0.0.1", "300")
        #expect(seen.status == 0, "\(seen) \(gateway.errorText)")
        let unseen = try await poll(port, "-a", "7", "-r", "105", "127.0.0.1", "1")
        #expect(unseen.status != 0 && unseen.text.contains("Illegal data address"), "\(unseen)")
        #expect(try await peer.command("get holding 105") == "105")
        await gateway.stop()
        await peer.stop()
    }

    @Test("a foreign RTU client on a serial line reads and writes through the firewall, and keeps the rules of the tags")
    func serialClient() async throws {
        let folder = try TemporaryFolder()
        let peer = try await WritablePeer()
        let (socat, ours, theirs) = try await serialLine()
        let site = try document(folder, device: peer.port, port: 1, newWrites: "allow")
        let text = try String(contentsOfFile: site, encoding: .utf8)
            .replacing("port: 1\n", with: "serial: {port: \(ours), baudRate: 19200, parity: none}\n")
            .replacing("client: 127.0.0.0/8, ", with: "")
            .replacing(
                "access: readWrite}\n",
                with: "access: readWrite, write: {interlock: \"this.gate == 102\"}}\n"
                    + "    - {name: gate, address: \"holding:102\", type: uint16}\n"
                    + "    - {name: mode, address: \"holding:104\", type: uint16, access: readWrite, limits: {writesPerMinute: 1}}\n")
        try text.write(toFile: site, atomically: true, encoding: .utf8)
        func ask(_ arguments: String...) async throws -> (status: Int32, text: String) {
            let process = try ForeignProcess(
                "mbpoll", ["-m", "rtu", "-b", "19200", "-P", "none", "-a", "7", "-0", "-1", "-o", "5", "-q"] + arguments)
            let status = try await process.waitForExit(within: .seconds(60))
            try await process.drained()
            return (status, process.allLines.joined(separator: "\n") + process.errorText)
        }
        let gateway = try ForeignProcess(TestSite.program, ["run", site])
        var flow = try await ask("-r", "101", "-c", "1", theirs)
        for _ in 0..<20 where flow.status != 0 { flow = try await ask("-r", "101", "-c", "1", theirs) }
        #expect(flow.status == 0 && flow.text.contains("101"), "\(flow) \(gateway.errorText)")
        let write = try await ask("-r", "100", theirs, "250")
        #expect(write.status == 0, "\(write)")
        #expect(try await peer.command("get holding 100") == "250")
        let step = try await ask("-r", "100", theirs, "600")
        #expect(step.status != 0 && step.text.contains("Illegal data value"), "\(step)")
        #expect(try await ask("-r", "104", theirs, "1").status == 0)
        let often = try await ask("-r", "104", theirs, "2")
        #expect(often.status != 0 && often.text.lowercased().contains("busy"), "\(often)")
        // Two values are function 16, of which no rule speaks; and none speaks of register 110.
        let several = try await ask("-r", "104", theirs, "3", "4")
        #expect(several.status != 0 && several.text.contains("Illegal function"), "\(several)")
        let outside = try await ask("-r", "110", theirs, "1")
        #expect(outside.status != 0 && outside.text.contains("Illegal data address"), "\(outside)")
        _ = try await peer.command("set holding 102 7")
        let locked = try await ask("-r", "100", theirs, "260")
        #expect(locked.status != 0 && locked.text.lowercased().contains("busy"), "\(locked)")
        #expect(try await peer.command("get holding 100") == "250")
        #expect(try await peer.command("get holding 104") == "1")
        gateway.signal(SIGTERM)
        #expect(try await gateway.waitForExit(within: .seconds(60)) == 0)
        let shown = try await TestSite.command(["audit", "show", site])
        let trail = shown.output.joined(separator: "\n")
        #expect(trail.contains("serial line") && trail.contains("interlock of pump-1.speed"), "\(trail)")
        await socat.stop()
        await peer.stop()
    }
}
