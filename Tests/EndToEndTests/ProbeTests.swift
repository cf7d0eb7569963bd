import Foundation
import TestKit
import Testing

@Suite("Probe", .serialized)
struct ProbeTests {
    @Test("scenario 21: a device that nothing is known of is probed, and its draft reads it in the right order")
    func meter() async throws {
        let meter = try ForeignProcess(Checkout.python, [Checkout.peer("modbus_types.py"), "--alive"])
        let port = try await meter.line { $0.hasPrefix("READY") }.dropFirst(6)
        let folder = try TemporaryFolder()
        let path = folder.path + "/draft.yaml"
        let probed = try await TestSite.command([
            "probe", "127.0.0.1:\(port)", "--last", "499", "--rate", "1000", "--readings", "24", "--every", "0", "--output", path,
        ])
        #expect(probed.status == 0, "\(probed.errors)")
        // It says beforehand what it asks, and afterwards what it found.
        #expect(probed.errors.contains("functions that only read: 03 (holding), 04 (input), 01 (coil), 02 (discrete) and 43/14"))
        #expect(probed.errors.contains("the device calls itself ACME, PM-3000, 1.7"), "\(probed.errors)")
        #expect(probed.errors.contains("holding: 0…41, 300…307"), "\(probed.errors)")
        let draft = try String(contentsOfFile: path, encoding: .utf8)
        #expect(draft.hasPrefix("# DRAFT") && draft.contains("byteOrder: CDAB"), "\(draft)")
        let truth = meter.allLines.filter { $0.hasPrefix("TRUTH ") }.map { $0.split(separator: " ") }
        #expect(truth.count == 10)
        for words in truth {
            #expect(draft.contains("address: \"\(words[1])\", type: \(words[2])"), "\(words) is missing in\n\(draft)")
        }
        let checked = try await TestSite.command(["check", path])
        #expect(checked.status == 0, "\(checked.output) \(checked.errors)")
        // A second probe does not overwrite what somebody may have worked on.
        let again = try await TestSite.command(["probe", "127.0.0.1:\(port)", "--dry-run", "--output", path])
        #expect(again.status == 0 && again.output.isEmpty)
        let refused = try await TestSite.command(["probe", "127.0.0.1:\(port)", "--last", "10", "--output", path])
        #expect(refused.status == 1 && refused.errors.contains("exists already"), "\(refused.errors)")
        await meter.stop()
    }

    @Test("nobody there, nonsense as arguments: told in one line")
    func wrong() async throws {
        let gone = try await TestSite.command(["probe", "127.0.0.1:1"])
        #expect(gone.status == 1 && gone.errors.contains("nothing listens at 127.0.0.1:1"), "\(gone.errors)")
        for arguments in [
            [], ["a:b"], ["a", "--serial", "/dev/ttyS9"], ["a", "--areas", "holdings"], ["a", "--first", "9", "--last", "3"],
        ] {
            let refused = try await TestSite.command(["probe"] + arguments)
            #expect(refused.status == 64, "\(arguments): \(refused.status) \(refused.errors)")
        }
    }

    @Test("labels and reasons are shown by read and tail")
    func labels() async throws {
        let site = try await TestSite()
        let device = try await ModbusPeer()
        try await device.command("set holding 10 2 32768")
        let document = try site.write([
            .init(
                name: "plc", port: device.port,
                tags: [
                    "name: mode, address: \"holding:10\", type: uint16, labels: {0: off, 2: automatic}",
                    "name: outside, address: \"holding:11\", type: int16, notAvailable: 0x8000",
                ])
        ])
        let read = try await TestSite.command(["read", document, "plc"])
        #expect(read.status == 1)
        #expect(read.output.contains { $0.contains("mode") && $0.contains("2 (automatic)") && $0.contains("Good") }, "\(read.output)")
        #expect(
            read.output.contains { $0.contains("outside") && $0.contains("BadNoData") && $0.contains("not available (0x8000)") },
            "\(read.output)")
        let json = try await TestSite.command(["read", document, "plc.mode", "--json"])
        #expect(json.output.first?.contains("\"label\":\"automatic\"") == true, "\(json.output)")
        await device.stop()
    }
}
