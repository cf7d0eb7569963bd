package import Telemetry

/// A time as people write it: RFC 3339 (`2026-03-01T08:00:00+01:00`), a date (`2026-03-01`: its first moment in UTC), `now`, or a span before
/// now (`-1h30m`, `15m`, `now-2d`).
package struct TimeExpression: Sendable, Hashable {
    private enum Form: Hashable {
        case absolute(Timestamp)
        case beforeNow(nanoseconds: Int64)
    }
    private let form: Form

    /// `nil` for what is none of these, or lies outside of what a time stamp covers.
    package init?(_ text: some StringProtocol) {
        if let time = Timestamp(text) ?? Timestamp("\(text)T00:00:00Z") {
            form = .absolute(time)
            return
        }
        if text == "now" {
            form = .beforeNow(nanoseconds: 0)
            return
        }
        let span = text.hasPrefix("now-") ? text.dropFirst(4) : text.hasPrefix("-") ? text.dropFirst(1) : text[...]
        guard let span = Duration(compact: span) else { return nil }
        form = .beforeNow(nanoseconds: span.nanoseconds)
    }

    /// The time that is meant, seen from `now`.
    package func timestamp(now: Timestamp) -> Timestamp {
        switch form {
        case .absolute(let time): return time
        case .beforeNow(let span):
            let (time, overflow) = now.nanoseconds.subtractingReportingOverflow(span)
            return Timestamp(nanoseconds: overflow ? .min : time)
        }
    }
}

extension Duration {
    /// Reads whole numbers with units, largest first: `90s`, `1h30m`, `250ms`. Units are `w`, `d` (24 hours), `h`, `m`, `s`, `ms`, `us`, `ns`, each
    /// at most once. `nil` for anything else, and for more than 64 bits of nanoseconds (292 years).
    package init?(compact text: some StringProtocol) {
        let units: [(name: String, nanoseconds: Int64)] = [
            ("w", 604_800_000_000_000), ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
            ("ms", 1_000_000), ("us", 1000), ("ns", 1),
        ]
        var rest = text.utf8[...]
        var unitsLeft = units[...]
        var total: Int64 = 0
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
            let name = rest.dropFirst(digits.count).prefix { $0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "z") }
            guard let number = Int64(String(decoding: digits, as: UTF8.self)),
                let unit = unitsLeft.firstIndex(where: { $0.name == String(decoding: name, as: UTF8.self) })
            else { return nil }
            let (product, overflow) = number.multipliedReportingOverflow(by: units[unit].nanoseconds)
            let (sum, overflowed) = total.addingReportingOverflow(product)
            guard !overflow, !overflowed else { return nil }
            total = sum
            unitsLeft = unitsLeft[(unit + 1)...]
            rest = rest.dropFirst(digits.count + name.count)
        }
        self = .nanoseconds(total)
    }
}
