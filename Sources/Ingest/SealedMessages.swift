package import Envelope

/// The envelopes of a receiving end: takes messages out of them, and remembers which were dealt with once that is lasting.
package struct SealedMessages: Sendable {
    /// What is to be done with a message.
    enum Outcome {
        /// To be read on: the message that was inside.
        case message(IngestMessage)
        /// It was dealt with before: only to be acknowledged.
        case known
        case refused(reason: String)
    }

    /// By broker: what is sealed for the cluster behind one must not come from another.
    private let openers: [EnvelopeOpener]
    /// Whether messages without an envelope are taken too. Whoever writes to the broker can then speak for every gateway.
    private let isPlainAllowed: Bool
    /// What was opened and is not yet where it belongs. Each has a message that waits for its acknowledgement, so that these are bounded.
    private var unrecorded: [MessageToken: (opener: EnvelopeOpener, identity: EnvelopeIdentity)] = [:]
    private(set) var counters = EnvelopeCounters()

    /// - Parameter openers: one for each broker, in their order.
    package init(openers: [EnvelopeOpener], isPlainAllowed: Bool = false) {
        self.openers = openers
        self.isPlainAllowed = isPlainAllowed
    }

    /// The topics on which envelopes come: `ie/1/<gateway>/<kind>`.
    static let topicPrefix = "ie/1/"

    /// MQTT topic filters: births and deaths, which every receiver needs, and data, which several may share.
    package static let stateFilters = ["ie/1/+/birth", "ie/1/+/death"]
    package static let dataFilter = "ie/1/+/data"

    mutating func open(_ message: IngestMessage) -> Outcome {
        guard message.topic.hasPrefix(Self.topicPrefix) else {
            if isPlainAllowed { return .message(message) }
            counters.plainRefused += 1
            return .refused(reason: "it came without an envelope, and only those with one are taken")
        }
        guard openers.indices.contains(message.source) else { return .refused(reason: "no keys are known for where it came from") }
        let opener = openers[message.source]
        do throws(EnvelopeRefusal) {
            let opened = try opener.open(message.payload)
            if opened.freshness == .duplicate {
                counters.duplicates += 1
                return .known
            }
            counters.opened += 1
            if opened.freshness == .late { counters.late += 1 }
            // Without a token nobody sends it again, and nothing is waited for.
            if let token = message.token { unrecorded[token] = (opener, opened.identity) } else { opener.record(opened.identity) }
            var inner = message
            inner.topic = opened.topic
            inner.payload = opened.payload
            return .message(inner)
        } catch {
            counters.count(error.reason)
            return .refused(reason: "the envelope is refused: \(error)")
        }
    }

    /// Messages are where they belong: from now on they are duplicates.
    mutating func record(_ tokens: [MessageToken]) {
        for token in tokens { if let entry = unrecorded.removeValue(forKey: token) { entry.opener.record(entry.identity) } }
    }
}
