package import GatewayCore
package import Telemetry

/// What an identity looks like at one moment.
package struct IdentityReading: Sendable, Hashable {
    package var certificate: ExpiryForecast?
    package var authority: ExpiryForecast?
    /// Of the certificate, for people.
    package var subject: String?
    /// Of the certificate: another one is another certificate.
    package var fingerprint: String?
    /// What is wrong with the files; `nil` when nothing is.
    package var trouble: String?

    /// - Parameters:
    ///   - certificate: our own; `nil` where it cannot be read, or there is none.
    ///   - authorityNotAfter: when the last of the trusted authorities ends.
    package init(certificate: CertificateInformation?, authorityNotAfter: Timestamp?, trouble: String?, at stamp: ClockStamp) {
        self.certificate = certificate.map { ExpiryForecast(notBefore: $0.notBefore, notAfter: $0.notAfter, at: stamp) }
        authority = authorityNotAfter.map { ExpiryForecast(notAfter: $0, at: stamp) }
        subject = certificate?.subject
        fingerprint = certificate?.fingerprint
        self.trouble = trouble
    }

    /// Whether somebody has to do something.
    package var isAlarm: Bool { trouble != nil || certificate?.isAlarm == true || authority?.isAlarm == true }

    /// Whether it does not work any more.
    package var isBroken: Bool { certificate?.state == .expired || authority?.state == .expired }

    /// What somebody has to know, the worst first; empty when all is well.
    package var words: [String] {
        var words: [String] = []
        for (forecast, what) in [(certificate, "the certificate \(subject ?? "")"), (authority, "the last of the trusted authorities")] {
            if let forecast, forecast.state != .valid { words.append(forecast.words(what)) }
        }
        if let trouble { words.insert(trouble, at: isBroken ? words.count : 0) }
        return words
    }
}

/// Decides when an identity is told of: whenever something changed, and what is an alarm every day again.
package struct ExpiryWatch: Sendable {
    package enum Remark: Sendable, Equatable {
        case alarm
        /// What was an alarm is none any more.
        case relief
    }

    package struct Action: Sendable, Equatable {
        /// Whether the log of samples is told.
        package var isStored: Bool
        /// What people are told.
        package var remark: Remark?
    }

    /// How often an alarm is repeated.
    package static let repetition = Duration.seconds(86_400)

    private var last: IdentityReading?
    private var storedAt: MonotonicInstant?
    private var remarkedAt: MonotonicInstant?
    private var isAlarm = false

    package init() {}

    package mutating func look(_ reading: IdentityReading, at now: MonotonicInstant) -> Action {
        func isDue(_ before: MonotonicInstant?) -> Bool { before.map { $0.duration(to: now) >= Self.repetition } ?? true }
        var action = Action(isStored: reading != last || isDue(storedAt), remark: nil)
        if reading.isAlarm {
            // The days themselves only count down: they are no news.
            let isNews =
                !isAlarm || reading.certificate?.state != last?.certificate?.state || reading.authority?.state != last?.authority?.state
                || reading.trouble != last?.trouble || reading.fingerprint != last?.fingerprint
            if isNews || isDue(remarkedAt) { action.remark = .alarm }
        } else if isAlarm {
            action.remark = .relief
        }
        last = reading
        isAlarm = reading.isAlarm
        if action.isStored { storedAt = now }
        if action.remark != nil { remarkedAt = now }
        return action
    }
}
