/// The messages that were handed out and not acknowledged yet, in the order in which they came.
///
/// They are answered in any order; the broker is told in its own order, as it must be (MQTT 5.0, 4.6).
struct DeliveryQueue: Sendable {
    private var entries: [(packet: UInt16, answer: ReasonCode?)] = []
    private var packets: Set<UInt16> = []
    private var firstSerial: UInt64 = 0
    private let maximum: Int

    /// - Parameter maximum: the most entries: what the broker was told as receive maximum.
    init(maximum: Int) { self.maximum = maximum }

    var count: Int { entries.count }

    /// Takes a message; returns under which number it is answered.
    mutating func append(packet: UInt16) throws(MalformedPacket) -> UInt64 {
        guard entries.count < maximum else {
            throw MalformedPacket("the broker sends more than \(maximum) messages without waiting for an answer", .receiveMaximumExceeded)
        }
        guard packets.insert(packet).inserted else {
            throw MalformedPacket("the broker uses the packet identifier \(packet) twice at once", .protocolError)
        }
        entries.append((packet, nil))
        return firstSerial + UInt64(entries.count - 1)
    }

    /// Takes an answer; returns whether there is something to tell the broker. A second answer changes nothing.
    mutating func answer(_ serial: UInt64, _ reason: ReasonCode) -> Bool {
        guard serial >= firstSerial, serial - firstSerial < UInt64(entries.count) else { return false }
        let index = Int(serial - firstSerial)
        guard entries[index].answer == nil else { return false }
        entries[index].answer = reason
        return index == 0
    }

    /// What the broker is told now.
    mutating func takeAnswered() -> [(packet: UInt16, answer: ReasonCode)] {
        var told: [(packet: UInt16, answer: ReasonCode)] = []
        for entry in entries {
            guard let answer = entry.answer else { break }
            told.append((entry.packet, answer))
            packets.remove(entry.packet)
        }
        entries.removeFirst(told.count)
        firstSerial += UInt64(told.count)
        return told
    }
}
