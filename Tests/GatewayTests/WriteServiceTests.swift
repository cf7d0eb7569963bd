import AuditTrail
import Definitions
import Foundation
import GatewayCore
import Interlock
import Logging
import ModbusAdapter
import Telemetry
import TestKit
import Testing

@testable import Gateway

#if canImport(Glibc)
    import Glibc
#endif

/// A site with one writable device behind a foreign server, and the service that writes to it.
private struct Bench {
    let folder: TemporaryFolder
    let peer: WritablePeer
    let adapter: ModbusAdapter
    let time: ManualTime
    let service: WriteService
    let recorder = LogRecorder()

    static let tags = """
              - {name: speed, address: "holding:100", type: uint16, scale: 0.1, access: readWrite, limits: {min: 0, max: 50, maxStep: 5}, unit: Hz}
              - {name: slow, address: "holding:200", type: uint16, access: readWrite, write: {minInterval: 10s}}
              - {name: valve, address: "coil:4", type: bool, access: readWrite, write: {interlock: "this.speed < 12 && other.level <= 300"}}
              - {name: critical, address: "holding:300", type: int32, access: readWrite, write: {confirm: twoStep}}
              - {name: label, address: "holding:400", type: string, length: 8, access: readWrite}
              - {name: bit, address: "holding:500.2", type: bool, access: readWrite}
              - {name: fixed, address: "holding:600", type: uint16}
              - {name: level, address: "holding:310", type: uint16}
        """

    init(writes: String = "allowed", changing: (String, String)? = nil) async throws {
        folder = try TemporaryFolder()
        peer = try await WritablePeer()
        time = ManualTime()
        var text = """
            apiVersion: edge.indusedge.io/v1
            kind: ProtocolDefinition
            metadata: {name: pump, version: 1.0.0}
            spec:
              protocol: modbus
              scanGroups: {fast: 1s}
              tags:
            \(Bench.tags)
            ---
            apiVersion: edge.indusedge.io/v1
            kind: Site
            metadata: {name: plant}
            spec:
              writes: \(writes)
              devices:
                - {name: pump, definition: pump, connection: {modbusTCP: {host: 127.0.0.1, port: \(peer.port)}}}
                - {name: other, definition: pump, connection: {modbusTCP: {host: 127.0.0.1, port: \(peer.port)}}}
            """
        if let changing { text = text.replacingOccurrences(of: changing.0, with: changing.1) }
        let path = folder.path + "/site.yaml"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        let loaded = ConfigurationLoader().load(files: [path], environment: [:])
        let site = try #require(loaded.site, "\(loaded.diagnostics)")
        #expect(!loaded.hasErrors, "\(loaded.diagnostics)")
        adapter = ModbusAdapter(
            name: "pump", line: ModbusLine(.tcp(host: "127.0.0.1", port: peer.port), responseTimeout: .milliseconds(300)), unit: 1)
        try await adapter.connect()
        service = WriteService(
            site: site, adapters: ["pump": adapter, "other": adapter], folder: folder.path + "/audit", time: time, logger: recorder.logger)
    }

    /// Submits, and lets the time pass that the service waits for.
    func write(_ target: String, _ value: String, dry: Bool = false, token: String? = nil, who: String = "ann") async throws -> WriteOutcome
    {
        let reference = try #require(TagReference(target))
        let request = WriteRequest(who: who, from: "test", target: reference, value: .text(value), isDryRun: dry, token: token)
        return await outcome(of: request)
    }

    func outcome(of request: WriteRequest) async -> WriteOutcome {
        async let outcome = service.submit(request)
        let clock = Task {
            while !Task.isCancelled {
                time.advance(by: .milliseconds(5))
                try? await Task.sleep(for: .milliseconds(1))
            }
        }
        let result = await outcome
        clock.cancel()
        await clock.value
        return result
    }

    func records() throws -> [AuditRecord] {
        let found = try AuditVerification(folder: folder.path + "/audit", keeping: 1000)
        #expect(found.isWhole, "\(String(describing: found.firstBreak))")
        return Array(found.records.dropFirst())
    }

    func register(_ number: Int) async throws -> String { try await peer.command("get holding \(number)") }

    func stop() async {
        await adapter.disconnect()
        await peer.stop()
    }
}

/// Takes connections and never says a word.
private final class SilentServer {
    let port: UInt16
    private let descriptor: Int32

    init() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let made = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, size) == 0 && listen(listener, 8) == 0 && getsockname(listener, address, &size) == 0
            }
        }
        descriptor = listener
        port = UInt16(bigEndian: address.sin_port)
        try #require(made)
    }

    deinit { close(descriptor) }
}

@Suite struct WriteServiceTests {
    @Test func `a write changes the device, is read back, and stands in the trail before and after`() async throws {
        let bench = try await Bench()
        let outcome = try await bench.write("pump.speed", "12.34")
        #expect(outcome.result == .done && outcome.value == "12.3" && outcome.old == "10.0" && outcome.readBack == "12.3", "\(outcome)")
        #expect(try await bench.register(100) == "123")
        let records = try bench.records()
        try #require(records.map(\.kind) == [.intent, .outcome])
        #expect(records.map(\.trace) == [outcome.trace, outcome.trace])
        #expect(records[1].outcome == "done" && records[1].old == "10.0" && records[1].wanted == "12.3" && records[1].who == "ann")
        #expect(outcome.auditHead.flatMap { AuditHead($0) }?.number == 3)
        for (tag, value, address, register) in [("label", "AB", 400, "16706"), ("bit", "true", 500, "500"), ("slow", "7", 200, "7")] {
            let outcome = try await bench.write("pump.\(tag)", value)
            #expect(outcome.result == .done, "\(outcome)")
            #expect(try await bench.register(address) == register)
        }
        #expect(try await bench.peer.command("writes") == "4 6 16 22 6")
        await bench.stop()
    }

    @Test func `what is refused never reaches the device, and stands in the trail with its reason`() async throws {
        let bench = try await Bench()
        for (target, value, code, reason) in [
            ("pump.speed", "50.1", "limits", "above the upper limit, 50 Hz"), ("pump.speed", "-1", "invalid", "raw 0…65535"),
            ("pump.speed", "15.2", "step", "at most 5 Hz"), ("pump.speed", "fast", "invalid", "not a value of type uint16"),
            ("pump.speed", "nan", "invalid", "not a value"), ("pump.speed", "0x10", "invalid", "not a value"),
            ("pump.fixed", "1", "access", "readWrite"), ("pump.nothing", "1", "invalid", "no tag 'nothing'"),
            ("drum.speed", "1", "invalid", "no device 'drum'"), ("pump.valve", "true", "interlock", "other.level is 310"),
            ("pump.valve", "2", "invalid", "not a value of type bool"), ("pump.slow", "1.5", "invalid", "whole numbers"),
            ("pump.label", "much too long", "invalid", "at most 8"), ("pump.critical", "1", nil, "token"),
        ] as [(String, String, String?, String)] {
            let outcome = try await bench.write(target, value)
            #expect(outcome.code == code && outcome.reason.contains(reason), "\(outcome)")
            #expect(outcome.result == (code == nil ? .confirm : .refused))
        }
        #expect(try await bench.peer.command("writes") == "0")
        #expect(try await bench.register(100) == "100")
        let records = try bench.records()
        #expect(records.count == 14 && records.allSatisfy { $0.kind == .refused || $0.kind == .confirmationAsked })
        #expect(records.allSatisfy { $0.reason?.isEmpty == false && $0.who == "ann" })
        await bench.stop()
    }

    @Test func `a site that does not say so allows no write`() async throws {
        let bench = try await Bench(writes: "refused")
        #expect(try await bench.write("pump.speed", "11").code == "site")
        #expect(try await bench.peer.command("writes") == "0")
        await bench.stop()
    }

    @Test func `an interlock holds while its tags say so`() async throws {
        let bench = try await Bench()
        try await bench.peer.command("set holding 310 300")
        #expect(try await bench.write("pump.valve", "false").result == .done)
        #expect(try await bench.peer.command("get coil 4") == "0")
        try await bench.peer.command("set holding 100 120")
        let refused = try await bench.write("pump.valve", "true")
        #expect(refused.code == "interlock" && refused.reason.contains("pump.speed is 12.0"), "\(refused)")
        #expect(try await bench.peer.command("get coil 4") == "0")
        await bench.stop()
    }

    @Test func `a dry run judges and writes nothing`() async throws {
        let bench = try await Bench()
        let outcome = try await bench.write("pump.speed", "11", dry: true)
        #expect(outcome.result == .wouldWrite && outcome.old == "10.0")
        #expect(try await bench.write("pump.speed", "20", dry: true).code == "step")
        #expect(try await bench.peer.command("writes") == "0")
        #expect(try bench.records().map(\.kind) == [.dryRun, .refused])
        await bench.stop()
    }

    @Test func `the rate is kept by the service's clock`() async throws {
        let bench = try await Bench()
        #expect(try await bench.write("pump.slow", "1").result == .done)
        #expect(try await bench.write("pump.slow", "2").code == "rate")
        bench.time.advance(by: .seconds(10))
        #expect(try await bench.write("pump.slow", "3").result == .done)
        #expect(try await bench.register(200) == "3")
        await bench.stop()
    }

    @Test func `a critical tag is written by the second request only, and the token stands nowhere in the trail`() async throws {
        let bench = try await Bench()
        let first = try await bench.write("pump.critical", "77")
        let token = try #require(first.token)
        #expect(first.result == .confirm)
        #expect(try await bench.register(301) == "301")
        #expect(try await bench.write("pump.critical", "78", token: token).code == "confirmation")
        let again = try #require(try await bench.write("pump.critical", "77").token)
        #expect(try await bench.write("pump.critical", "77", token: again, who: "eve").code == "confirmation")
        let last = try #require(try await bench.write("pump.critical", "77").token)
        #expect(try await bench.write("pump.critical", "77", token: last).result == .done)
        #expect(try await bench.register(301) == "77")
        let files = try String(contentsOfFile: bench.folder.path + "/audit/00000001.audit", encoding: .utf8)
        #expect(![token, again, last].contains { files.contains($0) })
        #expect(!bench.recorder.lines.contains { "\($0)".contains(last) })
        await bench.stop()
    }

    @Test func `a device that takes writes and ignores them is found out`() async throws {
        let bench = try await Bench()
        try await bench.peer.command("ignore")
        let outcome = try await bench.write("pump.speed", "12")
        #expect(outcome.result == .mismatch && outcome.readBack == "10.0", "\(outcome)")
        #expect(outcome.reason == "the device shows 10.0, 12.0 was written")
        #expect(try bench.records().last?.outcome == "mismatch")
        #expect(bench.recorder.lines.contains { $0.level == .warning })
        await bench.stop()
    }

    @Test func `an answer that does not come is settled by reading back`() async throws {
        let bench = try await Bench()
        try await bench.peer.command("drop")
        let outcome = try await bench.write("pump.speed", "12")
        #expect(outcome.result == .done && outcome.reason.contains("BadTimeout"), "\(outcome)")
        #expect(try await bench.peer.command("writes") == "1 6", "a write is never sent twice")
        await bench.stop()
    }

    @Test func `a device that is gone is told, and nothing is claimed`() async throws {
        let bench = try await Bench()
        await bench.peer.stop()
        let outcome = try await bench.write("pump.speed", "12")
        #expect(outcome.result == .refused && outcome.code == "unreadable", "\(outcome)")
        await bench.adapter.disconnect()
    }

    @Test func `an exception of the device is not written, and named`() async throws {
        let bench = try await Bench()
        try await bench.peer.command("mask")
        let outcome = try await bench.write("pump.bit", "false")
        #expect(outcome.result == .failed && outcome.reason.contains("readModifyWrite"), "\(outcome)")
        #expect(try await bench.register(500) == "500")
        await bench.stop()
    }

    @Test func `without a trail nothing is written`() async throws {
        let bench = try await Bench()
        try "in the way".write(toFile: bench.folder.path + "/audit", atomically: true, encoding: .utf8)
        let outcome = try await bench.write("pump.speed", "11")
        #expect(outcome.result == .refused && outcome.code == "audit", "\(outcome)")
        #expect(try await bench.peer.command("writes") == "0")
        try FileManager.default.removeItem(atPath: bench.folder.path + "/audit")
        #expect(try await bench.write("pump.speed", "11").result == .done)
        await bench.stop()
    }

    @Test func `many at once are carried out one after the other, and too many are refused`() async throws {
        let bench = try await Bench(changing: ("max: 50, maxStep: 5", "max: 50"))
        let target = try #require(TagReference("pump.speed"))
        let outcomes = await withTaskGroup(of: WriteOutcome.self) { group in
            for index in 0..<60 {
                group.addTask {
                    await bench.outcome(of: WriteRequest(who: "ann", from: "test", target: target, value: .text("\(index % 50)")))
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        let done = outcomes.filter { $0.result == .done }
        #expect(done.count >= WriteService.waitingPerDeviceMax && outcomes.allSatisfy { $0.result == .done || $0.code == "busy" })
        let records = try bench.records().filter { $0.kind == .intent || $0.kind == .outcome }
        for pair in stride(from: 0, to: records.count - 1, by: 2) { #expect(records[pair].trace == records[pair + 1].trace) }
        #expect(records.count == 2 * done.count)
        await bench.stop()
    }

    @Test func `scenario 10: a device that does not answer holds up no write to another, and takes no other's place`() async throws {
        let bench = try await Bench()
        let silent = try SilentServer()
        let mute = ModbusAdapter(
            name: "other", line: ModbusLine(.tcp(host: "127.0.0.1", port: silent.port), responseTimeout: .milliseconds(500)), unit: 1)
        try await mute.connect()
        let site = try #require(ConfigurationLoader().load(files: [bench.folder.path + "/site.yaml"], environment: [:]).site)
        await bench.service.adopt(site: site, adapters: ["pump": bench.adapter, "other": mute])
        let stuck = try #require(TagReference("other.slow"))
        let order = await withTaskGroup(of: WriteOutcome.self) { group in
            for _ in 0..<20 {
                group.addTask { await bench.service.submit(WriteRequest(who: "ann", from: "test", target: stuck, value: .text("1"))) }
            }
            group.addTask { (try? await bench.write("pump.speed", "11")) ?? WriteOutcome(.unknown, target: "", trace: "") }
            return await group.reduce(into: [WriteOutcome]()) { $0.append($1) }
        }
        let place = try #require(order.firstIndex { $0.target == "pump.speed" })
        #expect(order[place].result == .done, "\(order[place])")
        #expect(order[..<place].count { $0.code == "unreadable" } < WriteService.waitingPerDeviceMax, "it did not wait for the silent ones")
        #expect(order.count { $0.code == "unreadable" } == WriteService.waitingPerDeviceMax)
        #expect(order.count { $0.code == "busy" } == 20 - WriteService.waitingPerDeviceMax)
        await mute.disconnect()
        await bench.stop()
    }

    @Test func `a changed site is judged by its new rules`() async throws {
        let bench = try await Bench()
        let path = bench.folder.path + "/site.yaml"
        let text = try String(contentsOfFile: path, encoding: .utf8).replacingOccurrences(of: "max: 50", with: "max: 11")
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        let site = try #require(ConfigurationLoader().load(files: [path], environment: [:]).site)
        await bench.service.adopt(site: site, adapters: ["pump": bench.adapter])
        #expect(try await bench.write("pump.speed", "12").code == "limits")
        #expect(try await bench.write("pump.speed", "11").result == .done)
        await bench.stop()
    }

    @Test func `somebody who is refused again and again fills neither trail nor log, and every refusal is counted`() async throws {
        let bench = try await Bench()
        for _ in 0..<60 { #expect(await bench.service.submit(refused).result == .refused) }
        #expect(try bench.records().count == WriteService.toldAtOnce)
        // A write that is not refused is recorded all the same, and what was left out is told later.
        #expect(try await bench.write("pump.speed", "12").result == .done)
        #expect(try bench.records().count == WriteService.toldAtOnce + 2)
        bench.time.advance(by: .seconds(1))
        #expect(await bench.service.submit(refused).result == .refused)
        let last = try #require(try bench.records().last)
        #expect(last.kind == .refused && last.reason?.hasSuffix("(40 refusals before it were only counted)") == true, "\(last)")
        await bench.stop()
    }

    private var refused: WriteRequest {
        WriteRequest(who: "eve", from: "test", target: TagReference(device: "pump", tag: "fixed"), value: .text("1"))
    }

    @Test func `one raw step more or less agrees, more does not`() {
        let tenth = Telemetry.Tag("t", .int16, scaling: Scaling(scale: 0.1))
        #expect(WriteService.agrees(.double(10.1), .double(10), tenth) && !WriteService.agrees(.double(10.2), .double(10), tenth))
        let plain = Telemetry.Tag("t", .int16)
        #expect(WriteService.agrees(.int(5), .int(5), plain) && !WriteService.agrees(.int(6), .int(5), plain))
        let float = Telemetry.Tag("t", .float32)
        #expect(WriteService.agrees(.float(0.1), .double(0.1), float) && !WriteService.agrees(.float(0.1001), .float(0.1), float))
        #expect(!WriteService.agrees(.bool(true), .bool(false), Telemetry.Tag("t", .bool)))
        #expect(!WriteService.agrees(.string("a"), .string("b"), Telemetry.Tag("t", .string, stringCapacity: 2)))
    }
}
