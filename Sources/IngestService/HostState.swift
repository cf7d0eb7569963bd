internal import Sparkplug
internal import Telemetry

/// A Sparkplug host application's STATE: edge nodes that wait for their primary host publish only while it is online.
///
/// Source: Sparkplug 3.0.0, 5.14 (host application session).
package struct HostState: Sendable {
    package let topic: String

    /// - Parameter hostID: what edge nodes call their primary host.
    package init(hostID: String) { topic = "\(SparkplugTopic.namespace)/STATE/\(hostID)" }

    func message(isOnline: Bool, at time: Timestamp) -> (topic: String, payload: [UInt8]) {
        (topic, Array("{\"online\":\(isOnline),\"timestamp\":\(time.milliseconds)}".utf8))
    }

    /// Whether a message on `topic` says that the host is away.
    func isOffline(_ payload: [UInt8]) -> Bool {
        String(decoding: payload.prefix(256), as: UTF8.self).filter { !$0.isWhitespace }.contains("\"online\":false")
    }
}
