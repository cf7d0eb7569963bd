package import Telemetry

/// A tag that a host wants to have a value, as a route hands it on to who decides.
package struct RouteCommand: Sendable, Hashable {
    package var route: String
    /// The broker it came from.
    package var cluster: String
    package var topic: String
    package var device: String
    package var tag: String
    /// In engineering units.
    package var value: Variant

    package init(route: String, cluster: String, topic: String, device: String, tag: String, value: Variant) {
        self.route = route
        self.cluster = cluster
        self.topic = topic
        self.device = device
        self.tag = tag
        self.value = value
    }
}

/// What came of a command.
package enum RouteCommandOutcome: Sendable, Hashable {
    /// The device shows the value. The tag's next sample is the answer that the host gets.
    case done
    case refused(reason: String)
}

/// Whoever carries commands out, and writes down those that a route refused itself.
package protocol RouteCommandHandler: Sendable {
    /// Carries a command out or refuses it; returns when its end is known and recorded.
    func submit(_ command: RouteCommand) async -> RouteCommandOutcome
    /// Writes down a command that was refused before anybody was asked.
    func record(refused topic: String, route: String, cluster: String, reason: String) async
}
