package import Envelope

/// What became of the messages that should have come in envelopes.
package struct EnvelopeCounters: Sendable, Equatable, Codable {
    /// Envelopes that were opened and dealt with for the first time.
    package var opened: UInt64 = 0
    /// Envelopes that were dealt with before: acknowledged, and nothing else.
    package var duplicates: UInt64 = 0
    /// Those of `opened` that are too old to tell whether they came before: the keys of their batches decide.
    package var late: UInt64 = 0
    /// Messages that came without an envelope, where only those with one are taken.
    package var plainRefused: UInt64 = 0
    /// Envelopes that were not opened, by the name of the reason.
    package private(set) var refused: [String: UInt64] = [:]

    package init() {}

    /// Envelopes that were refused for this reason.
    package func refused(_ reason: EnvelopeRefusal.Reason) -> UInt64 { refused[reason.rawValue] ?? 0 }

    mutating func count(_ reason: EnvelopeRefusal.Reason) { refused[reason.rawValue, default: 0] += 1 }

    /// All of them by name, those that are 0 too.
    package var values: [(name: String, value: UInt64)] {
        [
            ("envelopes_opened", opened), ("envelopes_duplicate", duplicates), ("envelopes_late", late), ("plain_refused", plainRefused),
        ] + EnvelopeRefusal.Reason.allCases.map { ("envelopes_refused_\($0.snakeCase)", refused($0)) }
    }
}

extension EnvelopeRefusal.Reason {
    /// `foreignSigned` as `foreign_signed`.
    fileprivate var snakeCase: String { rawValue.reduce(into: "") { $0 += $1.isUppercase ? "_\($1.lowercased())" : String($1) } }
}
