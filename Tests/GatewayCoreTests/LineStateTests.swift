import GatewayCore
import Telemetry
import TestKit
import Testing

private func at(_ milliseconds: Int64) -> MonotonicInstant { MonotonicInstant(nanoseconds: milliseconds * 1_000_000) }

@Suite("Bus budget")
struct BusBudgetTests {
    @Test("waiting is paid for before it is done again, and credit is bounded")
    func bookings() {
        var budget = BusBudget()
        // Saved up for long: four spans cost nothing, the fifth is owed.
        for _ in 0..<4 { budget.charge(.seconds(1), at: at(1_000_000)) }
        #expect(!budget.isOverdrawn(at: at(1_000_000)))
        budget.charge(.seconds(1), at: at(1_000_000))
        #expect(budget.isOverdrawn(at: at(1_024_999)) && !budget.isOverdrawn(at: at(1_025_000)))
        // Two bookings follow one another.
        let first = budget.reserve(.seconds(1), at: at(1_000_000))
        let second = budget.reserve(.seconds(1), at: at(1_000_000))
        #expect(first == at(1_025_000) && second == at(1_050_000))
        // One of them was answered, the other took twice as long.
        budget.settle(reserved: .seconds(1), spent: .zero)
        budget.settle(reserved: .seconds(1), spent: .seconds(2))
        #expect(budget.paidAt == at(1_075_000))
    }

    @Test("whatever falls silent when, the line waits at most 5 % of any time, and what demotions cost once")
    func bound() {
        let seed = seedOfThisRun()
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            var budget = BusBudget()
            var now: Int64 = 0
            var waits: [(start: Int64, span: Int64)] = []
            let timeout = Int64.random(in: 20...2000, using: &generator)
            while waits.count < 200 {
                now += Int64.random(in: 0...(timeout * 20), using: &generator)
                if Bool.random(using: &generator) {
                    // A unit that is believed to be well falls silent: its waiting is only charged; it is demoted at once when overdrawn.
                    if budget.isOverdrawn(at: at(now)) { continue }
                    budget.charge(.milliseconds(timeout), at: at(now))
                    waits.append((now, timeout))
                } else {
                    let start = budget.reserve(.milliseconds(timeout), at: at(now))
                    now = max(now, start.nanoseconds / 1_000_000)
                    waits.append((now, timeout))
                }
                now += timeout
            }
            var worst = 0.0
            for first in waits.indices {
                var total: Int64 = 0
                for wait in waits[first...] {
                    total += wait.span
                    let window = wait.start + wait.span - waits[first].start
                    worst = max(worst, Double(total) - Double(window) * 0.05)
                }
            }
            #expect(worst <= Double(timeout) * Double(BusBudget.creditCharges + 2), "seed \(seed): \(worst) ms with \(timeout) ms")
        }
    }

    @Test("absurd spans do not overflow")
    func extremes() {
        var budget = BusBudget()
        budget.charge(.seconds(Int64.max / 2_000_000_000), at: at(5))
        budget.settle(reserved: .seconds(9_000_000_000), spent: .seconds(9_000_000_000))
        _ = budget.reserve(.seconds(9_000_000_000), at: at(5))
        #expect(budget.isOverdrawn(at: at(6)))
    }
}

@Suite("Line state")
struct LineStateTests {
    private var generator = SeededGenerator(seed: 3)
    private let backoff = Backoff(initial: .milliseconds(200), maximum: .seconds(2))

    @Test("scenario 17: of many units on a lost connection one makes it anew, one attempt at a time, ever farther apart")
    mutating func oneAttempt() {
        var line = LineState()
        let units = (0..<50).map { _ in line.join(backoff: backoff) }
        var entry = line.enter(units[7], at: at(0))
        #expect(entry == .connect)
        entry = line.enter(units[8], at: at(0))
        #expect(entry == .queue(until: at(20)))
        line.didConnect()
        #expect(line.generation == 1)
        for unit in units {
            entry = line.enter(unit, at: at(0))
            #expect(entry == .connect)
            line.didConnect()
        }
        #expect(line.generation == 1)
        // All of them tell of the loss; it counts once.
        var losses: [LineState.Loss] = []
        for unit in units {
            let loss = line.didLose(generation: 1, unit: unit, reason: "reset \(unit)", at: at(10), using: &generator)
            losses.append(loss)
        }
        #expect(losses.filter { $0.isNews }.count == 1)
        #expect(Set(losses.map { $0.retryAt }).count == 1 && Set(losses.map { $0.reason }).count == 1)
        #expect(losses.allSatisfy { $0.retryCount == 1 })
        var now = losses[0].retryAt
        var longest = Duration.zero
        for attempt in 2...30 {
            entry = line.enter(units[attempt % 50], at: now)
            #expect(entry == .connect)
            let loss = line.didLose(generation: 1, unit: units[attempt % 50], reason: "refused", at: now, using: &generator)
            #expect(loss.isNews && loss.retryCount == attempt)
            longest = max(longest, now.duration(to: loss.retryAt))
            entry = line.enter(units[0], at: now)
            #expect(entry == .wait(LineState.Loss(retryAt: loss.retryAt, retryCount: attempt, isNews: false, reason: "refused")))
            now = loss.retryAt
        }
        #expect(longest > .seconds(1) && longest <= .seconds(2))
        // The connection alone proves nothing; an answer does.
        _ = line.enter(units[0], at: now)
        line.didConnect()
        let again = line.didLose(generation: 2, unit: units[0], reason: "hung up", at: now, using: &generator)
        #expect(again.retryCount == 31)
        _ = line.enter(units[0], at: again.retryAt)
        line.didConnect()
        line.didAnswer(units[0])
        let fresh = line.didLose(generation: 3, unit: units[0], reason: "hung up", at: now, using: &generator)
        #expect(fresh.retryCount == 1)
        // News of an older connection are none.
        _ = line.enter(units[0], at: fresh.retryAt)
        line.didConnect()
        let stale = line.didLose(generation: 3, unit: units[1], reason: "late", at: now, using: &generator)
        #expect(!stale.isNews && stale.retryAt == now)
    }

    @Test("a connection is in doubt only when nobody on it answers")
    func silence() {
        var line = LineState()
        let units = (0..<3).map { _ in line.join(backoff: backoff) }
        _ = line.enter(units[0], at: at(0))
        line.didConnect()
        var isDead = line.didFallSilent(units[0])
        #expect(!isDead)
        isDead = line.didFallSilent(units[1])
        #expect(!isDead)
        line.didAnswer(units[0])
        isDead = line.didFallSilent(units[2])
        #expect(!isDead)
        isDead = line.didFallSilent(units[0])
        #expect(isDead)
    }

    @Test("probes cost budget only where others answer, or may")
    func hindrance() {
        var line = LineState()
        let first = line.join(backoff: backoff)
        line.didWait(.seconds(9), for: first, at: at(0))
        #expect(!line.isOverdrawn(by: first, at: at(0)))
        var slot = line.reserveProbe(of: first, span: .seconds(1), at: at(0))
        #expect(slot == nil)
        let second = line.join(backoff: backoff)
        slot = line.reserveProbe(of: first, span: .seconds(1), at: at(0))
        #expect(slot == at(0))
        slot = line.reserveProbe(of: first, span: .seconds(1), at: at(0))
        #expect(slot == at(25_000))
        _ = line.didFallSilent(second)
        slot = line.reserveProbe(of: first, span: .seconds(1), at: at(0))
        #expect(slot == nil, "nobody else is there to be held up")
    }

    @Test("who goes in the middle of an attempt leaves it to others, and the last one closes the connection")
    func leaving() {
        var line = LineState()
        let first = line.join(backoff: backoff)
        let second = line.join(backoff: backoff)
        _ = line.enter(first, at: at(0))
        var isLast = line.leave(first)
        #expect(!isLast)
        let entry = line.enter(second, at: at(0))
        #expect(entry == .connect)
        line.didConnect()
        isLast = line.leave(second)
        #expect(isLast && line.unitCount == 0)
        #expect(line.generation == 1)
        let third = line.join(backoff: backoff)
        #expect(third != first && third != second)
        #expect(line.enter(third, at: at(0)) == .connect)
    }
}
