import Definitions
import Foundation
import Telemetry
import TestKit
import Testing

@testable import Gateway
@testable import GatewayCore

@Suite("Plans of a site", .serialized)
struct SitePlanTests {
    private func site(_ folder: TemporaryFolder, _ devices: [String], groups: String = "fast: 100ms, slow: 10s", tags: [String]) throws
        -> Site
    {
        let path = folder.path + "/site.yaml"
        try """
        apiVersion: edge.indusedge.io/v1
        kind: ProtocolDefinition
        metadata: {name: meter, version: 1.0.0}
        spec:
          protocol: modbus
          scanGroups: {\(groups)}
          tags:
        \(tags.map { "    - {\($0)}" }.joined(separator: "\n"))
        ---
        apiVersion: edge.indusedge.io/v1
        kind: Site
        metadata: {name: plant}
        spec:
          log: {path: data, diskLimit: 64MiB}
          scoring: {enabled: false}
          devices:
        \(devices.map { "    - {definition: meter, \($0)}" }.joined(separator: "\n"))

        """.write(toFile: path, atomically: true, encoding: .utf8)
        let loaded = ConfigurationLoader().load(files: [path], environment: [:])
        return try #require(loaded.site, "\(loaded.diagnostics)")
    }

    private let threeTags = [
        "name: a, address: \"holding:40\", type: int16", "name: b, address: \"holding:42\", type: uint32",
        "name: c, address: \"holding:50\", type: uint16", "name: d, address: \"coil:3\", type: bool, scanGroup: slow",
    ]

    @Test("requests, bytes, registers read in vain, time and share of the line are those one can work out by hand")
    func figures() throws {
        let folder = try TemporaryFolder()
        let plan = SitePlan(
            try site(
                folder,
                ["name: one, connection: {modbusTCP: {host: h}}", "name: two, connection: {modbusRTU: {port: /dev/ttyX, baudRate: 9600}}"],
                tags: threeTags))
        let fast = try #require(plan.lines.first?.devices.first?.groups.first)
        #expect(plan.lines.count == 2 && plan.problems.isEmpty)
        #expect(fast.requests.map { [$0.start, $0.count, $0.tags, $0.inVain] } == [[40, 11, 3, 7]])
        #expect(fast.bytes == 12 + 9 + 22)
        let slow = try #require(plan.lines.last?.devices.first?.groups.last)
        #expect(slow.requests.map(\.table) == ["coil"] && slow.bytes == 8 + 5 + 1)
        // 13 bytes of frames, two silences of 3.5 and an eighth of a byte, 11 bits each at 9,600 baud, and the turnaround.
        #expect(abs(slow.predictedSeconds - (20.125 * 11 / 9600 + 0.010)) < 1e-6)
        let busy = plan.lines[1].devices[0].groups.reduce(0) { $0 + $1.predictedSeconds / $1.periodSeconds }
        #expect(abs(plan.lines[1].utilisation - busy) < 1e-9)
    }

    @Test("groups that cannot make their period are named with the reason: too long themselves, kept out by another, or too many together")
    func problems() throws {
        let folder = try TemporaryFolder()
        let many = (0..<200).map { "name: t\($0), address: \"holding:\($0)\", type: uint16, scanGroup: slow" }
        let line = "connection: {modbusRTU: {port: /dev/ttyX, baudRate: 9600, unit: "
        let blocked = SitePlan(
            try site(folder, ["name: m, \(line)1}}"], tags: ["name: a, address: \"input:0\", type: uint16"] + many))
        #expect(blocked.problems.map(\.group) == ["fast"])
        #expect(blocked.problems.first?.message.contains("group slow of device m keeps line /dev/ttyX @ 9600 Bd busy") == true)
        let long = SitePlan(try site(folder, ["name: m, \(line)1}}"], groups: "slow: 100ms", tags: many))
        #expect(long.problems.map(\.group) == ["slow"])
        #expect(long.problems.first?.message.hasSuffix("but its period is 100 ms") == true, "\(long.problems)")
        let crowded = SitePlan(
            try site(
                folder, (1...5).map { "name: m\($0), \(line)\($0)}}" }, groups: "fast: 100ms",
                tags: ["name: a, address: \"input:0\", type: uint16"]))
        #expect(crowded.problems.map(\.device) == ["m1", "m2", "m3", "m4", "m5"])
        #expect(crowded.lines.first.map { $0.utilisation > 1 } == true)
    }

    @Test("a running gateway leaves what it learned, and the next plan uses it; a damaged, foreign or huge file is as good as none")
    func learned() async throws {
        let folder = try TemporaryFolder()
        let peer = try await ModbusMapPeer(registers: (0..<60).filter { $0 != 45 })
        let site = try site(
            folder, ["name: one, connection: {modbusTCP: {host: 127.0.0.1, port: \(peer.port)}}"], groups: "fast: 10ms",
            tags: ["name: a, address: \"holding:40\", type: int16", "name: b, address: \"holding:50\", type: uint16"])
        let before = SitePlan(site)
        #expect(before.lines[0].devices[0].groups[0].requests.count == 1 && !before.lines[0].devices[0].isMeasured)
        let service = GatewayService(site: site, version: "test", time: SystemTime(), logger: LogRecorder().logger)
        let task = Task { try await service.run() }
        var polled = 0
        while polled < 300 {
            try await Task.sleep(for: .milliseconds(20))
            polled += try await peer.count().read
        }
        task.cancel()
        _ = await task.result
        let after = SitePlan(site)
        let group = after.lines[0].devices[0].groups[0]
        #expect(group.requests.map { [$0.start, $0.count] } == [[40, 1], [50, 1]])
        #expect(after.lines[0].devices[0].isMeasured && group.achievedMeanSeconds != nil)

        let file = URL(fileURLWithPath: site.log.path).appendingPathComponent(PlanStore.fileName)
        let kept = try Data(contentsOf: file)
        for damage in [
            Data(), Data("{".utf8), kept.prefix(kept.count / 2),
            Data(String(decoding: kept, as: UTF8.self).replacing("\"version\":1", with: "\"version\":2").utf8),
            Data(String(decoding: kept, as: UTF8.self).replacing("\"failures\":", with: "\"failures\":-").utf8),
            Data(count: PlanStore.bytesMax + 1),
        ] {
            try damage.write(to: file)
            #expect(PlanStore(folder: site.log.path).load().isEmpty)
        }
        var renamed = site
        try kept.write(to: file)
        renamed.devices[0].definition.version = "2.0.0"
        #expect(!SitePlan(renamed).lines[0].devices[0].isMeasured)
    }

    @Test("poll times are samples like any other")
    func samples() async throws {
        let folder = try TemporaryFolder()
        let log = MemoryLog()
        let time = ManualTime()
        let monitor = PlanMonitor()
        let service = PlanningService(
            log: log, time: time, store: PlanStore(folder: folder.path), logger: LogRecorder().logger
        ) { [.init(device: "plc", key: "plc", groups: ["fast", "slow"], monitor: monitor)] }
        monitor.planned(stream: StreamID(rawValue: 9), group: "fast", requests: 3, predictedSeconds: 2e-3)
        for index in 1...100 { monitor.polled(stream: StreamID(rawValue: 9), seconds: Double(index) * 1e-3) }
        let task = Task { try await service.run() }
        while time.sleeperCount == 0 { await Task.yield() }
        time.advance(by: PlanningService.period)
        while log.batches.isEmpty { await Task.yield() }
        task.cancel()
        _ = await task.result
        let batch = try #require(log.batches.first)
        let descriptor = PlanningService.descriptor(device: "plc", groups: ["fast", "slow"])
        let values = descriptor.tags.indices.map { batch.value(of: $0, in: descriptor)?.value?.number }
        #expect(values[0] == 3 && values[1] == 2)
        #expect(abs((values[3] ?? 0) - 95) < 1e-3)
        #expect(abs((values[2] ?? 0) - 50.5) < 1e-3)
        #expect((4..<8).allSatisfy { batch.status(of: $0) == .badWaitingForInitialData })
    }
}
