import Telemetry
import Testing

@testable import PlantSimulation

@Suite struct FaultScriptTests {
    @Test func readsLinesTimesAndComments() throws {
        let script = try FaultScript(
            parsing: """
                # the pump first
                10s feed-pump bearingWear 0..1 over 60s

                1.5m air-compressor valveLeak 0.2..0.7 over 1h   # then the compressor
                0s cnc-spindle coolantLoss 1..1
                """)
        #expect(
            script.faults == [
                ScriptedFault(machine: .feedPump, kind: .bearingWear, start: 10, duration: 60, from: 0, to: 1),
                ScriptedFault(machine: .airCompressor, kind: .valveLeak, start: 90, duration: 3600, from: 0.2, to: 0.7),
                ScriptedFault(machine: .cncSpindle, kind: .coolantLoss, start: 0, duration: 0, from: 1, to: 1),
            ])
        #expect(script.faults(of: .airCompressor).map(\.kind) == [.valveLeak])
        #expect(try FaultScript(parsing: "").faults.isEmpty)
        #expect(try FaultScript(parsing: "1s feed-pump cavitation 0..1\r\n2s feed-pump cavitation 1..0").faults.count == 2)
    }

    @Test(arguments: [
        ("10s feed-pump bearingWear", "3 words"),
        ("10s feed-pump bearingWear 0..1 over", "5 words"),
        ("10 feed-pump bearingWear 0..1", "\"10\", allowed is a number with s, m or h"),
        ("-1s feed-pump bearingWear 0..1", "the start is \"-1s\""),
        ("nans feed-pump bearingWear 0..1", "the start is \"nans\""),
        ("infs feed-pump bearingWear 0..1", "the start is \"infs\""),
        ("10s pump bearingWear 0..1", "allowed are feed-pump, cnc-spindle, air-compressor"),
        ("10s feed-pump oilLoss 0..1", "allowed for feed-pump are bearingWear, cavitation"),
        ("10s feed-pump bearingWear 0..2", "the severity is \"0..2\""),
        ("10s feed-pump bearingWear 0-1", "two numbers from 0 to 1"),
        ("10s feed-pump bearingWear ..", "the severity is \"..\""),
        ("10s feed-pump bearingWear 0..1 in 5s", "allowed is \"over\""),
        ("10s feed-pump bearingWear 0..1 over five", "the duration is \"five\""),
    ])
    func saysWhatIsWrongAndWhere(line: String, message: String) {
        let error = #expect(throws: GatewayError.self) { try FaultScript(parsing: "# first line\n" + line) }
        #expect(error?.code == .configurationInvalid)
        #expect(error?.resource == "fault script, line 2")
        #expect(error?.message.contains(message) == true, "\(error?.message ?? "no error")")
    }

    @Test func refusesScriptsThatAreTooLong() {
        let error = #expect(throws: GatewayError.self) {
            try FaultScript(parsing: String(repeating: "#", count: FaultScript.lengthMax + 1))
        }
        #expect(error?.code == .limitExceeded)
    }

    @Test func severityFollowsTheLineThatStartedLast() {
        let faults = [
            ScriptedFault(machine: .feedPump, kind: .bearingWear, start: 10, duration: 20, from: 0, to: 0.8),
            ScriptedFault(machine: .feedPump, kind: .bearingWear, start: 50, duration: 0, from: 0.8, to: 0),
            ScriptedFault(machine: .feedPump, kind: .cavitation, start: 0, duration: 0, from: 0, to: 1),
        ]
        #expect(faults.severity(of: .bearingWear, at: 9.9) == 0)
        #expect(faults.severity(of: .bearingWear, at: 20) == 0.4)
        #expect(faults.severity(of: .bearingWear, at: 49) == 0.8)
        #expect(faults.severity(of: .bearingWear, at: 50) == 0)
        #expect(faults.severity(of: .cavitation, at: 0) == 1)
    }
}
