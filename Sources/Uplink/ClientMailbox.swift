/// What libmosquitto's callbacks leave for the thread that drives it. They only copy; nothing else happens inside of them.
///
/// Touched by one thread: callbacks run on the thread that called into the library.
final class ClientMailbox {
    enum Event {
        /// The broker's answer to CONNECT (MQTT 3.1.1, 3.2.2.3): 0 is its consent.
        case connectAnswer(Int32)
        case acknowledged(messageID: Int32)
        case subscribed
        case message(topic: String, payload: [UInt8])
    }

    private(set) var events: [Event] = []
    /// What the library said at level error, oldest first.
    private(set) var errors: [String] = []
    /// Why OpenSSL refused the broker's certificate, as an X509_V_ERR number; 0 if it did not.
    var verification = 0
    /// Messages from the broker that did not fit.
    private(set) var droppedMessages: UInt64 = 0

    /// The most messages from the broker that wait. Acknowledgements are bounded by what is in flight.
    static let messagesMax = 64
    /// The largest message from the broker that is taken, in bytes: commands are small.
    static let messageBytesMax = 256 << 10
    /// The most lines of errors that are kept.
    static let errorsMax = 16

    private var messages = 0

    func put(_ event: Event) {
        if case .message(_, let payload) = event {
            guard messages < Self.messagesMax, payload.count <= Self.messageBytesMax else {
                droppedMessages += 1
                return
            }
            messages += 1
        }
        events.append(event)
    }

    func putError(_ line: String) {
        if errors.count < Self.errorsMax, errors.last != line { errors.append(line) }
    }

    func dropMessage() { droppedMessages += 1 }

    func take() -> [Event] {
        guard !events.isEmpty else { return [] }
        let taken = events
        events.removeAll(keepingCapacity: true)
        messages = 0
        return taken
    }
}
