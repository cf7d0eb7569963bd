import GatewayCore
import TestKit
import Testing

@testable import Acquisition

@Suite("Scan schedule")
struct ScanScheduleTests {
    private func at(_ milliseconds: Int64) -> MonotonicInstant { MonotonicInstant(nanoseconds: 1_000_000_000 + milliseconds * 1_000_000) }

    @Test("every group is due at once, then on its grid")
    func grid() {
        var schedule = ScanSchedule(
            groups: [(period: .milliseconds(100), phase: .milliseconds(40)), (period: .seconds(1), phase: .seconds(1))], start: at(0))
        #expect(schedule.takeDue(at: at(0)) == 0)
        #expect(schedule.takeDue(at: at(0)) == 1)
        #expect(schedule.takeDue(at: at(0)) == nil)
        #expect(schedule.nextDeadline == at(40))
        #expect(schedule.takeDue(at: at(39)) == nil)
        #expect(schedule.takeDue(at: at(40)) == 0)
        #expect(schedule.nextDeadline == at(140))
        #expect(schedule.counters(of: 0) == .init(polls: 2, late: 0, missed: 0))
    }

    @Test("scenario 15: polls that begin late do not drift, and those that never begin are counted")
    func lateness() {
        var schedule = ScanSchedule(groups: [(period: .milliseconds(100), phase: .zero)], start: at(0))
        #expect(schedule.takeDue(at: at(0)) == 0)
        #expect(schedule.takeDue(at: at(130)) == 0)
        #expect(schedule.nextDeadline == at(200))
        #expect(schedule.takeDue(at: at(260)) == 0)
        #expect(schedule.counters(of: 0) == .init(polls: 3, late: 1, missed: 0))
        // The deadlines 300 … 700 pass before this one begins: 400 to 700 are missed, and 300 is late.
        #expect(schedule.takeDue(at: at(710)) == 0)
        #expect(schedule.counters(of: 0) == .init(polls: 4, late: 2, missed: 4))
        #expect(schedule.nextDeadline == at(800))
    }

    @Test("a poll that begins late keeps the next one off for as long as times need to differ")
    func spacing() {
        var schedule = ScanSchedule(
            groups: [(period: .milliseconds(50), phase: .zero), (period: .milliseconds(1), phase: .zero)], start: at(0))
        #expect(schedule.takeDue(at: at(0)) == 1)
        #expect(schedule.takeDue(at: at(0)) == 0)
        // The processor was away for 50 ms between the decision and the time stamp.
        schedule.didBegin(0, at: at(50))
        schedule.didBegin(1, at: at(50))
        // A group that is faster than that keeps its period.
        #expect(schedule.takeDue(at: at(51)) == 1)
        #expect(schedule.takeDue(at: at(51)) == nil)
        #expect(schedule.deadline(of: 0) == at(52))
        #expect(schedule.takeDue(at: at(52)) == 0)
        #expect(schedule.takeDue(at: at(52)) == 1)
        schedule.didBegin(0, at: at(52))
        // The grid stays, and nothing is missed.
        #expect(schedule.deadline(of: 0) == at(100))
        #expect(schedule.counters(of: 0) == .init(polls: 2, late: 0, missed: 0))
    }

    @Test("over any pattern of delays, polls and missed polls add up to the periods gone by")
    func balance() {
        let seed = seedOfThisRun()
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            let period = Int64.random(in: 1...50, using: &generator)
            let phase = Int64.random(in: 0...period, using: &generator)
            var schedule = ScanSchedule(groups: [(period: .milliseconds(period), phase: .milliseconds(phase))], start: at(0))
            var now: Int64 = 0
            for _ in 0..<300 {
                _ = schedule.takeDue(at: at(now))
                now += Int64.random(in: 0...(3 * period), using: &generator)
            }
            while schedule.takeDue(at: at(now)) != nil {}
            let counters = schedule.counters(of: 0)
            // The poll at the start, then one for every point of the grid up to now.
            let first = phase == 0 ? period : phase
            let expected = 1 + (now >= first ? (now - first) / period + 1 : 0)
            #expect(Int64(counters.polls + counters.missed) == expected, "seed \(seed)")
        }
    }
}
