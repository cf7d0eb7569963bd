internal import Telemetry

/// How much of a line's time may be waited away for units that do not answer, however many they are.
///
/// Each span of waiting is paid for with `repayment` times as long without any; a unit that is known to be silent is asked only when all is
/// paid. A line that had nothing to wait for has credit for `creditCharges` spans, so that a unit that falls silent is first asked again as
/// often as it takes to be sure. Over a time t the line thus waits at most t / `repayment`, and the credit and one span more.
///
/// Source: the virtual scheduling algorithm of ITU-T I.371, annex A (GCRA), with the waiting as the cell.
package struct BusBudget: Sendable {
    /// 4 % of the time are spent, so that 5 % hold with what cannot be foreseen: an answer that begins just in time and never ends.
    package static let repayment = 25
    /// How many spans of waiting a line may have saved up.
    package static let creditCharges = 4

    /// When everything spent so far is paid for; in the past while there is credit.
    package private(set) var paidAt = MonotonicInstant(nanoseconds: .min)

    package init() {}

    /// Time was waited in vain, unplanned: it is owed, beyond what was saved up.
    package mutating func charge(_ span: Duration, at now: MonotonicInstant) {
        let credit = BusBudget.price(of: span, times: BusBudget.creditCharges)
        paidAt = max(paidAt, now.advanced(by: .zero - credit)).advanced(by: BusBudget.price(of: span))
    }

    /// Whether more was waited than is paid for.
    package func isOverdrawn(at now: MonotonicInstant) -> Bool { paidAt > now }

    /// Books a span of waiting and tells when it may begin. Bookings come one after the other, in the order they are made.
    package mutating func reserve(_ span: Duration, at now: MonotonicInstant) -> MonotonicInstant {
        let start = max(paidAt, now)
        paidAt = start.advanced(by: BusBudget.price(of: span))
        return start
    }

    /// Puts right what was booked: an answer that came takes no budget, one that came later than ever takes more.
    package mutating func settle(reserved: Duration, spent: Duration) {
        paidAt = paidAt.advanced(by: BusBudget.price(of: spent)).advanced(by: .zero - BusBudget.price(of: reserved))
    }

    private static func price(of span: Duration, times: Int = 1) -> Duration {
        let (price, overflow) = span.nanoseconds.multipliedReportingOverflow(by: Int64(repayment * times))
        return .nanoseconds(overflow ? .max / 2 : price)
    }
}
