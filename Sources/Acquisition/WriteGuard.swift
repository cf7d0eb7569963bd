package import GatewayCore
package import Interlock
package import Telemetry

/// Decides whether a tag may be written: attempts and readings in, decisions out; time is a parameter.
///
/// An attempt is judged twice. `admit` looks at what needs no device, so that hopeless attempts cost the line nothing; `decide` looks at the
/// values that were read because of it. What is refused changes nothing, except that a token counts as used.
package struct WriteGuard: Sendable {
    package enum Decision: Sendable, Equatable {
        case refuse(WriteRefusal)
        /// A second request with this token, within this time, carries the write out.
        case confirm(token: String, within: Duration)
        /// A dry run ends here: the write would have been carried out; `needsConfirmation` when after a second request.
        case wouldWrite(needsConfirmation: Bool)
        case write
    }

    private struct Pending: Sendable {
        var attempt: WriteAttempt
        var expiry: MonotonicInstant
    }

    private var lastWrites: [TagReference: MonotonicInstant] = [:]
    /// Of the last minute, oldest first, of tags that may be written so often only.
    private var writesOfMinute: [TagReference: [MonotonicInstant]] = [:]
    private var pending: [String: Pending] = [:]
    /// Tokens that stage one has taken, for stage two of the same attempt.
    private var confirmed: Set<String> = []

    /// How long a token is good for.
    package static let confirmationTime = Duration.seconds(60)
    /// Tokens that wait at a time, of all users, and of one; one more of the same user takes the place of their oldest.
    package static let pendingMax = 64
    package static let pendingPerUserMax = 8
    /// How old a value of an interlock may be.
    package static let readingAgeMax = Duration.seconds(5)
    private static let rateWindow = Duration.seconds(60)

    package init() {}

    /// The first look, before anything is read. A token is used up by it, whatever comes of the attempt.
    ///
    /// - Returns: why not; `nil` when the present value is to be read and `decide` to be asked.
    package mutating func admit(_ attempt: WriteAttempt, _ rules: WriteRules, at now: MonotonicInstant) -> WriteRefusal? {
        if !attempt.isDryRun, let token = attempt.token, let refusal = take(token, for: attempt, at: now) { return refusal }
        let refusal = standingRefusal(attempt, rules, at: now)
        if refusal != nil, let token = attempt.token { confirmed.remove(token) }
        return refusal
    }

    /// The second look, with what was read for it. `.write` counts as a write from now on.
    ///
    /// - Parameters:
    ///   - current: the present value of the tag.
    ///   - readings: the values of the interlock's tags.
    ///   - utc: now, as the readings are stamped.
    package mutating func decide(
        _ attempt: WriteAttempt, _ rules: WriteRules, current: DataValue, readings: [TagReference: DataValue], utc: Timestamp,
        at now: MonotonicInstant, using generator: inout some RandomNumberGenerator
    ) -> Decision {
        let isConfirmed = attempt.token.map { confirmed.remove($0) != nil } ?? false
        // Another attempt may have come between the two looks.
        if let refusal = standingRefusal(attempt, rules, at: now) { return .refuse(refusal) }
        if let refusal = presentRefusal(attempt, rules, current) { return .refuse(refusal) }
        if let interlock = rules.interlock,
            case .forbids(let reason) = interlock.verdict(readings, at: utc, ageMax: WriteGuard.readingAgeMax)
        {
            return .refuse(WriteRefusal(.interlock, "interlock: \(reason)"))
        }
        if attempt.isDryRun { return .wouldWrite(needsConfirmation: rules.needsConfirmation) }
        if rules.needsConfirmation, !isConfirmed { return ask(attempt, at: now, using: &generator) }
        note(attempt.target, rules, at: now)
        return .write
    }

    /// The first look at a write that another program makes through the gateway, to tags that it touches: what needs no device. What the site and
    /// the definition allow the gateway itself is not asked, nor are limits and steps of values.
    package func refusalOfForeign(_ targets: [(tag: TagReference, rules: WriteRules)], at now: MonotonicInstant) -> WriteRefusal? {
        for (tag, rules) in targets {
            if rules.needsConfirmation {
                return WriteRefusal(.confirmation, "\(tag) is written in two steps, which only indusedge write can")
            }
            if let refusal = rateRefusal(tag, rules, at: now) { return refusal }
        }
        return nil
    }

    /// The second look at such a write, with what was read for its interlocks. Without a refusal it counts as a write of each tag from now on.
    package mutating func admitForeign(
        _ targets: [(tag: TagReference, rules: WriteRules)], readings: [TagReference: DataValue], utc: Timestamp, at now: MonotonicInstant
    ) -> WriteRefusal? {
        // Another write may have come between the two looks.
        if let refusal = refusalOfForeign(targets, at: now) { return refusal }
        for (tag, rules) in targets {
            if let interlock = rules.interlock,
                case .forbids(let reason) = interlock.verdict(readings, at: utc, ageMax: WriteGuard.readingAgeMax)
            {
                return WriteRefusal(.interlock, "interlock of \(tag): \(reason)")
            }
        }
        for (tag, rules) in targets { note(tag, rules, at: now) }
        return nil
    }

    private mutating func note(_ target: TagReference, _ rules: WriteRules, at now: MonotonicInstant) {
        lastWrites[target] = now
        guard rules.writesPerMinute != nil else { return }
        writesOfMinute[target] = latest(of: target, at: now) + [now]
    }

    /// Its writes of the last minute. No more than are allowed are ever noted.
    private func latest(of target: TagReference, at now: MonotonicInstant) -> [MonotonicInstant] {
        (writesOfMinute[target] ?? []).filter { $0.duration(to: now) < WriteGuard.rateWindow }
    }

    /// Forgets what belongs to tags that are there no longer.
    package mutating func keep(where isThere: (TagReference) -> Bool) {
        lastWrites = lastWrites.filter { isThere($0.key) }
        writesOfMinute = writesOfMinute.filter { isThere($0.key) }
        pending = pending.filter { isThere($0.value.attempt.target) }
    }

    // MARK: - Rules

    private func standingRefusal(_ attempt: WriteAttempt, _ rules: WriteRules, at now: MonotonicInstant) -> WriteRefusal? {
        guard rules.isAllowedBySite else {
            return WriteRefusal(.site, "the site does not allow writes; writes: allowed in its document would")
        }
        guard rules.isWritable else {
            return WriteRefusal(.access, "\(attempt.target) may not be written; access: readWrite in its definition would allow it")
        }
        if rules.minimum != nil || rules.maximum != nil, let number = attempt.value.number {
            let unit = rules.unit.isEmpty ? "" : " \(rules.unit)"
            if let minimum = rules.minimum, !(number >= minimum) {
                return WriteRefusal(.limits, "\(attempt.value)\(unit) is below the lower limit, \(text(minimum))\(unit)")
            }
            if let maximum = rules.maximum, !(number <= maximum) {
                return WriteRefusal(.limits, "\(attempt.value)\(unit) is above the upper limit, \(text(maximum))\(unit)")
            }
        }
        return rateRefusal(attempt.target, rules, at: now)
    }

    private func rateRefusal(_ target: TagReference, _ rules: WriteRules, at now: MonotonicInstant) -> WriteRefusal? {
        if let interval = rules.minimumInterval, let last = lastWrites[target] {
            let elapsed = last.duration(to: now)
            if elapsed < interval {
                return WriteRefusal(
                    .rate, "\(target) was written \(rounded(elapsed)) ago, at least \(rounded(interval)) must lie between two writes")
            }
        }
        if let limit = rules.writesPerMinute {
            let count = latest(of: target, at: now).count
            if count >= limit {
                return WriteRefusal(.rate, "\(target) was written \(count) times within a minute, at most \(limit) are allowed")
            }
        }
        return nil
    }

    private func presentRefusal(_ attempt: WriteAttempt, _ rules: WriteRules, _ current: DataValue) -> WriteRefusal? {
        if current.status.isGood, let old = current.value { return stepRefusal(attempt, rules, from: old) }
        // The device answers, and what it holds is no value of the tag's type: writing one is how to mend that.
        if current.status == .badDecodingError, rules.maximumStep == nil { return nil }
        let reason = current.reason.map { ": \($0)" } ?? ""
        return WriteRefusal(.unreadable, "the present value of \(attempt.target) is \(current.status)\(reason)")
    }

    private func stepRefusal(_ attempt: WriteAttempt, _ rules: WriteRules, from old: Variant) -> WriteRefusal? {
        guard let limit = rules.maximumStep else { return nil }
        guard let before = old.number, let after = attempt.value.number, (after - before).isFinite else {
            return WriteRefusal(.step, "the step from \(old) to \(attempt.value) cannot be told, at most \(text(limit)) is allowed")
        }
        // Differences of decimal fractions are off by some bits: 0.3 - 0.2 is more than 0.1.
        let step = abs(after - before)
        guard step > limit + max(abs(after), abs(before), limit) * 1e-12 else { return nil }
        let unit = rules.unit.isEmpty ? "" : " \(rules.unit)"
        return WriteRefusal(
            .step,
            "the step from \(old)\(unit) to \(attempt.value)\(unit) is \(text(step))\(unit), at most \(text(limit))\(unit) is allowed")
    }

    private func text(_ number: Double) -> String {
        number == number.rounded() && abs(number) < 1e15 ? String(Int64(number)) : "\(number)"
    }

    private func rounded(_ duration: Duration) -> String { "\(text((duration.inSeconds * 1000).rounded() / 1000)) s" }

    // MARK: - Two steps

    private mutating func ask(
        _ attempt: WriteAttempt, at now: MonotonicInstant, using generator: inout some RandomNumberGenerator
    ) -> Decision {
        forgetExpired(at: now)
        let own = pending.filter { $0.value.attempt.who == attempt.who }
        if own.count >= WriteGuard.pendingPerUserMax, let oldest = own.min(by: { $0.value.expiry < $1.value.expiry }) {
            pending.removeValue(forKey: oldest.key)
        }
        guard pending.count < WriteGuard.pendingMax else {
            return .refuse(WriteRefusal(.busy, "\(pending.count) writes wait to be confirmed, more are not possible"))
        }
        let halves: [UInt64] = [generator.next(), generator.next()]
        let token = halves.map { half in
            let digits = String(half, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
        var waiting = attempt
        waiting.token = nil
        pending[token] = Pending(attempt: waiting, expiry: now.advanced(by: WriteGuard.confirmationTime))
        return .confirm(token: token, within: WriteGuard.confirmationTime)
    }

    /// Uses up a token; the reason when it is not for this attempt.
    private mutating func take(_ token: String, for attempt: WriteAttempt, at now: MonotonicInstant) -> WriteRefusal? {
        forgetExpired(at: now)
        guard let found = pending.removeValue(forKey: token) else {
            return WriteRefusal(
                .confirmation,
                "the token is not known: it was used, is older than \(rounded(WriteGuard.confirmationTime)), or was never given")
        }
        let asked = found.attempt
        guard asked.who == attempt.who else {
            return WriteRefusal(.confirmation, "the token was given to \(asked.who), not to \(attempt.who)")
        }
        guard asked.target == attempt.target, asked.value == attempt.value else {
            return WriteRefusal(
                .confirmation,
                "the token was given for \(asked.target) = \(asked.value), not for \(attempt.target) = \(attempt.value)")
        }
        confirmed.insert(token)
        return nil
    }

    private mutating func forgetExpired(at now: MonotonicInstant) { pending = pending.filter { $0.value.expiry > now } }
}
