import Foundation
import TestKit
import Testing

@Suite("From the device to the database", .serialized)
struct CyclesTests {
    private func python(_ arguments: [String], within patience: Duration) async throws -> (status: Int32, lines: [String], errors: String) {
        let process = try ForeignProcess(Checkout.python, arguments)
        let status = try await process.waitForExit(within: patience)
        try await process.drained()
        return (status, process.lines, process.errorText)
    }

    @Test("the checker finds each kind of damage")
    func checker() async throws {
        let result = try await python([Checkout.root.appendingPathComponent("Tests/Cycles/checker_test.py").path], within: .seconds(60))
        #expect(result.status == 0, "\(result.errors)")
    }

    @Test(
        "scenarios 02, 07 and 08: each sample is in the database once and in order, whatever broke on its way",
        .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/victoria-metrics"), "victoria-metrics is not installed"))
    func cycles() async throws {
        let seed = seedOfThisRun() % 1_000_000
        let result = try await python(
            [
                Checkout.root.appendingPathComponent("Tests/Cycles/cycles.py").path, "--indusedge", TestSite.program, "--cycles", "4",
                "--seed", String(seed), "--clusters", "2",
                "--kinds", "gatewayKill,cableCut,halfOpen,brokerKill,receiverKill,connectionReset,databaseStop",
            ], within: .seconds(240))
        #expect(result.status == 0, "\(result.lines.joined(separator: "\n")) \(result.errors)")
        let summary = try #require(result.lines.first { $0.hasPrefix("{") })
        let values = try #require(try JSONSerialization.jsonObject(with: Data(summary.utf8)) as? [String: Any])
        #expect(values["cycles"] as? Int == 4 && values["lost"] as? Int == 0 && (values["delivered"] as? Int ?? 0) > 50, "\(summary)")
    }
}
