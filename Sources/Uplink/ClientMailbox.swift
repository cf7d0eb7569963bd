/// The broker's answer to CONNECT (MQTT 5.0, 3.2; MQTT 3.1.1, 3.2).
struct ConnectAnswer {
    /// 0 is consent; else a return code of 3.1.1 up to 5, or a reason code of 5 from 0x80 on.
    var code: Int32
    var properties: ConnectionProperties

    init(_ code: Int32, flags: Int32, _ list: IncomingProperties) {
        self.code = code
        var properties = ConnectionProperties()
        properties.isSessionPresent = flags & 1 != 0
        // Zero would be a protocol error; nothing could ever be sent.
        properties.receiveMaximum = max(1, list.int16(.receiveMaximum) ?? properties.receiveMaximum)
        properties.maximumQualityOfService = list.byte(.maximumQualityOfService) ?? properties.maximumQualityOfService
        properties.keepsRetained = list.byte(.retainAvailable) != 0
        properties.maximumPacketSize = list.int32(.maximumPacketSize)
        properties.topicAliasMaximum = list.int16(.topicAliasMaximum) ?? 0
        properties.assignedClientID = list.text(.assignedClientIdentifier)
        properties.serverKeepAlive = list.int16(.serverKeepAlive)
        properties.hasSharedSubscriptions = list.byte(.sharedSubscriptionAvailable) != 0
        properties.reasonString = list.text(.reasonString)
        properties.serverReference = list.text(.serverReference)
        self.properties = properties
    }
}

/// What libmosquitto's callbacks leave for the thread that drives it. They only copy; nothing else happens inside of them.
///
/// Touched by one thread: callbacks run on the thread that called into the library.
final class ClientMailbox {
    enum Event {
        case connectAnswer(ConnectAnswer)
        case acknowledged(messageID: Int32, reason: ReasonCode, text: String?)
        case subscribed(messageID: Int32, reasons: [ReasonCode], text: String?)
        /// The broker ended the connection and said why.
        case disconnected(ReasonCode)
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
    /// The largest packet that the broker is asked to send, in bytes: such a message, with its topic and properties.
    static let packetBytesMax = messageBytesMax + (128 << 10)
    /// The most answers of one SUBACK that are looked at: one topic is asked for at a time.
    static let subscriptionCodesMax: Int32 = 16
    /// The most lines of errors that are kept.
    static let errorsMax = 16

    private var messages = 0

    /// The broker does not speak the version of MQTT that we began with.
    private(set) var isVersionRefused = false

    func put(_ event: Event) {
        // 1 is how a broker of 3.1.1 says it (MQTT 3.1.1, 3.2.2.3).
        if case .connectAnswer(let answer) = event, answer.code == 1 || answer.code == Int32(ReasonCode.unsupportedProtocolVersion.rawValue)
        {
            isVersionRefused = true
        }
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
