import Acquisition
import GatewayCore
import Interlock
import Telemetry
import TestKit
import Testing

private let tag = TagReference(device: "pump-1", tag: "setpoint")
private let utc = Timestamp(nanoseconds: 1_700_000_000_000_000_000)
private let start = MonotonicInstant(nanoseconds: 1_000_000_000)
private let open = WriteRules(isWritable: true, isAllowedBySite: true)

private func good(_ value: Variant) -> DataValue { DataValue(value: value, status: .good, time: utc) }

private func attempt(_ value: Variant, who: String = "ann", token: String? = nil, dry: Bool = false) -> WriteAttempt {
    WriteAttempt(who: who, target: tag, value: value, token: token, isDryRun: dry)
}

extension WriteGuard {
    /// Both looks at an attempt.
    fileprivate mutating func judge(
        _ attempt: WriteAttempt, _ rules: WriteRules, current: DataValue = good(.double(100)), readings: [TagReference: DataValue] = [:],
        at now: MonotonicInstant = start
    ) -> Decision {
        var generator = SystemRandomNumberGenerator()
        if let refusal = admit(attempt, rules, at: now) { return .refuse(refusal) }
        return decide(attempt, rules, current: current, readings: readings, utc: utc, at: now, using: &generator)
    }
}

private func code(_ decision: WriteGuard.Decision) -> WriteRefusal.Code? {
    guard case .refuse(let refusal) = decision else { return nil }
    return refusal.code
}

private func reason(_ decision: WriteGuard.Decision) -> String {
    guard case .refuse(let refusal) = decision else { return "\(decision)" }
    return refusal.reason
}

private func token(_ decision: WriteGuard.Decision) throws -> String {
    guard case .confirm(let token, _) = decision else { throw ForeignProcess.Failure(description: "\(decision)") }
    return token
}

@Suite struct WriteGuardTests {
    @Test func `nothing may be written that site and definition do not allow`() {
        var guardian = WriteGuard()
        #expect(code(guardian.judge(attempt(.double(1)), WriteRules(isWritable: true, isAllowedBySite: false))) == .site)
        #expect(code(guardian.judge(attempt(.double(1)), WriteRules(isWritable: false, isAllowedBySite: true))) == .access)
        #expect(guardian.judge(attempt(.double(1)), open) == .write)
    }

    @Test func `limits hold to the very value and are told`() {
        var guardian = WriteGuard()
        var rules = open
        (rules.minimum, rules.maximum, rules.unit) = (10, 20, "bar")
        #expect(guardian.judge(attempt(.double(10)), rules) == .write)
        #expect(guardian.judge(attempt(.uint(20)), rules) == .write)
        #expect(reason(guardian.judge(attempt(.double(9.9)), rules)) == "9.9 bar is below the lower limit, 10 bar")
        #expect(reason(guardian.judge(attempt(.double(20.1)), rules)) == "20.1 bar is above the upper limit, 20 bar")
        #expect(code(guardian.judge(attempt(.double(.nan)), rules)) == .limits)
        #expect(code(guardian.judge(attempt(.double(.infinity)), rules)) == .limits)
    }

    @Test func `a step is measured from the value just before`() {
        var guardian = WriteGuard()
        var rules = open
        rules.maximumStep = 0.1
        #expect(guardian.judge(attempt(.double(0.3)), rules, current: good(.double(0.2))) == .write)
        #expect(guardian.judge(attempt(.double(0.1)), rules, current: good(.double(0.2))) == .write)
        #expect(code(guardian.judge(attempt(.double(0.31)), rules, current: good(.double(0.2)))) == .step)
        #expect(code(guardian.judge(attempt(.double(-0.2)), rules, current: good(.double(0.2)))) == .step)
        #expect(code(guardian.judge(attempt(.double(1)), rules, current: good(.double(.nan)))) == .step)
    }

    @Test func `what cannot be read is not written`() {
        var guardian = WriteGuard()
        let bad = DataValue(value: nil, status: .badTimeout, time: utc, reason: "no answer in time")
        #expect(reason(guardian.judge(attempt(.double(1)), open, current: bad)).hasSuffix("BadTimeout: no answer in time"))
        #expect(
            code(guardian.judge(attempt(.double(1)), open, current: DataValue(value: .double(1), status: .uncertain, time: utc)))
                == .unreadable)
    }

    @Test func `what is no value of its type may be written over, where no step is limited`() {
        var guardian = WriteGuard()
        let garbage = DataValue(value: nil, status: .badDecodingError, time: utc)
        #expect(guardian.judge(attempt(.string("new")), open, current: garbage) == .write)
        var rules = open
        rules.maximumStep = 1
        #expect(code(guardian.judge(attempt(.double(1)), rules, current: garbage)) == .unreadable)
    }

    @Test func `writes keep their distance, and only writes count`() {
        var guardian = WriteGuard()
        var rules = open
        (rules.minimumInterval, rules.maximum) = (.seconds(10), 500)
        #expect(guardian.judge(attempt(.double(1), dry: true), rules) == .wouldWrite(needsConfirmation: false))
        #expect(code(guardian.judge(attempt(.double(501)), rules)) == .limits)
        #expect(guardian.judge(attempt(.double(1)), rules) == .write)
        let early = guardian.judge(attempt(.double(1)), rules, at: start.advanced(by: .milliseconds(9999)))
        #expect(reason(early) == "pump-1.setpoint was written 9.999 s ago, at least 10 s must lie between two writes")
        #expect(guardian.judge(attempt(.double(1)), rules, at: start.advanced(by: .seconds(10))) == .write)
        #expect(code(guardian.judge(attempt(.double(1)), rules, at: start.advanced(by: .seconds(19)))) == .rate)
    }

    @Test func `of two attempts at once only one is written within the interval`() {
        var guardian = WriteGuard()
        var rules = open
        rules.minimumInterval = .seconds(10)
        var generator = SystemRandomNumberGenerator()
        #expect(guardian.admit(attempt(.double(1)), rules, at: start) == nil)
        #expect(guardian.admit(attempt(.double(2)), rules, at: start) == nil)
        let first = guardian.decide(
            attempt(.double(1)), rules, current: good(.double(0)), readings: [:], utc: utc, at: start, using: &generator)
        let second = guardian.decide(
            attempt(.double(2)), rules, current: good(.double(0)), readings: [:], utc: utc, at: start, using: &generator)
        #expect(first == .write && code(second) == .rate)
    }

    @Test func `an interlock must hold on good and fresh values`() throws {
        var guardian = WriteGuard()
        var rules = open
        rules.interlock = try Interlock("pump-1.speed < 50")
        let speed = TagReference(device: "pump-1", tag: "speed")
        #expect(guardian.judge(attempt(.double(1)), rules, readings: [speed: good(.double(49))]) == .write)
        #expect(code(guardian.judge(attempt(.double(1)), rules, readings: [speed: good(.double(50))])) == .interlock)
        #expect(code(guardian.judge(attempt(.double(1)), rules)) == .interlock)
        let old = DataValue(value: .double(1), status: .good, time: utc.advanced(by: .seconds(-6)))
        #expect(code(guardian.judge(attempt(.double(1)), rules, readings: [speed: old])) == .interlock)
    }

    @Test func `a critical tag takes two steps, and a token is good once, for the same user, value and time`() throws {
        var guardian = WriteGuard()
        var rules = open
        rules.needsConfirmation = true
        let first = try token(guardian.judge(attempt(.double(5)), rules))
        #expect(first.utf8.count == 32)
        #expect(guardian.judge(attempt(.double(5), token: first), rules) == .write)
        #expect(code(guardian.judge(attempt(.double(5), token: first), rules)) == .confirmation, "used")
        #expect(code(guardian.judge(attempt(.double(5), token: "0"), rules)) == .confirmation, "never given")

        let others = try token(guardian.judge(attempt(.double(5)), rules))
        #expect(code(guardian.judge(attempt(.double(5), who: "bob", token: others), rules)) == .confirmation)
        #expect(code(guardian.judge(attempt(.double(5), token: others), rules)) == .confirmation, "used up by the try")

        let value = try token(guardian.judge(attempt(.double(5)), rules))
        #expect(code(guardian.judge(attempt(.double(6), token: value), rules)) == .confirmation)

        let late = try token(guardian.judge(attempt(.double(5)), rules))
        #expect(code(guardian.judge(attempt(.double(5), token: late), rules, at: start.advanced(by: .seconds(60)))) == .confirmation)
    }

    @Test func `a confirmed write is still judged by the present`() throws {
        var guardian = WriteGuard()
        var rules = open
        (rules.needsConfirmation, rules.maximumStep) = (true, 10)
        let token = try token(guardian.judge(attempt(.double(105)), rules))
        let moved = guardian.judge(attempt(.double(105), token: token), rules, current: good(.double(50)))
        #expect(code(moved) == .step)
        #expect(code(guardian.judge(attempt(.double(105), token: token), rules)) == .confirmation)
    }

    @Test func `a dry run changes nothing`() throws {
        var guardian = WriteGuard()
        var rules = open
        (rules.needsConfirmation, rules.minimumInterval) = (true, .seconds(10))
        let token = try token(guardian.judge(attempt(.double(5)), rules))
        #expect(guardian.judge(attempt(.double(5), token: token, dry: true), rules) == .wouldWrite(needsConfirmation: true))
        #expect(guardian.judge(attempt(.double(5), token: token), rules) == .write)
    }

    @Test func `tokens that wait are bounded, and one user cannot take all`() throws {
        var guardian = WriteGuard()
        var rules = open
        rules.needsConfirmation = true
        let first = try token(guardian.judge(attempt(.double(0)), rules))
        for index in 1...WriteGuard.pendingPerUserMax {
            _ = try token(guardian.judge(attempt(.double(Double(index))), rules, at: start.advanced(by: .milliseconds(index))))
        }
        #expect(code(guardian.judge(attempt(.double(0), token: first), rules, at: start.advanced(by: .seconds(1)))) == .confirmation)
        for user in 1..<WriteGuard.pendingMax / WriteGuard.pendingPerUserMax {
            for index in 0..<WriteGuard.pendingPerUserMax {
                _ = guardian.judge(attempt(.double(Double(index)), who: "user \(user)"), rules)
            }
        }
        #expect(code(guardian.judge(attempt(.double(1), who: "one more"), rules)) == .busy)
        #expect(code(guardian.judge(attempt(.double(1), who: "one more"), rules, at: start.advanced(by: .seconds(61)))) == nil)
    }

    @Test func `whatever comes, only what the rules allow is written`() throws {
        var generator = SeededGenerator()
        var guardian = WriteGuard()
        var now = start
        var lastWrite: MonotonicInstant?
        var tokens: [String: WriteAttempt] = [:]
        let speed = TagReference(device: "pump-1", tag: "speed")
        var rules = WriteRules(
            isWritable: true, isAllowedBySite: true, minimum: 0, maximum: 100, maximumStep: 20, minimumInterval: .seconds(1),
            interlock: try Interlock("pump-1.speed < 50"), needsConfirmation: true)
        var written = 0
        for _ in 0..<5000 {
            now = now.advanced(by: .milliseconds(Int.random(in: 0...1500, using: &generator)))
            rules.isAllowedBySite = Int.random(in: 0..<10, using: &generator) > 0
            let old = Double.random(in: -10...110, using: &generator)
            let running = Double.random(in: 0...100, using: &generator)
            let isBad = Int.random(in: 0..<10, using: &generator) == 0
            var made = attempt(
                .double(Double.random(in: -10...110, using: &generator)), who: ["ann", "bob"].randomElement(using: &generator) ?? "ann",
                dry: Int.random(in: 0..<10, using: &generator) == 0)
            if let known = tokens.randomElement(using: &generator), Bool.random(using: &generator) {
                made = known.value
                made.token = known.key
                if Int.random(in: 0..<5, using: &generator) == 0 { made.who = "eve" }
            }
            let current = isBad ? DataValue(value: nil, status: .badTimeout, time: utc) : good(.double(old))
            let decision = guardian.judge(made, rules, current: current, readings: [speed: good(.double(running))], at: now)
            let asked = made.token.flatMap { made.isDryRun ? nil : tokens.removeValue(forKey: $0) }
            switch decision {
            case .refuse: break
            case .confirm(let token, _): tokens[token] = made
            case .wouldWrite: #expect(made.isDryRun)
            case .write:
                written += 1
                let value = try #require(made.value.number)
                #expect(rules.isAllowedBySite && !isBad && running < 50 && !made.isDryRun)
                #expect(value >= 0 && value <= 100 && abs(value - old) <= 20.000001)
                #expect(asked?.who == made.who && asked?.value == made.value)
                if let lastWrite { #expect(lastWrite.duration(to: now) >= .seconds(1)) }
                lastWrite = now
            }
        }
        #expect(written > 10, "the test must see writes")
    }

    @Test func `so many writes a minute and no more`() {
        var guardian = WriteGuard()
        var rules = open
        rules.writesPerMinute = 3
        for second in [0, 10, 20] {
            #expect(guardian.judge(attempt(.double(1)), rules, at: start.advanced(by: .seconds(second))) == .write)
        }
        let full = guardian.judge(attempt(.double(1)), rules, at: start.advanced(by: .milliseconds(59_999)))
        #expect(code(full) == .rate && reason(full).hasSuffix("was written 3 times within a minute, at most 3 are allowed"), "\(full)")
        #expect(code(guardian.judge(attempt(.double(1), dry: true), rules, at: start.advanced(by: .seconds(30)))) == .rate)
        #expect(guardian.judge(attempt(.double(1)), rules, at: start.advanced(by: .seconds(60))) == .write)
        #expect(code(guardian.judge(attempt(.double(1)), rules, at: start.advanced(by: .seconds(61)))) == .rate)
        guardian.keep { _ in false }
        #expect(guardian.judge(attempt(.double(1)), rules, at: start.advanced(by: .seconds(62))) == .write)
    }

    @Test func `a write of another program keeps rates, interlocks and two steps, and counts as a write`() throws {
        var guardian = WriteGuard()
        var rules = WriteRules(isWritable: false, isAllowedBySite: false, minimumInterval: .seconds(5))
        rules.interlock = try Interlock("pump-1.speed < 50")
        let speed = TagReference(device: "pump-1", tag: "speed")
        func ask(_ readings: [TagReference: DataValue], after seconds: Int) -> WriteRefusal.Code? {
            let now = start.advanced(by: .seconds(seconds))
            return guardian.admitForeign([(tag, rules)], readings: readings, utc: utc, at: now)?.code
        }
        #expect(ask([:], after: 0) == .interlock)
        #expect(ask([speed: good(.double(60))], after: 0) == .interlock)
        #expect(ask([speed: good(.double(40))], after: 0) == nil)
        #expect(guardian.refusalOfForeign([(tag, rules)], at: start.advanced(by: .seconds(4)))?.code == .rate)
        #expect(ask([speed: good(.double(40))], after: 4) == .rate)
        // The gateway's own writes keep the same distance.
        var own = open
        own.minimumInterval = .seconds(5)
        #expect(code(guardian.judge(attempt(.double(1)), own, at: start.advanced(by: .seconds(4)))) == .rate)
        #expect(ask([speed: good(.double(40))], after: 5) == nil)
        rules.needsConfirmation = true
        #expect(ask([speed: good(.double(40))], after: 60) == .confirmation)
    }
}
