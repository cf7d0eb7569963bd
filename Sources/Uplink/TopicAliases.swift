/// Numbers that stand for topics on one connection (MQTT 5.0, 3.3.2.3.4).
///
/// The first topics get them and keep them: a gateway has few topics, and uses each again and again.
struct TopicAliases: Sendable {
    /// The most aliases that are used, however many the broker allows.
    static let countMax = 4096
    /// Shorter topics are sent as they are: an alias takes three bytes.
    static let topicBytesMin = 4

    private let maximum: Int
    private var numbers: [String: UInt16] = [:]
    /// Numbers that were taken back.
    private var free: [UInt16] = []

    init(maximum: UInt16) { self.maximum = min(Int(maximum), Self.countMax) }

    /// The number of a topic, and whether the topic must be sent along with it; `nil` when there is no number left.
    mutating func alias(for topic: String) -> (number: UInt16, isNew: Bool)? {
        guard maximum > 0 else { return nil }
        if let number = numbers[topic] { return (number, false) }
        guard topic.utf8.count >= Self.topicBytesMin, numbers.count < maximum else { return nil }
        let number = free.popLast() ?? UInt16(numbers.count + 1)
        numbers[topic] = number
        return (number, true)
    }

    /// The topic was not sent: its number means nothing to the broker.
    mutating func forget(_ topic: String) {
        if let number = numbers.removeValue(forKey: topic) { free.append(number) }
    }
}
