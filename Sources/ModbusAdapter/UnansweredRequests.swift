internal import GatewayCore
internal import ModbusProtocol

/// Which stray replies are answers to requests that were given up or already answered, and how long a reply could still be mistaken.
///
/// Frames with a transaction identifier are never mistaken: the struct only tells late ones from duplicates, for the counters. Serial
/// frames name nothing but unit and function, so after a request was given up the next one to the same unit and function has to wait
/// until the late reply has come, or is no longer to be expected.
struct UnansweredRequests {
    /// What a stray reply turned out to be.
    enum Kind: Equatable {
        case late, duplicate, invalid
    }

    private struct Serial {
        var unit: UInt8
        var function: UInt8
        var until: MonotonicInstant
    }

    /// As many given-up transactions as can still be told from strangers.
    static let transactionsMax = 64

    private var transactions: [UInt16] = []
    private var lastAnswered: UInt16?
    private var serial: [Serial] = []
    private var lastFrame: (unit: UInt8, function: UInt8)?

    /// Nothing of an old connection arrives on a new one.
    mutating func connectionWasReplaced() { self = UnansweredRequests() }

    // MARK: - Frames with transaction identifiers

    mutating func gaveUp(transaction: UInt16) {
        if transactions.count >= UnansweredRequests.transactionsMax { transactions.removeFirst() }
        transactions.append(transaction)
    }

    mutating func answered(transaction: UInt16) { lastAnswered = transaction }

    mutating func kind(ofTransaction transaction: UInt16) -> Kind {
        if let index = transactions.firstIndex(of: transaction) {
            transactions.remove(at: index)
            return .late
        }
        return transaction == lastAnswered ? .duplicate : .invalid
    }

    // MARK: - Frames without

    mutating func gaveUp(unit: UInt8, function: UInt8, lateUntil until: MonotonicInstant, now: MonotonicInstant) {
        // At most one per unit and function, so that the list cannot grow without end.
        serial.removeAll { $0.until <= now || ($0.unit == unit && $0.function == function) }
        serial.append(Serial(unit: unit, function: function, until: until))
    }

    mutating func answered(unit: UInt8, function: UInt8) { lastFrame = (unit, function) }

    mutating func kind(ofFrame unit: UInt8, function: UInt8) -> Kind {
        if let index = serial.firstIndex(where: { $0.unit == unit && $0.function == function }) {
            serial.remove(at: index)
            return .late
        }
        return lastFrame.map { $0.unit == unit && $0.function == function } == true ? .duplicate : .invalid
    }

    /// Until when a reply to an earlier request could pass for the answer to this one; `nil`: it could not.
    func ambiguousUntil(unit: UInt8, function: UInt8) -> MonotonicInstant? {
        serial.first { $0.unit == unit && $0.function == function }?.until
    }
}
