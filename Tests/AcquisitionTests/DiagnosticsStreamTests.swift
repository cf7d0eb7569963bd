import GatewayCore
import Telemetry
import Testing

@testable import Acquisition

@Suite("Diagnostics of a device")
struct DiagnosticsStreamTests {
    private func transition(_ number: Int, to state: DeviceStatus.Connection) -> DeviceTransition {
        DeviceTransition(time: Timestamp(milliseconds: Int64(number)), from: .online, to: state, reason: "reason \(number)")
    }

    @Test("state and counters have a tag each; only a device that answers is online")
    func batch() {
        var status = DeviceStatus()
        status.unavailablePolls = 7
        status.retries = 3
        status.probes = 5
        status.silence = .milliseconds(2500)
        status.reason = "no answer in time"
        status.strayReplies = StrayReplies(late: 11, duplicate: 12, invalid: 13)
        let descriptor = DiagnosticsStream.descriptor(device: "d")
        func value(_ name: String) -> Variant? {
            let batch = DiagnosticsStream.batch(
                status, stream: StreamID(rawValue: 1), descriptor: descriptor, at: ClockStamp(time: Timestamp(milliseconds: 1)))
            return descriptor.tags.firstIndex { $0.name == name }.flatMap { batch.value(of: $0, in: descriptor)?.value }
        }
        for state in [DeviceStatus.Connection.online, .degraded, .demoted, .waiting] {
            status.note(transition(1, to: state))
            status.connection = state
            #expect(value("online") == .bool(state == .online))
            #expect(value("state") == .string(state.rawValue))
        }
        #expect(value("lateReplies") == .uint(11) && value("duplicateReplies") == .uint(12) && value("invalidReplies") == .uint(13))
        status.connection = .probing
        #expect(value("online") == .bool(false) && value("state") == .string("waiting"), "an attempt does not count until it has worked")
        #expect(value("unavailablePolls") == .uint(7) && value("retries") == .uint(3) && value("probes") == .uint(5))
        #expect(value("silence") == .double(2.5) && value("transitions") == .uint(4) && value("reason") == .string("no answer in time"))
    }

    @Test("of many transitions the latest are kept")
    func bounded() {
        var status = DeviceStatus()
        for number in 0..<1000 { status.note(transition(number, to: number % 2 == 0 ? .degraded : .online)) }
        #expect(status.transitionCount == 1000 && status.transitions.count == DeviceStatus.transitionsMax)
        #expect(status.transitions.last?.reason == "reason 999" && status.lastingState == .online)
    }
}
