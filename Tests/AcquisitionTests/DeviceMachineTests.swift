import GatewayCore
import TestKit
import Testing

@testable import Acquisition

@Suite("Device machine")
struct DeviceMachineTests {
    private var generator = SeededGenerator(seed: 7)

    private func at(_ milliseconds: Int64) -> MonotonicInstant { MonotonicInstant(nanoseconds: milliseconds * 1_000_000) }

    private func machine(_ periods: [Int] = [100], demoteAfter: Int = 3) -> DeviceMachine {
        DeviceMachine(
            schedule: ScanSchedule(groups: periods.map { (period: .milliseconds($0), phase: .zero) }, start: at(0)),
            patience: DevicePatience(demoteAfter: demoteAfter, backoffInitial: .milliseconds(200), backoffMaximum: .seconds(1)))
    }

    private func online(_ machine: inout DeviceMachine) {
        machine.didConnect(at: at(0))
        machine.didAnswer(group: 0)
    }

    @Test("connect, poll, sleep until the next deadline; online means that it has answered")
    func normal() {
        var machine = machine()
        var action = machine.next(at: at(0))
        #expect(action == .connect)
        machine.didConnect(at: at(0))
        #expect(machine.state == .probing)
        action = machine.next(at: at(0))
        #expect(action == .poll(group: 0))
        machine.didAnswer(group: 0)
        #expect(machine.state == .online)
        action = machine.next(at: at(1))
        #expect(action == .sleep(until: at(100)))
        action = machine.next(at: at(100))
        #expect(action == .poll(group: 0))
    }

    @Test("without a connection, tags are reported unavailable on their deadlines until the next attempt")
    func outage() {
        var machine = machine()
        var action = machine.next(at: at(0))
        #expect(action == .connect)
        machine.didLoseConnection(until: at(250))
        var actions: [DeviceMachine.Action] = []
        for now in [0, 0, 100, 100, 200, 250] as [Int64] {
            action = machine.next(at: at(now))
            actions.append(action)
        }
        #expect(
            actions == [
                .reportUnavailable(group: 0), .sleep(until: at(100)), .reportUnavailable(group: 0), .sleep(until: at(200)),
                .reportUnavailable(group: 0), .connect,
            ])
    }

    @Test("a silent device is degraded, then demoted: it is reported, not polled, and probed when the line can bear it, until it answers")
    mutating func demotion() {
        var machine = machine()
        online(&machine)
        var verdict = machine.didStaySilent(group: 0, isOverdrawn: false, at: at(0))
        #expect(verdict == .tolerated)
        #expect(machine.state == .degraded(silentPolls: 1, probeAt: at(200)))
        verdict = machine.didStaySilent(group: 0, isOverdrawn: false, at: at(100))
        #expect(verdict == .tolerated)
        verdict = machine.didStaySilent(group: 0, isOverdrawn: false, at: at(200))
        #expect(verdict == .intolerable)
        machine.didDemote(at: at(200), using: &generator)
        guard case .demoted(let until, false) = machine.state else {
            Issue.record("\(machine.state)")
            return
        }
        #expect(until >= at(300) && until <= at(400))
        var action = machine.next(at: at(200))
        #expect(action == .reportUnavailable(group: 0))
        while machine.next(at: until) == .reportUnavailable(group: 0) {}
        action = machine.next(at: until)
        #expect(action == .reserveProbe)
        machine.didReserve(at(950))
        action = machine.next(at: at(400))
        #expect(action == .reportUnavailable(group: 0))
        while machine.next(at: at(950)) == .reportUnavailable(group: 0) {}
        #expect(machine.state == .probing)
        verdict = machine.didStaySilent(group: nil, isOverdrawn: false, at: at(951))
        #expect(verdict == .intolerable, "a probe without answer demotes at once")
        machine.didDemote(at: at(951), using: &generator)
        #expect(machine.probeCount == 2)
        machine.didAnswer(group: nil)
        #expect(machine.state == .online && machine.probeCount == 0)
    }

    @Test("one answer, be it a refusal, begins the count of silent polls anew")
    func answersCount() {
        var machine = machine(demoteAfter: 2)
        online(&machine)
        for _ in 0..<10 {
            let verdict = machine.didStaySilent(group: nil, isOverdrawn: false, at: at(0))
            #expect(verdict == .tolerated)
            machine.didAnswer(group: 0)
        }
    }

    @Test("where silent devices have cost the line too much already, the first silent poll demotes")
    func overdrawn() {
        var machine = machine()
        online(&machine)
        let verdict = machine.didStaySilent(group: 0, isOverdrawn: true, at: at(0))
        #expect(verdict == .intolerable)
    }

    @Test("a group that is silent while others are answered does not demote the device, and may rest")
    func silentGroup() {
        var machine = machine([100, 100], demoteAfter: 2)
        online(&machine)
        var verdict = machine.didStaySilent(group: 1, isOverdrawn: false, at: at(0))
        #expect(verdict == .tolerated)
        for _ in 0..<10 {
            machine.didAnswer(group: 0)
            verdict = machine.didStaySilent(group: 1, isOverdrawn: true, at: at(0))
            #expect(verdict == .ofGroup && machine.state == .online)
        }
        machine.rest(group: 1, until: at(300))
        var actions: Set<String> = []
        for now in [0, 0, 100, 100, 200, 200] as [Int64] { actions.insert("\(machine.next(at: at(now)))") }
        #expect(actions == ["poll(group: 0)", "reportUnavailable(group: 1)"])
        // Both are silent now: then it is the device.
        verdict = machine.didStaySilent(group: 0, isOverdrawn: false, at: at(300))
        #expect(verdict == .tolerated)
        verdict = machine.didStaySilent(group: 1, isOverdrawn: false, at: at(300))
        #expect(verdict == .intolerable)
    }

    @Test(
        "a device that is polled rarely is probed between polls, so that its silence is understood soon; when it is back, so are its values"
    )
    func rarePolls() {
        var machine = machine([600_000])
        online(&machine)
        var action = machine.next(at: at(0))
        #expect(action == .poll(group: 0))
        _ = machine.didStaySilent(group: 0, isOverdrawn: false, at: at(1000))
        action = machine.next(at: at(1000))
        #expect(action == .sleep(until: at(1200)))
        action = machine.next(at: at(1200))
        #expect(action == .probe(group: 0))
        machine.didAnswer(group: nil)
        action = machine.next(at: at(1300))
        #expect(action == .poll(group: 0), "its deadline is ten minutes away")
        machine.didAnswer(group: 0)
        action = machine.next(at: at(1300))
        #expect(action == .sleep(until: at(600_000)))
        #expect(machine.schedule.counters(of: 0).polls == 1, "the grid knows nothing of polls out of turn")
    }

    @Test("a device that was given up is not asked at once when its line is connected anew, but when the line can bear it")
    mutating func givenUpBefore() {
        var machine = machine()
        online(&machine)
        machine.didDemote(at: at(0), using: &generator)
        machine.didLoseConnection(until: at(0))
        while machine.next(at: at(0)) != .connect {}
        machine.didConnect(at: at(10))
        let action = machine.next(at: at(10))
        #expect(action == .reserveProbe)
    }
}
