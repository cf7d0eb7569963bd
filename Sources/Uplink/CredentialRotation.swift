internal import GatewayCore
internal import Identity

/// Decides what becomes of certificates and keys that lie in the place of those in use, and when somebody is told.
struct CredentialRotation: Sendable {
    /// What tells one refusal from another.
    struct Refusal: Sendable, Equatable {
        /// Of the contents of the files; `nil` where one cannot be read.
        var digest: [UInt8]?
        /// What is to blame.
        var resource: String
    }

    /// What was wrong with the files at the last look.
    private var pending: Refusal?
    /// What people were told of.
    private var told: Refusal?

    /// Whether new credentials take over: when they are no worse than those in use. Troubles are those of this moment.
    static func isTaken(_ new: [TLSCredentials.Trouble.Kind], over present: [TLSCredentials.Trouble.Kind]?) -> Bool {
        guard let present else { return true }
        return weight(new) <= weight(present)
    }

    private static func weight(_ troubles: [TLSCredentials.Trouble.Kind]) -> Int {
        troubles.reduce(0) { sum, kind in
            switch kind {
            // Some brokers know authorities that we do not; none takes what has expired.
            case .foreignAuthority: sum + 1
            case .dates, .authorityDates: sum + 2
            }
        }
    }

    /// New files are no good. Returns whether to tell of it: only at the second look, because certificate and key are rarely written at once.
    mutating func didRefuse(_ refusal: Refusal) -> Bool {
        defer { pending = refusal }
        guard pending == refusal, told != refusal else { return false }
        told = refusal
        return true
    }

    /// The files are those in use. Returns whether somebody was told of trouble that has gone now.
    mutating func didAgree() -> Bool {
        defer {
            pending = nil
            told = nil
        }
        return told != nil
    }
}

/// Decides which of two credentials a broker is shown: the newest, or the ones it accepted before.
struct CredentialChoice<Credentials: AnyObject & Sendable>: Sendable {
    /// What the broker accepted last.
    private var proven: Credentials?
    /// What the broker did not want, though it wants what is proven, and when it is shown that again.
    private var refused: (credentials: Credentials, until: MonotonicInstant)?

    /// After how long the broker is shown again what it refused: it may have been told of a new authority since.
    static var patience: Duration { .seconds(3600) }

    /// - Parameter isUsable: whether what the broker accepted before can still be shown.
    func next(newest: Credentials, at now: MonotonicInstant, isUsable: (Credentials) -> Bool) -> Credentials {
        guard let proven, isRefused(newest, at: now), isUsable(proven) else { return newest }
        return proven
    }

    mutating func didConnect(with credentials: Credentials) {
        proven = credentials
        if refused?.credentials === credentials { refused = nil }
    }

    /// The broker refused. Returns whether there is something else to show it at once.
    mutating func didFail(with credentials: Credentials, at now: MonotonicInstant) -> Bool {
        guard let proven, proven !== credentials else {
            // Neither is wanted: so the trouble is another one, and the newest have the same right again.
            refused = nil
            return false
        }
        refused = (credentials, now.advanced(by: Self.patience))
        return true
    }

    /// Whether a connection that shows `shown` is to be made anew with the newest.
    func isToBeRenewed(_ shown: Credentials, newest: Credentials, at now: MonotonicInstant) -> Bool {
        shown !== newest && !isRefused(newest, at: now)
    }

    private func isRefused(_ credentials: Credentials, at now: MonotonicInstant) -> Bool {
        guard let refused, refused.credentials === credentials else { return false }
        return now < refused.until
    }
}
