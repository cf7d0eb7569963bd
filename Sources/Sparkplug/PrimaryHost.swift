package import Telemetry

/// Follows the primary host application of an edge node on one MQTT server: births wait until it is online, and the session ends when it
/// goes offline.
///
/// Its time stamps are remembered over sessions with the same server, so that a STATE message that comes late changes nothing.
///
/// Source: Sparkplug 3.0.0, 5.4 and 5.5 (edge node session establishment and termination).
package struct PrimaryHost: Sendable {
    package enum Decision: Sendable, Equatable {
        /// Nothing is to be done; why, for the log.
        case ignore(reason: String)
        /// The host is there: births may go out.
        case online
        /// The host has gone, or is not there: publish the NDEATH, disconnect, and go to the next server.
        case offline
    }

    package let id: String
    /// Of the present session.
    package private(set) var isOnline = false
    /// Of the newest STATE message that counted, and of the newest that said online.
    private var newest: UInt64?
    private var newestOnline: UInt64?

    /// Throws `.configurationInvalid` for an id that cannot be a level of a topic.
    package init(id: String) throws(GatewayError) {
        try SparkplugTopic.validate(id, as: "primary host id")
        self.id = id
    }

    /// To be subscribed to at QoS 1.
    package var topic: String { SparkplugState.topic(ofHost: id) }

    /// A new session begins: the host has to say again that it is there.
    package mutating func connecting() { isOnline = false }

    /// A message arrived. Never traps, whatever the bytes.
    package mutating func receive(topic: String, payload: [UInt8]) -> Decision {
        guard topic == self.topic else { return .ignore(reason: "topic '\(topic.prefix(200))' is not that of primary host '\(id)'") }
        let state: SparkplugState
        do { state = try SparkplugState(decoding: payload) } catch { return .ignore(reason: "\(error.message)") }
        if state.isOnline {
            if let newest, state.timestamp < newest {
                return .ignore(reason: "STATE online of \(state.timestamp) is older than the last one, of \(newest)")
            }
            newest = state.timestamp
            newestOnline = state.timestamp
            if isOnline { return .ignore(reason: "the primary host is online already") }
            isOnline = true
            return .online
        }
        if let newestOnline, state.timestamp < newestOnline {
            return .ignore(reason: "STATE offline of \(state.timestamp) is older than the last online, of \(newestOnline)")
        }
        newest = max(newest ?? 0, state.timestamp)
        isOnline = false
        return .offline
    }
}
