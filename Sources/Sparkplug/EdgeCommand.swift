package import Telemetry

/// What a host asks of an edge node with an NCMD or DCMD.
package enum EdgeCommand: Sendable, Equatable {
    /// All births shall be published again.
    case rebirth
    /// A metric of a device shall be written. The name is the metric's, also where the host used its alias.
    case write(device: String, metric: String, value: Variant)
    /// Nothing this node can do; why, for the log.
    case ignored(reason: String)
}
