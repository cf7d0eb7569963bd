internal import GatewayCore
internal import Telemetry

/// The log entries that are sent and not yet done with, in the order of the log.
///
/// Acknowledgements come in any order; the cursor may only move over entries that are done with from the first on.
struct InFlightWindow: Sendable {
    /// What an acknowledgement allows.
    struct Progress: Equatable {
        /// The cursor may be acknowledged up to here.
        var through: LogPosition
        var entries: UInt64
        var samples: UInt64
    }

    private struct Slot {
        var position: LogPosition
        var samples: UInt64
        var bytes: Int
        var unacknowledged: Int
        var sentAt: MonotonicInstant
    }

    private(set) var messagesMax: Int
    let bytesMax: Int
    private var slots: [Slot] = []
    /// The ticket of the first slot. Tickets are consecutive.
    private var firstTicket: UInt64 = 0
    /// Messages without an acknowledgement.
    private(set) var messages = 0
    /// Payload bytes of the entries in the window.
    private(set) var bytes = 0

    init(messagesMax: Int, bytesMax: Int) {
        self.messagesMax = messagesMax
        self.bytesMax = bytesMax
    }

    /// Takes the broker's limit where it is lower than ours.
    mutating func limit(toMessages limit: Int) { messagesMax = max(1, min(messagesMax, limit)) }

    /// The entry of a ticket, while it is in the window.
    func entry(_ ticket: UInt64) -> (position: LogPosition, samples: UInt64)? {
        guard ticket >= firstTicket, ticket - firstTicket < UInt64(slots.count) else { return nil }
        let slot = slots[Int(ticket - firstTicket)]
        return (slot.position, slot.samples)
    }

    /// Whether another entry may be sent. One entry may go over the limits, so that one that is larger than they are is not stuck for ever.
    var hasRoom: Bool { messages < messagesMax && bytes < bytesMax && slots.count < messagesMax }
    var isEmpty: Bool { slots.isEmpty }

    /// Takes an entry that is about to be sent as `messages` messages (0: nothing to send, done with at once). Returns the ticket
    /// under which its acknowledgements come, and what the entry allows at once.
    mutating func append(
        _ position: LogPosition, samples: UInt64, messages count: Int, bytes size: Int, at now: MonotonicInstant
    ) -> (ticket: UInt64, progress: Progress?) {
        let ticket = firstTicket + UInt64(slots.count)
        slots.append(Slot(position: position, samples: samples, bytes: size, unacknowledged: count, sentAt: now))
        messages += count
        bytes += size
        return (ticket, count == 0 ? advance() : nil)
    }

    /// Takes the acknowledgement of one message. A ticket that is not in the window is ignored: a peer may say anything.
    mutating func acknowledge(_ ticket: UInt64, at now: MonotonicInstant) -> (roundTrip: Duration, progress: Progress?)? {
        guard ticket >= firstTicket, ticket - firstTicket < UInt64(slots.count) else { return nil }
        let index = Int(ticket - firstTicket)
        guard slots[index].unacknowledged > 0 else { return nil }
        slots[index].unacknowledged -= 1
        messages -= 1
        return (slots[index].sentAt.duration(to: now), index == 0 ? advance() : nil)
    }

    private mutating func advance() -> Progress? {
        let done = slots.prefix { $0.unacknowledged == 0 }
        guard let last = done.last else { return nil }
        let progress = Progress(
            through: last.position, entries: UInt64(done.count), samples: done.reduce(0) { $0 + $1.samples })
        bytes -= done.reduce(0) { $0 + $1.bytes }
        firstTicket += UInt64(done.count)
        slots.removeFirst(done.count)
        return progress
    }
}
