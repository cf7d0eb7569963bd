import GatewayCore
import TestKit
import Testing

@testable import Acquisition

@Suite("Device machine")
struct DeviceMachineTests {
    private func at(_ milliseconds: Int64) -> MonotonicInstant { MonotonicInstant(nanoseconds: milliseconds * 1_000_000) }

    private func machine() -> DeviceMachine {
        DeviceMachine(
            schedule: ScanSchedule(groups: [(period: .milliseconds(100), phase: .zero)], start: at(0)),
            backoff: Backoff(initial: .milliseconds(200), maximum: .seconds(1)))
    }

    @Test("connect, poll, sleep until the next deadline")
    func normal() {
        var machine = machine()
        #expect(machine.next(at: at(0)) == .connect)
        machine.didConnect()
        #expect(machine.next(at: at(0)) == .poll(group: 0))
        machine.didPoll()
        #expect(machine.next(at: at(1)) == .sleep(until: at(100)))
        #expect(machine.next(at: at(100)) == .poll(group: 0))
    }

    @Test("without a connection, tags are reported unavailable on their deadlines until the next attempt, for ever and boundedly apart")
    func outage() {
        var machine = machine()
        var generator = SeededGenerator(seed: 7)
        #expect(machine.next(at: at(0)) == .connect)
        var now: Int64 = 0
        for attempt in 1...20 {
            let delay = machine.didFail(at: at(now), using: &generator)
            #expect(delay >= .milliseconds(100) && delay <= .seconds(1))
            #expect(machine.retryCount == attempt)
            var reports = 0
            loop: while true {
                switch machine.next(at: at(now)) {
                case .reportUnavailable: reports += 1
                case .sleep(let until):
                    now = max(now, until.nanoseconds / 1_000_000)
                    if at(now) < until { now += 1 }
                case .connect: break loop
                case .poll: Issue.record("polled without a connection")
                }
            }
            #expect(reports >= 1)
        }
        // Only a poll that went well ends the backoff: a server that accepts and hangs up is not stormed.
        machine.didConnect()
        #expect(machine.retryCount == 20)
        machine.didPoll()
        #expect(machine.retryCount == 0)
    }
}
