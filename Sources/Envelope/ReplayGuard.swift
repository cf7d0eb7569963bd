/// What a receiver knows of an envelope's age.
package enum EnvelopeFreshness: String, Sendable, Hashable {
    /// Not seen before.
    case new
    /// Seen and recorded before, and so surely dealt with: a redelivery, or a replay, which does no more harm.
    case duplicate
    /// So old that what was seen of its time is forgotten. The key of its batch decides whether it is known.
    case late
}

/// Remembers which envelopes were dealt with: per route of a gateway the newest sessions with a window of counters each, and the newest birth or death.
///
/// Only the receiver says what was dealt with (`record`), after its effect is lasting: a message that came again because the first attempt
/// failed must not count as a duplicate.
struct ReplayGuard: Sendable, Equatable {
    /// Counters below the highest one that are told apart, per session. Multiple of 64.
    static let windowBits = 8192
    /// The most sessions that are remembered, per gateway.
    static let sessionsMax = 16
    /// The most routes of gateways that are remembered.
    static let sendersMax = 100_000

    struct Window: Sendable, Equatable {
        var session: EnvelopeSession
        /// The highest counter that was recorded.
        var highest: UInt64 = 0
        /// Bit `counter % windowBits` for the last `windowBits` counters.
        var seen = [UInt64](repeating: 0, count: ReplayGuard.windowBits / 64)

        func freshness(of counter: UInt64) -> EnvelopeFreshness {
            if counter > highest { return .new }
            if highest - counter >= UInt64(ReplayGuard.windowBits) { return .late }
            return isSet(counter) ? .duplicate : .new
        }

        private func isSet(_ counter: UInt64) -> Bool {
            let bit = Int(counter % UInt64(ReplayGuard.windowBits))
            return seen[bit / 64] & 1 << UInt64(bit % 64) != 0
        }

        mutating func record(_ counter: UInt64) {
            if counter > highest {
                let skipped = min(counter - highest, UInt64(ReplayGuard.windowBits))
                for step in 0..<skipped {
                    let bit = Int((counter - step) % UInt64(ReplayGuard.windowBits))
                    seen[bit / 64] &= ~(1 << UInt64(bit % 64))
                }
                highest = counter
            } else if highest - counter >= UInt64(ReplayGuard.windowBits) {
                return
            }
            let bit = Int(counter % UInt64(ReplayGuard.windowBits))
            seen[bit / 64] |= 1 << UInt64(bit % 64)
        }
    }

    /// Who sends: routes of one gateway count on their own.
    struct Name: Sendable, Hashable {
        var gateway: String
        var route: String

        init(_ session: EnvelopeSession) {
            gateway = session.gateway
            route = session.route
        }

        var parts: [String] { [gateway, route] }
    }

    struct Sender: Sendable, Equatable {
        /// Oldest first.
        var windows: [Window] = []
        /// The newest birth or death that was recorded.
        var newestState: EnvelopeIdentity?
    }

    var senders: [Name: Sender] = [:]

    init() {}

    /// Judges an envelope whose signature is good, without remembering it.
    ///
    /// Throws a refusal with reason `replayed` for a birth or death before one that was recorded.
    func judge(_ identity: EnvelopeIdentity) throws(EnvelopeRefusal) -> EnvelopeFreshness {
        guard let sender = senders[Name(identity.session)] else { return .new }
        var freshness = EnvelopeFreshness.new
        if let window = sender.windows.first(where: { $0.session == identity.session }) {
            freshness = window.freshness(of: identity.counter)
        } else if let newest = sender.windows.last?.session, identity.session.isNotAfter(newest) {
            freshness = .late
        }
        guard freshness != .duplicate, identity.kind == .birth || identity.kind == .death, let newest = sender.newestState else {
            return freshness
        }
        let isOlder =
            identity.session == newest.session ? identity.counter <= newest.counter : identity.session.isNotAfter(newest.session)
        guard !isOlder else {
            throw EnvelopeRefusal(
                .replayed,
                "a \(identity.kind) with epoch \(identity.session.epoch), generation \(identity.session.generation), counter \(identity.counter) "
                    + "comes after one with \(newest.session.epoch), \(newest.session.generation), \(newest.counter)")
        }
        return .new
    }

    /// Remembers an envelope that was dealt with.
    mutating func record(_ identity: EnvelopeIdentity) {
        let name = Name(identity.session)
        guard senders[name] != nil || senders.count < ReplayGuard.sendersMax else { return }
        var sender = senders.removeValue(forKey: name) ?? Sender()
        if let index = sender.windows.firstIndex(where: { $0.session == identity.session }) {
            sender.windows[index].record(identity.counter)
        } else {
            var window = Window(session: identity.session)
            window.record(identity.counter)
            // Sessions stay in their order, so that a late one does not count as the newest.
            let place = sender.windows.firstIndex { identity.session.isNotAfter($0.session) } ?? sender.windows.count
            sender.windows.insert(window, at: place)
            if sender.windows.count > ReplayGuard.sessionsMax { sender.windows.removeFirst() }
        }
        if identity.kind == .birth || identity.kind == .death { note(identity, &sender) }
        senders[name] = sender
    }

    private func note(_ identity: EnvelopeIdentity, _ sender: inout Sender) {
        if let newest = sender.newestState {
            if identity.session == newest.session {
                guard identity.counter > newest.counter else { return }
            } else if identity.session.isNotAfter(newest.session) {
                return
            }
        }
        sender.newestState = identity
    }
}

extension EnvelopeSession {
    /// Whether neither the order of the gateway's starts nor its clock says that this session began after `other`. One of the two is
    /// enough to be newer: a box whose disk was replaced counts its starts anew, and one without a clock has only them.
    func isNotAfter(_ other: EnvelopeSession) -> Bool {
        (epoch, generation) <= (other.epoch, other.generation) && startedAt <= other.startedAt
    }
}

// MARK: - Keeping

extension ReplayGuard {
    /// Bytes to keep over a restart of the receiver, in CBOR.
    func encoded() -> [UInt8] {
        var writer = CBORWriter()
        writer.array(2)
        writer.unsigned(1)
        writer.array(senders.count)
        for (_, sender) in senders.sorted(by: { $0.key.parts.lexicographicallyPrecedes($1.key.parts) }) {
            writer.array(2)
            writer.array(sender.windows.count)
            for window in sender.windows {
                writer.array(3)
                ReplayGuard.write(EnvelopeIdentity(session: window.session, kind: .data, counter: window.highest), &writer)
                // Only the words that are not empty: most sessions are short.
                let words = window.seen.enumerated().filter { $0.element != 0 }
                writer.array(words.count)
                for word in words { writer.unsigned(UInt64(word.offset)) }
                writer.array(words.count)
                for word in words { writer.unsigned(word.element) }
            }
            if let newest = sender.newestState { ReplayGuard.write(newest, &writer) } else { writer.null() }
        }
        return writer.bytes
    }

    /// Throws a refusal with reason `malformed` for bytes that are none of `encoded`.
    init(decoding bytes: [UInt8]) throws(EnvelopeRefusal) {
        var reader = CBORReader(bytes)
        _ = try reader.array("the replay state", 2...2)
        let version = try reader.unsigned("the version")
        guard version == 1 else { throw EnvelopeRefusal(.unsupported, "the replay state has version \(version), expected 1") }
        for _ in 0..<(try reader.array("the senders", 0...ReplayGuard.sendersMax)) {
            _ = try reader.array("a sender", 2...2)
            var sender = Sender()
            for _ in 0..<(try reader.array("the sessions", 0...ReplayGuard.sessionsMax)) {
                sender.windows.append(try ReplayGuard.window(&reader))
            }
            if !reader.skipNull() { sender.newestState = try ReplayGuard.identity(&reader) }
            guard let session = sender.windows.first?.session ?? sender.newestState?.session else {
                throw CBORReader.malformed("a sender of the replay state has no session")
            }
            senders[Name(session)] = sender
        }
        try reader.finish("the replay state")
    }

    private static func window(_ reader: inout CBORReader) throws(EnvelopeRefusal) -> Window {
        _ = try reader.array("a session", 3...3)
        let identity = try identity(&reader)
        var window = Window(session: identity.session, highest: identity.counter)
        let count = try reader.array("the places of a window", 0...window.seen.count)
        var places: [Int] = []
        for _ in 0..<count { places.append(Int(try reader.unsigned("a place", atMost: UInt64(window.seen.count - 1)))) }
        _ = try reader.array("the words of a window", count...count)
        for place in places { window.seen[place] = try reader.unsigned("a word") }
        return window
    }

    private static func write(_ identity: EnvelopeIdentity, _ writer: inout CBORWriter) {
        writer.array(2)
        writer.unsigned(identity.counter)
        identity.write(to: &writer)
    }

    private static func identity(_ reader: inout CBORReader) throws(EnvelopeRefusal) -> EnvelopeIdentity {
        _ = try reader.array("an envelope's identity", 2...2)
        let counter = try reader.unsigned("a counter")
        let (session, kind) = try EnvelopeIdentity.read(&reader)
        return EnvelopeIdentity(session: session, kind: kind, counter: counter)
    }
}
